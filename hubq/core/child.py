"""What users write: a class derived from :class:`Child`, or an ``async def`` function that takes a context first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar, overload

from hubq.core.outgoing import Outgoing, OutgoingRef, Target
from hubq.core.reminders import Reminder, Times
from hubq.core.retry import Retry
from hubq.core.spec import Durability


class Host(Outgoing, Protocol):
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

    def enqueues(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str: ...

    def publishes(self, topic: str, data: object, now: bool) -> None: ...

    def reminds(
        self, name: str, method: str | Callable[..., Any], args: tuple[Any, ...], times: Times, late: str
    ) -> None: ...

    def forgets(self, name: str) -> None: ...

    async def reminders(self) -> list[Reminder]: ...

    def progresses(self, done: float, total: float | None, text: str) -> None: ...


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

    handler_timeout: ClassVar[float | None] = None
    """How long one message may be handled, seconds; None: for ever. An ``async def`` that takes longer is cancelled and undone
    as if it had raised, and its caller gets :class:`~hubq.errors.HandlerOverdue`. A plain ``def`` cannot be cancelled: it is
    undone when its thread ends. :func:`time_limit` says otherwise for one method."""

    retry: ClassVar[Retry | None] = None
    """How a message is tried again whose handler has raised; None: it is not. ``@Retry(...)`` says otherwise for one method."""

    _reads: ClassVar[frozenset[str] | None] = None
    """The names of its methods that only read (:func:`read`); None: it has none. (``hubq.core.classes`` writes it.)"""

    state_version: ClassVar[int] = 1
    """The version of what its state means, from 1. Raise it when attributes change their meaning, and bring old states up to date
    in :meth:`upgrade_state`."""

    feed_kept: ClassVar[int] = 1_000
    """Events of :meth:`publish` that are kept for each child, from 1 to 1,000,000 (about: Redis trims by the hundred)."""

    activate: ClassVar[bool] = False
    """A message by ``hub.ref(Room, "room-1", "redis")`` starts the child if it is not there; the further arguments are for
    ``__init__``. docs/guide-on-demand.md."""

    idle_after: ClassVar[float | None] = None
    """After so many seconds without a message, a child of this class goes to rest: it takes no memory on any worker until its next
    message. None: it stays. Not for a class with ``run()``. docs/guide-on-demand.md."""

    expire_after: ClassVar[float | None] = None
    """After so many seconds without a message, a child of this class ends by itself, state and all; None: never. Not for a class with
    ``run()``."""

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
        """End this child for good once the message in hand is done: spec, state and all. If the message is undone, so is this."""
        self._host.stop()

    @overload
    def ref(self, target: str, /) -> OutgoingRef: ...

    @overload
    def ref(self, target: Any, child_id: str, /, *args: Any, **kwargs: Any) -> OutgoingRef: ...

    def ref(self, target: Any, child_id: str = "", /, *args: Any, **kwargs: Any) -> OutgoingRef:
        """Another child of the hub: ``self.ref("stock-7")``, or ``self.ref(Stock, "stock-7")``. Further arguments are for its
        ``__init__``: they are used if a message starts it.

        What is said to it (``cast``, ``start``) is an effect of the message in hand: it leaves with the commit, once, or not at
        all. In ``run()`` it leaves with the next :meth:`commit`. docs/effects.md has the rules.
        """
        if isinstance(target, str):
            return OutgoingRef(self._host, target)
        return OutgoingRef(self._host, child_id, Target(target, args, kwargs))

    def enqueue(self, function: Any, /, *args: Any, **kwargs: Any) -> str:
        """Enqueue a job: ``self.enqueue(send_mail, self.customer, "thanks")``. The answer is its id. Functions and options are those
        of :meth:`hubq.Hub.enqueue`, ``key=`` and resumable functions among them.

        It is an effect of the message in hand: it is enqueued with the commit, once, or not at all. In ``run()`` it is enqueued with
        the next :meth:`commit`. docs/guide-effects.md has more.

        Raises :class:`~hubq.errors.NotImportable`, :class:`~hubq.errors.InvalidJob`, :class:`~hubq.errors.InvalidKey`,
        :class:`~hubq.errors.NotSendable`, :class:`~hubq.errors.PayloadTooLarge`, and :class:`~hubq.errors.OutsideHandler`.
        """
        return self._host.enqueues(function, args, kwargs)

    def publish(self, topic: str, data: object, *, now: bool = False) -> None:
        """Publish an event in the feed of this child, for all who read it (``hub.ref(child_id).feed()``).

        It is an effect of the message in hand: it is published with the commit, once, or not at all. In ``run()`` it is published
        with the next :meth:`commit`. docs/guide-feeds.md has more.

        ``now=True``: it is published at once, for progress and the like. Readers see that it is a draft (``event.draft``). If the
        message is undone, an event says that its drafts never were. Only in handlers.

        Raises :class:`~hubq.errors.InvalidTopic`, :class:`~hubq.errors.NotSendable`, :class:`~hubq.errors.PayloadTooLarge`, and
        :class:`~hubq.errors.OutsideHandler`.
        """
        self._host.publishes(topic, data, now)

    def remind(
        self, name: str, /, *args: Any, call: Any, after: float | None = None, at: float | datetime | None = None,
        every: float | None = None, late: str = "once",
    ) -> None:  # fmt: skip
        """Have a method of this child called later: ``self.remind("close", after=3600, call=Room.close)``. The further arguments
        are those of the method.

        ``after`` seconds from now, ``at`` a point in time (seconds since the epoch, or a datetime with its time zone), and then
        ``every`` so many seconds (alone: the first time after that long). A reminder of the same name is replaced. ``late`` says
        what becomes of ticks for which nobody was there: ``"once"`` one message for all of them, ``"all"`` one for each,
        ``"skip"`` none.

        It is an effect of the message in hand: it is set with the commit, or not at all. docs/guide-reminders.md has more.

        Raises :class:`~hubq.errors.InvalidReminder`, :class:`~hubq.errors.UnknownMethod`, :class:`~hubq.errors.NotSendable`, and
        :class:`~hubq.errors.OutsideHandler`.
        """
        self._host.reminds(name, call, args, (after, at, every), late)

    def forget(self, name: str, /) -> None:
        """Take a reminder back, with the commit. Nothing happens if there is none of this name.

        Raises :class:`~hubq.errors.InvalidReminder` and :class:`~hubq.errors.OutsideHandler`.
        """
        self._host.forgets(name)

    async def reminders(self) -> list[Reminder]:
        """The reminders of this child, the next one first, as they will be with the commit of the message in hand.

        Raises :class:`~hubq.errors.RedisUnavailable`.
        """
        return await self._host.reminders()

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Tell people how far this child is: ``self.progress(3, 10, "copying")``. ``hubq ps`` shows it.

        ``done`` and ``total`` are numbers from 0 on; ``total`` None: how much there is, is not known. A text of more than 200
        characters is cut. It may be told often: a few times a second it is written, and the last one always. It is told at
        once, and stands even if the message in hand is undone. docs/guide-progress.md has more.

        Raises :class:`~hubq.errors.InvalidProgress`.
        """
        self._host.progresses(done, total, text)

    async def on_start(self) -> None:
        """Called when the child begins on a node, with its state in place, before its first message there."""

    async def on_stop(self, reason: str) -> None:
        """Called when the child ends on a node: ``"migrated"``, ``"parked"``, ``"stopped"``, ``"fenced"``, ``"restart"``, ``"idle"``.

        What it changes is not saved any more: the state is on its way already.
        """

    def on_redundancy_signal(self, mode: str) -> Any:
        """Called when this copy becomes ``"active"`` or ``"passive"``, if the hub's ``redundancy_signal`` asks for it.

        ``def`` or ``async def``. A copy is passive until it is told otherwise.
        """

    def prepare_handover_state(self) -> Any:
        """What is handed to the child's next incarnation; by default all attributes but the transient ones."""
        return {name: value for name, value in self.__dict__.items() if name not in self.transient}

    def upgrade_state(self, state: Any, version: int) -> Any:
        """Brings a state of an earlier ``version`` up to date, after ``__init__``: a dict of attributes (or what
        :meth:`prepare_handover_state` of that version has returned). Returns the state as this version has it.

        A class whose ``state_version`` is above 1 has its own.
        """
        return state

    def downgrade_state(self, state: Any, version: int) -> Any:
        """The reverse of :meth:`upgrade_state`, for a child that goes to a worker with older code: a state of this version, as the
        earlier ``version`` has it. It is given a copy: a dict of attributes, or what :meth:`prepare_handover_state` has returned.

        A class without its own has no way back: such children stay on workers with code of this version.
        """
        return state

    def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
        """Makes the new state from the new child's own attributes and what was handed over; by default the latter.

        Called on the new child after ``__init__``. The dict it returns is laid over its attributes.
        """
        return handed


C = TypeVar("C", bound=Child)


def new_child(kind: type[C], host: Host) -> C:
    """An instance whose ``__init__`` has not run yet, with what a node offers to it."""
    instance = kind.__new__(kind)
    instance._host = host
    return instance


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
