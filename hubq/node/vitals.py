"""A node's pulse: whether its loop turns, whether it serves what it should, and its account of itself in Redis."""

from __future__ import annotations

import asyncio
import logging
import platform
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

from hubq.core.lifecycle import Life
from hubq.core.readiness import MOST_COUNTED, NOT_SERVING, why_unready
from hubq.node.children.failed_builds import FailedBuilds
from hubq.node.children.handler import Handler
from hubq.node.commits.committer import SAMPLED, Committer
from hubq.node.held.holding import HostedChild
from hubq.node.held.register import Register
from hubq.node.mailbox.job_forwarder import JobForwarder
from hubq.node.runtime.beat import Beat
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.node.runtime.own_memory import OwnMemory
from hubq.store import history
from hubq.store.command import Command
from hubq.store.dead_letters import count_dead
from hubq.store.dormant import count_dormant
from hubq.store.mailbox import mailbox_length
from hubq.store.seal import trust_of
from hubq.store.tries import TOOK_DOWN
from hubq.store.vitals import EVERY, Busy, Vitals, write_vitals

log = logging.getLogger("hubq.node")

#: How often the node looks at itself, seconds.
BEAT = 0.5
#: Children looked at between two turns of the loop.
COUNTED = 2000
#: Children named as the busiest.
BUSIEST = 5
#: Children named as busy with one message, and how long they must have been, seconds.
BUSY_NAMED, BUSY_AFTER = 10, 3.0


class Ready(Protocol):
    """Tells whether the node serves every shard that it should."""

    @property
    def serves_all(self) -> bool: ...


class Pulse(Loop):
    """Beats while the event loop turns. ``turned_at``, ``vitals`` and ``lives`` may be read from another thread."""

    def __init__(
        self, group: Group, register: Register, handler: Handler, committer: Committer, counters: Counters, ready: Ready,
        failed_builds: FailedBuilds, ready_failures: int, beat: Beat, jobs: JobForwarder,
        memory: OwnMemory,
    ) -> None:  # fmt: skip
        super().__init__("telling how the node is")
        self.lives: Counter[str] = Counter()  # children by where they stand, as of the last census
        self._group = group
        self._register = register
        self._handler = handler
        self._committer = committer
        self._counters = counters
        self._ready = ready
        self._failed_builds = failed_builds
        self._ready_failures = ready_failures
        self._unable: dict[str, str] = {}  # children that came here and are parked -> why, as of the last census
        self._unready = ""  # as of the last beat
        self._told = NOT_SERVING  # what the log knows of its readiness
        self._beat = beat
        self._jobs = jobs
        self._memory = memory
        self._lag = 0.0  # the longest wait since the last account
        self._queued = 0
        self._in_hand: dict[
            str, tuple[bytes, str, float]
        ] = {}  # child -> entry and method in hand; since when that was seen
        self._failed_before = 0  # messages whose handler had raised, as of the last account
        self._dead = 0
        self._dormant = 0
        self._mailboxes: dict[str, int] = {}
        self._sampled_at = group.standing.now()
        self._trust = trust_of(group.config, group.seal)
        self._settings = {n: value for n, value in asdict(group.config).items() if type(value) in (int, float)}
        self._point_due = 0.0
        self._census_due = self._account_due = group.standing.now()
        self.vitals = self._account()

    @property
    def turned_at(self) -> float:
        """When the event loop turned last, monotonic seconds."""
        return self._beat.at

    async def _turn(self) -> None:
        standing = self._group.standing
        asked = standing.now()
        await asyncio.sleep(BEAT)
        now = standing.now()
        self._lag = max(self._lag, now - asked - BEAT)
        if now >= self._census_due:
            await self._census()
            # A census of a million children takes its time: it may take a hundredth of all time.
            self._census_due = standing.now() + max(EVERY, 100 * (standing.now() - now))
        self.vitals = self._account()
        self._tell(self.vitals.unready)
        if now >= self._account_due and standing.incarnation:
            self._account_due = now + EVERY
            await self._publish()

    def why_unready(self) -> str:
        """Why this node is not ready, in one line; empty if it is ready."""
        return why_unready(
            serves_all=self._ready.serves_all,
            failed={**self._unable, **self._failed_builds.lately()},
            tolerated=self._ready_failures,
        )

    def _tell(self, unready: str) -> None:
        """Log that the node is ready, or cannot be. (A reason is told when it is the same for two beats: while the children of
        a hub come, it is another one at each.)
        """
        if unready == self._unready != self._told:
            self._told = unready
            name = f"{self._group.node_name}{self._group.standing.place}"
            if not unready:
                log.info("node %s is ready", name)
            elif unready != NOT_SERVING:
                log.error("node %s is not ready: %s", name, unready)
        self._unready = unready

    async def _census(self) -> None:
        lives: Counter[Life] = Counter()
        queued = 0
        unable: dict[str, str] = {}
        in_hand: dict[str, tuple[bytes, str, float]] = {}
        for number, hosted in enumerate(list(self._register.children())):
            lives[hosted.life] += 1
            queued += len(hosted.queue) if hosted.queue else 0
            if hosted.in_hand is not None:
                message = hosted.in_hand.message
                before = self._in_hand.get(hosted.child_id)
                since = before[2] if before is not None and before[0] == message.entry else self._group.standing.now()
                in_hand[hosted.child_id] = (message.entry, message.method, since)
            if hosted.life is Life.PARKED and len(unable) < MOST_COUNTED and came_unable(hosted):
                unable[hosted.child_id] = hosted.reason
            if number % COUNTED == COUNTED - 1:
                await asyncio.sleep(0)
        self.lives = Counter({life.value: number for life, number in lives.items()})
        self._queued, self._unable, self._in_hand = queued, unable, in_hand

    async def _publish(self) -> None:
        group = self._group
        shards = sorted(self._register.shards())
        counts = await group.redis.run_many(
            [
                *(mailbox_length(group.keys, shard) for shard in shards),
                *(count_dead(group.keys, shard) for shard in shards),
                *(count_dormant(group.keys, shard) for shard in shards),
                write_vitals(group.keys, group.node_name, self.vitals),
                *self._point_if_due(),
            ]
        )
        here = len(shards)
        lengths, self._dead = counts[:here], sum(counts[here : 2 * here])
        self._dormant = sum(counts[2 * here : 3 * here])
        self._mailboxes = {str(shard): length for shard, length in zip(shards, lengths, strict=True) if length}
        self._lag = 0.0
        self._failed_before = self._handler.raised
        self._sampled_at = group.standing.now()
        self._counters.sampled.clear()

    def _point_if_due(self) -> Sequence[Command[Any]]:
        now, told = self._group.standing.now(), self.vitals
        if now < self._point_due:
            return ()
        self._point_due = now + history.EVERY
        point = history.Point(
            told.incarnation, told.handled, told.failed, told.commits, told.cpu, told.memory, told.children,
            sum(told.mailboxes.values()), told.lag,
        )  # fmt: skip
        return [history.write_point(self._group.keys, self._group.node_name, point)]

    def _account(self) -> Vitals:
        standing, counters = self._group.standing, self._counters
        holdings, unready = self._register.all(), self.why_unready()
        since = max(standing.now() - self._sampled_at, BEAT)
        return Vitals(
            incarnation=standing.incarnation,
            at=round(time.time(), 3),
            ready=not unready,
            unready=unready,
            children=sum(len(holding.children) for holding in holdings),
            parked=self.lives[Life.PARKED.value],
            shards=sum(holding.pinned is None for holding in holdings),
            pins=sum(holding.pinned is not None for holding in holdings),
            moving=[holding.shard for holding in holdings if holding.in_motion],
            queued=self._queued,
            handled=self._handler.handled,
            failed=counters.failures.total(),
            commits=self._committer.commits,
            moved_in=counters.moved_in,
            moved_out=counters.moved_out,
            taken_over=counters.taken_over,
            dead=self._dead,
            dormant=self._dormant,
            memory=self._memory.used(),
            cpu=round(time.process_time(), 2),
            lag=round(self._lag, 4),
            lease_left=round(max(0.0, standing.lease.left(standing.now())), 3),
            clock=round(time.time() - standing.redis_now_ms() / 1000, 3),
            python=platform.python_version(),
            mailboxes=self._mailboxes,
            busiest={
                child: round(count * SAMPLED / since, 1) for child, count in counters.sampled.most_common(BUSIEST)
            },
            settings=self._settings,
            trust=self._trust,
            busy=self._busy(),
            jobs_waiting=self._jobs.waiting,
            jobs_refused=self._jobs.reason,
            failing=round((self._handler.raised - self._failed_before) / max(since, EVERY), 1),
        )

    def _busy(self) -> dict[str, Busy]:
        now = self._group.standing.now()
        long = {
            child: Busy(method, round(now - since, 1))
            for child, (_, method, since) in self._in_hand.items()
            if now - since >= BUSY_AFTER
        }
        return dict(sorted(long.items(), key=lambda each: -each[1].seconds)[:BUSY_NAMED])


def came_unable(hosted: HostedChild) -> bool:
    """Whether a parked child could not begin here: this version cannot run it. (One whose start took nodes down is poison;
    one whose ``run()`` was started again has run here.)
    """
    return hosted.budget is None and not hosted.reason.startswith(TOOK_DOWN)
