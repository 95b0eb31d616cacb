"""Reads the logs of the followed shards, and says how far it is."""

from __future__ import annotations

import logging

from hubq.node.copies.followed import Followed
from hubq.node.copies.log_applier import LogApplier
from hubq.node.copies.replica import Replica
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.store.replica_log import read_logs, report_replica

log = logging.getLogger("hubq.node")

#: Longest blocking read of the logs, seconds.
BLOCK = 0.5
#: Log entries taken in one read.
COUNT = 500


class LogReader(Loop):
    """The loop of a follower. It reads beside the mailboxes, on the connection for blocking reads."""

    def __init__(self, group: Group, followed: Followed, applier: LogApplier, plan_due: Bell) -> None:
        super().__init__("following", away=0.1, failed=0.5)
        self._group = group
        self._followed = followed
        self._applier = applier
        self._plan_due = plan_due
        self._woken = "$"  # the last control message that has ended a read

    async def _turn(self) -> None:
        await self._read()
        await self._report()

    async def _read(self) -> None:
        """Take in what there is, or what comes within a while."""
        group, config = self._group, self._group.config
        following = {
            replica.shard: replica
            for replica in self._followed.all()
            if replica.reading and replica.has_room(config.queue_limit, config.queue_bytes)
        }
        positions = {shard: replica.position.entry for shard, replica in following.items()}
        command = read_logs(
            group.keys, positions, COUNT, int(BLOCK * 1000), group.keys.control(group.node_name), self._woken
        )  # fmt: skip
        found, woken = await group.reading.run(command)
        self._woken = "0" if woken == "$" else woken
        for shard, entries in found.items():
            replica = following[shard]
            async with replica.lock:
                if self._followed.has(replica) and not await self._applier.take_in(replica, entries):
                    self._begin_anew(replica)

    def _begin_anew(self, replica: Replica) -> None:
        follower = self._group.node_name
        log.warning(
            "shard %d: its follower %s has missed an entry of its log, and begins anew", replica.shard, follower
        )
        self._followed.drop(replica.shard)
        self._plan_due.ring()

    async def _report(self) -> None:
        group, standing = self._group, self._group.standing
        now = standing.now()
        due = [replica for replica in self._followed.all() if replica.reading and replica.report_is_due(now)]
        if not due or not standing.incarnation:
            return
        for replica in due:
            replica.reports(now)
        incarnation, ttl_ms = standing.incarnation, self._followed.ttl_ms
        commands = [
            report_replica(group.keys, r.shard, group.node_name, incarnation, ttl_ms, r.position, r.ready) for r in due
        ]
        answers = await group.redis.run_many(commands)
        for replica, last in zip(due, answers, strict=True):
            if not self._followed.has(replica):
                continue
            if last is None:
                self._begin_anew(replica)
            else:
                self._followed.ask(replica)
