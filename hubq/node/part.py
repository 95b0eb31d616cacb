"""A node in one group of its hub: its own connections, lease and holdings there. A hub with one group has one part in each node."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from hubq.client.asking.context import HubContext
from hubq.client.hub import Hub
from hubq.errors import RedisUnavailable
from hubq.hooks import ClusterLeave, CoordinatorShutdown
from hubq.node.runtime.tasks import LETTING_GO
from hubq.node.static import start_static
from hubq.node.wiring.ground import Given
from hubq.node.wiring.wiring import Wiring
from hubq.store.connection import AsyncRedis
from hubq.store.membership import count_nodes, read_config

log = logging.getLogger("hubq.node")


class NodePart:
    """All parts of a node in one group, and how they begin and end. ``waiting``: a connection for the replies to its static children;
    None: it has none. ``group``: the number of the group.
    """

    def __init__(self, given: Given, waiting: AsyncRedis | None) -> None:
        self.wiring = Wiring(given)
        self.group = given.context.group
        self._hub: Hub = given.hub
        self._context: HubContext = given.context
        self._name = given.name
        self._address = given.server.address
        self._waiting = waiting

    async def check(self) -> None:
        """:class:`~hubq.errors.ConfigError` if the hub has several groups, and this one cannot be as it was given. (With one group,
        joining says so.)
        """
        founding = self._hub.groups.founding
        if founding is not None:
            fixed = await self.wiring.runtime.group.redis.run(read_config(self._context.keys), retry_for=1.0)
            if fixed is None:
                await founding.check_async()
            else:
                self._context.check(fixed, self._address)

    async def join(self) -> None:
        """Become a member of the group.

        Raises :class:`~hubq.errors.NameTaken`, :class:`~hubq.errors.ConfigError`, :class:`~hubq.errors.RedisUnavailable`.
        """
        await self._connect()
        await self.wiring.membership.member.join(wait=self._hub.config.lease + 1.0)
        if self._hub.config.groups > 1:
            # Another group may keep the node waiting, for the lease of a predecessor. This one must not be over meanwhile.
            self.wiring.lease.keeper.start()

    async def _connect(self) -> None:
        """Make the connections that the node will read by, also if half of the others leave. Once it is a member, children that come would
        pause for that.
        """
        group = self.wiring.runtime.group
        with suppress(RedisUnavailable):  # joining says so
            others = await group.redis.run(count_nodes(group.keys))
            await self.wiring.mailbox.reader.prepare(2 * -(-len(group.shards) // (others + 1)))
            await group.redis.prepare(1)

    def start(self) -> None:
        """Begin to serve."""
        wiring = self.wiring
        wiring.start()
        if self._waiting is not None:
            work = start_static(self._hub, self._context, self._waiting)
            wiring.runtime.background.run(work, "starting static children")
        wiring.pulse.start()

    async def give_up(self) -> None:
        """The node could not join this or another group: it serves in none."""
        await self.wiring.lease.keeper.stop()
        incarnation = self.wiring.runtime.standing.incarnation
        if incarnation:
            await self.wiring.membership.member.say_goodbye(incarnation)
        await self.close()

    async def leave_when_empty(self) -> None:
        """Hand over everything, and say goodbye."""
        await self.wiring.membership.member.announce_drain()
        while True:
            await self.wiring.runtime.emptied.wait()
            if await self._leave():
                return

    async def _leave(self) -> bool:
        """Say goodbye. False: a shard came in at the last moment, and must be handed over first."""
        wiring = self.wiring
        await wiring.lease.keeper.stop()  # a renewal after the goodbye would find us evicted
        if await wiring.membership.member.leave():
            return True
        wiring.lease.keeper.start()
        wiring.runtime.plan_due.ring()
        return False

    async def end(self, *, leave: bool, drained: bool) -> None:
        """End everything here. ``leave``: it has not left, and should. ``drained``: it does not end as by a crash."""
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
                log.warning("last commit of %s: %s", self._name, error or "no answer")
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
            hooks, hub_id = runtime.hooks, self._hub.hub_id
            gone = ClusterLeave(hub_id, self._name, self._name, standing.incarnation, "drained")
            await hooks.before("post_cluster_leave", gone)
            await hooks.before("coordinator_shutdown", CoordinatorShutdown(hub_id, self._name, left=not leave))
        await runtime.background.stop()
        if drained and not await pumps.stopped(self._hub.config.stop_timeout):
            log.warning("a handler on node %s goes on though it was cancelled: let CancelledError through", self._name)
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        if self._waiting is not None:
            await self._waiting.close()  # its user may have been cut short
        await self.wiring.runtime.group.redis.close()
        await self.wiring.runtime.group.reading.close()
