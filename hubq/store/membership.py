"""Joining, renewing, draining, leaving, evicting: who is a member, by leases on Redis TIME."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from hubq.core.malformed import Table
from hubq.store.command import Command, pairs, plain, run_script, text, whole_table
from hubq.store.keys import Keys

#: The version of everything written to Redis. Nodes of another version cannot join.
WIRE = "1"

_WIRE_OF_GROUP = re.compile(r"\S+ group (\d+) of (\d+)")

#: Ends of leases are before this, ms. (Whoever writes to Redis may write ``inf``.)
FAR = float(1 << 53)


def wire_of(group: int, groups: int) -> str:
    """What the ``config`` of a group says beside the number of shards: the version, and of which hub it is a part.

    >>> wire_of(0, 1), wire_of(3, 4)
    ('1', '1 group 3 of 4')
    """
    return WIRE if groups == 1 else f"{WIRE} group {group} of {groups}"


def groups_of_wire(wire: str) -> int:
    """How many groups the hub has whose ``config`` says this; 0: it says nothing that this version understands.

    >>> groups_of_wire("1"), groups_of_wire("1 group 3 of 4"), groups_of_wire("2 something")
    (1, 4, 0)
    """
    found = _WIRE_OF_GROUP.fullmatch(wire)
    return int(found[2]) if found else 0 if " " in wire else 1


class NodeInfo(msgspec.Struct, frozen=True):
    """A member, as it stands in the ``nodes`` hash."""

    incarnation: int
    status: str
    joined_at: int
    host: str = ""
    pid: int = 0
    version: str = ""
    started_at: float = 0.0
    tags: dict[str, str] = {}
    app_version: str = ""
    """Which version of the app it runs: what ``hubq worker --app-version`` says."""
    state_versions: dict[str, int] = {}
    """The ``state_version`` of each class that its app registers; none: it does not say."""
    downgrading: list[str] = []
    """Those of them that have a ``downgrade_state``."""
    was: str = ""
    """Incarnations that the same process had before it was cut off."""

    @property
    def up(self) -> bool:
        """Whether shards may be placed on it."""
        return self.status == "up"


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer to a join: ``ok``, ``name_taken`` (with the end of that lease), ``mismatch`` or ``left``."""

    status: str
    incarnation: int = 0
    now_ms: int = 0
    epoch_before: int = 0
    lease_before_ms: int = 0
    began_ms: int = 0
    lease_until_ms: int = 0
    shards: str = ""
    wire: str = ""


@dataclass(frozen=True, slots=True)
class Renewed:
    """The answer to a renewal. ``expired``: members whose lease is over; ``next_end_ms``: until the next one ends.

    ``went_back``: what this node knows to have been written is not there any more.
    """

    ok: bool
    now_ms: int
    epoch: int = 0
    next_end_ms: int = 0
    expired: tuple[str, ...] = ()
    went_back: bool = False


def join_node(
    keys: Keys,
    node: str,
    info: dict[str, Any],
    lease_ms: int,
    events_kept: int,
    shards: int,
    previous: int = 0,
    known_epoch: int = 0,
    wire: str = WIRE,
) -> Command[Joined]:
    """Become a member. ``previous``: the incarnation that this process had so far, whose lease it may end."""

    def read(answer: Sequence[Any]) -> Joined:
        status = text(answer[0])
        if status == "ok":
            return Joined("ok", int(answer[1]), int(answer[2]), int(answer[3]), int(answer[4]), int(answer[5]))
        if status == "left":
            return Joined(status)
        if status == "name_taken":
            return Joined(status, lease_until_ms=int(answer[1]), now_ms=int(answer[2]))
        return Joined(status, shards=text(answer[1]), wire=text(answer[2]))

    inner = msgspec.json.encode(info).decode()[1:-1]
    return run_script(
        "join_node",
        [keys.nodes, keys.leases, keys.epoch, keys.events, keys.config, keys.left(node), keys.said(node)],
        [node, inner, lease_ms, events_kept, shards, wire, previous, known_epoch],
        read,
    )


def read_config(keys: Keys) -> Command[tuple[str, str] | None]:
    """The hub's fixed settings, (shards, wire version); None for a hub that is new."""

    def read(answer: Sequence[Any]) -> tuple[str, str] | None:
        return None if None in answer else (text(answer[0]), text(answer[1]))

    return plain("HMGET", keys.config, "shards", "wire", read=read)


def check_config(keys: Keys, shards: int, wire: str = WIRE) -> Command[tuple[str, str]]:
    """Write the hub's fixed settings if it is new; those there are then, (shards, wire version)."""

    def read(answer: Sequence[Any]) -> tuple[str, str]:
        return (str(shards), wire) if text(answer[0]) == "ok" else (text(answer[1]), text(answer[2]))

    return run_script("check_config", [keys.config], [shards, wire], read)


def renew_lease(
    keys: Keys, node: str, incarnation: int, lease_ms: int, known_epoch: int = 0, granted_ms: int = 0
) -> Command[Renewed]:
    """Prolong the lease. What this node knows to be written (the epoch, its lease) is compared with what is there."""

    def read(answer: Sequence[Any]) -> Renewed:
        if text(answer[0]) != "ok":
            return Renewed(False, int(answer[1]), went_back=text(answer[0]) == "went_back")
        return Renewed(True, int(answer[1]), int(answer[2]), int(answer[3]), tuple(text(name) for name in answer[4:]))

    return run_script(
        "renew_lease",
        [keys.nodes, keys.leases, keys.epoch, keys.events],
        [node, incarnation, lease_ms, known_epoch, granted_ms],
        read,
    )


def evict_node(keys: Keys, node: str, by: str, events_kept: int) -> Command[str]:
    """Remove a member whose lease is over."""
    return run_script(
        "evict_node",
        [keys.nodes, keys.leases, keys.epoch, keys.events, keys.control(node), keys.asks(node), keys.said(node)],
        [node, by, events_kept],
        text,
    )


def drain_node(keys: Keys, node: str, incarnation: int | None, events_kept: int) -> Command[str]:
    """Mark a member as no longer a place for shards."""
    return run_script("drain_node", [keys.nodes, keys.epoch, keys.events], [node, incarnation or "", events_kept], text)


def leave_node(keys: Keys, node: str, incarnation: int, events_kept: int, *, force: bool = False) -> Command[str]:
    """Leave: ``left``, ``owner`` (it owns something still; ``force`` leaves anyhow) or ``gone``."""
    hub = keys.nodes, keys.leases, keys.epoch, keys.events
    return run_script(
        "leave_node",
        [*hub, keys.control(node), keys.owners, keys.left(node), keys.asks(node), keys.said(node)],
        [node, incarnation, events_kept, 1 if force else 0],
        text,
    )


def read_nodes(keys: Keys) -> Command[Table[str, NodeInfo]]:
    """All members, by name."""

    def read(answer: Any) -> Table[str, NodeInfo]:
        found = whole_table(keys.nodes, answer, lambda name, info: (name, msgspec.json.decode(info, type=NodeInfo)))
        return Table(sorted(found.items()), found.malformed)

    return plain("HGETALL", keys.nodes, read=read)


def count_nodes(keys: Keys) -> Command[int]:
    """How many members there are."""
    return plain("HLEN", keys.nodes, read=int)


def read_leases(keys: Keys) -> Command[dict[str, int]]:
    """The end of each member's lease, ms of Redis TIME."""

    def read(answer: Any) -> dict[str, int]:
        return {name: int(min(max(float(score), 0.0), FAR)) for name, score in pairs(answer).items()}

    return plain("ZRANGE", keys.leases, 0, -1, "WITHSCORES", read=read)


def read_members(keys: Keys) -> list[Command[Any]]:
    """What :func:`living` needs to know. Ask for it behind the owners: who owns something has joined before."""
    return [read_nodes(keys), read_leases(keys), redis_time_ms()]


def living(nodes: Mapping[str, NodeInfo], leases: Mapping[str, int], now_ms: int) -> dict[str, int]:
    """The members whose leases have not run out, and their incarnations. (A node that was killed stays a member until
    another one evicts it: for ever, if it was the last.)
    """
    return {name: info.incarnation for name, info in nodes.items() if leases.get(name, 0) > now_ms}


def redis_time_ms() -> Command[int]:
    """Redis TIME."""
    return plain("TIME", read=lambda answer: int(answer[0]) * 1000 + int(answer[1]) // 1000)
