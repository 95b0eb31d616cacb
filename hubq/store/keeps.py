"""Outcomes that are kept under the key of a message, so that it is run once (read by ``lua/_keeps.lua``, in the same order)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from hubq.store.command import Arg, Command, plain
from hubq.store.keys import Keys
from hubq.store.saying import SayingLimits, Section

_LINE = re.compile(rb"(\d{1,20}-\d{1,20}) ([0-9a-f]{32}) ([a-z_]{1,40})")


class KeptReply(NamedTuple):
    """The outcome of the message that came first with its key: the ``word`` and ``payload`` of its reply.

    ``entry`` is its place in the mailbox, ``fingerprint`` stands for its method and arguments. It is kept for ``keep`` ms.
    """

    sender: str
    key: str
    keep: int
    entry: str
    fingerprint: str
    word: str
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes of its largest part."""
        return len(self.payload)

    def written(self) -> bytes:
        """The value in Redis: a line people can read, then the payload of the reply."""
        return f"{self.entry} {self.fingerprint} {self.word}\n".encode() + self.payload

    @staticmethod
    def section(keys: Keys, shard: int, said: Sequence[KeptReply], limits: SayingLimits) -> Section:
        """What is kept for children of ``shard``."""
        names = [keys.kept(shard, kept.sender, kept.key) for kept in said]
        args: list[Arg] = []
        for kept in said:
            args += (kept.keep, kept.written())
        return Section("keeps", names, args)


def read_kept(keys: Keys, shard: int, child: str, key: str) -> Command[KeptReply | None]:
    """The outcome that is kept under a key of a child. What hubq has not written counts as none.

    >>> read_kept(Keys("h"), 0, "a", "k").read(b"7-0 " + b"0" * 32 + b" ok\\np...")
    KeptReply(sender='a', key='k', keep=0, entry='7-0', fingerprint='00000000000000000000000000000000', word='ok', payload=b'p...')
    """

    def read(answer: bytes | None) -> KeptReply | None:
        line, newline, payload = (answer or b"").partition(b"\n")
        found = _LINE.fullmatch(line)
        if found is None or not newline:
            return None
        entry, fingerprint, word = (part.decode() for part in found.groups())
        return KeptReply(child, key, 0, entry, fingerprint, word, payload)

    return plain("GET", keys.kept(shard, child, key), read=read)
