"""What to build: the description of a child, as callers give it and as it is kept in Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hubq.core.hashing import checked_child_id
from hubq.errors import ConfigError

Restart = Literal["permanent", "transient", "temporary"]
Durability = Literal["commit", "interval", "handover"]

RESTARTS = ("permanent", "transient", "temporary")
DURABILITIES = ("commit", "interval", "handover")


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child to start: its name, its class (or function), its arguments, and how it is to be kept.

    ``restart`` None takes the class's own: for classes ``"permanent"``, for functions ``"transient"``.

    >>> ChildSpec("room-1", dict, args=([],), metadata={"tag": "vip"}).child_id
    'room-1'
    """

    child_id: str
    target: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    restart: Restart | None = None

    def __post_init__(self) -> None:
        checked_child_id(self.child_id)
        if self.restart is not None and self.restart not in RESTARTS:
            raise ConfigError(f"restart={self.restart!r}: give one of {', '.join(RESTARTS)}")
        if not isinstance(self.args, tuple):
            raise ConfigError(f"args={self.args!r} of child {self.child_id!r}: give a tuple")
