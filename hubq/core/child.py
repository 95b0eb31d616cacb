"""What users write: a class derived from :class:`Child`, or an ``async def`` function that takes a context first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol

from hubq.core.spec import Durability


class Host(Protocol):
    """What a node offers to a child that runs on it."""

    child_id: str

    @property
    def node_name(self) -> str: ...

    @property
    def metadata(self) -> dict[str, Any]: ...

    @property
    def redundancy_mode(self) -> str: ...

    async def commit(self) -> None: ...

    def stop(self) -> None: ...


class Child:
    """A named, stateful, long-running job. Its attributes are its state and move with it.

    Public methods, ``async def`` or plain ``def`` (run in a thread), are what callers can call and cast.

    >>> class Room(Child):
    ...     transient = ("socket",)
    ...     def __init__(self, topic): self.topic, self.socket = topic, object()
    >>> Room("redis").prepare_handover_state()
    {'topic': 'redis'}
    """

    __slots__ = ("__dict__", "__weakref__", "_host")

    _host: Host

    transient: ClassVar[tuple[str, ...]] = ()
    """Names of attributes that stay behind when the child moves; make them anew in :meth:`on_start`."""

    durability: ClassVar[Durability] = "commit"
    """When the state is written: ``"commit"``, ``"interval"`` or ``"handover"``."""

    save_every: ClassVar[float] = 5.0
    """With ``durability="interval"``: the longest time between two saves, seconds."""

    save_after: ClassVar[int] = 1000
    """With ``durability="interval"``: the most messages between two saves."""

    on_error: ClassVar[str] = "rollback"
    """What a handler that raises leaves behind: ``"rollback"`` the state before its message, ``"keep"`` whatever it left."""

    dead_kept: ClassVar[int] = 1_000
    """Casts that failed are kept as dead letters: so many of this class in each shard, the oldest go first. 0: none is kept.
    A letter over 16 KB counts as several, so 1,000 are 16 MB at most."""

    max_restarts: ClassVar[int] = 100
    """A ``run()`` that ends more often than this within ``restart_within`` seconds parks the child."""

    restart_within: ClassVar[float] = 4.0

    @property
    def child_id(self) -> str:
        """The name under which it was started (not yet known in ``__init__``)."""
        return self._host.child_id

    @property
    def node_name(self) -> str:
        """The node it runs on right now."""
        return self._host.node_name

    @property
    def metadata(self) -> dict[str, Any]:
        """What was given as ``metadata`` at the start."""
        return self._host.metadata

    @property
    def redundancy_mode(self) -> str:
        """``"active"`` or ``"passive"``, right now. With ``active_passive`` at most one copy is active at any time, and none
        while its node cannot be sure that it still owns the child.
        """
        return self._host.redundancy_mode

    async def commit(self) -> None:
        """Save the state now, from ``run()``; returns when it is in Redis. In a handler the commit comes by itself."""
        await self._host.commit()

    def stop(self) -> None:
        """End this child for good once the message in hand is done: spec, state and all."""
        self._host.stop()

    async def on_start(self) -> None:
        """Called when the child begins on a node, with its state in place, before its first message there."""

    async def on_stop(self, reason: str) -> None:
        """Called when the child ends on a node: ``"migrated"``, ``"parked"``, ``"stopped"``, ``"fenced"``, ``"restart"``.

        What it changes is not saved any more: the state is on its way already.
        """

    def on_redundancy_signal(self, mode: str) -> Any:
        """Called when this copy becomes ``"active"`` or ``"passive"``, if the hub's ``redundancy_signal`` asks for it.

        ``def`` or ``async def``. A copy is passive until it is told otherwise.
        """

    def prepare_handover_state(self) -> Any:
        """What is handed to the child's next incarnation; by default all attributes but the transient ones."""
        return {name: value for name, value in self.__dict__.items() if name not in self.transient}

    def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
        """Makes the new state from the new child's own attributes and what was handed over; by default the latter.

        Called on the new child after ``__init__``. The dict it returns is laid over its attributes.
        """
        return handed


class State(dict[str, Any]):
    """The state of a function child: a dict whose entries are attributes too.

    >>> state = State(n=1); state.n += 1; state["n"]
    2
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the state has no entry {name!r} yet") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __reduce__(self) -> tuple[Any, ...]:
        return (State, (dict(self),))


class FunctionChild(Child):
    """A child made of an ``async def`` function: ``run()`` calls it with this child as its context.

    When a deploy interrupts it, it is called again on the next node, with the same arguments and its ``state``.
    """

    function: ClassVar[Callable[..., Awaitable[Any]]]
    transient: ClassVar[tuple[str, ...]] = ("_args", "_kwargs")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._args = args
        self._kwargs = kwargs
        self.state = State()

    async def run(self) -> Any:
        """Call the function."""
        return await type(self).function(self, *self._args, **self._kwargs)


#: Names of ``Child`` that callers cannot call.
RESERVED = frozenset(
    {"run", "commit", "stop", "on_start", "on_stop", "prepare_handover_state", "alter_handover_state", "child_id",
     "node_name", "metadata", "redundancy_mode", "on_redundancy_signal"}
)  # fmt: skip


def is_callable_name(name: str) -> bool:
    """Whether a method of this name may be called by callers, if there is one.

    >>> is_callable_name("post"), is_callable_name("_x"), is_callable_name("run")
    (True, False, False)
    """
    return not name.startswith("_") and name not in RESERVED


def callable_method(kind: type, name: str) -> Callable[..., Any] | None:
    """The method a caller may call by this name, or None.

    >>> class Room(Child):
    ...     def post(self): ...
    >>> callable_method(Room, "post") is Room.post, callable_method(Room, "on_start"), callable_method(Room, "_x")
    (True, None, None)
    """
    if not is_callable_name(name):
        return None
    method = getattr(kind, name, None)
    return method if callable(method) and not isinstance(method, type) else None


def methods_of(kind: type) -> list[str]:
    """The names callers may call."""
    return sorted(name for name in dir(kind) if callable_method(kind, name) is not None)
