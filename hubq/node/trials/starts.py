"""Starts of children after which nodes died: one at a time, each marked, so that the next crash names it.

docs/poison.md has the whole of it. Nothing here runs for a shard that was not taken over after a crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from hubq.core.lifecycle import Life
from hubq.errors import RedisUnavailable
from hubq.node.children.lives import Lives
from hubq.node.held.changing import first_of
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.state import overrides
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.node.trials.marks import Marks, Whose
from hubq.store.connection import LOST
from hubq.store.envelope import Envelope
from hubq.store.tries import MOST_TRIES, Mark, Suspect, Watch, absolve_node, end_watch, start_field

log = logging.getLogger("hubq.node")

#: A crash sooner than this after the children of a shard have started may have been caused by their start, seconds.
STARTS_SETTLE = 2.0
#: A ``run()`` that is tried alone has this long to take the node down, and all of a node together RUNS_LONGEST, seconds.
RUN_TRIAL, RUNS_LONGEST = 1.0, 5.0
#: A start that is tried alone keeps the others waiting for so long at most, seconds. Its mark stays until it has started.
START_TRIAL = 5.0
#: How often a node looks whether the messages of a watched shard are done, seconds.
WATCH_EVERY = 1.0

#: Children that wait for the trial of their start, and the state that each begins with.
Waiting = Sequence[tuple[HostedChild, Envelope | None]]


class StartTrials:
    """The watched shards of a node, and their children's starts."""

    def __init__(self, group: Group, background: Background, marks: Marks, lives: Lives) -> None:
        self._group = group
        self._background = background
        self._marks = marks
        self._lives = lives
        self._runs = 0  # children with a run() that wait for their trial

    @asynccontextmanager
    async def building(self, holding: Holding, child: str) -> AsyncIterator[None]:
        """Around ``__init__`` of a child: marked and alone if the last nodes did not get through the starts."""
        watch = holding.watch
        if watch is None or not watch.careful:
            yield
            return
        async with self._marks.alone:
            if not await self._mark(holding, child, watch):
                raise asyncio.CancelledError("the shard has another owner")
            try:
                yield
            finally:  # even if it has raised: the node lives
                await self._done(holding, child)

    async def begin(self, holding: Holding, waiting: Waiting) -> None:
        """Give children their state and start them, one at a time, each marked; a ``run()`` gets a while of its own."""
        watch = holding.watch
        assert watch is not None
        running = sum(hasattr(hosted.kind, "run") for hosted, _ in waiting)
        self._runs += running
        try:
            for hosted, envelope in waiting:
                async with self._marks.alone:
                    if await _waits_here(hosted):
                        await self._begin(hosted, envelope, watch)
        finally:
            self._runs -= running

    async def _begin(self, hosted: HostedChild, envelope: Envelope | None, watch: Watch) -> None:
        has_run = hasattr(hosted.kind, "run")
        quiet = not has_run and not overrides(hosted.kind, "on_start") and envelope is None
        if not quiet:
            if not await self._mark(hosted, hosted.child_id, watch):
                return
            if not await _waits_here(hosted):  # while the mark was written it may have moved, or ended
                await self._done(hosted, hosted.child_id)
                return
        self._lives.begin(hosted, envelope)
        try:
            async with asyncio.timeout(START_TRIAL):
                await hosted.has_started()
        except TimeoutError:
            log.warning(
                "child %s has not started within %g s: the others of its shard go on", hosted.child_id, START_TRIAL
            )
            if not quiet:
                self._background.run(self._late(hosted), f"the late start of child {hosted.child_id}")
            return
        if hosted.run_task is not None:
            await asyncio.wait([hosted.run_task], timeout=min(RUN_TRIAL, RUNS_LONGEST / max(1, self._runs)))
        if not quiet:
            await self._done(hosted, hosted.child_id)

    async def _late(self, hosted: HostedChild) -> None:
        await hosted.has_started()
        await self._done(hosted, hosted.child_id)

    async def _mark(self, whose: Whose, child: str, watch: Watch) -> bool:
        crashes = watch.crashes[1 - MOST_TRIES :]  # (of those that made it careful one may have been taken back since)
        mark = Mark("-", len(crashes), self._marks.me, crashes)
        known = watch.marks.get(start_field(child))
        if known is not None and known.count > mark.count:
            mark = Mark("-", known.count, self._marks.me, known.crashes)
        return await self._marks.write(whose, {start_field(child): mark.written})

    async def _done(self, whose: Whose, child: str) -> None:
        await self._marks.take_back(whose, start_field(child))

    # -- the watch -------------------------------------------------------------------------------------------------

    def watch(self, holding: Holding, waiting: Waiting = ()) -> asyncio.Task[Any]:
        """See the children of a watched shard through their start, then its messages through their handling; in the
        background. ``waiting``: those that have still to begin.
        """
        return self._background.run(self._watch(holding, waiting), f"watching shard {holding.shard}")

    async def _watch(self, holding: Holding, waiting: Waiting) -> None:
        group = self._group
        if waiting:
            await self.begin(holding, waiting)
        pause = STARTS_SETTLE
        while not holding.gone:
            await asyncio.sleep(pause)
            pause = WATCH_EVERY
            if holding.frozen or holding.gone:
                continue
            try:
                word = await group.redis.run(end_watch(group.keys, holding.shard, holding.owner))
            except (*LOST, RedisUnavailable):
                continue
            if word == "over":
                holding.watched(None)
                return
            # "fenced" may be our own doing: a commit without an answer has renewed the token meanwhile. If it is another
            # node's, the holding goes with its next commit.

    async def absolve(self, shards: Sequence[int], incarnation: int, spared: Suspect | None = None) -> None:
        """This node had not died, it was only cut off: nothing that it had in hand has taken it down, but for what
        ``spared`` names.
        """
        group = self._group
        if shards and incarnation:
            # One script for each shard: each looks through all dead letters of its shard.
            commands = [absolve_node(group.keys, [shard], group.node_name, incarnation, spared) for shard in shards]
            taken = sum(await group.redis.run_many(commands, retry_for=group.config.lease))
            if taken:
                log.info(
                    "node %s had not died, it was only cut off: its crash is not counted any more (marks and letters: %d)",
                    group.node_name,
                    taken,
                )


async def _waits_here(hosted: HostedChild) -> bool:
    """Whether a child is still to be started on this node. While it is being moved, wait for the end of the move."""
    while hosted.life is Life.BUILT and not hosted.holding.gone and _moves(hosted.holding):
        await first_of(hosted.changed(), hosted.holding.changed())
    return hosted.life is Life.BUILT and not hosted.holding.gone


def _moves(holding: Holding) -> bool:
    return holding.in_motion or holding.frozen
