"""Messages from children to other children, as a commit sends them (read by ``lua/_sends.lua``, in the same order)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hubq.store.command import Arg
from hubq.store.keys import Keys
from hubq.store.saying import SayingLimits, Section


class Sent(NamedTuple):
    """A message from one child to another (``method`` empty: only a start). ``spec``: it is started if it is not there."""

    sender: str
    shard: int
    child: str
    method: str
    payload: bytes
    spec: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of its largest part."""
        return max(len(self.payload), len(self.spec))

    @staticmethod
    def section(keys: Keys, shard: int, said: Sequence[Sent], limits: SayingLimits) -> Section:
        """What children of ``shard`` send."""
        names = [*keys.outbox_keys(shard)]
        places = {target: place for place, target in enumerate(dict.fromkeys(sent.shard for sent in said), 1)}
        for target in places:
            names += keys.target_keys(target)
        args: list[Arg] = [*limits, len(places)]
        for sent in said:
            args += (places[sent.shard], sent.shard, sent.sender, sent.child, sent.method, sent.payload, sent.spec)
        return Section("sends", names, args)
