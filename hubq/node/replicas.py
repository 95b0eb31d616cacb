"""The copies of other nodes' children that this node keeps: a follower's half of the log (docs/protocol.md, section 7)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hubq.core.messages import ReplicaJoined
from hubq.core.replication import followers, heirs
from hubq.core.view import View
from hubq.errors import RedisUnavailable
from hubq.node.holding import Cell
from hubq.node.replica import Copies, Replica
from hubq.node.standby import Standby
from hubq.node.tasks import end_tasks
from hubq.store.connection import LOST, AsyncRedis
from hubq.store.control import send_control
from hubq.store.owners import Owner
from hubq.store.registry import read_specs, read_states, read_texts
from hubq.store.replica_log import (
    follow_shard,
    read_logs,
    report_replica,
    unfollow_shard,
)
from hubq.store.tries import TOOK_DOWN
from hubq.strategies.redundancy import Redundancy

if TYPE_CHECKING:
    from hubq.node.parts import Parts
    from hubq.store.owners import Owners

log = logging.getLogger("hubq.node")

#: Longest blocking read of the logs, and how often a follower reports at least, seconds.
BLOCK = 0.5
REPORT = 5.0
#: Log entries taken in one read.
COUNT = 500
#: How long followers are remembered that say nothing, seconds (more than a lease).
TTL = 60.0
#: As many nodes as no hub has.
MANY = 1 << 16


class Replicas:
    """What this node follows, and the loop that reads the logs."""

    def __init__(self, parts: Parts, redis: AsyncRedis, strategy: Redundancy) -> None:
        self.shards: dict[int, Replica] = {}
        self._parts = parts
        self._redis = redis
        self._strategy = strategy
        self.copies = Copies(parts, strategy.replication_model == "active_active")
        self.standby = Standby(parts, self)
        self._ttl_ms = int(1000 * max(TTL, 4 * parts.config.lease))
        self._task: asyncio.Task[None] | None = None
        self._fewer = 0  # copies there are, if that is fewer than wanted

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Read no more, and drop the copies."""
        await end_tasks([self._task])
        self._task = None
        for shard in list(self.shards):
            await self.copies.dispose(self.forget(shard))

    def cells(self) -> list[Cell]:
        """The copies on this node."""
        return [cell for replica in self.shards.values() for cell in replica.holding.cells.values()]

    def forget_all(self) -> None:
        """This node was evicted: nothing that it has read counts any more."""
        for shard in list(self.shards):
            self._drop(shard)

    def _drop(self, shard: int) -> None:
        self._parts.supervisor.background(
            self.copies.dispose(self.forget(shard)), f"dropping the copy of shard {shard}"
        )

    # -- what to follow --------------------------------------------------------------------------------------------

    def look(self, view: View, owners: Owners) -> None:
        """Follow what should be followed by this view of the hub, and nothing else."""
        me, current = self._parts.node_name, view.owners
        copies = self._strategy.replication_factor(len(view.nodes))
        self._say_if_fewer(copies, len(view.nodes))
        found = followers(self._parts.distribution.belongs_to, view, copies, self._strategy.master_node)
        wanted = {shard for shard, names in found.items() if me in names}
        for shard in list(self.shards):
            owner = current.get(shard)
            # A shard without an owner, or one that is just coming here, may need its copies in a moment.
            coming = owner == me and (shard, None) not in self._parts.supervisor.holdings
            if shard not in wanted and owner is not None and not coming:
                self.unfollow(shard)
        for shard in sorted(wanted):
            replica = self.shards.get(shard)
            owner = current[shard]
            assert owner is not None
            if (shard, None) in self._parts.supervisor.holdings:
                continue  # it has come here since the view was read
            if replica is None:
                replica = self.shards[shard] = Replica(shard, owner)
                self._parts.supervisor.background(self._followed(replica), f"following shard {shard}")
            elif replica.owner != owner:
                replica.owner = owner
                # Only msk and the log tell about the new one; of these children they may not tell all.
                cells = replica.holding.cells.items()
                replica.doubted |= {child for child, cell in cells if cell.kind.durability != "commit"}
                self._ask(replica)
        for shard, replica in self.shards.items():
            replica.apart = frozenset(pin.node for (of, _), pin in owners.pins.items() if of == shard)

    def heirs(self, desired: Mapping[int, str], view: View, owners: Mapping[int, Owner]) -> dict[int, str]:
        """Where the shards go whose owners have died, or are leaving: to the followers that the strategy prefers."""
        left = [shard for shard, owner in owners.items() if owner.node != "-" and view.owners[shard] not in view.nodes]
        copies = self._strategy.replication_factor(len(view.nodes) + 1)  # with the one that has gone
        return heirs(desired, view, left, copies, self._strategy.master_node)

    def _say_if_fewer(self, copies: int, nodes: int) -> None:
        wanted = self._strategy.replication_factor(MANY)
        fewer = 0 < copies < wanted < MANY
        if fewer and copies != self._fewer:
            log.warning("%d copies of each child are wanted; with %d node(s) there are %d", wanted, nodes, copies)
        self._fewer = copies if fewer else 0

    def unfollow(self, shard: int) -> None:
        """Follow a shard no more; its copies here end."""
        self._drop(shard)
        self.say_goodbye(shard)

    def say_goodbye(self, shard: int) -> None:
        """Tell Redis that this node follows the shard no more."""
        parts = self._parts
        command = unfollow_shard(parts.keys, shard, parts.node_name, parts.incarnation)
        parts.supervisor.background(parts.redis.run(command, retry_for=1.0), f"unfollowing shard {shard}")

    def forget(self, shard: int) -> list[Cell]:
        """Take nothing more in for a shard: its copies."""
        replica = self.shards.pop(shard, None)
        if replica is None:
            return []
        replica.reading = False
        replica.holding.lost, replica.holding.open = True, False
        return list(replica.holding.cells.values())

    def _ask(self, replica: Replica) -> None:
        """Ask for the states that neither ``msk`` nor the log can tell: the primary, and those who hold a child apart."""
        parts = self._parts
        if replica.waiting or replica.doubted:
            message = ReplicaJoined(parts.node_name, replica.shard)
            asked = sorted({replica.owner, *replica.apart})
            commands = [send_control(parts.keys, node, message) for node in asked]
            parts.supervisor.background(parts.redis.run_many(commands, retry_for=1.0), "asking for states")

    async def _followed(self, replica: Replica) -> None:
        try:
            await self._follow(replica)
        except Exception:
            if self.shards.get(replica.shard) is replica:
                self._drop(replica.shard)  # the next look at the plan tries again
            raise

    async def _follow(self, replica: Replica) -> None:
        parts, shard = self._parts, replica.shard
        command = follow_shard(parts.keys, shard, parts.node_name, parts.incarnation, self._ttl_ms)
        position = await parts.redis.run(command, retry_for=parts.config.lease)
        # Every commit from here on is in the log, and the states that are read now hold every commit before.
        specs, states, parked = await parts.redis.run_many(
            [read_specs(parts.keys, shard), read_states(parts.keys, shard), read_texts(parts.keys.parked(shard))],
            retry_for=parts.config.lease,
        )
        if self.shards.get(shard) is not replica:
            return
        if position is None:
            self.forget(shard)
            return
        replica.position = position
        replica.holding.open = self.copies.active_active
        for number, (child, record) in enumerate(specs.items()):
            if self.shards.get(shard) is not replica:
                break
            if parked.get(child, "").startswith(TOOK_DOWN):
                continue  # a copy's start would take this node down as well; if it is revived, the log says so
            await self.copies.build(replica, child, record, states.get(child))
            cell = replica.holding.cells.get(child)
            if cell is not None and cell.kind.durability != "commit":
                replica.waiting.add(child)
            if number % 32 == 31:
                await asyncio.sleep(0)
        if self.shards.get(shard) is not replica:
            await self.copies.dispose(list(replica.holding.cells.values()))
            return
        replica.reading = True
        self._ask(replica)
        await parts.wake()

    # -- reading the logs ------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        parts = self._parts
        woken = "$"
        while True:
            try:
                following = {s: r for s, r in self.shards.items() if r.reading and self._has_room(r)}
                positions = {shard: replica.position.entry for shard, replica in following.items()}
                command = read_logs(
                    parts.keys, positions, COUNT, int(BLOCK * 1000), parts.keys.control(parts.node_name), woken
                )
                found, woken = await self._redis.run(command)
                woken = "0" if woken == "$" else woken
                for shard, entries in found.items():
                    replica = following[shard]
                    async with replica.lock:
                        if self.shards.get(shard) is replica and not await self.copies.take_in(replica, entries):
                            self._begin_anew(replica)
                await self._report()
            except (*LOST, RedisUnavailable) as error:
                log.debug("following waits: Redis is away (%s)", error)
                await asyncio.sleep(0.1)
            except Exception:
                log.exception("following failed")
                await asyncio.sleep(0.5)

    def _has_room(self, replica: Replica) -> bool:
        count, size = self._parts.config.queue_limit // 2, self._parts.config.queue_bytes // 2
        replica.full = {c for c in replica.full if c.queue and (len(c.queue) > count or c.queue.bytes > size)}
        return not replica.full

    def _begin_anew(self, replica: Replica) -> None:
        log.warning(
            "shard %d: its follower %s has lost the thread and begins anew", replica.shard, self._parts.node_name
        )
        self._drop(replica.shard)
        self._parts.kick()

    def _news(self, replica: Replica, now: float) -> bool:
        number, ready, at = replica.reported
        return now > at + (BLOCK if (number, ready) != (replica.position.number, replica.ready) else REPORT)

    async def _report(self) -> None:
        parts, now = self._parts, self._parts.now()
        due = [replica for replica in self.shards.values() if replica.reading and self._news(replica, now)]
        if not due or not parts.incarnation:
            return
        for replica in due:
            replica.reported = (replica.position.number, replica.ready, now)
        answers = await parts.redis.run_many(
            [
                report_replica(
                    parts.keys, r.shard, parts.node_name, parts.incarnation, self._ttl_ms, r.position, r.ready
                )
                for r in due
            ]
        )
        for replica, last in zip(due, answers, strict=True):
            if self.shards.get(replica.shard) is not replica:
                continue
            if last is None:
                self._begin_anew(replica)
            else:
                self._ask(replica)
