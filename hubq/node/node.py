"""A node: one worker process (or one member of an in-process cluster) of a hub."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextvars import copy_context
from typing import Protocol

from hubq.client.current import set_current_hub
from hubq.client.hub import Hub
from hubq.config import checked_name
from hubq.hooks import ClusterLeave, CoordinatorShutdown
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.membership.lease_thread import Drive, LeaseThread
from hubq.node.membership.watchdog import Ends
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.tasks import LETTING_GO
from hubq.node.static import start_static
from hubq.node.vitals import Pulse
from hubq.node.wiring.ground import Given
from hubq.node.wiring.wiring import Wiring
from hubq.store.connection import AsyncRedis, Server
from hubq.store.malformed import MalformedWatch
from hubq.store.primary import PrimaryWatch

log = logging.getLogger("hubq.node")


class Connect(Protocol):
    """Makes a node's connections to its hub's Redis."""

    def __call__(
        self, server: Server, *, watch: PrimaryWatch | None = None, malformed: MalformedWatch | None = None
    ) -> AsyncRedis:
        """One that asks ``watch`` who answers, and tells ``malformed`` what cannot be read, if there are such."""


def stays(code: int) -> None:
    """The process of a node that is not ``hubq worker``'s own goes on."""


class Node:
    """One member of a hub. ``start()`` joins, ``drain()`` hands everything over and leaves, ``kill()`` just ends.

    Each may be called once; ``start`` after an end makes no sense and raises. ``app_version`` is the version of the app that it
    runs (docs/rollouts.md). ``measured`` times each handler, for metrics. ``ready_failures``: so many children may be unable to
    start here, and the node is ready all the same (docs/deploy.md). ``drive`` makes what keeps the lease. ``ends`` is called,
    in another thread, when the event loop has stood still for longer than ``stall_limit`` and the node has given up all that it
    had: ``hubq worker`` gives ``os._exit``. By default the process stays; once its loop turns, the node joins anew.
    """

    def __init__(
        self,
        hub: Hub,
        name: str,
        *,
        tags: Mapping[str, str] | None = None,
        app_version: str = "",
        connect: Connect = AsyncRedis,
        measured: bool = False,
        ready_failures: int = 0,
        drive: Drive = LeaseThread,
        ends: Ends = stays,
    ) -> None:
        self.hub = hub
        self.tags = dict(tags or {})
        self.app_version = checked_name("app version", app_version) if app_version else ""
        self.name = checked_name("node name", name)
        self.counters = Counters()
        """What has been counted since it started."""
        self.started = False
        self._connect = connect
        self._measured = measured
        self._ready_failures = ready_failures
        self._drive = drive
        self._ends = ends
        self._ended = asyncio.Event()
        self._wiring: Wiring | None = None
        self._waiting: AsyncRedis | None = None  # for the static children's replies

    async def start(self) -> None:
        """Join the hub and begin to serve.

        Raises :class:`~hubq.errors.NameTaken`, :class:`~hubq.errors.ConfigError` (the hub was created with other
        settings), :class:`~hubq.errors.RedisUnavailable`.
        """
        if self.started:
            raise RuntimeError(f"node {self.name!r} was started before: make a new one")
        self.started = True
        hub = self.hub
        # Before the parts are made: they read what the strategies say of themselves.
        hub.migration.init(hub.hub_id)
        hub.synchronization.init(hub.hub_id)
        hub.redundancy.init(hub.hub_id)
        hub.distribution.init(hub.hub_id)
        hub.partition_tolerance.init(hub.hub_id)
        watch, malformed = PrimaryWatch(), MalformedWatch()
        redis, reading = (self._connect(hub.server, watch=watch, malformed=malformed) for _ in range(2))
        try:
            given = Given(
                hub, self.name, redis, reading, watch, malformed, self.counters, tags=self.tags, app_version=self.app_version,
                measured=self._measured, ready_failures=self._ready_failures, drive=self._drive, ends=self._ends,
            )  # fmt: skip
            wiring = self._wiring = Wiring(given)
            await wiring.membership.member.join(wait=hub.config.lease + 1.0)
        except BaseException:
            self._ended.set()
            await redis.close()
            await reading.close()
            raise
        hub.local_nodes.add(self.name)
        # current_hub() works in its tasks, and in all tasks and handlers that they begin; not in the code that called start().
        context = copy_context()
        context.run(set_current_hub, hub)
        context.run(self._start_parts, wiring)

    def _start_parts(self, wiring: Wiring) -> None:
        wiring.start()
        if self.hub.child_specs:
            self._waiting = self._connect(self.hub.server)
            wiring.runtime.background.run(start_static(self.hub, self._waiting), "starting static children")
        wiring.pulse.start()

    @property
    def wiring(self) -> Wiring:
        """The parts of a node that was started (for :mod:`hubq.testing`)."""
        if self._wiring is None:
            raise RuntimeError(f"node {self.name!r} was not started")
        return self._wiring

    # -- ending ----------------------------------------------------------------------------------------------------

    async def drain(self, timeout: float = 30.0) -> bool:
        """Leave: hand every shard over (or park them, if no node is left), then end. False: not done in time. The other
        nodes take the rest over as after a crash; nothing is lost but time.
        """
        if self._ended.is_set():
            return True
        member = self.wiring.membership.member
        left = False
        try:
            async with asyncio.timeout(timeout):
                await member.announce_drain()
                while not left:
                    await self.wiring.runtime.emptied.wait()
                    left = await self._leave()
        except TimeoutError:
            log.warning("node %s did not hand everything over within %g s", self.name, timeout)
        await self._end(leave=not left, drained=True)
        return left

    async def _leave(self) -> bool:
        """Say goodbye. False: a shard came in at the last moment, and must be handed over first."""
        wiring = self.wiring
        await wiring.lease.keeper.stop()  # a renewal after the goodbye would find us evicted
        if await wiring.membership.member.leave():
            return True
        wiring.lease.keeper.start()
        wiring.runtime.plan_due.ring()
        return False

    async def drained(self) -> None:
        """Wait until somebody else's ``drain`` of this node (``hubq drain``) has emptied it."""
        await self.wiring.runtime.emptied.wait()

    async def kill(self) -> None:
        """End at once, as if the process had died: nothing is saved, the lease runs out by itself."""
        if not self._ended.is_set():
            await self._end(leave=False, drained=False)

    async def _end(self, leave: bool, drained: bool) -> None:
        self._ended.set()
        self.hub.local_nodes.discard(self.name)
        wiring = self.wiring
        runtime, children, committer = wiring.runtime, wiring.children, wiring.commits.committer
        standing, pumps = runtime.standing, children.pumps
        # First what takes anything in; then handlers; the commit of what they did; the lease.
        await wiring.stop_taking()
        pumps.stop()
        # A handler that does not end is waited for briefly: other nodes may be waiting for the lease. Its effects are void.
        await pumps.stopped(LETTING_GO)
        children.failures.stop()
        await children.progresses.stop()
        if drained:
            await children.progresses.flush()
        await runtime.background.stop()
        if leave:
            # The last commit may only follow a commit that was answered, never one whose answer was lost.
            try:
                async with asyncio.timeout(2.0):
                    await committer.flush()
            except Exception as error:
                log.warning("last commit of %s: %s", self.name, error or "no answer")
        await committer.stop()
        for holding in wiring.held.register.all():
            wiring.held.register.drop(holding)
            for hosted in holding.children.values():
                hosted.disarm()
        if leave:
            await wiring.membership.member.say_goodbye(standing.incarnation)
        await wiring.lease.keeper.stop()
        await wiring.pulse.stop()
        runtime.gathered.tell()
        if drained:
            hooks, hub_id = runtime.hooks, self.hub.hub_id
            gone = ClusterLeave(hub_id, self.name, self.name, standing.incarnation, "drained")
            await hooks.before("post_cluster_leave", gone)
            await hooks.before("coordinator_shutdown", CoordinatorShutdown(hub_id, self.name, left=not leave))
        await runtime.background.stop()
        if drained and not await pumps.stopped(self.hub.config.stop_timeout):
            log.warning("a handler on node %s goes on though it was cancelled: let CancelledError through", self.name)
        if self._waiting is not None:
            await self._waiting.close()  # its user may have been cut short
        await runtime.group.redis.close()
        await runtime.group.reading.close()

    # -- what is seen from outside ---------------------------------------------------------------------------------

    @property
    def holdings(self) -> list[Holding]:
        """The shards and pins this node serves."""
        return self.wiring.held.register.all()

    @property
    def children(self) -> list[HostedChild]:
        """The children on this node."""
        return list(self.wiring.held.register.children())

    @property
    def pulse(self) -> Pulse:
        """Whether its loop turns, and its account of itself."""
        return self.wiring.pulse

    @property
    def ready(self) -> bool:
        """Whether it serves every shard that it should, under a lease that it can trust, and can run what comes to it."""
        return not self.wiring.pulse.why_unready()

    @property
    def ended(self) -> bool:
        """Whether the node has ended."""
        return self._ended.is_set()
