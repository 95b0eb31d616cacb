"""The answers of a hub: plain frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hubq.core.pid import Pid
from hubq.core.progress import Progress
from hubq.errors import HubqError, NoChildren


@dataclass(frozen=True, slots=True)
class StartResult:
    """How a start went. ``started``: child -> node; ``errors``: child -> why not; ``rollback``: all was undone.

    >>> result = StartResult({"room-1": "a"}, pids={"room-1": Pid("a", 1, 7)})
    >>> result.status, result.first, result.node, result.pid
    ('ok', 'room-1', 'a', Pid(node='a', incarnation=1, token=7))
    """

    started: dict[str, str] = field(default_factory=dict)
    errors: dict[str, HubqError] = field(default_factory=dict)
    rollback: bool = False
    pids: dict[str, Pid] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """``"ok"``, or ``"error"`` if any child failed."""
        return "error" if self.errors else "ok"

    @property
    def cids(self) -> list[str]:
        """The ids of the started children."""
        return list(self.started)

    @property
    def first(self) -> str:
        """The id of the first started child. Raises :class:`~hubq.errors.NoChildren` if none was."""
        return _first(self.started, "started")

    @property
    def node(self) -> str:
        """The node of the first started child."""
        return self.started[self.first]

    @property
    def nodes(self) -> list[str]:
        """The nodes of the started children, in their order."""
        return list(self.started.values())

    @property
    def pid(self) -> Pid:
        """The pid of the first started child."""
        return self.pids[self.first]

    def format(self) -> str:
        """The result in a line or a few, for people."""
        return _formatted("started", self.started, self.errors, self.rollback)


@dataclass(frozen=True, slots=True)
class StopResult:
    """How a stop went. ``stopped``: child -> the node that had it; ``errors``: child -> why not."""

    stopped: dict[str, str] = field(default_factory=dict)
    errors: dict[str, HubqError] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """``"ok"``, or ``"error"`` if any child failed."""
        return "error" if self.errors else "ok"

    @property
    def cids(self) -> list[str]:
        """The ids of the stopped children."""
        return list(self.stopped)

    @property
    def first(self) -> str:
        """The id of the first stopped child. Raises :class:`~hubq.errors.NoChildren` if none was."""
        return _first(self.stopped, "stopped")

    @property
    def node(self) -> str:
        """The node that had the first stopped child."""
        return self.stopped[self.first]

    @property
    def nodes(self) -> list[str]:
        """The nodes that had the stopped children, in their order."""
        return list(self.stopped.values())

    def format(self) -> str:
        """The result in a line or a few, for people."""
        return _formatted("stopped", self.stopped, self.errors, False)


def _first(children: dict[str, str], done: str) -> str:
    if not children:
        raise NoChildren(f"no child was {done}: see the result's errors")
    return next(iter(children))


def _formatted(done: str, children: dict[str, str], errors: dict[str, HubqError], rollback: bool) -> str:
    by_node: dict[str, int] = {}
    for node in children.values():
        by_node[node] = by_node.get(node, 0) + 1
    where = ", ".join(f"{count} on {node}" for node, count in sorted(by_node.items()))
    lines = [f"{len(children)} {done}" + (f" ({where})" if where else "")]
    if errors:
        lines[0] += f", {len(errors)} failed" + ("; all undone" if rollback else "")
        lines += [f"  {child}: {type(error).__name__}: {error}" for child, error in errors.items()]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a child is. ``node`` None: no live node owns it now (parked, or being claimed), or it is ``dormant``. ``replicas``: the nodes
    that have a finished copy of it (see :class:`hubq.Replication`). ``progress``: what it has told of it (docs/guide-progress.md).
    ``paused``: what is paused, in words; empty: it is not.
    """

    child_id: str
    shard: int
    node: str | None
    incarnation: int
    token: int
    pinned: bool
    replicas: tuple[str, ...] = ()
    progress: Progress | None = None
    dormant: bool = False
    paused: str = ""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A member: ``status`` is "up" or "draining", ``lease`` the seconds left of its lease (negative: over), ``version`` that of
    hubq, ``app_version`` what ``hubq worker --app-version`` says.

    The others are its own account, a few seconds old (with none, they have their defaults): ``unready`` why it is not ready,
    in one line (empty: it is); ``blocked_for`` how long its event loop has stood still, seconds, and ``blocked_by`` in what;
    ``parked`` children; ``backlog`` messages in the mailboxes of its shards; ``failing`` messages per second whose handler
    raised; ``busy`` child -> what it has been handling for long.
    """

    name: str
    status: str
    incarnation: int
    host: str
    pid: int
    version: str
    shards: int
    pins: int
    lease: float
    uptime: float
    tags: dict[str, str] = field(default_factory=dict)
    app_version: str = ""
    unready: str = ""
    blocked_for: float = 0.0
    blocked_by: str = ""
    parked: int = 0
    backlog: int = 0
    failing: float = 0.0
    busy: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """A child: ``status`` is "running", "parked", "waiting" (no node serves it) or "dormant" (it is in Redis only, until its next message).

    ``pin`` says why it does not simply live with its shard: "moved", "guided", "straggler" (it could not move with its shard)
    or nothing; ``wanted`` is the node it was moved or guided to. ``reason`` says why it is parked, waits, or is not where it
    belongs. ``replicas`` are the nodes that have a finished copy of it (see :class:`hubq.Replication`), in the order of
    ``replica_incarnations``. ``progress`` is what it has told of it (docs/guide-progress.md). ``paused``: what is
    paused, in words; empty: it is not.
    """

    child_id: str
    kind: str
    shard: int
    node: str | None
    status: str
    pinned: bool
    backlog: int
    reason: str
    metadata: dict[str, Any]
    incarnation: int = 0
    token: int = 0
    restart: str = ""
    pin: str = ""
    wanted: str = ""
    replicas: tuple[str, ...] = ()
    replica_incarnations: tuple[int, ...] = ()
    progress: Progress | None = None
    paused: str = ""

    @property
    def pid(self) -> Pid | None:
        """Where it runs; None if no live node owns it."""
        return None if self.node is None else Pid(self.node, self.incarnation, self.token)

    @property
    def pids(self) -> list[Pid]:
        """Where it runs, then where its copies do (they carry the same token); none if no live node owns it."""
        if self.pid is None:
            return []
        copies = zip(self.replicas, self.replica_incarnations, strict=True)
        return [self.pid, *(Pid(node, incarnation, self.token) for node, incarnation in copies)]
