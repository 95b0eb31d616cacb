"""Each node looks whether the hub has its quorum, and closes intake while it has not (docs/guide-quorum.md)."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from hubq.core.quorum import Roll
from hubq.node.children.lives import Lives
from hubq.node.held.register import Register
from hubq.node.membership.resuming import Resuming
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.gate import Gate
from hubq.node.runtime.group import Group
from hubq.node.runtime.hook_runner import HookRunner
from hubq.store.membership import read_nodes
from hubq.store.quorum import forget_quorum, read_epoch, read_partitioned, read_roll, roll_of, settle_quorum
from hubq.strategies.partition_tolerance import PartitionTolerance

log = logging.getLogger("hubq.node")

#: How often one look is repeated when others write at the same moment.
TRIES = 5


class Quorums(Protocol):
    """The plan asks it first."""

    async def look(self) -> None:
        """See whether there is a quorum."""

    async def members_changed(self) -> None:
        """There are other members than at the last look at the plan."""


class NoQuorum:
    """A hub that works with any number of nodes."""

    def __init__(self, group: Group) -> None:
        self._group = group

    async def look(self) -> None:
        """Nothing to see."""

    async def members_changed(self) -> None:
        """Delete the record of a quorum, if nodes that kept one have left it."""
        await self._group.redis.run(forget_quorum(self._group.keys))


class Quorum:
    """Asks the strategy, writes its decision down for all nodes, and acts on it. The gate is closed until the first look."""

    def __init__(
        self, group: Group, gate: Gate, hooks: HookRunner, plan_due: Bell, register: Register, lives: Lives,
        resuming: Resuming, strategy: PartitionTolerance,
    ) -> None:  # fmt: skip
        self._group = group
        self._gate = gate
        self._hooks = hooks
        self._plan_due = plan_due
        self._register = register
        self._lives = lives
        self._resuming = resuming
        self._strategy = strategy

    async def members_changed(self) -> None:
        """The next look sees to it."""

    async def look(self) -> None:
        """See whether there is a quorum, and close or open intake."""
        group, keys = self._group, self._group.keys
        for _ in range(TRIES):
            epoch, nodes, before, said = await group.redis.run_many(
                [read_epoch(keys), read_nodes(keys), read_roll(keys), read_partitioned(keys)]
            )
            members = [f"{name} {info.incarnation}" for name, info in nodes.items() if info.up]
            roll = roll_of(before)
            was = [f"{name} {number}" for name, info in nodes.items() if info.up for number in info.was.split()]
            after, why = self._decided(roll, members, was)
            if not members:
                return  # all nodes are leaving: the record stays, and the next node decides
            if after == roll and why == said:
                self._do(why)
                return
            event: dict[str, object] = {}
            if bool(after.partitioned_since) != bool(roll.partitioned_since):
                kind = "quorum_lost" if after.partitioned_since else "quorum_regained"
                event = {"type": kind, "node": group.node_name, "nodes": len(members), "why": why}
            after = replace(after, changes=roll.changes + 1)
            command = settle_quorum(keys, epoch, before, after, why, event, group.config.events_kept)
            if await group.redis.run(command):
                self._do(why)
                return
        self._plan_due.ring()

    def _decided(self, roll: Roll, members: list[str], was: list[str]) -> tuple[Roll, str]:
        now = int(self._group.standing.redis_now_ms())
        after = roll.called(members, now, int(self._strategy.threshold_time * 1000), was)
        size = after.size()
        if roll.partitioned_since:
            since = 0 if self._strategy.toggle_unlock(size) else roll.partitioned_since
        else:
            since = now if self._strategy.toggle_lock(size) else 0
        why = ""
        if since:
            moment = datetime.fromtimestamp(since / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            name = type(self._strategy).__name__
            why = f"since {moment}: {size.now} live nodes, the quorum is {self._strategy.quorum(size)} ({name})"
        return replace(after, partitioned_since=since), why

    def _do(self, why: str) -> None:
        closed = bool(why)
        if closed == self._gate.closed:
            return
        shards = self._register.shards()
        if closed:
            log.error("node %s%s closes intake: no quorum %s", self._group.node_name, self._group.standing.place, why)
            self._lives.hold_back()
        else:
            log.info("node %s%s: there is a quorum, intake is open", self._group.node_name, self._group.standing.place)
            self._lives.go_on()
            self._resuming.resume_all()
        for shard in shards:
            self._hooks.intake(shard, not closed, "quorum lost" if closed else "quorum regained")
