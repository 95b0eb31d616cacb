"""The last hour of each node: some figures every few seconds, in a capped stream, for the web view."""

from __future__ import annotations

from typing import Any

import msgspec

from hubq.core.entry_ids import entry_ms
from hubq.store.command import Command, plain, run_script, text
from hubq.store.keys import Keys

#: How often a node writes a point, seconds; how many are kept; how long they outlive the node, ms.
EVERY, KEPT, TTL_MS = 10.0, 360, 3_600_000


class Point(msgspec.Struct, frozen=True, array_like=True):
    """A node at one moment. ``handled``, ``failed``, ``commits`` and ``cpu`` (seconds) count since the node started; ``memory`` is bytes,
    ``lag`` seconds, ``waiting`` messages in the mailboxes of its shards. ``at``: Redis TIME, seconds (not written: the entry says so).
    """

    incarnation: int
    handled: int
    failed: int
    commits: int
    cpu: float
    memory: int
    children: int
    waiting: int
    lag: float
    at: float = 0.0


def write_point(keys: Keys, node: str, point: Point) -> Command[int]:
    """Add a point to a node's history."""
    return run_script("note_point", [keys.history(node)], [KEPT, TTL_MS, msgspec.json.encode(point)], int)


def read_points(keys: Keys, node: str) -> Command[list[Point]]:
    """The history of a node, the oldest first. What cannot be read of it is left out."""

    def read(answer: Any) -> list[Point]:
        found: list[Point] = []
        for entry, fields in reversed(answer or ()):
            try:
                point = msgspec.json.decode(fields[1], type=Point)
            except (msgspec.MsgspecError, IndexError, TypeError):
                continue
            found.append(msgspec.structs.replace(point, at=entry_ms(text(entry)) / 1000))
        return found

    return plain("XREVRANGE", keys.history(node), "+", "-", "COUNT", KEPT, read=read)
