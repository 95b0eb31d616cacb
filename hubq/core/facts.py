"""The facts of a hub that its diagnosis goes by, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: its name (``topic``), the facts that show it (``seen``), and the remedy (``do``)."""

    topic: str
    seen: str
    do: str


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node. ``lease_left`` is in seconds. ``python``, ``clock``, ``lag`` and ``settings`` come from the node itself; a
    node that has not written them yet has None or nothing there. ``unready``: why it cannot run what comes to it; ``blocked``:
    what its event loop stands still in, in words; ``failing``: messages per second whose handler raised; ``jobs_waiting``: jobs of
    children that are not in RQ yet, and ``jobs_refused`` why they cannot be put there."""

    status: str
    lease_left: float
    version: str
    python: str | None = None
    clock: float | None = None
    lag: float = 0.0
    settings: Mapping[str, float] = field(default_factory=dict)
    unready: str = ""
    blocked: str = ""
    failing: float = 0.0
    jobs_waiting: int = 0
    jobs_refused: str = ""
    trust: str | None = None
    """Its codec and seal, in words."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A Redis Cluster. ``primaries``: address -> how many slots it has; ``down``: those of them that the others call down; ``replicas``:
    primary -> how many it has; ``nobody``: slots that are nobody's; ``homes``: the primaries of the hub; ``full_coverage``: whether
    all slots must be served for any to be (None: that may not be read).
    """

    primaries: Mapping[str, int]
    down: Sequence[str] = ()
    replicas: Mapping[str, int] = field(default_factory=dict)
    nobody: int = 0
    homes: Sequence[str] = ()
    full_coverage: bool | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a hub, seen at one moment.

    ``owners``: shard -> node (None: nobody alive); ``waited``: shard -> seconds its first message has waited; ``heads``:
    shard -> child and method of that message; ``busy``: child -> what it has been handling for long, in words;
    ``backlog``: children with the most messages waiting; ``stragglers``: child -> why it could not move with its shard;
    ``parked``: child -> reason; ``dead``: dead letters; ``letters``: (why, class) -> dead letters, of each shard the last ones;
    ``strays``: keys of the hub that belong to nothing; ``redis``:
    settings and figures of Redis by name ("" for one that may not be read); ``host``: where Redis is, as in the URL;
    ``partitioned``: since when there is no quorum, and why; ``dormant``: how many dormant children there are;
    ``pauses``: what is paused, in words, and for how many seconds; ``cluster``: None if it is on none, or that may not be read.
    """

    shards: int
    lease: float
    nodes: Mapping[str, NodeFacts] = field(default_factory=dict)
    owners: Mapping[int, str | None] = field(default_factory=dict)
    children: int = 0
    waited: Mapping[int, float] = field(default_factory=dict)
    heads: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    busy: Mapping[str, str] = field(default_factory=dict)
    backlog: Mapping[str, int] = field(default_factory=dict)
    max_backlog: int = 10_000
    stragglers: Mapping[str, str] = field(default_factory=dict)
    parked: Mapping[str, str] = field(default_factory=dict)
    dead: int = 0
    letters: Mapping[tuple[str, str], int] = field(default_factory=dict)
    strays: Sequence[str] = ()
    redis: Mapping[str, str] = field(default_factory=dict)
    host: str = "localhost"
    partitioned: str = ""
    dormant: int = 0
    pauses: Sequence[tuple[str, float]] = ()
    cluster: ClusterFacts | None = None
    misplaced: Sequence[str] = ()
    """Keys of shards of another group, or of a group that the hub does not have, that never expire."""
    far: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """Shard and group -> messages of the shard's children that wait for that other group."""
    used_up: Sequence[int] = ()
    """Shards whose mailbox takes no message any more, since the last id that there is was used."""
    moved: str = ""
    """How far a move to another number of groups is: ``copying``, ``opening`` or ``opened``; empty: there is none, or it is forgotten."""
    away: Mapping[int, str] = field(default_factory=dict)
    """Groups that did not answer -> why. All else is of the other groups."""
    unseen: Sequence[int] = ()
    """Their shards."""
