"""Reads again the messages that holdings and children are behind with, beside the loop that reads new ones."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from weakref import WeakKeyDictionary

from hubq.core.lifecycle import Life
from hubq.errors import RedisUnavailable
from hubq.node.children.outcomes import Outcomes
from hubq.node.children.pumps import Pumps
from hubq.node.held.cursors import START, Cursors
from hubq.node.held.holding import Holding
from hubq.node.mailbox.delivery import Delivery
from hubq.node.runtime.group import Group
from hubq.node.runtime.tasks import end_tasks
from hubq.store.connection import LOST
from hubq.store.mailbox import read_range
from hubq.store.message import UNSEALED, Message, position

log = logging.getLogger("hubq.node")


class CatchingUp:
    """One task for each holding that is behind."""

    def __init__(self, group: Group, cursors: Cursors, pumps: Pumps, outcomes: Outcomes, delivery: Delivery) -> None:
        self._group = group
        self._cursors = cursors
        self._pumps = pumps
        self._outcomes = outcomes
        self._delivery = delivery
        self._count = group.config.read_count
        self._queue_limit = group.config.queue_limit
        self._queue_bytes = group.config.queue_bytes
        self._tasks: dict[Holding, asyncio.Task[None]] = {}
        self._again: set[Holding] = set()  # became behind again since their task looked
        # The mean size of the messages that were read again last. It outlives the task, so that the next page fits them, too.
        self._mean_bytes: WeakKeyDictionary[Holding, float] = WeakKeyDictionary()

    async def work(self) -> None:
        """Begin to catch up whenever a holding or a child is behind; for ever."""
        while True:
            await self._cursors.bell.heard()
            for holding in self._cursors.take_to_catch():
                if holding in self._tasks:
                    self._again.add(holding)
                else:
                    self._begin(holding)

    def _begin(self, holding: Holding) -> None:
        task = self._tasks[holding] = asyncio.get_running_loop().create_task(self._catch(holding))
        task.add_done_callback(partial(self._over, holding))

    def _over(self, holding: Holding, task: asyncio.Task[None]) -> None:
        del self._tasks[holding]
        if holding in self._again:
            self._again.discard(holding)
            if not task.cancelled() and not holding.gone:
                self._begin(holding)

    async def idle(self) -> None:
        """Wait until nothing is being caught up with."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))
            await asyncio.sleep(0)  # their callbacks may begin others

    async def stop(self) -> None:
        """Catch up with nothing more."""
        while self._tasks:
            await end_tasks(list(self._tasks.values()))
            await asyncio.sleep(0)  # the callback of a task that had just ended may have begun another one

    async def _catch(self, holding: Holding) -> None:
        while not holding.gone and holding.shard in self._cursors.by_shard:
            try:
                if holding in self._cursors.late:
                    await self._catch_holding(holding)
                if not await self._catch_children(holding):
                    return
            except (*LOST, RedisUnavailable) as error:
                log.warning("reading waits: Redis is away (%s)", error)
                await asyncio.sleep(0.1)

    def _room(self, holding: Holding, child: str) -> int:
        """How many more messages of a child may be queued. Less than half of the limit while it has more than half of its bytes."""
        hosted = holding.children.get(child)
        if hosted is None or not hosted.queue:
            return self._queue_limit
        if hosted.queued_bytes >= self._queue_bytes:
            return 0
        room = self._queue_limit - len(hosted.queue)
        return min(room, self._queue_limit // 2 - 1) if hosted.queued_bytes > self._queue_bytes // 2 else room

    def _page(self, holding: Holding) -> int:
        """How many messages to read at once: if they are large, not more than one queue has room for."""
        return max(1, min(self._count, int(self._queue_bytes / max(1.0, self._mean_bytes.get(holding, 0.0)))))

    async def _catch_holding(self, holding: Holding) -> None:
        cursors, keys = self._cursors, self._group.keys
        while (at := cursors.late.get(holding)) is not None:
            until = cursors.by_shard.get(holding.shard)
            if until is None:
                return
            if at == until or until == START:
                cursors.late.pop(holding, None)
                return
            messages = await self._group.reading.run(
                read_range(keys, holding.shard, at, until, self._count, self._group.opens)
            )
            if holding not in cursors.late:
                return
            for message in cursors.kept(holding.shard, messages):
                self._delivery.deliver(holding, message)
            cursors.gets_on(holding, messages[-1].entry if len(messages) == self._count else until)

    async def _catch_children(self, holding: Holding) -> bool:
        """One pass over the mailbox for all children that are behind and have room, from the first of their positions on.
        False: there is no such child.

        One pass serves all: with a pass for each, many flooded children would each read the messages of all the others.
        """
        cursors, keys = self._cursors, self._group.keys
        for child in list(holding.behind):
            hosted = holding.children.get(child)
            if child in holding.apart or (hosted is not None and hosted.life is Life.PARKED):
                cursors.caught_up(holding, child)
        half = max(1, self._queue_limit // 2)
        starting = holding.starting
        wanted = [
            after
            for child, after in holding.behind.items()
            if child not in starting and self._room(holding, child) >= half
        ]
        if not wanted:
            return False
        at = min(wanted, key=position)
        while not holding.gone and any(
            after == at and child not in starting and self._room(holding, child) > 0
            for child, after in holding.behind.items()
        ):  # fmt: skip
            until = cursors.position(holding.shard)
            if position(until) <= position(at):
                # This is all that the loop has read. From here on it brings new messages itself.
                for child in [child for child, after in holding.behind.items() if after == at]:
                    if child not in starting:
                        cursors.caught_up(holding, child)
                break
            page = self._page(holding)
            late = cursors.begin_page(holding)
            messages = await self._group.reading.run(
                read_range(keys, holding.shard, at, until, page, self._group.opens)
            )
            if holding.gone:
                return False
            end = messages[-1].entry if len(messages) == page else until
            self._mean_bytes[holding] = sum(len(message.payload) for message in messages) / max(1, len(messages))
            self._bring(holding, cursors.kept(holding.shard, messages), at, end, late)
            at = end
        return True

    def _bring(self, holding: Holding, messages: list[Message], start: bytes, end: bytes, late: set[str]) -> None:
        """Give children the messages of one page that they are behind with. A child that was sent back to before the page,
        or that is ``late`` (sent back after the page was asked for), waits for another pass. A child that is being started waits
        for its start. A child whose queue is full stays where it is.
        """
        cursors = self._cursors
        first, last = position(start), position(end)
        behind = {child: position(after) for child, after in holding.behind.items()}
        passed_by = late | holding.starting.keys()
        here = {child for child, after in behind.items() if first <= after < last and child not in passed_by}
        for message in messages:
            child = message.child
            if child not in here or message.kind == "start" or position(message.entry) <= behind[child]:
                continue
            hosted = holding.children.get(child)
            if message.kind == UNSEALED:
                self._delivery.deliver(holding, message)
            elif hosted is None:
                self._outcomes.refuse_unknown(holding, message)
            elif hosted.life is Life.PARKED or child not in holding.behind or self._room(holding, child) <= 0:
                here.discard(child)
                continue
            else:
                self._pumps.offer(hosted, message)
            cursors.set_behind(holding, child, message.entry)
        for child in here:
            if child in holding.behind:
                cursors.set_behind(holding, child, end)
