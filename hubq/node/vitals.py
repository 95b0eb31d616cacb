"""A node's pulse: whether its loop turns, whether it serves what it should, and its account of itself in Redis."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hubq.core.lifecycle import Life
from hubq.errors import RedisUnavailable
from hubq.node.committer import SAMPLED
from hubq.node.tasks import end_tasks
from hubq.store.connection import LOST
from hubq.store.dead_letters import count_dead
from hubq.store.mailbox import mailbox_length
from hubq.store.vitals import EVERY, Vitals, write_vitals

if TYPE_CHECKING:
    from hubq.node.parts import Parts

log = logging.getLogger("hubq.node")

#: How often the loop's turning is noted, seconds.
BEAT = 0.5
#: Children looked at between two turns of the loop.
COUNTED = 2000
#: Children named as the busiest.
BUSIEST = 5


class Pulse:
    """Beats while the event loop turns. ``turned_at``, ``vitals`` and ``lives`` may be read from another thread."""

    def __init__(self, parts: Parts, ready: Callable[[], bool]) -> None:
        self.lives: Counter[str] = Counter()  # children by where they stand, as of the last census
        self._parts = parts
        self._ready = ready
        self._lag = 0.0  # the longest wait since the last account
        self._queued = 0
        self._dead = 0
        self._mailboxes: dict[str, int] = {}
        self._sampled_at = parts.now()
        self._settings = {n: value for n, value in asdict(parts.config).items() if isinstance(value, int | float)}
        self._task: asyncio.Task[None] | None = None
        self.turned_at = time.monotonic()
        self.vitals = self._account()

    def start(self) -> None:
        """Begin to beat."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Beat no more."""
        await end_tasks([self._task])
        self._task = None

    async def _work(self) -> None:
        parts = self._parts
        census_due = account_due = parts.now()
        while True:
            asked = parts.now()
            await asyncio.sleep(BEAT)
            now = parts.now()
            self.turned_at = time.monotonic()
            self._lag = max(self._lag, now - asked - BEAT)
            if now >= census_due:
                await self._census()
                # Of a million children a census takes its time: spend a hundredth of it all on them.
                census_due = parts.now() + max(EVERY, 100 * (parts.now() - now))
            self.vitals = self._account()
            if now >= account_due and parts.incarnation:
                account_due = now + EVERY
                try:
                    await self._publish()
                except (*LOST, RedisUnavailable) as error:
                    log.debug("no account of the node: %s", error)

    async def _census(self) -> None:
        lives: Counter[str] = Counter()
        queued = 0
        for number, cell in enumerate(list(self._parts.supervisor.children())):
            lives[cell.life.value] += 1
            queued += len(cell.queue) if cell.queue else 0
            if number % COUNTED == COUNTED - 1:
                await asyncio.sleep(0)
        self.lives, self._queued = lives, queued

    async def _publish(self) -> None:
        parts = self._parts
        shards = sorted(shard for shard, pinned in parts.supervisor.holdings if pinned is None)
        *counts, _ = await parts.redis.run_many(
            [
                *(mailbox_length(parts.keys, shard) for shard in shards),
                *(count_dead(parts.keys, shard) for shard in shards),
                write_vitals(parts.keys, parts.node_name, self.vitals),
            ]
        )
        lengths, self._dead = counts[: len(shards)], sum(counts[len(shards) :])
        self._mailboxes = {str(shard): length for shard, length in zip(shards, lengths, strict=True) if length}
        self._lag = 0.0
        self._sampled_at = parts.now()
        parts.counters.sampled.clear()

    def _account(self) -> Vitals:
        parts, counters = self._parts, self._parts.counters
        holdings = list(parts.supervisor.holdings.values())
        since = max(parts.now() - self._sampled_at, BEAT)
        return Vitals(
            incarnation=parts.incarnation,
            at=round(time.time(), 3),
            ready=self._ready(),
            children=sum(len(holding.cells) for holding in holdings),
            parked=self.lives[Life.PARKED.value],
            shards=sum(holding.pinned is None for holding in holdings),
            pins=sum(holding.pinned is not None for holding in holdings),
            moving=[holding.shard for holding in holdings if holding.moving],
            queued=self._queued,
            handled=parts.dispatcher.handled,
            failed=parts.dispatcher.failed,
            commits=parts.committer.commits,
            moved_in=counters.moved_in,
            moved_out=counters.moved_out,
            taken_over=counters.taken_over,
            dead=self._dead,
            memory=memory_used(),
            cpu=round(time.process_time(), 2),
            lag=round(self._lag, 4),
            lease_left=round(max(0.0, parts.lease.left(parts.now())), 3),
            clock=round(time.time() - parts.redis_now_ms() / 1000, 3),
            python=platform.python_version(),
            mailboxes=self._mailboxes,
            busiest={
                child: round(count * SAMPLED / since, 1) for child, count in counters.sampled.most_common(BUSIEST)
            },
            settings=self._settings,
        )


def memory_used() -> int:
    """Resident memory of this process, bytes (where /proc does not tell: the most it ever was)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
