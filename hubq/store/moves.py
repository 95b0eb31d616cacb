"""What Redis knows of a hub that is moved to another number of groups (docs/guide-cluster.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from hubq.core.regrouping import ASIDE, RECORD, goes_aside, place_of
from hubq.store.command import Command, pairs, plain, run_script, text
from hubq.store.keys import Keys
from hubq.store.membership import WIRE

_MOVING = re.compile(r"\S+ moving (\d+) (\d+) (\w+)")
_MOVED = re.compile(r"\S+ moved (\d+) (.*)")

#: Keys that one script renames.
AT_ONCE = 200
#: How long the source keeps the texts that stand in for its keys once it has been deleted, ms.
REFUSES_FOR = 7 * 86_400_000


class Record(NamedTuple):
    """A move. ``phase``: ``copying``, ``opening`` (all is there and compared), or ``opened`` (the target is the hub from now on)."""

    move: str
    groups_before: int
    groups: int
    address: str
    phase: str

    @property
    def moving(self) -> str:
        """What the config of each group says meanwhile."""
        return f"{WIRE} moving {self.groups_before} {self.groups} {self.move}"

    @property
    def moved(self) -> str:
        """What the config of the source says afterwards."""
        return f"{WIRE} moved {self.groups} {self.address}"


def was_moved(wire: str) -> bool:
    """Whether the config of a group says that its hub is somewhere else now."""
    return _MOVED.fullmatch(wire) is not None


def why_nobody_begins(hub_id: str, wire: str) -> str:
    """What to tell somebody who finds this in the config of a group; empty: it says nothing of a move.

    >>> why_nobody_begins("chat", "1 moved 4 redis+cluster://b:7000")
    "it was moved: it has groups=4 at redis+cluster://b:7000 now; use Hub('chat', groups=4, redis=...) with that Redis"
    >>> why_nobody_begins("chat", "1")
    ''
    """
    if found := _MOVED.fullmatch(wire):
        return (
            f"it was moved: it has groups={found[1]} at {found[2]} now; use Hub({hub_id!r}, groups={found[1]}, redis=...) "
            "with that Redis"
        )
    if found := _MOVING.fullmatch(wire):
        return (
            f"it is being moved from groups={found[1]} to groups={found[2]}: wait for `hubq regroup`. If that was ended, run it "
            "again, or give it up with --abandon"
        )
    return ""


def read_record(keys: Keys) -> Command[Record | None]:
    """The move that was begun last. ``keys``: those of the first group of the source."""

    def read(answer: Any) -> Record | None:
        found = {name: text(value) for name, value in pairs(answer).items()}
        try:
            before, after = int(found["before"]), int(found["groups"])
            return Record(found["move"], before, after, found["address"], found["phase"])
        except (KeyError, ValueError):
            return None

    return plain("HGETALL", keys.prefix + RECORD, read=read)


def write_record(keys: Keys, record: Record) -> Command[None]:
    """Remember a move."""
    return plain(
        "HSET", keys.prefix + RECORD, "move", record.move, "before", record.groups_before, "groups", record.groups,
        "address", record.address, "phase", record.phase, read=lambda answer: None,
    )  # fmt: skip


def forget_record(keys: Keys) -> Command[int]:
    """Forget the move."""
    return plain("UNLINK", keys.prefix + RECORD, read=int)


def mark_moving(keys: Keys, before: str, wire: str) -> Command[list[str]]:
    """Let no node join and no client begin: ``ok``; ``other`` and what the config says instead of ``before``; or ``served`` and by whom."""
    return run_script(
        "mark_moving", [keys.config, keys.leases], [before, wire], lambda answer: [text(each) for each in answer]
    )


def set_aside(keys: Keys, names: Sequence[str], refusal: str) -> Command[int]:
    """Move keys of a group out of the way; how many were there. ``refusal``: what stands in for what sending takes."""
    return _rename(
        "aside", [(keys.prefix + name, f"{keys.prefix}{ASIDE}{name}", _is_for_sending(name)) for name in names], refusal
    )


def put_back(keys: Keys, names: Sequence[str], where: str) -> Command[int]:
    """Give keys that are aside, or coming, their names; how many there were."""
    return _rename(
        "back", [(f"{keys.prefix}{where}{name}", keys.prefix + name, _is_for_sending(name)) for name in names], ""
    )


def _rename(way: str, moved: Sequence[tuple[str, str, bool]], refusal: str) -> Command[int]:
    names = [name for source, target, _ in moved for name in (source, target)]
    return run_script("rename_keys", names, [way, refusal, *(int(stands_in) for *_, stands_in in moved)], int)


def _is_for_sending(name: str) -> bool:
    return place_of(name).kind in ("messages", "children")


def for_sending(shards: Iterable[int]) -> set[str]:
    """The names of the keys of these shards without which nothing can be sent, and no child be started."""
    return {f"shard:{shard}:{what}" for shard in shards for what in ("children", "mailbox")}


def in_turn(names: Sequence[str], *, opening: bool) -> list[list[str]]:
    """Names for one script each: those of a shard together, and what sending takes first; ``opening``: that of all shards last."""

    def order(name: str) -> tuple[Any, ...]:
        place, sending = place_of(name), _is_for_sending(name)
        return (sending, place.shard, name) if opening else (place.shard, not sending, name)

    ordered = sorted(names, key=order)
    return [ordered[first : first + AT_ONCE] for first in range(0, len(ordered), AT_ONCE)]


def aside_names(names: Sequence[str]) -> list[str]:
    """Those of the names of a group that are moved out of the way."""
    return [name for name in names if goes_aside(name)]
