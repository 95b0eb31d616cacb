"""Measured loads, published by every node, and the assignment that the leader makes of them (docs/strategies.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hubq.core.balance import Decision, Load
from hubq.core.malformed import whole_number
from hubq.store.command import Command, one_of, pairs, plain, run_script, text
from hubq.store.keys import Keys
from hubq.store.membership import NodeInfo

#: How long an assignment is kept that nobody renews, seconds (its leader does so at every push).
KEPT = 3600.0


class LoadReport(msgspec.Struct, frozen=True):
    """What a node has measured of its shards (each once it has been there for a whole interval), and of its pins."""

    incarnation: int
    shards: dict[int, Load] = {}
    pins: Load = Load()


def write_load(keys: Keys, node: str, report: LoadReport, kept: float) -> Command[None]:
    """Replace a node's measurements; they are kept for so many seconds."""
    data = msgspec.json.encode(report)
    return plain("SET", keys.load(node), data, "PX", max(1, int(kept * 1000)), read=lambda answer: None)


def read_load(keys: Keys, node: str) -> Command[LoadReport | None]:
    """A node's measurements; None: it has published none lately that can be read."""
    return plain(
        "GET",
        keys.load(node),
        read=one_of(lambda data: msgspec.json.decode(data, type=LoadReport), None),
    )


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a leader has published. ``nodes``: the incarnations it knew; ``moved``: shard -> when it was moved, ms."""

    epoch: int = 0
    leader: str = ""
    shards: Mapping[int, str] = field(default_factory=dict)
    nodes: Mapping[str, int] = field(default_factory=dict)
    moved: Mapping[int, float] = field(default_factory=dict)

    def valid(self, nodes: Mapping[str, NodeInfo]) -> dict[int, str]:
        """The entries that are in force: those whose node is still the one that was meant."""
        same = {name for name, info in nodes.items() if self.nodes.get(name) == info.incarnation}
        return {shard: node for shard, node in self.shards.items() if node in same}


_NO_SHARDS: dict[int, str] = {}
_NO_NODES: dict[str, int] = {}
_NO_MOVES: dict[int, float] = {}
_SHARDS = one_of(lambda data: msgspec.json.decode(data, type=dict[int, str]), _NO_SHARDS)
_NODES = one_of(lambda data: msgspec.json.decode(data, type=dict[str, int]), _NO_NODES)
_MOVED = one_of(lambda data: msgspec.json.decode(data, type=dict[int, float]), _NO_MOVES)


def read_assignment(keys: Keys) -> Command[Assignment]:
    """The assignment in force; an empty one with epoch 0 if there is none. A part that cannot be read is empty."""

    def read(answer: Any) -> Assignment:
        found = pairs(answer)
        return Assignment(
            whole_number(found.get("epoch")),
            text(found.get("leader", b"")),
            _SHARDS(found.get("shards")),
            _NODES(found.get("nodes")),
            _MOVED(found.get("moved")),
        )

    return plain("HGETALL", keys.assignment, read=read)


def read_leader(keys: Keys) -> Command[tuple[str, int] | None]:
    """Who has published the assignment in force: node and incarnation; None if there is none."""

    def read(answer: Any) -> tuple[str, int] | None:
        leader, incarnation = answer
        return (text(leader), whole_number(incarnation)) if leader is not None and incarnation is not None else None

    return plain("HMGET", keys.assignment, "leader", "incarnation", read=read)


def publish_assignment(
    keys: Keys, node: str, incarnation: int, epoch: int, decision: Decision, nodes: Mapping[str, int], events_kept: int
) -> Command[str]:
    """Put an assignment into force: ``ok``, ``not_leader`` (somebody else is up longer, or this node is no member any
    more) or ``old`` (there is one of this epoch already). ``decision.moved`` is in ms.
    """
    shards, incarnations, moved = (msgspec.json.encode(part) for part in (decision.shards, nodes, decision.moved))
    return run_script(
        "publish_assignment",
        [keys.nodes, keys.leases, keys.assignment, keys.events],
        [
            node, incarnation, epoch, shards, incarnations, moved, decision.moves, int(KEPT * 1000), events_kept,
        ],
        text,
    )  # fmt: skip
