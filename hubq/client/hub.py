"""The hub, for code that waits (Flask, Django, scripts)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

from hubq.client.aio import AsyncHub
from hubq.client.asking.context import HubContext
from hubq.client.asking.owners_view import OwnersView
from hubq.client.discovery import hubs
from hubq.client.faces.inspector import Inspector
from hubq.client.faces.jobs import JobMethods
from hubq.client.faces.queries import Queries
from hubq.client.faces.ref import ChildRef
from hubq.client.faces.start_future import StartFuture
from hubq.client.faces.typed_ref import TypedRef
from hubq.client.groups import Groups, servers_of
from hubq.client.jobs_maker import make_jobs
from hubq.client.operations import casts, dead_letters, interventions, members, partition, pausing, placing, stops
from hubq.client.operations.activation import activation_of
from hubq.client.operations.call_options import PLAIN
from hubq.client.operations.casts import Cast
from hubq.client.results import NodeStatus, Place, StopResult
from hubq.config import CHANGE_TIMEOUT, Config, checked_name
from hubq.core.arguments import check_class
from hubq.core.child import Child
from hubq.core.classes import ClassBook, child_class
from hubq.core.hashing import ShardsAtHand
from hubq.core.middleware import Layers, Middleware
from hubq.core.pauses import Pause
from hubq.core.spec import ChildSpec, Restart
from hubq.errors import HubqError
from hubq.hooks import DATA, Hook, HookBook
from hubq.hooks.book import checked_hook_id
from hubq.store.connection import Server
from hubq.store.data_values import values_of
from hubq.store.dead_letters import DeadLetter
from hubq.store.keyring import Keyring, checked_for
from hubq.store.keys import Keys
from hubq.store.seal import seal_of
from hubq.store.server import checked_for_jobs, jobs_server
from hubq.strategies.distribution import ChildMapping, ConsistentHashing, Distribution, DistributionTraits
from hubq.strategies.migration import HotSwap, Migration
from hubq.strategies.partition_tolerance import Divergence, PartitionTolerance
from hubq.strategies.redundancy import Redundancy, Singularity
from hubq.strategies.synchronization import PubSub, Synchronization
from hubq.tracing import Tracing

C = TypeVar("C", bound=Callable[..., Any])
L = TypeVar("L", bound=Middleware)
K = TypeVar("K", bound=Child)


class Hub(Queries, JobMethods):
    """A named cluster in one Redis.

    ``redis`` is a URL (default: ``HUBQ_REDIS_URL``, else ``redis://localhost:6379/0``), or a list of those of several primaries, if the
    hub has several groups (``groups=8``; docs/guide-cluster.md); ``settings`` are the fields of
    :class:`hubq.config.Config`; ``middleware`` is around all that its nodes and jobs do; ``tracing`` sends OpenTelemetry
    contexts along with messages. ``keys`` are those of its seal (default: ``HUBQ_KEYS``, ``HUBQ_KEYS_FILE``;
    docs/trust.md). ``child_specs`` are static children: the first node starts them, once in the life of the
    hub; one that was stopped stays stopped. Making a Hub connects to nothing. Safe under threads and after fork; a call uses
    no background thread.

    >>> hub = Hub("chat", lease=10)
    >>> hub.hub_id, hub.config.shards
    ('chat', 64)
    """

    def __init__(
        self,
        hub_id: str,
        *,
        redis: str | Server | Sequence[str | Server] | None = None,
        jobs_redis: str | Server | None = None,
        migration: Migration | None = None,
        redundancy: Redundancy | None = None,
        distribution: Distribution | None = None,
        synchronization: Synchronization | None = None,
        partition_tolerance: PartitionTolerance | None = None,
        hooks: Iterable[Hook] = (),
        middleware: Sequence[Middleware] = (),
        tracing: bool = False,
        child_specs: Sequence[ChildSpec] = (),
        keys: str | None = None,
        **settings: Any,
    ) -> None:
        self.hub_id = checked_name("hub id", hub_id)
        self.config = Config.of(**settings)
        self.migration: Migration = migration if migration is not None else HotSwap()
        self.distribution: Distribution = distribution if distribution is not None else ConsistentHashing()
        self.synchronization: Synchronization = synchronization if synchronization is not None else PubSub()
        self.partition_tolerance: PartitionTolerance = (
            partition_tolerance if partition_tolerance is not None else Divergence()
        )
        self.child_specs = tuple(child_specs)
        self.redundancy: Redundancy = redundancy if redundancy is not None else Singularity()
        placing.checked_together(self.distribution, self.redundancy)
        values = values_of(
            self.config.codec, reads_pickles=self.config.reads_pickles, sealed=self.config.seal == "require"
        )
        keyring = Keyring.read(keys) if keys else Keyring.from_environment(os.environ)
        seal = seal_of(hub_id, self.config.seal, keyring, self.config.seal_form)
        client = checked_for(keyring, self.config.client)
        self.classes = ClassBook(check_class if values.codec == "data" else None)
        self.tracing = Tracing(hub_id) if tracing else None
        self.layers = Layers(middleware)
        self.hook_book = HookBook()
        for hook in hooks:
            self.hook_book.add(hook)

        shards_at_hand = ShardsAtHand(self.config.shards)

        def context_of(group: int) -> HubContext:
            keys = Keys(hub_id, group, self.config.groups)
            return HubContext(
                keys, self.config, self.classes, OwnersView(keys, self.synchronization), self.distribution,
                DistributionTraits.of(self.distribution), self.tracing, values, seal, client, shards_at_hand, group,
            )  # fmt: skip

        groups = self.groups = Groups([context_of(group) for group in range(self.config.groups)], servers_of(redis))
        self.keys = groups.contexts[0].keys
        self._jobs_server = jobs_server(jobs_redis)
        Queries.__init__(self, groups.driver)
        JobMethods.__init__(self, groups.driver, lambda: make_jobs(self))
        self.aio = AsyncHub(groups.async_driver, self.local_nodes, self)
        self.inspect = Inspector(groups.driver)

    @classmethod
    def open(cls, hub_id: str, *, redis: str | Server | Sequence[str | Server] | None = None, **settings: Any) -> Hub:
        """A hub that exists, with the numbers of shards and groups it was created with; see :func:`hubq.hubs` for those there are.

        Raises :class:`~hubq.errors.HubqError` if there is none of this id.
        """
        for info in hubs(redis):
            if info.hub_id == hub_id:
                return cls(hub_id, redis=redis, **{"shards": info.shards, "groups": info.groups, **settings})
        raise HubqError(f"no hub {hub_id!r} in this Redis: check the id and the address, or start its first worker")

    def __repr__(self) -> str:
        return f"<Hub {self.hub_id!r} at {self.groups.address}>"

    # -- classes ---------------------------------------------------------------------------------------------------

    @overload
    def child(self, target: C) -> C: ...

    @overload
    def child(self, target: None = None, **options: Any) -> Callable[[C], C]: ...

    def child(self, target: C | None = None, **options: Any) -> C | Callable[[C], C]:
        """Make a class or ``async def`` function known to the workers of this hub. Options are those of ``hubq.Child``:
        ``@hub.child(durability="interval")``.
        """

        def register(it: C) -> C:
            self.classes.register(it, **options)
            return it

        return register if target is None else register(target)

    # -- hooks -----------------------------------------------------------------------------------------------------

    def hook(self, hook_id: str, *, priority: int = 0) -> Callable[[C], C]:
        """Call the function below when something happens on a node of this process: ``@hub.hook("children_migrated")``.

        It is given the payload that docs/hooks.md names. Raises :class:`~hubq.errors.ConfigError` for an unknown id.
        """

        def register(handler: C) -> C:
            self.add_hook(hook_id, handler, priority=priority)
            return handler

        checked_hook_id(hook_id)
        return register

    def add_hook(
        self,
        hook_id: str,
        handler: Callable[..., Any],
        *,
        args: tuple[Any, ...] = (DATA,),
        kwargs: Mapping[str, Any] | None = None,
        priority: int = 0,
    ) -> Hook:
        """Register a handler at run time; ``DATA`` in ``args`` or ``kwargs`` stands for the payload. Give what it
        returns to :meth:`cancel_hook`.
        """
        return self.hook_book.add(Hook(hook_id, handler, args, kwargs or {}, priority))

    def cancel_hook(self, hook: Hook) -> bool:
        """Call this handler no more. False: it was not registered."""
        return self.hook_book.cancel(hook)

    def hooks(self, hook_id: str | None = None) -> list[Hook]:
        """The handlers (of one hook) in the order in which they are called."""
        return self.hook_book.listed(hook_id)

    # -- middleware ------------------------------------------------------------------------------------------------

    def middleware(self, layer: L) -> L:
        """Put this around every message, ``run()`` and job of this hub in this process, within those that are there already. It is
        given a :class:`~hubq.core.middleware.Work` and returns a context manager (docs/middleware.md). Add it before nodes start.
        """
        self.layers.add(layer)
        return layer

    # -- operations ------------------------------------------------------------------------------------------------

    def start_child(
        self,
        child_id: str,
        target: Any,
        *args: Any,
        metadata: dict[str, Any] | None = None,
        restart: Restart | None = None,
        child_mapping: ChildMapping | None = None,
        timeout: float = CHANGE_TIMEOUT,
        check_existing: bool = True,
        disable_logging: bool = False,
        **kwargs: Any,
    ) -> StartFuture:
        """Start a child; further arguments are its own. Returns once its spec and start message are in Redis.

        ``check_existing=False``: a child that exists already is left as it is, and counts as started.
        ``disable_logging``: the nodes write nothing of it to their logs and the events stream, not even a failure.

        Raises :class:`~hubq.errors.AlreadyStarted`, :class:`~hubq.errors.InvalidChildId`,
        :class:`~hubq.errors.NotSendable`, :class:`~hubq.errors.RedisUnavailable`.
        """
        spec = ChildSpec(child_id, target, args, kwargs, metadata or {}, restart)
        future = self._start([spec], timeout, True, "continue", child_mapping, check_existing, disable_logging)
        for error in future._ticket.errors.values():
            raise error
        return future

    def start_children(
        self,
        specs: Sequence[ChildSpec],
        *,
        on_failure: str = "continue",
        child_mapping: ChildMapping | None = None,
        timeout: float = CHANGE_TIMEOUT,
        check_existing: bool = True,
        disable_logging: bool = False,
    ) -> StartFuture:
        """Start several children; the options are those of :meth:`start_child`.

        ``on_failure="rollback"``: all of them or none. That is decided when the result is asked for, which must be
        within ``batch_lease`` seconds (15): if the caller dies before, or never asks, the nodes undo what was started.
        ``child_mapping``: child -> node, with ``Hub(distribution=Guided())``; raises
        :class:`~hubq.errors.MappingError`.
        """
        return self._start(specs, timeout, False, on_failure, child_mapping, check_existing, disable_logging)

    def _start(
        self,
        specs: Sequence[ChildSpec],
        timeout: float,
        single: bool,
        on_failure: str,
        child_mapping: ChildMapping | None,
        check_existing: bool,
        disable_logging: bool,
    ) -> StartFuture:
        context, asker = self.driver.context, self.driver.asker()
        operation = placing.start_placed(context, specs, on_failure, child_mapping, check_existing, disable_logging)
        return StartFuture(context, asker, asker.drive(operation), timeout, single)

    def stop_child(
        self, child_id: str, *, timeout: float = CHANGE_TIMEOUT, disable_logging: bool = False
    ) -> StopResult:
        """End a child for good, after the messages sent to it before; waits. Raises what went wrong."""
        result = self.stop_children([child_id], timeout=timeout, disable_logging=disable_logging)
        for error in result.errors.values():
            raise error
        return result

    def stop_child_now(self, child_id: str, *, timeout: float = 10.0) -> str:
        """End a child for good, with all that it has in hand and all that waits for it; the node on which it ended.

        The handler is cancelled and undone, and its caller gets :class:`~hubq.errors.HandlerKilled`. Callers whose messages wait
        get :class:`~hubq.errors.UnknownChild`. Raises as :meth:`kill` does.
        """
        return self.driver.drive(interventions.stop_now(self.driver.context, child_id, timeout))

    def kill(self, child_id: str, *, timeout: float = 10.0) -> str:
        """End the message that a child has in hand, and build the child anew from its last commit; its node.

        The handler is cancelled and undone, and its caller gets :class:`~hubq.errors.HandlerKilled`; it is not run again. ``run()``
        is cancelled and begins anew. What waits for the child is handled then. A plain ``def`` runs on in its thread, on an object
        that is no child any more.

        Raises :class:`~hubq.errors.UnknownChild`, :class:`~hubq.errors.NotAlive` (no node serves it),
        :class:`~hubq.errors.CallTimeout` (its node has not answered within ``timeout`` seconds).
        """
        return self.driver.drive(interventions.kill(self.driver.context, child_id, timeout))

    def drop_message(self, child_id: str, entry: str, *, timeout: float = 10.0) -> str:
        """Take a message that waits for a child out of its mailbox; it becomes a dead letter. ``entry`` names it, as
        ``hub.inspect.mailbox(child_id)`` does. Its caller gets :class:`~hubq.errors.MessageDropped`. The answer: the child's node.

        Raises :class:`~hubq.errors.HubqError` if it is in hand or done, and as :meth:`kill` does.
        """
        return self.driver.drive(interventions.drop_message(self.driver.context, child_id, entry, timeout))

    def stop_children(
        self, children: Sequence[str], *, timeout: float = CHANGE_TIMEOUT, disable_logging: bool = False
    ) -> StopResult:
        """End several children; what went wrong is in the result's ``errors``."""
        operation = stops.stop_children(self.driver.context, children, timeout, disable_logging=disable_logging)
        return self.driver.drive(operation)

    @overload
    def ref(self, child_id: str, /) -> ChildRef: ...

    @overload
    def ref(self, target: type[K], child_id: str, /, *args: Any, **kwargs: Any) -> TypedRef[K]: ...

    def ref(self, target: str | type[K], child_id: str = "", /, *args: Any, **kwargs: Any) -> ChildRef | TypedRef[K]:
        """A child by its name: ``hub.ref("room-1")``. Or with its class: ``hub.ref(Room, "room-1")``. Then type checkers know its
        methods, and a method that the class has not is refused before anything is sent.

        If the class has ``activate=True``, a message starts the child if it is not there. Further arguments,
        ``hub.ref(Room, "room-1", "redis")``, are for its ``__init__`` then. A child that is there stays as it is.

        Raises :class:`~hubq.errors.InvalidChildId`, and :class:`~hubq.errors.ConfigError` for what is no class of children, and for
        arguments that do not fit its ``__init__``.
        """
        if isinstance(target, str):
            return ChildRef(self.driver.of(target), target)
        kind, context = child_class(target), self.driver.context
        spec = activation_of(context.values, context.config.max_payload_bytes, kind, child_id, args, kwargs)
        return TypedRef(self.driver.of(child_id), kind, child_id, PLAIN.activating(spec))

    def cast_many(self, messages: Iterable[Cast]) -> list[HubqError | None]:
        """Send many messages in few requests; returns when they are safe in their mailboxes. Each is a tuple: child id,
        method, and the method's arguments. The answer has None for each, or the error for which it was refused, as
        ``ref(child_id).cast`` would have raised it; the others were sent all the same.

        >>> hub.cast_many([("room-1", "post", "ann", "hi"), ("room-2", "post", "ann", "hi")])  # doctest: +SKIP
        [None, UnknownChild("no child 'room-2' in hub 'chat': start it first, or see `hubq ps`")]

        Raises :class:`~hubq.errors.NotSendable` and :class:`~hubq.errors.InvalidChildId` before anything is sent, and
        :class:`~hubq.errors.RedisUnavailable`: then some may have been sent.
        """
        return self.driver.drive(casts.cast_many(self.driver.context, messages))

    def nodes(self) -> list[NodeStatus]:
        """The worker nodes of this hub."""
        return self.driver.drive(members.nodes(self.driver.context))

    def dead_letters(self) -> list[DeadLetter]:
        """Messages and children that took their nodes down again and again, the oldest first."""
        return self.driver.drive(dead_letters.dead_letters(self.driver.context))

    def replay_dead(self, letters: Sequence[str] | None = None) -> list[str]:
        """Send dead letters again, as new messages, each once (None: all); the names of those sent.

        Raises :class:`~hubq.errors.UnknownChild` if the child of a named one is no more.
        """
        return self.driver.drive(dead_letters.replay(self.driver.context, letters))

    def drop_dead(self, letters: Sequence[str] | None = None) -> list[str]:
        """Throw dead letters away (None: all); the names of those that were there."""
        return self.driver.drive(dead_letters.drop(self.driver.context, letters))

    def move(self, child_id: str, node: str | None, *, timeout: float = CHANGE_TIMEOUT) -> Place:
        """Move a child to a node, live and with its state, and wait until it is there; it stays there. None: back to where
        it belongs.

        Raises :class:`~hubq.errors.UnknownChild`, :class:`~hubq.errors.NotAlive` (no such node, or it is draining),
        :class:`~hubq.errors.HubqError` (it cannot start there), :class:`~hubq.errors.CallTimeout` (not there yet; it will
        be, once it can).
        """
        return self.driver.drive(placing.move(self.driver.context, child_id, node, timeout))

    def pause(
        self, target: type | None = None, *, child: str | None = None, why: str = "", timeout: float = CHANGE_TIMEOUT
    ) -> bool:
        """Have children begin no further message until they are resumed: ``pause(Room)`` those of a class, ``pause(child="room-1")`` one,
        ``pause()`` all. When it returns, every live worker heeds it; messages in hand end. Messages wait, and nothing is lost.

        False: that was paused before. ``why`` is shown to those who look. docs/guide-pause.md has the rules.

        Raises :class:`~hubq.errors.UnknownChild`, :class:`~hubq.errors.ConfigError`, :class:`~hubq.errors.CallTimeout` (it is paused, but
        a worker has not said that it heeds it).
        """
        return self.driver.drive(pausing.pause(self.driver.context, pausing.pause_of(target, child, why), timeout))

    def resume(self, target: type | None = None, *, child: str | None = None) -> bool:
        """End what :meth:`pause` with the same arguments has begun. False: there was no such pause."""
        return self.driver.drive(pausing.resume(self.driver.context, pausing.pause_of(target, child)))

    def pauses(self) -> list[Pause]:
        """What is paused: the hub, then classes, then children."""
        return self.driver.drive(pausing.pauses(self.driver.context))

    def reset_cluster_size(self) -> int:
        """Forget that the hub ever had more nodes than now, after it was made smaller for good: the quorum of
        ``MajorityQuorum`` is then that of the nodes there are. Returns how many.

        Raises :class:`~hubq.errors.HubqError` if the hub keeps no quorum.
        """
        return self.driver.drive(partition.reset_cluster_size(self.driver.context))

    def drain(self, node: str) -> None:
        """Tell a node to hand over everything and leave; returns at once."""
        self.driver.drive(members.drain(self.driver.context, node))

    # -- its Redis -------------------------------------------------------------------------------------------------

    @property
    def server(self) -> Server:
        """Where the Redis of this hub is (of its first group, if it has several: ``groups.servers`` has all)."""
        return self.driver.server

    @property
    def jobs_server(self) -> Server:
        """Where the Redis of its jobs is: ``jobs_redis``, or that of the hub.

        Raises :class:`~hubq.errors.ConfigError` if the hub is on a Redis Cluster, where RQ cannot be, or on several primaries, and has
        no ``jobs_redis``.
        """
        return self._jobs_server or checked_for_jobs(*self.groups.given)

    def connect_to(self, redis: str | Server | Sequence[str | Server], of_jobs: Server | None = None) -> None:
        """Ask another Redis from now on: that of ``--redis``, or of the node whose job process this is."""
        self._jobs_server = of_jobs or self._jobs_server
        self.groups.connect_to(servers_of(redis))

    def close(self) -> None:
        """Close the connections; the next operation opens new ones."""
        self.close_jobs()
        self.driver.close()
