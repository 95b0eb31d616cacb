"""Messages to children, as clients send them; and starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from hubq.store.command import Arg, Command, run_script, text
from hubq.store.keys import Keys
from hubq.store.spec_record import SpecRecord


class Outgoing(NamedTuple):
    """A message on its way to a child, still without its number. ``timeout`` in seconds, 0 for no deadline. ``spec``: the child is
    started if it is not there (the start id is still to be given).
    """

    kind: str
    child: str
    method: str
    payload: bytes
    timeout: float
    reply: bool
    spec: SpecRecord | None = None


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What a start message tells its node besides the children: in the message's ``method``, as words.

    >>> StartOptions(quiet=True, batch="b1").words()
    'quiet batch:b1'
    >>> StartOptions.read("quiet batch:b1")
    StartOptions(quiet=True, batch='b1')
    """

    quiet: bool = False
    batch: str = ""

    def words(self) -> str:
        """The options as text."""
        return " ".join(["quiet"] * self.quiet + [f"batch:{self.batch}"] * bool(self.batch))

    @classmethod
    def read(cls, words: str) -> StartOptions:
        """The reverse of :meth:`words`; words of a newer version are passed over."""
        batch = next((word[6:] for word in words.split() if word.startswith("batch:")), "")
        return cls("quiet" in words.split(), batch)


PLAIN = StartOptions()


class Seals(Protocol):
    """Seals messages and specs (``hubq.store.seal``)."""

    def message(self, kind: str, child: str, method: str, sender: str, number: str, payload: bytes) -> bytes: ...

    def words(
        self, kind: bytes, child: bytes, method: bytes, sender: bytes, number: bytes, payload: bytes
    ) -> bytes: ...

    def spec(self, child: str, record: SpecRecord) -> SpecRecord: ...


def send_messages(
    keys: Keys,
    sender: str,
    shards: Mapping[int, Sequence[tuple[int, Outgoing]]],
    *,
    sender_ttl_ms: int,
    max_backlog: int,
    max_mailbox_bytes: int = 0,
    seal: Seals | None = None,
) -> Command[list[str]]:
    """Put numbered messages into the mailboxes of their shards; a status word for each, in order."""
    names = [keys.sender(sender)]
    for shard in shards:
        names += keys.send_keys(shard)
    bounds: Arg = f"{max_backlog} {max_mailbox_bytes}" if max_mailbox_bytes else max_backlog
    first: list[Arg] = [sender_ttl_ms, bounds, "", sender]
    several = _alike(first, sender, shards, seal) if _are_several(shards) else None
    args = several or _each(first, keys, sender, shards, seal)
    n = sum(map(len, shards.values()))
    return run_script("send_messages", names, args, partial(_words_of, n))


def _are_several(shards: Mapping[int, Sequence[tuple[int, Outgoing]]]) -> bool:
    return len(shards) > 1 or any(len(messages) > 1 for messages in shards.values())


def _alike(
    first: list[Arg], sender: str, shards: Mapping[int, Sequence[tuple[int, Outgoing]]], seal: Seals | None
) -> list[Arg] | None:
    """The arguments, if all messages have the same kind, method and time-out, as the casts of a batch mostly do. Else None."""
    _, (kind, _, method, _, timeout, reply, _) = next(iter(shards.values()))[0]
    if kind == "stop":
        return None
    args: list[Arg] = [*first, kind, method, sender if reply else "", int(timeout * 1000)]
    for messages in shards.values():
        args.append(len(messages))
        for seq, (its_kind, child, its_method, payload, its_timeout, its_reply, spec) in messages:
            if (
                its_method != method or its_kind != kind or its_timeout != timeout or its_reply is not reply
                or spec is not None
            ):  # fmt: skip
                return None
            if seal is not None:
                payload = seal.message(kind, child, method, sender, str(seq), payload)
            args += (seq, child, payload)
    return args


def _each(
    first: list[Arg], keys: Keys, sender: str, shards: Mapping[int, Sequence[tuple[int, Outgoing]]], seal: Seals | None
) -> list[Arg]:
    """The arguments of any messages."""
    args, specs = [*first, ""], list[Arg]()
    for messages in shards.values():
        args.append(len(messages))
        for seq, (kind, child, method, payload, timeout, reply, spec) in messages:
            if seal is not None:
                payload = seal.message(kind, child, method, sender, str(seq), payload)
            args += (seq, child, payload, kind, method, sender if reply else "", int(timeout * 1000))
            if spec is not None:
                args[2] = keys.partitioned
                started = spec.started_by(f"{sender}:{seq}")
                specs += (seq, (started if seal is None else seal.spec(child, started)).written())
            elif kind == "stop":
                args[2] = keys.partitioned
    return args + specs


def void_numbers(keys: Keys, sender: str, numbers: Sequence[int], sender_ttl_ms: int) -> Command[list[str]]:
    """Never accept these numbers any more: ``void``, or ``duplicate`` if one has been accepted already."""
    return run_script("void_numbers", [keys.sender(sender)], [sender_ttl_ms, *numbers], _words)


def _words_of(n: int, answer: Sequence[bytes]) -> list[str]:
    """The words of so many messages. No answer: ``ok`` for all of them."""
    return _words(answer) if answer else ["ok"] * n


def _words(answer: Sequence[bytes]) -> list[str]:
    return [word.decode() for word in answer]


def start_children(
    keys: Keys,
    shard: int,
    sender: str,
    seq: int,
    specs: Mapping[str, bytes],
    *,
    reply_to: str,
    timeout_ms: int,
    all_or_nothing: bool,
    sender_ttl_ms: int,
    options: StartOptions = PLAIN,
) -> Command[list[str]]:
    """Write specs and the start message of one shard; ``ok``, ``exists`` or ``partitioned why`` for each."""
    args: list[Arg] = [sender_ttl_ms, seq, seq, reply_to, timeout_ms, 1 if all_or_nothing else 0]
    args += (options.words(), options.batch, keys.partitioned)
    for child, spec in specs.items():
        args += (child, spec)
    return run_script(
        "start_children",
        [
            keys.sender(sender),
            keys.mailbox(shard),
            keys.children(shard),
            keys.backlog(shard),
            keys.dormant(shard),
            keys.batches(shard),
        ],
        args,
        lambda answer: [text(word) for word in answer],
    )
