"""Reads mailboxes: blocking XREADs over the shards of the node, a share of them each. Reading changes nothing in Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from hubq.core.malformed import Malformed
from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.children.pumps import Pumps
from hubq.node.held.cursors import START, Cursors
from hubq.node.mailbox.catching_up import CatchingUp
from hubq.node.mailbox.delivery import Delivery
from hubq.node.mailbox.shares import MOST, SHARE, Shares
from hubq.node.mailbox.spoilt import SpoiltMailboxes
from hubq.node.runtime.group import Group
from hubq.node.runtime.malformed import MalformedReports
from hubq.node.runtime.tasks import end_tasks
from hubq.store.answers import WRONG_TYPE
from hubq.store.command import plain, text
from hubq.store.connection import LOST
from hubq.store.mailbox import read_mailboxes
from hubq.store.message import LAST_ID, position
from hubq.store.naming import Naming

log = logging.getLogger("hubq.node")

#: Longest blocking read, seconds (well below the connection's time-out).
BLOCK = 2.0
#: How long the next read waits for a shard that is about to open, seconds.
COMING = 0.002
#: Messages delivered before the event loop turns.
BREATH = 200
#: Most messages of one read while few shards are far behind. (A message behind a flood waits until the flood is read.)
DEEP = 2_000
#: While calls come: if more than so many children wait for their turn, the next read goes out at once ...
FEW = 8
#: ... but if more than so many do, or more messages wait than were read, pumps have so many slices first.
MANY, SLICES = 500, 8


def next_count(full: Sequence[Sequence[int]], usual: int, most_bytes: int) -> int:
    """How many messages of each shard to read next: the ``usual`` number, or more while some shards have more messages
    than were read. ``full``: for each such shard, the sizes of the messages that were read just now. In all at most
    ``DEEP`` messages, and at most ``most_bytes``, but never less than the usual number.

    >>> next_count([], usual=100, most_bytes=1_000_000)
    100
    >>> next_count([[10] * 100], usual=100, most_bytes=1_000_000)  # one shard has a flood of small messages
    2000
    >>> next_count([[1_000] * 100] * 2, usual=100, most_bytes=1_000_000)  # 1,000 of these in all
    500
    """
    if not full:
        return usual
    sizes = [size for messages in full for size in messages]
    mean = max(1, sum(sizes) // len(sizes))
    return max(usual, min(DEEP, most_bytes // mean) // len(full))


class Reader:
    """The loops that move the cursors of a node, and bring what they read to the children: one for each share of the shards."""

    def __init__(
        self, group: Group, cursors: Cursors, pumps: Pumps, delivery: Delivery, catching_up: CatchingUp, reports: MalformedReports,
        spoilt: SpoiltMailboxes,
    ) -> None:  # fmt: skip
        self._group = group
        self._cursors = cursors
        self._pumps = pumps
        self._delivery = delivery
        self._catching_up = catching_up
        self._count = group.config.read_count
        self._queue_bytes = group.config.queue_bytes
        self._reports = reports
        self._shares = Shares()
        self._woken = START  # not "$": a shard may be adopted, and its Wake be written, before the first read has begun
        self._spoilt = spoilt
        self._tasks: list[asyncio.Task[None]] = []

    async def prepare(self, shards: int) -> None:
        """So many shards are expected: connect for the reads of their shares. (Shards that come would wait for that.)"""
        await self._group.reading.prepare(min(MOST, -(-shards // SHARE)))

    def start(self) -> None:
        """Begin reading."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._work(share)) for share in range(MOST)]
        self._tasks.append(loop.create_task(self._catching_up.work()))

    async def stop(self) -> None:
        """Read no more."""
        await end_tasks(self._tasks)
        await self._catching_up.stop()
        await self._spoilt.stop()
        self._tasks = []

    async def _pass_over(self, error: RedisRefused) -> None:
        """One read serves all shards of the node: leave out those whose mailbox is of another type. A mailbox of the node itself that
        is none is deleted: nobody but the node has a use for it, and its messages tell what the node finds out besides.
        """
        group, shards, control = (
            self._group,
            list(self._cursors.by_shard),
            self._group.keys.control(self._group.node_name),
        )
        names = [*(group.keys.mailbox(n) for n in shards), control]
        try:
            types = await group.redis.run_many([plain("TYPE", name, read=text) for name in names])
            if types[-1] not in ("stream", "none"):
                self._reports.report(Malformed(control, f"a {types[-1]}, no stream: it is deleted"))
                await group.redis.run(plain("DEL", control, read=int))
                return
        except (*LOST, RedisUnavailable):
            types = []
        found = {n: name for n, name in zip(shards, types, strict=False) if name not in ("stream", "none")}
        self._spoilt.found(found)
        if not found:
            log.error("mailboxes are not read: %s", error)
            await asyncio.sleep(0.5)

    async def _asked(self, share: int) -> tuple[int, dict[int, bytes]]:
        """A read of a share begins: its turn, and the place in each of its mailboxes."""
        cursors, shares = self._cursors, self._shares
        while True:
            await shares.due(share)
            shares.divide(cursors.by_shard.keys(), cursors.take_come(), share)
            if shares.reads(share):
                break
        named, wrong = shares.of(share), self._spoilt.wrong
        if not wrong and len(named) == len(cursors.by_shard):
            # (They were divided just now: those that are named are among those that are here.)
            return cursors.begin_read_of_all()
        return cursors.begin_read([shard for shard in named if shard not in wrong] if wrong else named)

    async def _let_handle(self, full: bool) -> None:
        """Before the next read is sent. ``full``: more messages wait than were read."""
        # Let the loop turn twice (a pump, the committer). So the commit of a quick handler is sent first, and its reply need not wait for
        # the read. Once only while more messages wait, since a pump then takes its whole time in each turn.
        turns = 1 if full else 2
        if self._pumps.hurry:
            waiting = self._pumps.waiting
            if full or waiting > MANY:
                turns = SLICES
            elif waiting > FEW:
                return  # a call that comes meanwhile is to be there in the next slice
        for _ in range(turns):
            await asyncio.sleep(0)

    async def _work(self, share: int) -> None:
        group, cursors = self._group, self._cursors
        alone, listening = Naming(group.keys, ""), Naming(group.keys, group.keys.control(group.node_name))
        count, loop = self._count, asyncio.get_running_loop()
        while True:
            try:
                turn, asked = await self._asked(share)
                listens = self._shares.listens(share) or not asked
                naming = listening if listens else alone
                if listens:
                    cursors.listening_begins()
                try:
                    command = read_mailboxes(naming, asked, count, int(BLOCK * 1000), self._woken, group.opens)
                    found, woken = await group.reading.run(command)
                finally:
                    if listens:
                        cursors.listening_ends()
                heard = woken is not self._woken and position(woken) > position(self._woken)
                if heard:
                    self._woken = woken
                since = 0
                for shard, messages in found.items():
                    # The shard may have gone, or gone and come back, while the read waited.
                    if cursors.is_stale(shard, turn):
                        continue  # read it again
                    # (The read of another share may have named it, too, and have come first.)
                    if messages and cursors.by_shard.get(shard) == asked[shard]:
                        cursors.passes(shard, messages)
                        if messages[-1].entry == LAST_ID:
                            self._spoilt.exhausted(shard)
                        if cursors.dropped:
                            messages = cursors.kept(shard, messages)
                        for holding in list(cursors.holdings.get(shard, ())):
                            if holding not in cursors.late:
                                for message in messages:
                                    self._delivery.deliver(holding, message)
                    since += len(messages)
                    if since > BREATH:
                        since = 0
                        await asyncio.sleep(0)
                self._shares.found(share, sum(map(len, found.values())), loop.time())
                full = [messages for messages in found.values() if len(messages) >= count]
                sizes = [[len(message.payload) for message in messages] for messages in full]
                count = next_count(sizes, self._count, self._queue_bytes)
                await self._let_handle(bool(full))
                if heard:  # else a shard that is about to open would have to end the next read
                    await cursors.all_have_come(COMING)
            except RedisRefused as error:
                if WRONG_TYPE in str(error):
                    await self._pass_over(error)
                else:
                    log.debug("reading waits: %s", error)
                    await asyncio.sleep(0.1)
            except (*LOST, RedisUnavailable) as error:
                log.debug("reading waits: Redis is away (%s)", error)  # the lease keeper says it once
                await asyncio.sleep(0.1)
            except Exception:
                log.exception("reading failed")
                await asyncio.sleep(0.5)
