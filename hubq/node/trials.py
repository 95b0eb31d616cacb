"""After crashes: marks what is begun, and tries what may have caused them alone, so that the next crash names it.

docs/poison.md has the whole of it. Nothing here runs for a shard that was not taken over after a crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from hubq.core.lifecycle import Life
from hubq.errors import RedisUnavailable
from hubq.node.holding import Cell, Holding
from hubq.node.state import overrides
from hubq.store.connection import LOST
from hubq.store.envelope import Envelope
from hubq.store.mailbox import Message
from hubq.store.tries import MOST_TRIES, Mark, Watch, absolve_node, end_watch, mark_tries, message_field, start_field

if TYPE_CHECKING:
    from hubq.node.parts import Parts

log = logging.getLogger("hubq.node")

#: A crash sooner than this after the children of a shard have started may have been caused by their start, seconds.
STARTS_SETTLE = 2.0
#: A ``run()`` that is tried alone has this long to take the node down, and all of a node together RUNS_LONGEST, seconds.
RUN_TRIAL, RUNS_LONGEST = 1.0, 5.0
#: How often a node looks whether the messages of a watched shard are done, seconds.
WATCH_EVERY = 1.0


class Trials:
    """The watched shards of a node. At most one suspect (a message, or the start of a child) is on trial at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._alone = asyncio.Lock()
        self._waiting: list[tuple[Callable[[], Holding], dict[str, str], asyncio.Future[str]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._runs = 0  # children with a run() that wait for their trial

    @property
    def _me(self) -> str:
        return f"{self._parts.node_name}#{self._parts.incarnation}"

    # -- messages --------------------------------------------------------------------------------------------------

    async def handle(self, cell: Cell, message: Message, run: Callable[[Cell, Message], Awaitable[None]]) -> None:
        """Handle a message of a watched shard: marked, and alone if it was in hand at two crashes."""
        holding = cell.holding
        watch = holding.watch
        if watch is None or not watch.covers(message.entry):
            await run(cell, message)
            return
        name, entry = message_field(cell.child_id), message.entry.decode()
        known = watch.marks.get(name)
        if known is None or known.entry != entry:
            # It was there at the last crash: that is one, whether it was in hand or not.
            known = Mark(entry, 1, "-", watch.crashes[-1:])
        mine = Mark(entry, known.count, self._me, known.crashes)
        suspect = known.count >= MOST_TRIES - 1
        async with AsyncExitStack() as alone:
            try:
                if suspect:
                    await alone.enter_async_context(self._alone)
                    log.warning(
                        "child %s: %s (entry %s) was in hand when %s died: it is tried alone", cell.child_id,
                        message.method, entry, " and ".join(known.crashes),
                    )  # fmt: skip
                if not await self._mark(lambda: cell.holding, {name: mine.written}):
                    raise asyncio.CancelledError("the shard has another owner")
            except asyncio.CancelledError:
                self._parts.dispatcher.unbegun(cell, message)
                raise
            await run(cell, message)
            if suspect:
                # Done, and the node lives. Its commit may be lost still, by a crash that is not its fault.
                watch.marks.pop(name, None)
                await self._mark(lambda: cell.holding, {name: ""})

    # -- the start of children -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def building(self, holding: Holding, child: str) -> AsyncIterator[None]:
        """Around ``__init__`` of a child: marked and alone if the last nodes did not get through the starts."""
        watch = holding.watch
        if watch is None or not watch.careful:
            yield
            return
        async with self._alone:
            if not await self._start_mark(lambda: holding, child, watch):
                raise asyncio.CancelledError("the shard has another owner")
            try:
                yield
            finally:  # it raised, perhaps, but the node lives
                await self._start_done(lambda: holding, child)

    async def begin(self, holding: Holding, waiting: Sequence[tuple[Cell, Envelope | None]]) -> None:
        """Give children their state and start them, one at a time, each marked; a ``run()`` gets a while of its own."""
        watch = holding.watch
        assert watch is not None
        running = sum(hasattr(cell.kind, "run") for cell, _ in waiting)
        self._runs += running
        try:
            for cell, envelope in waiting:
                async with self._alone:
                    if await self._waits_here(cell):
                        await self._begin(cell, envelope, watch)
        finally:
            self._runs -= running

    async def _begin(self, cell: Cell, envelope: Envelope | None, watch: Watch) -> None:
        has_run = hasattr(cell.kind, "run")
        quiet = not has_run and not overrides(cell.kind, "on_start") and envelope is None
        if not quiet:
            if not await self._start_mark(lambda: cell.holding, cell.child_id, watch):
                return
            if not await self._waits_here(cell):  # the mark took its time: it may be elsewhere by now, or have ended
                await self._start_done(lambda: cell.holding, cell.child_id)
                return
        self._parts.supervisor.begin(cell, envelope)
        await self._parts.supervisor.saver.started(cell)
        if cell.run_task is not None:
            await asyncio.wait([cell.run_task], timeout=min(RUN_TRIAL, RUNS_LONGEST / max(1, self._runs)))
        if not quiet:
            await self._start_done(lambda: cell.holding, cell.child_id)

    async def _waits_here(self, cell: Cell) -> bool:
        """Whether a child is still to be started on this node: not while it is on its way to another."""
        while _is_on_its_way(cell):  # noqa: ASYNC110  (rare, and short)
            await asyncio.sleep(0.05)
        return cell.life is Life.BUILT and not cell.holding.lost

    async def _start_mark(self, holding: Callable[[], Holding], child: str, watch: Watch) -> bool:
        mark = Mark("-", MOST_TRIES - 1, self._me, watch.crashes[-2:])
        return await self._mark(holding, {start_field(child): mark.written})

    async def _start_done(self, holding: Callable[[], Holding], child: str) -> None:
        await self._mark(holding, {start_field(child): ""})

    # -- the watch -------------------------------------------------------------------------------------------------

    async def watch(self, holding: Holding, waiting: Sequence[tuple[Cell, Envelope | None]] = ()) -> None:
        """See the children of a watched shard through their start, then its messages through their handling."""
        parts = self._parts
        if waiting:
            await self.begin(holding, waiting)
        pause = STARTS_SETTLE
        while not holding.lost:
            await asyncio.sleep(pause)
            pause = WATCH_EVERY
            if holding.frozen or holding.lost:
                continue
            try:
                word = await parts.redis.run(end_watch(parts.keys, holding.shard, holding.owner))
            except (*LOST, RedisUnavailable):
                continue
            if word != "watching":
                if word == "over":
                    holding.watch = None
                return

    async def absolve(self, shards: Sequence[int], incarnation: int) -> None:
        """This node was only cut off: what it had in hand then took nobody down."""
        parts = self._parts
        if shards and incarnation:
            command = absolve_node(parts.keys, shards, parts.node_name, incarnation)
            taken = await parts.redis.run(command, retry_for=parts.config.lease)
            if taken:
                log.info("node %s was cut off, not dead: %d counts taken back", parts.node_name, taken)

    # -- marks -----------------------------------------------------------------------------------------------------

    async def _mark(self, holding: Callable[[], Holding], marks: dict[str, str]) -> bool:
        """Write marks; those of the same moment share a round trip. False: the holding is no longer ours.

        ``holding`` says whose they are when they are written: a child may have been pinned since they were asked for.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[str] = loop.create_future()
        self._waiting.append((holding, marks, written))
        if self._writer is None or self._writer.done():
            self._writer = self._parts.supervisor.background(self._write(), "marking messages")
        return await written == "ok"

    async def _write(self) -> None:
        parts = self._parts
        while self._waiting:
            batch, self._waiting = self._waiting, []
            under = [holding() for holding, _, _ in batch]
            commands = [
                mark_tries(parts.keys, holding.shard, holding.pinned, holding.owner, marks)
                for holding, (_, marks, _) in zip(under, batch, strict=True)
            ]
            try:
                words = await parts.redis.run_many(commands, retry_for=1.0)
            except RedisUnavailable:
                words = ["unknown"] * len(batch)
            left = []
            for (holding, marks, written), word in zip(batch, words, strict=True):
                if written.done():
                    continue
                if word == "ok" or holding().lost or parts.lease_over():
                    written.set_result(word)
                else:
                    # Our own token may be a new one by now (hubq.node.committer), or be on its way to a pin of ours. If
                    # it is somebody else's, the next commit or the next look at the plan says so.
                    left.append((holding, marks, written))
            if left:
                self._waiting = left + self._waiting
                await asyncio.sleep(0.02)


def _is_on_its_way(cell: Cell) -> bool:
    holding = cell.holding
    return cell.life is Life.BUILT and not holding.lost and (holding.moving or holding.frozen)
