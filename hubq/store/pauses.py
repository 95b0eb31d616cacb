"""The pauses of a hub in Redis, and which nodes have heard of them (docs/guide-pause.md)."""

from __future__ import annotations

from typing import NamedTuple

from hubq.core.malformed import Table, whole_number
from hubq.core.pauses import Pause
from hubq.store.command import Command, plain, run_script, text, whole_table
from hubq.store.keys import Keys

#: The field that has the number of the last change. It rises, and is never below Redis TIME in ms.
NUMBER = "#"
#: A node's word that it heeds the pauses is kept so long, ms: whoever pauses waits for less.
HEEDED_KEPT = 3_600_000


class Changed(NamedTuple):
    """What became of a change. ``word``: ok, unchanged, or unknown (there is no such child); ``number``: that of the last change."""

    word: str
    number: int


def set_pause(keys: Keys, shard: int, pause: Pause, begins: bool, events_kept: int) -> Command[Changed]:
    """Begin a pause, or end it. ``shard``: that of the child, if it is one of a child."""
    child = pause.name if pause.what == "child" else ""
    return run_script(
        "set_pause",
        [keys.pauses, keys.events, keys.children(shard), keys.dormant(shard)],
        [pause.field, "begin" if begins else "end", pause.why, child, events_kept],
        lambda answer: Changed(text(answer[0]), int(answer[1])),
    )


def read_pauses_number(keys: Keys) -> Command[int]:
    """The number of the last change; 0: there is no pause."""
    return plain("HGET", keys.pauses, NUMBER, read=whole_number)


def read_pauses(keys: Keys) -> Command[Table[str, Pause]]:
    """All pauses, by field."""

    def read(field: str, line: bytes) -> tuple[str, Pause] | None:
        return None if field == NUMBER else (field, Pause.of(field, text(line)))

    return plain("HGETALL", keys.pauses, read=lambda answer: whole_table(keys.pauses, answer, read))


def say_heeded(keys: Keys, node: str, incarnation: int, number: int) -> Command[None]:
    """This life of a node heeds the pauses up to a change."""
    return plain(
        "SET", keys.heeded(node), f"{incarnation} {number}", "PX", HEEDED_KEPT, read=lambda answer: None,
    )  # fmt: skip


def read_heeded(keys: Keys, node: str) -> Command[tuple[int, int]]:
    """Which life of a node has said so last, and up to which change."""

    def read(answer: bytes | None) -> tuple[int, int]:
        incarnation, _, number = text(answer or b"").partition(" ")
        return whole_number(incarnation), whole_number(number)

    return plain("GET", keys.heeded(node), read=read)
