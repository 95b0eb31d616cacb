"""Dead letters: what took its nodes down again and again, with its circumstances (docs/poison.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hubq.store.command import Command, plain, run_script, text
from hubq.store.keys import Keys


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message (``kind`` call, cast or stop) that was in hand each time ``tries`` nodes died; or a child (``start``)
    whose start was.

    ``letter`` names it: ``shard/entry``. ``sent`` and ``died`` are Redis TIME in ms; ``crashes`` names the nodes, the
    last one last, as ``node#incarnation``. ``reply_to`` is the client that called, empty for a cast; ``deadline`` is 0
    for none.
    """

    letter: str
    shard: int
    kind: str
    child: str
    class_name: str
    method: str
    id: str
    reply_to: str
    deadline: int
    payload: bytes
    tries: int
    crashes: tuple[str, ...]
    sent: int
    died: int


def letter_of(shard: int, entry: str, fields: dict[str, bytes]) -> DeadLetter:
    """One entry of a shard's ``dead`` stream."""
    words = {name: text(value) for name, value in fields.items() if name != "payload"}
    first = words["entry"] if words["entry"] != "-" else entry
    return DeadLetter(
        f"{shard}/{entry}", shard, words["kind"], words["child"], words["class"], words["method"], words["id"],
        words["reply_to"], int(words["deadline"]), fields["payload"], int(words["tries"]),
        tuple(words["crashes"].split()), int(first.partition("-")[0]), int(entry.partition("-")[0]),
    )  # fmt: skip


def read_dead(keys: Keys, shard: int) -> Command[list[DeadLetter]]:
    """The dead letters of a shard, oldest first."""

    def read(answer: Any) -> list[DeadLetter]:
        return [
            letter_of(shard, text(entry), {text(flat[i]): flat[i + 1] for i in range(0, len(flat), 2)})
            for entry, flat in answer or ()
        ]

    return plain("XRANGE", keys.dead(shard), "-", "+", read=read)


def replay_dead(keys: Keys, shard: int, entry: str, nodes: Sequence[str] = ()) -> Command[str]:
    """Send a letter again: ``ok``, ``gone`` or ``unknown``."""
    return run_script(
        "replay_dead",
        [keys.owners, *keys.crash_keys(shard), *map(keys.control, nodes)],
        [shard, entry, *nodes],
        lambda answer: text(answer[0]),
        lambda nodes: replay_dead(keys, shard, entry, nodes),
    )


def drop_dead(keys: Keys, shard: int, entries: Sequence[str]) -> Command[int]:
    """Throw letters away; how many there were."""
    return plain("XDEL", keys.dead(shard), *entries, read=int)


def count_dead(keys: Keys, shard: int) -> Command[int]:
    """How many dead letters a shard has."""
    return plain("XLEN", keys.dead(shard), read=int)
