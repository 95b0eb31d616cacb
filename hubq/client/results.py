"""What the hub answers: plain frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hubq.errors import HubqError


@dataclass(frozen=True, slots=True)
class StartResult:
    """How a start went. ``started``: child -> node; ``errors``: child -> why not; ``rollback``: all was undone."""

    started: dict[str, str] = field(default_factory=dict)
    errors: dict[str, HubqError] = field(default_factory=dict)
    rollback: bool = False

    @property
    def status(self) -> str:
        """``"ok"``, or ``"error"`` if any child failed."""
        return "error" if self.errors else "ok"

    @property
    def cids(self) -> list[str]:
        """The ids of the started children."""
        return list(self.started)

    @property
    def node(self) -> str:
        """The node of the first started child."""
        return next(iter(self.started.values()))

    @property
    def nodes(self) -> list[str]:
        """The nodes of the started children, in their order."""
        return list(self.started.values())

    @property
    def first(self) -> str:
        """The id of the first started child."""
        return next(iter(self.started))


@dataclass(frozen=True, slots=True)
class StopResult:
    """How a stop went. ``stopped``: child -> node; ``errors``: child -> why not."""

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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a child is. ``node`` None: no node owns it now (parked, or being claimed)."""

    child_id: str
    shard: int
    node: str | None
    incarnation: int
    token: int
    pinned: bool


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A member: ``status`` is "up" or "draining", ``lease`` the seconds left of its lease (negative: over)."""

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


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """A child: ``status`` is "running", "parked" (``reason`` says why) or "waiting" (no node owns it)."""

    child_id: str
    kind: str
    shard: int
    node: str | None
    status: str
    pinned: bool
    backlog: int
    reason: str
    metadata: dict[str, Any]
