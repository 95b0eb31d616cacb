"""What a hook's handler is given: one frozen record per kind of happening. ``node`` is always the node it runs on.

All children named in one payload are of one shard, and so have one pid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hubq.core.pid import Pid


@dataclass(frozen=True, slots=True)
class ClusterJoin:
    """A node joins. ``incarnation`` is 0 while the node has not been given one yet (its own ``pre_cluster_join``)."""

    hub_id: str
    node: str
    joined: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class ClusterLeave:
    """A node leaves. ``reason``: ``"drained"``, or ``"evicted"`` if its lease ran out."""

    hub_id: str
    node: str
    left: str
    incarnation: int
    reason: str


@dataclass(frozen=True, slots=True)
class PidsInserted:
    """Children that are new to the hub run here."""

    hub_id: str
    node: str
    shard: int
    children: tuple[str, ...]
    pid: Pid


@dataclass(frozen=True, slots=True)
class PidsRemoved:
    """Children have ended for good."""

    hub_id: str
    node: str
    shard: int
    children: tuple[str, ...]
    pid: Pid


@dataclass(frozen=True, slots=True)
class PidsUpdated:
    """Children that the hub had before run here now. ``reason``: ``"migrated"``, ``"claimed"`` (nobody had them),
    ``"released"`` (a straggler has come home) or ``"restarted"``.
    """

    hub_id: str
    node: str
    shard: int
    children: tuple[str, ...]
    pid: Pid
    reason: str


@dataclass(frozen=True, slots=True)
class ChildrenMigrated:
    """A migration is done; runs on the target. ``seconds``: how long the target took from the token to serving;
    ``pause``: seconds during which the children answered nothing.
    """

    hub_id: str
    node: str
    shard: int
    source: str
    target: str
    children: tuple[str, ...]
    seconds: float
    pause: float


@dataclass(frozen=True, slots=True)
class ForwardedMigration:
    """A straggler was pinned: it stays on ``node`` and follows its shard to ``target`` alone. ``serving``: it goes on
    answering meanwhile (it cannot start there); else it is busy with a message.
    """

    hub_id: str
    node: str
    shard: int
    target: str
    child: str
    serving: bool


@dataclass(frozen=True, slots=True)
class PriorityStateUpdated:
    """Intake of a shard was opened or closed here. ``reason``: ``"migration"``, ``"adopted"``, ``"target gone"``, ``"quorum
    lost"``, ``"quorum regained"``.
    """

    hub_id: str
    node: str
    shard: int
    open: bool
    reason: str


@dataclass(frozen=True, slots=True)
class NodesRedistribution:
    """This node moves shards because the membership view or the placement has changed. ``moves``: shard -> target;
    ``claims``: shards without an owner that this node takes. Both are empty in ``post_nodes_redistribution``.
    """

    hub_id: str
    node: str
    members: tuple[str, ...]
    moves: Mapping[int, str] = field(default_factory=dict)
    claims: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ChildrenStart:
    """Children are about to be started, or have been. ``failed``: child -> why not (empty before the start)."""

    hub_id: str
    node: str
    shard: int
    children: tuple[str, ...]
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChildrenRedistribution:
    """The children of a shard are about to be handed over to ``target``. ``draining``: because this node leaves."""

    hub_id: str
    node: str
    shard: int
    children: tuple[str, ...]
    target: str
    draining: bool


@dataclass(frozen=True, slots=True)
class CoordinatorShutdown:
    """The node ends. ``left``: everything was handed over, and it has said goodbye."""

    hub_id: str
    node: str
    left: bool


@dataclass(frozen=True, slots=True)
class ProcessStartups:
    """A shard is served here. ``restored``: how many of its children went on from a saved state."""

    hub_id: str
    node: str
    shard: int
    children: tuple[str, ...]
    restored: int


@dataclass(frozen=True, slots=True)
class ChildData:
    """What a child is about to be built with. A ``child_data_alter`` handler returns a changed one, or None.

    >>> from dataclasses import replace
    >>> replace(ChildData("chat", "a", "room-1", "Room", ("redis",), {}, {}), args=("valkey",)).args
    ('valkey',)
    """

    hub_id: str
    node: str
    child_id: str
    kind: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    metadata: dict[str, Any]


#: Every hook: its id and what its handlers are given.
PAYLOADS: dict[str, type] = {
    "pre_cluster_join": ClusterJoin,
    "post_cluster_join": ClusterJoin,
    "pre_cluster_leave": ClusterLeave,
    "post_cluster_leave": ClusterLeave,
    "registry_pid_inserted": PidsInserted,
    "registry_pid_removed": PidsRemoved,
    "children_migrated": ChildrenMigrated,
    "forwarded_migration": ForwardedMigration,
    "priority_state_updated": PriorityStateUpdated,
    "pre_nodes_redistribution": NodesRedistribution,
    "post_nodes_redistribution": NodesRedistribution,
    "pre_children_start": ChildrenStart,
    "post_children_start": ChildrenStart,
    "pre_children_redistribution": ChildrenRedistribution,
    "coordinator_shutdown": CoordinatorShutdown,
    "process_startups": ProcessStartups,
    "child_process_pid_update": PidsUpdated,
    "child_data_alter": ChildData,
}
