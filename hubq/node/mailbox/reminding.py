"""Fires reminders: when one is due, a script moves it into the mailbox of its shard (docs/guide-reminders.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TypeVar

from hubq.core.malformed import Malformed
from hubq.errors import RedisRefused
from hubq.node.held.due_times import DueTimes
from hubq.node.held.register import Register
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.node.runtime.malformed import MalformedReports
from hubq.store.command import Command
from hubq.store.reminders import fire_reminders, read_next_due

log = logging.getLogger("hubq.node")

T = TypeVar("T")

#: Shards that are fired in one request, and reminders: what else Redis is asked, and the messages that are handled, do not wait long
#: behind them.
SHARDS_AT_ONCE, REMINDERS_AT_ONCE = 16, 128
#: Between two requests Redis and the event loop are left to others for as long as the last one took, at most so long, seconds.
LONGEST_PAUSE = 0.01
#: How soon it is tried again if Redis did not answer, or the shard is under a new token, ms.
AGAIN_MS = 200.0
#: How soon a shard is tried again of which Redis refuses to read the reminders, ms.
REFUSED_AGAIN_MS = 10_000.0
#: The longest sleep, seconds: the clocks of node and Redis drift.
LONGEST_SLEEP = 60.0


class Reminding(Loop):
    """One loop for all shards of the node. It sleeps until the next reminder is due. When it stops, the next owner of each shard
    fires.
    """

    def __init__(self, group: Group, register: Register, times: DueTimes, reports: MalformedReports) -> None:
        super().__init__("firing reminders", away=AGAIN_MS / 1000, failed=AGAIN_MS / 1000)
        self.fired = 0
        self._group = group
        self._register = register
        self._times = times
        self._reports = reports

    async def _turn(self) -> None:
        await self._times.changed(self._pause())
        await self._ask()
        await self._fire()

    def _pause(self) -> float | None:
        next_ms = self._times.next_ms()
        if next_ms is None:
            return None
        # (A node that is a little early asks once more.)
        return min(max(0.001, (next_ms - self._group.standing.redis_now_ms()) / 1000), LONGEST_SLEEP)

    async def _ask(self) -> None:
        group = self._group
        shards = [shard for shard in self._times.take_unknown() if self._register.get(shard) is not None]
        if shards:
            found = await self._answers(shards, [read_next_due(group.keys, shard) for shard in shards])
            for shard, due_ms in found.items():
                self._times.answered(shard, due_ms)

    async def _fire(self) -> None:
        group = self._group
        while due := self._times.due(group.standing.redis_now_ms())[:SHARDS_AT_ONCE]:
            if not group.standing.trusted():
                await asyncio.sleep(AGAIN_MS / 1000)
                return
            here = {shard: holding for shard in due if (holding := self._register.get(shard)) is not None}
            for shard in due:
                if shard not in here:
                    self._times.forget(shard)
            backlog = group.config.max_backlog
            most, began = REMINDERS_AT_ONCE // max(1, len(here)), group.standing.now()
            commands = [fire_reminders(group.keys, n, holding.owner, backlog, most) for n, holding in here.items()]
            answers = await self._answers(list(here), commands) if here else {}
            now_ms = group.standing.redis_now_ms()
            for shard, firing in answers.items():
                if firing is None:  # another node has it, or it is under a new token that is on its way
                    self._times.answered(shard, now_ms + AGAIN_MS)
                    continue
                self.fired += firing.fired
                for malformed in firing.malformed:
                    self._reports.report(malformed)
                # By this node's clock: it may be ahead of that of Redis.
                ahead = now_ms - firing.now_ms if firing.fired < most else 0.0
                self._times.answered(shard, firing.next_ms + max(0.0, min(ahead, 1.0)))
            await asyncio.sleep(min(group.standing.now() - began, LONGEST_PAUSE))

    async def _answers(self, shards: Sequence[int], commands: Sequence[Command[T]]) -> dict[int, T]:
        """What Redis says of each shard. If one of them has a key that somebody else has spoilt, the others go on."""
        for shard in shards:
            self._times.asked(shard)
        try:
            return dict(zip(shards, await self._group.redis.run_many(commands), strict=True))
        except RedisRefused:
            return await self._one_by_one(shards, commands)
        except BaseException:
            for shard in shards:
                self._times.arrived(shard)  # ask again
            raise

    async def _one_by_one(self, shards: Sequence[int], commands: Sequence[Command[T]]) -> dict[int, T]:
        found: dict[int, T] = {}
        for shard, command in zip(shards, commands, strict=True):
            try:
                found[shard] = await self._group.redis.run(command)
            except RedisRefused as error:
                self._reports.report(Malformed(f"the reminders of shard {shard}", str(error)))
                self._times.answered(shard, self._group.standing.redis_now_ms() + REFUSED_AGAIN_MS)
            except BaseException:
                self._times.arrived(shard)
                raise
        return found
