"""Reads mailboxes: one blocking XREAD over all shards of the node. Reading changes nothing in Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from hubq.core.lifecycle import Life
from hubq.errors import RedisUnavailable
from hubq.node.dispatcher import Dispatcher
from hubq.node.holding import Cell, Holding
from hubq.node.tasks import end_tasks
from hubq.store.connection import LOST, AsyncRedis
from hubq.store.keys import Keys
from hubq.store.mailbox import Message, position, read_mailboxes, read_range

log = logging.getLogger("hubq.node")

#: Longest blocking read, seconds (well below the connection's time-out).
BLOCK = 2.0
START = b"0"
#: Messages dispatched before the event loop turns.
BREATH = 200
#: Most messages of one read while few shards are far behind. Whoever stands behind a flood waits until it has been read.
DEEP = 2_000


class Reader:
    """The cursors of a node, and the loop that moves them."""

    def __init__(
        self,
        redis: AsyncRedis,
        keys: Keys,
        node_name: str,
        dispatcher: Dispatcher,
        *,
        count: int,
        queue_limit: int,
        queue_bytes: int,
        start_children: Callable[[Holding, Message], None],
        nobody: Callable[[Holding, Message], None],
        stop_parked: Callable[[Cell, Message], None],
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._wake_stream = keys.control(node_name)
        self._dispatcher = dispatcher
        self._count = count
        self._queue_limit = queue_limit
        self._queue_bytes = queue_bytes
        self._start_children = start_children
        self._nobody = nobody
        self._stop_parked = stop_parked
        self._cursors: dict[int, bytes] = {}
        self._holdings: dict[int, list[Holding]] = {}
        self._turn = 0  # reads begun
        self._fresh: dict[int, int] = {}  # shard -> the first read whose answer counts, see :meth:`fresh`
        self._behind: set[Holding] = set()  # holdings that are not yet at their stream's cursor
        self._catching: dict[Holding, asyncio.Task[None]] = {}
        self._set_back: dict[Holding, set[str]] = {}  # children sent back since the page under way was asked for
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin reading."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Read no more."""
        await end_tasks([*self._catching.values(), self._task])
        self._task = None

    # -- what is read ----------------------------------------------------------------------------------------------

    def add(self, holding: Holding) -> None:
        """Read for a holding from the first message left. The caller wakes the blocking read (a ``Wake`` to itself)."""
        others = self._holdings.setdefault(holding.shard, [])
        others.append(holding)
        self.fresh(holding.shard)
        if holding.shard not in self._cursors:
            self._cursors[holding.shard] = START
        elif holding.pinned is None:
            self._behind.add(holding)
            self._catch_up(holding)

    def remove(self, holding: Holding) -> None:
        """Read for it no more."""
        others = self._holdings.get(holding.shard, [])
        if holding in others:
            others.remove(holding)
        if not others:
            self._holdings.pop(holding.shard, None)
            self._cursors.pop(holding.shard, None)
            self._fresh.pop(holding.shard, None)
        self._behind.discard(holding)
        self._set_back.pop(holding, None)
        task = self._catching.pop(holding, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def fresh(self, shard: int) -> None:
        """A shard, or a child of it, has just become ours: what is being read right now was begun before, and may hold
        messages that the last owner has handled since.
        """
        self._fresh[shard] = self._turn + 1

    def again(self, cell: Cell, after: bytes = START) -> None:
        """Read a child's messages again, from past an entry."""
        self._send_back(cell.holding, cell.child_id, after)

    def orphans(self, holding: Holding, child: str) -> None:
        """A child turned out not to exist: what was left in the mailbox for it goes back to its senders."""
        self._send_back(holding, child, START)

    def _send_back(self, holding: Holding, child: str, after: bytes) -> None:
        holding.behind[child] = after
        # A page that is being read right now may hold messages that have been handled since, here or by another owner.
        self._set_back.setdefault(holding, set()).add(child)
        self._catch_up(holding)

    def position(self, shard: int) -> bytes:
        """The last entry that has been read of a shard."""
        return self._cursors.get(shard, START)

    def catch_up(self, holding: Holding) -> None:
        """Read what children of the holding are behind with."""
        if holding.behind:
            self._catch_up(holding)

    def in_step(self, holding: Holding) -> bool:
        """Whether a holding has reached its stream's cursor."""
        return holding not in self._behind

    def room(self, cell: Cell) -> None:
        """A child's queue has room again."""
        if cell.child_id in cell.holding.behind:
            self._catch_up(cell.holding)

    # -- the loop --------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        count = self._count
        woken = START  # not "$": a shard may be adopted, and its Wake be written, before the first read has begun
        while True:
            try:
                cursors = dict(self._cursors)
                self._turn += 1
                command = read_mailboxes(self._keys, cursors, count, int(BLOCK * 1000), self._wake_stream, woken)
                found, woken = await self._redis.run(command)
                since = 0
                for shard, messages in found.items():
                    # The shard may have gone, or gone and come again, while we waited.
                    if self._turn < self._fresh.get(shard, 0):
                        continue  # read it again
                    if messages and self._cursors.get(shard) == cursors[shard]:
                        self._cursors[shard] = messages[-1].entry
                        for holding in list(self._holdings.get(shard, ())):
                            if holding not in self._behind:
                                for message in messages:
                                    self.dispatch(holding, message)
                    since += len(messages)
                    if since > BREATH:
                        since = 0
                        await asyncio.sleep(0)
                full = [messages for messages in found.values() if len(messages) >= count]
                count = self._next_count(full)
                # What can be done at once is done, and its commit on its way to Redis, before the next read is: an idle
                # call's reply need not wait for it. (The turns of: the check for pumps, the pump, the committer.) But
                # while more is waiting a pump takes its whole time in each of them.
                for _ in range(1 if full else 3):
                    await asyncio.sleep(0)
            except (*LOST, RedisUnavailable) as error:
                log.debug("reading waits: Redis is away (%s)", error)  # the lease keeper says it once
                await asyncio.sleep(0.1)
            except Exception:
                log.exception("reading failed")
                await asyncio.sleep(0.5)

    def _next_count(self, full: list[list[Message]]) -> int:
        """How many messages of each shard to read next, after these shards had more than were read: in all no more than
        ``DEEP``, and no more bytes than one child may have in memory; else as many as ever.
        """
        if not full:
            return self._count
        payloads = [len(message.payload) for messages in full for message in messages]
        mean = max(1, sum(payloads) // len(payloads))
        return max(self._count, min(DEEP, self._queue_bytes // mean) // len(full))

    def dispatch(self, holding: Holding, message: Message) -> None:
        """Bring one message to its child, or leave it in the mailbox for later."""
        child = message.child
        if holding.pinned is not None and child != holding.pinned:
            return
        if message.kind == "start":
            if holding.pinned is None:
                self._start_children(holding, message)
            return
        if child in holding.excluded or child in holding.behind:
            return
        cell = holding.cells.get(child)
        if cell is None:
            if holding.pinned is None:
                self._nobody(holding, message)
            return
        if cell.life is Life.PARKED:
            if message.kind == "stop":
                self._stop_parked(cell, message)
            return
        queue = cell.queue
        if queue and (len(queue) >= self._queue_limit or queue.bytes >= self._queue_bytes):
            holding.behind[child] = queue[-1].entry
            return
        self._dispatcher.offer(cell, message)

    # -- catching up -----------------------------------------------------------------------------------------------

    def _catch_up(self, holding: Holding) -> None:
        task = self._catching.get(holding)
        if task is None or task.done():
            self._catching[holding] = asyncio.get_running_loop().create_task(self._catch(holding))

    async def _catch(self, holding: Holding) -> None:
        while not holding.lost and holding.shard in self._cursors:
            try:
                if holding in self._behind:
                    await self._catch_holding(holding)
                if not await self._catch_children(holding):
                    return
            except (*LOST, RedisUnavailable) as error:
                log.warning("reading waits: Redis is away (%s)", error)
                await asyncio.sleep(0.1)

    def _room(self, holding: Holding, child: str) -> int:
        """How many messages of a child may be queued; less than half while it has more than half of its bytes."""
        cell = holding.cells.get(child)
        queue = cell.queue if cell is not None else None
        if not queue:
            return self._queue_limit
        if queue.bytes >= self._queue_bytes:
            return 0
        room = self._queue_limit - len(queue)
        return min(room, self._queue_limit // 2 - 1) if queue.bytes > self._queue_bytes // 2 else room

    def _page(self, holding: Holding) -> int:
        """How many messages to read at once: not more than there will be room for, if they are large."""
        return max(1, min(self._count, int(self._queue_bytes / max(1.0, holding.mean_bytes))))

    async def _catch_holding(self, holding: Holding) -> None:
        at = START
        while holding in self._behind:
            until = self._cursors.get(holding.shard)
            if until is None:
                return
            if at == until or until == START:
                self._behind.discard(holding)
                return
            messages = await self._redis.run(read_range(self._keys, holding.shard, at, until, self._count))
            if holding not in self._behind:
                return
            for message in messages:
                self.dispatch(holding, message)
            at = messages[-1].entry if len(messages) == self._count else until

    async def _catch_children(self, holding: Holding) -> bool:
        """One pass over the mailbox for all children that are behind and have room, from the first such position on.
        False: there is none. One pass for all: with a pass for each, many flooded children would each read the
        messages of all the others.
        """
        for child in list(holding.behind):
            cell = holding.cells.get(child)
            if child in holding.excluded or (cell is not None and cell.life is Life.PARKED):
                holding.behind.pop(child, None)
        half = max(1, self._queue_limit // 2)
        wanted = [after for child, after in holding.behind.items() if self._room(holding, child) >= half]
        if not wanted:
            return False
        at = min(wanted, key=position)
        while not holding.lost and any(
            after == at and self._room(holding, child) > 0 for child, after in holding.behind.items()
        ):
            until = self._cursors.get(holding.shard, START)
            if position(until) <= position(at):
                # Nothing has been read yet, or this was the last that was: from here on the loop brings what comes.
                for child in [child for child, after in holding.behind.items() if after == at]:
                    del holding.behind[child]
                break
            page = self._page(holding)
            late = self._set_back[holding] = set()
            messages = await self._redis.run(read_range(self._keys, holding.shard, at, until, page))
            end = messages[-1].entry if len(messages) == page else until
            holding.mean_bytes = sum(len(message.payload) for message in messages) / max(1, len(messages))
            self._bring(holding, messages, at, end, late)
            at = end
        return True

    def _bring(self, holding: Holding, messages: list[Message], start: bytes, end: bytes, late: set[str]) -> None:
        """Give children what they are behind with, of one page. A child that was set back before the page, or ``late``
        (after the page was asked for), waits for another pass; one whose queue is full stays where it is.
        """
        first, last = position(start), position(end)
        behind = {child: position(after) for child, after in holding.behind.items()}
        here = {child for child, after in behind.items() if first <= after < last and child not in late}
        for message in messages:
            child = message.child
            if child not in here or message.kind == "start" or position(message.entry) <= behind[child]:
                continue
            cell = holding.cells.get(child)
            if cell is None:
                self._nobody(holding, message)
            elif cell.life is Life.PARKED or child not in holding.behind or self._room(holding, child) <= 0:
                here.discard(child)
                continue
            else:
                self._dispatcher.offer(cell, message)
            holding.behind[child] = message.entry
        for child in here:
            if child in holding.behind:
                holding.behind[child] = end
