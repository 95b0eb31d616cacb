"""A node: one worker process (or one member of an in-process cluster) of a hub."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from typing import Protocol

from hubq.client.asking.context import HubContext
from hubq.client.current import set_current_hub
from hubq.client.hub import Hub
from hubq.config import checked_name
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.joining import Joining
from hubq.node.membership.lease_thread import Drive, LeaseThread
from hubq.node.membership.watchdog import Ends
from hubq.node.part import NodePart
from hubq.node.pulses import NodePulse, Pulses
from hubq.node.runtime.counters import Counters
from hubq.node.wiring.ground import Common, Given
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
        if hub.driver.context.seal is not None:
            hub.driver.context.seal.keys.for_workers()
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
        self._joining: Joining | None = None

    async def start(self) -> None:
        """Join the hub and begin to serve. A group whose primary is away is joined later, if another one answers.

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
        common = Common(hub.config, self.name)
        places = zip(hub.groups.contexts, hub.groups.servers, strict=True)
        joining = Joining(self.name, [self._part(common, *place) for place in places])
        try:
            await joining.join()
        except BaseException:
            self._ended.set()
            for part in joining.parts:
                await part.give_up()
            raise
        self._joining = joining
        hub.local_nodes.add(self.name)
        # current_hub() works in its tasks, and in all tasks and handlers that they begin; not in the code that called start().
        context = copy_context()
        context.run(set_current_hub, hub)
        context.run(joining.start)

    def _part(self, common: Common, context: HubContext, server: Server) -> NodePart:
        watch, malformed = PrimaryWatch(), MalformedWatch()
        redis, reading = (self._connect(server, watch=watch, malformed=malformed) for _ in range(2))
        given = Given(
            self.hub, self.name, common, context, server, redis, reading, watch, malformed, self.counters, tags=self.tags,
            app_version=self.app_version, measured=self._measured, ready_failures=self._ready_failures,
            drive=self._drive, ends=self._ends,
        )  # fmt: skip
        return NodePart(given, self._connect(server) if self.hub.child_specs else None)

    @property
    def _joined(self) -> Joining:
        if self._joining is None:
            raise RuntimeError(f"node {self.name!r} was not started")
        return self._joining

    @property
    def parts(self) -> Sequence[NodePart]:
        """Its parts in the groups of the hub (for :mod:`hubq.testing`)."""
        return self._joined.parts

    @property
    def wiring(self) -> Wiring:
        """The parts of a node that was started, in the first group (for :mod:`hubq.testing`)."""
        return self.parts[0].wiring

    # -- ending ----------------------------------------------------------------------------------------------------

    async def drain(self, timeout: float = 30.0) -> bool:
        """Leave: hand every shard over (or park them, if no node is left), then end. False: not done in time. The other
        nodes take the rest over as after a crash; nothing is lost but time.
        """
        if self._ended.is_set():
            return True
        joining = self._joined
        await joining.stop()
        parts = joining.joined
        leaving = [asyncio.create_task(part.leave_when_empty()) for part in parts]
        try:
            done, late = await asyncio.wait(leaving, timeout=timeout)
        except BaseException:
            for task in leaving:
                task.cancel()
            raise
        if late:
            log.warning("node %s did not hand everything over within %g s", self.name, timeout)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for task in done:
            task.result()
        left = [part for part, task in zip(parts, leaving, strict=True) if task in done]
        await self._end(left, drained=True)
        return not late

    async def drained(self) -> None:
        """Wait until somebody else's ``drain`` of this node (``hubq drain``) has emptied it."""
        await self._joined.emptied()

    async def kill(self) -> None:
        """End at once, as if the process had died: nothing is saved, the lease runs out by itself."""
        if not self._ended.is_set():
            await self._joined.stop(within=0)
            await self._end(self.parts, drained=False)

    async def _end(self, left: Sequence[NodePart], drained: bool) -> None:
        """End all parts; those that have not ``left`` leave now, if it ends by itself."""
        self._ended.set()
        self.hub.local_nodes.discard(self.name)
        ends = (part.end(leave=drained and part not in left, drained=drained) for part in self._joined.joined)
        await asyncio.gather(*ends, self._joined.give_up())

    # -- what is seen from outside ---------------------------------------------------------------------------------

    @property
    def holdings(self) -> list[Holding]:
        """The shards and pins this node serves."""
        return [holding for part in self.parts for holding in part.wiring.held.register.all()]

    @property
    def children(self) -> list[HostedChild]:
        """The children on this node."""
        return [hosted for part in self.parts for hosted in part.wiring.held.register.children()]

    @property
    def pulse(self) -> NodePulse:
        """Whether its loop turns, and its account of itself."""
        joining = self._joined
        pulses = [part.wiring.pulse for part in joining.joined]
        return pulses[0] if len(self.parts) == 1 else Pulses(pulses, joining.why_missing)

    @property
    def ready(self) -> bool:
        """Whether it serves every shard that it should, under a lease that it can trust, and can run what comes to it."""
        return not self.pulse.why_unready()

    @property
    def ended(self) -> bool:
        """Whether the node has ended."""
        return self._ended.is_set()
