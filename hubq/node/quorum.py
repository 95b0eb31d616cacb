"""A node of a hub with a quorum: looks whether there is one, closes intake while there is none (docs/guide-quorum.md)."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hubq.core.quorum import Roll
from hubq.store.membership import read_nodes
from hubq.store.quorum import read_epoch, read_partitioned, read_roll, roll_of, settle_quorum

if TYPE_CHECKING:
    from hubq.node.parts import Parts
    from hubq.strategies.partition_tolerance import PartitionTolerance

log = logging.getLogger("hubq.node")

#: How often one look is repeated when others write at the same moment.
TRIES = 5


class Quorum:
    """What the strategy says, written down once for all, and done here. ``closed`` until the first look."""

    def __init__(self, parts: Parts, strategy: PartitionTolerance) -> None:
        self.closed = True
        self._parts = parts
        self._strategy = strategy
        parts.supervisor.runs.hold_back()

    async def look(self) -> None:
        """See whether there is a quorum, and close or open intake."""
        parts, keys = self._parts, self._parts.keys
        for _ in range(TRIES):
            epoch, nodes, before, said = await parts.redis.run_many(
                [read_epoch(keys), read_nodes(keys), read_roll(keys), read_partitioned(keys)]
            )
            members = [f"{name} {info.incarnation}" for name, info in nodes.items() if info.up]
            roll = roll_of(before)
            was = [f"{name} {number}" for name, info in nodes.items() if info.up for number in info.was.split()]
            after, why = self._decided(roll, members, was)
            if not members:
                return  # everybody is leaving: what there is stays as it is, for the next to decide
            if after == roll and why == said:
                self._do(why)
                return
            event: dict[str, object] = {}
            if bool(after.partitioned_since) != bool(roll.partitioned_since):
                kind = "quorum_lost" if after.partitioned_since else "quorum_regained"
                event = {"type": kind, "node": parts.node_name, "nodes": len(members), "why": why}
            after = replace(after, changes=roll.changes + 1)
            command = settle_quorum(keys, epoch, before, after, why, event, parts.config.events_kept)
            if await parts.redis.run(command):
                self._do(why)
                return
        parts.kick()

    def _decided(self, roll: Roll, members: list[str], was: list[str]) -> tuple[Roll, str]:
        now = int(self._parts.redis_now_ms())
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
        closed, was = bool(why), self.closed
        if closed == was:
            return
        self.closed = closed
        parts, supervisor = self._parts, self._parts.supervisor
        shards = [shard for shard, pinned in supervisor.holdings if pinned is None]
        if closed:
            log.error("node %s closes intake: no quorum %s", parts.node_name, why)
            supervisor.runs.hold_back()
        else:
            log.info("node %s: there is a quorum, intake is open", parts.node_name)
            supervisor.runs.go_on()
            parts.resume_all()
            parts.committer.changed()
        for shard in shards:
            parts.hooks.intake(shard, not closed, "quorum lost" if closed else "quorum regained")
