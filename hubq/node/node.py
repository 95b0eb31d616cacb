"""A node: one worker process (or one member of an in-process cluster) of a hub."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any

from hubq.client.current import set_current_hub
from hubq.client.hub import Hub
from hubq.config import checked_name
from hubq.core.lease import Lease, RedisClock
from hubq.errors import ConfigError, HubqError, NameTaken, NotReplicated
from hubq.hooks import ClusterJoin, ClusterLeave, CoordinatorShutdown
from hubq.node.activity import Activity
from hubq.node.balancer import Balancer
from hubq.node.batches import Batches
from hubq.node.committer import Committer
from hubq.node.coordinator import Coordinator
from hubq.node.counters import Counters
from hubq.node.dispatcher import Dispatcher
from hubq.node.holding import Cell, Holding
from hubq.node.hook_runner import HookRunner
from hubq.node.lease_keeper import LeaseKeeper
from hubq.node.parked import Parked
from hubq.node.parts import Parts
from hubq.node.places import Places
from hubq.node.quorum import Quorum
from hubq.node.reader import Reader
from hubq.node.rebuilding import rebuild
from hubq.node.recorder import Recorder
from hubq.node.replicas import MANY, Replicas
from hubq.node.static import start_static
from hubq.node.stragglers import Stragglers
from hubq.node.supervisor import Supervisor
from hubq.node.target import Intake
from hubq.node.tasks import LETTING_GO
from hubq.node.trials import Trials
from hubq.node.vitals import Pulse
from hubq.node.withdrawals import Withdrawals
from hubq.store.connection import AsyncRedis, Server
from hubq.store.membership import drain_node, join_node, leave_node
from hubq.store.primary import PrimaryWatch
from hubq.store.replication import confirmed, shortfall
from hubq.strategies.distribution import DistributionTraits
from hubq.strategies.partition_tolerance import PartitionTraits

log = logging.getLogger("hubq.node")

VERSION = "0.1.0"


class Node:
    """One member of a hub. ``start()`` joins, ``drain()`` hands everything over and leaves, ``kill()`` just ends.

    Each may be called once; ``start`` after an end makes no sense and raises.
    """

    def __init__(
        self, hub: Hub, name: str, *, tags: Mapping[str, str] | None = None, server: Server | None = None
    ) -> None:
        self.hub = hub
        self.tags = dict(tags or {})
        self._server = server if server is not None else hub.server
        self.name = checked_name("node name", name)
        self.started = False
        self._waiting: AsyncRedis | None = None  # for the static children's replies
        self._leaving = False
        self._ended = asyncio.Event()
        self._empty = asyncio.Event()
        self._life = secrets.token_hex(8)  # a join that arrives after we have left is known by it
        self._previous = 0  # our incarnation before it became void
        self._was: dict[int, frozenset[int]] = {}  # incarnations that were cut off, and the shards they held

    async def start(self) -> None:
        """Join the hub and begin to serve.

        Raises :class:`~hubq.errors.NameTaken`, :class:`~hubq.errors.ConfigError` (the hub was created with other
        settings), :class:`~hubq.errors.RedisUnavailable`.
        """
        if self.started:
            raise RuntimeError(f"node {self.name!r} was started before: make a new one")
        self.started = True
        hub, config = self.hub, self.hub.config
        watch = PrimaryWatch(self._another_redis)
        self._redis = AsyncRedis(self._server, watch=watch)
        self._reading = AsyncRedis(self._server, watch=watch)
        try:
            self._build(hub)
            await self._join(wait=config.lease + 1.0)
        except BaseException:
            self._ended.set()
            await self._redis.close()
            await self._reading.close()
            raise
        hub.migration.init(hub.hub_id)
        hub.synchronization.init(hub.hub_id)
        hub.local_nodes.add(self.name)
        hub.redundancy.init(hub.hub_id)
        hub.distribution.init(hub.hub_id)
        hub.partition_tolerance.init(hub.hub_id)
        # Its tasks, and all tasks and handlers that come of them, have the hub at hand; our caller does not.
        context = copy_context()
        context.run(set_current_hub, hub)
        context.run(self._start_parts)

    def _start_parts(self) -> None:
        # Commits first, so that nothing that is read waits for them; the plan last, since it fills all others.
        self.parts.committer.start()
        self.parts.reader.start()
        if self.parts.replicas is not None:
            self.parts.replicas.start()
        if self.parts.balancer is not None:
            self.parts.balancer.start()
        self._keeper.start()
        self._activity.start()
        self._coordinator.start()
        self._coordinator.kick()
        if self.hub.child_specs:
            self._waiting = AsyncRedis(self._server)
            self.parts.supervisor.background(start_static(self.hub, self._waiting), "starting static children")
        self.pulse.start()

    def _build(self, hub: Hub) -> None:
        config, keys = hub.config, hub.keys
        lease, clock = Lease(config.lease, config.lease_margin), RedisClock()
        loop = asyncio.get_running_loop()

        def trusted() -> bool:
            return lease.trusted(loop.time())

        def may_handle() -> bool:
            quorum = self.parts.quorum
            return quorum is not None and not quorum.closed and trusted()

        needs_quorum = PartitionTraits.of(hub.partition_tolerance).needs_quorum
        counters = Counters()
        hooks = HookRunner(hub.hook_book, hub.hub_id, self.name)
        supervisor = Supervisor(self._redis, keys, self.name, hub.classes, config, hooks)
        hooks.background = supervisor.background
        committer = Committer(
            self._redis, keys, lambda: list(supervisor.holdings.values()), trusted,
            lambda holding: self.parts.fenced(holding), config.reply_ttl, counters,
            lambda holding: self.parts.given_up(holding), lambda: clock.now_ms(loop.time()),
        )  # fmt: skip
        dispatcher = Dispatcher(
            self.name,
            max_state_bytes=config.max_state_bytes,
            queue_limit=config.queue_limit,
            queue_bytes=config.queue_bytes,
            threads=config.threads,
            trusted=may_handle if needs_quorum else trusted,
            redis_now_ms=lambda: clock.now_ms(loop.time()),
            touched=committer.touched,
            due=committer.due,
            room_again=lambda cell: reader.room(cell),
            end_child=supervisor.endings.stop_requested_now,
        )
        reader = Reader(
            self._reading, keys, self.name, dispatcher, count=config.read_count, queue_limit=config.queue_limit,
            queue_bytes=config.queue_bytes,
            start_children=supervisor.starts.message, nobody=supervisor.nobody, stop_parked=supervisor.endings.stop_parked,
        )  # fmt: skip
        if config.wait_replicas:
            committer.confirm = self._confirm
        supervisor.changed = supervisor.saver.changed = committer.changed
        supervisor.resume = dispatcher.resume
        dispatcher.tracing = hub.tracing
        supervisor.redis_now_ms = lambda: clock.now_ms(loop.time())
        supervisor.reject = dispatcher.fail
        supervisor.read_again = reader.again
        supervisor.read_orphans = reader.orphans
        self.parts = Parts(
            self.name, keys, config, self._redis, hub.migration, hub.distribution, hub.synchronization, lease, clock,
            supervisor, dispatcher, committer, reader, kick=lambda: self._coordinator.kick(),
            rebuild=lambda holding: rebuild(self.parts, self._intake, holding), counters=counters, hooks=hooks, void=self._void,
        )  # fmt: skip
        if needs_quorum:
            self.parts.quorum = Quorum(self.parts, hub.partition_tolerance)
        self.parts.stragglers = Stragglers(self.parts)
        self._replicate(hub, trusted)
        self.parts.trials = Trials(self.parts)
        dispatcher.under_watch = self.parts.trials.handle
        self.parts.places = Places(self.parts)
        self.parts.parked = Parked(self.parts)
        self.parts.parked.begin_passing = self.parts.places.begin_passing
        self.parts.batches = Batches(self.parts)
        self.parts.withdrawals = Withdrawals(self.parts)
        balancing = DistributionTraits.of(hub.distribution).balancing
        if balancing is not None:
            self.parts.balancer = Balancer(self.parts, balancing)
        supervisor.marked = self.parts.batches.seen
        self._intake = Intake(self.parts)
        self.parts.parked.bring = self._intake.bring
        self.parts.welcome, self.parts.take_ahead = self._intake.welcome, self._intake.take_ahead
        supervisor.pin_empty = self.parts.kick
        supervisor.starts.elsewhere, supervisor.starts.send_away = (
            self.parts.places.elsewhere,
            self.parts.places.send_away,
        )
        self._coordinator = Coordinator(self.parts, self._intake, self._empty.set)
        self._keeper = LeaseKeeper(self.parts, self._lost)
        self.pulse = Pulse(self.parts, lambda: self.ready)

    def _replicate(self, hub: Hub, trusted: Callable[[], bool]) -> None:
        parts, strategy = self.parts, hub.redundancy
        parts.supervisor.trusted = trusted
        self._activity = Activity(parts)
        if strategy.replication_factor(MANY) < 2:
            return
        active_active = strategy.replication_model == "active_active"
        parts.recorder = Recorder(active_active, hub.config.max_state_bytes)
        parts.replicas = Replicas(parts, self._reading, strategy)
        parts.dispatcher.lay = parts.replicas.copies.lay
        parts.supervisor.all_active = active_active
        heard = {"all": {"active", "passive"}, "none": set[str]()}
        parts.supervisor.signals = frozenset(heard.get(strategy.redundancy_signal, {strategy.redundancy_signal}))

    async def _confirm(self) -> NotReplicated | None:
        return shortfall(await confirmed(self._redis, self.hub.config), self.hub.config, "committed")

    async def _join(self, wait: float) -> None:
        parts, config = self.parts, self.hub.config
        info: dict[str, Any] = {"host": platform.node(), "pid": os.getpid(), "version": VERSION, "life": self._life}
        info["started_at"] = round(time.time(), 3)
        if self.tags:
            info["tags"] = self.tags
        if self._was:
            info["was"] = " ".join(map(str, self._was))  # these are no crashes: we are here
        until = parts.now() + wait
        first_seen = 0
        hub_id = self.hub.hub_id
        await parts.hooks.before("pre_cluster_join", ClusterJoin(hub_id, self.name, self.name, 0))
        while True:
            asked_at = parts.now()
            command = join_node(
                parts.keys, self.name, info, int(config.lease * 1000), config.events_kept, config.shards,
                self._previous, parts.epoch,
            )  # fmt: skip
            answer = await parts.redis.run(command, retry_for=1.0)
            if answer.status == "ok":
                if answer.epoch_before < parts.epoch or 0 < answer.lease_before_ms < parts.granted_ms:
                    self._went_back(answer.epoch_before)
                parts.incarnation = parts.epoch = answer.incarnation
                parts.granted_ms = answer.now_ms + int(config.lease * 1000)
                parts.supervisor.hub_began_ms = answer.began_ms
                parts.former_tokens, parts.tokens = parts.tokens, {}
                parts.lease.asked_at = asked_at
                parts.clock.observe(asked_at, parts.now(), answer.now_ms)
                log.info("node %s joined hub %s (incarnation %d)", self.name, hub_id, answer.incarnation)
                parts.hooks.fire("post_cluster_join", ClusterJoin(hub_id, self.name, self.name, answer.incarnation))
                return
            if answer.status == "mismatch":
                raise ConfigError(
                    f"hub {self.hub.hub_id!r} at {self.hub.server.address} was created with shards={answer.shards} "
                    f"(wire version {answer.wire}), not shards={config.shards}: the number of shards is fixed for the "
                    f"life of a hub; use Hub({self.hub.hub_id!r}, shards={answer.shards}), or another hub id"
                )
            first_seen = first_seen or answer.lease_until_ms
            if answer.lease_until_ms > first_seen or parts.now() > until:
                raise NameTaken(
                    f"a live node of hub {self.hub.hub_id!r} has the name {self.name!r} already: "
                    "give this worker another --name"
                )
            # A dead predecessor of this name: its lease will end without being renewed.
            await asyncio.sleep(min(config.heartbeat, 0.25))

    # -- ending ----------------------------------------------------------------------------------------------------

    async def drain(self, timeout: float = 30.0) -> bool:
        """Leave: hand every shard over (or park them, with nobody left), then end. False: not done in time; what was
        left is taken over by the others as after a crash, with nothing lost but the time.
        """
        if self._ended.is_set():
            return True
        self._leaving = True
        left = False
        try:
            async with asyncio.timeout(timeout):
                await self._announce_drain()
                while not left:
                    await self._empty.wait()
                    left = await self._leave()
        except TimeoutError:
            log.warning("node %s did not hand everything over within %g s", self.name, timeout)
        await self._end(leave=not left, drained=True)
        return left

    async def _announce_drain(self) -> None:
        """Say that this node is no place for shards any more, until Redis has heard it."""
        parts = self.parts
        while parts.incarnation:  # else it has lost everything, and will not join anew
            command = drain_node(parts.keys, self.name, parts.incarnation, parts.config.events_kept)
            try:
                await parts.redis.run(command, retry_for=2.0)
                break
            except HubqError as error:
                log.warning("drain of %s waits: %s", self.name, error)
                await asyncio.sleep(0.2)
        self._coordinator.kick()

    async def _leave(self) -> bool:
        """Say goodbye. False: a shard came in at the last moment, and must be handed over first."""
        parts = self.parts
        await self._keeper.stop()  # a renewal after the goodbye would find us evicted
        void = not parts.incarnation  # what it owns in Redis is there for the others
        incarnation = self._previous if void else parts.incarnation
        command = leave_node(parts.keys, self.name, incarnation, parts.config.events_kept, force=void)
        try:
            if await parts.redis.run(command, retry_for=1.0) != "owner":
                return True
        except HubqError as error:
            log.warning("%s could not say goodbye: %s", self.name, error)
            return True
        self._empty.clear()
        self._keeper.start()
        self._coordinator.kick()
        return False

    async def drained(self) -> None:
        """Wait until somebody else's ``drain`` of this node (``hubq drain``) has emptied it."""
        await self._empty.wait()

    async def kill(self) -> None:
        """End at once, as if the process had died: nothing is saved, the lease runs out by itself."""
        if not self._ended.is_set():
            await self._end(leave=False, drained=False)

    async def _end(self, leave: bool, drained: bool) -> None:
        self._ended.set()
        self.hub.local_nodes.discard(self.name)
        parts = self.parts
        # The plan first, so that nothing new comes; then reading; then handlers; the commit of what they did; the lease.
        await self._coordinator.stop()
        await self._activity.stop()
        if parts.balancer is not None:
            await parts.balancer.stop()
        await parts.reader.stop()
        if parts.replicas is not None:
            await parts.replicas.stop()
        parts.dispatcher.stop()
        # What does not let go is not waited for while others may have to wait for the lease. Its effects are void.
        await parts.dispatcher.stopped(LETTING_GO)
        await parts.supervisor.stop()
        if leave:
            # Only what an answered commit is followed by may be committed: never what comes after a lost one.
            try:
                async with asyncio.timeout(2.0):
                    await parts.committer.flush()
            except Exception as error:
                log.warning("last commit of %s: %s", self.name, error or "no answer")
        await parts.committer.stop()
        for holding in list(parts.supervisor.holdings.values()):
            parts.drop(holding)
            for cell in holding.cells.values():
                if cell.save_timer is not None:
                    cell.save_timer.cancel()
        if leave:
            await self._say_goodbye(parts.incarnation)
        await self._keeper.stop()
        await self.pulse.stop()
        if drained:
            hooks, hub_id = parts.hooks, self.hub.hub_id
            gone = ClusterLeave(hub_id, self.name, self.name, parts.incarnation, "drained")
            await hooks.before("post_cluster_leave", gone)
            await hooks.before("coordinator_shutdown", CoordinatorShutdown(hub_id, self.name, left=not leave))
        await parts.supervisor.stop()
        if drained and not await parts.dispatcher.stopped(parts.config.stop_timeout):
            log.warning("a handler on node %s goes on though it was cancelled: let CancelledError through", self.name)
        if self._waiting is not None:
            await self._waiting.close()  # its user may have been cut short
        await self._redis.close()
        await self._reading.close()

    async def _say_goodbye(self, incarnation: int) -> None:
        """Leave as this incarnation, whatever it owns; nothing happens if it is no member."""
        parts = self.parts
        command = leave_node(parts.keys, self.name, incarnation, parts.config.events_kept, force=True)
        try:
            await parts.redis.run(command, retry_for=1.0)
        except Exception as error:
            log.warning("%s could not say goodbye: %s", self.name, error)

    # -- losing the lease ------------------------------------------------------------------------------------------

    async def _lost(self, why: str) -> None:
        """The others may own everything by now: stop all children here; once Redis answers, join anew."""
        self._void(why)
        if why == "evicted":
            if self._leaving or self._coordinator.draining:
                self._empty.set()  # nothing is left here, and nothing is to come: do not join anew
                return
            try:
                await self._join(wait=self.parts.config.lease)
                self._absolve()
                if self._leaving:
                    await self._announce_drain()
            except HubqError as error:
                log.error("node %s cannot join anew yet: %s", self.name, error)
            self._coordinator.kick()

    def _absolve(self) -> None:
        """We were cut off, not dead: what counted as our crashes counts no more."""
        for incarnation, shards in self._was.items():
            if shards:
                work = self.parts.trials.absolve(sorted(shards), incarnation)
                self.parts.supervisor.background(work, f"absolving incarnation {incarnation}")
        self._was = dict.fromkeys(self._was, frozenset())

    def _void(self, why: str) -> None:
        """Nothing that this node has in memory counts any more. The next renewal finds it evicted, and it joins anew."""
        parts = self.parts
        if not parts.incarnation:
            return
        parts.counters.leases_lost += 1
        log.error("node %s: %s; its children stop here", self.name, why)
        self._intake.forget_all()
        if parts.replicas is not None:
            parts.replicas.forget_all()
        self._was[parts.incarnation] = frozenset(shard for shard, _ in parts.supervisor.holdings)
        while len(self._was) > 20:
            del self._was[next(iter(self._was))]
        parts.places.forget_all()
        for holding in list(parts.supervisor.holdings.values()):
            parts.drop(holding)
            parts.supervisor.background(
                parts.supervisor.endings.dispose(list(holding.cells.values()), "fenced"),
                f"dropping shard {holding.shard}",
            )
        # From now on this incarnation is void, even if nobody has evicted it: its children are gone.
        self._previous, parts.incarnation = parts.incarnation, 0

    def _went_back(self, epoch: int) -> None:
        known = self.parts.epoch
        if epoch:
            what = f"Redis has lost writes that it had confirmed (membership epoch {epoch}, it was {known} at least)"
        else:
            what = f"Redis has lost everything of hub {self.hub.hub_id} (it was at membership epoch {known})"
        log.error("%s: node %s goes on with what Redis has", what, self.name)
        self.parts.supervisor.event("redis_went_back", epoch=epoch, known=known)

    def _another_redis(self, was: str, now: str) -> None:
        """Redis was restarted or has failed over, and may have lost writes: its word counts, not our memory."""
        if self.parts.incarnation:
            self._void("another Redis answers than before: it was restarted, or failed over")
            self.parts.supervisor.event("redis_changed", was=was.split(" ")[0], now=now.split(" ")[0])

    # -- what is seen from outside ---------------------------------------------------------------------------------

    @property
    def holdings(self) -> list[Holding]:
        """The shards and pins this node serves."""
        return list(self.parts.supervisor.holdings.values())

    @property
    def cells(self) -> list[Cell]:
        """The children on this node."""
        return list(self.parts.supervisor.children())

    @property
    def ready(self) -> bool:
        """Whether it serves every shard that it should, under a lease that it can trust."""
        parts = self.parts
        return (
            bool(parts.incarnation)
            and self._coordinator.ready
            and not self._coordinator.draining
            and parts.lease.trusted(parts.now())
        )

    @property
    def ended(self) -> bool:
        """Whether the node has ended."""
        return self._ended.is_set()
