"""Feeds as clients read them: one blocking read for all subscribers of an event loop (docs/feeds.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from hubq.client.asking.context import HubContext
from hubq.core.feed import Item, Place
from hubq.core.feed_buffer import FeedBuffer, Follower
from hubq.errors import RedisRefused, RedisUnavailable, Unreadable
from hubq.store.connection import LOST, AsyncRedis
from hubq.store.feeds import Decode, feed_tail, read_feeds

log = logging.getLogger("hubq.client")

#: Items of one feed that are kept for its subscribers, and the bytes of their data. Who is further behind reads back from Redis.
MOST_ITEMS, MOST_BYTES = 500, 4 << 20
#: Entries of one feed that one read takes.
AT_ONCE = 200
#: How long one read waits for events, ms; feeds that are quiet for so long keep no items.
BLOCK_MS = 2_000
#: New feeds are added to the read at most so often, seconds: each time it begins anew, on a new connection.
BETWEEN_CHANGES = 0.05
#: Subscribers that are woken in one turn of the event loop.
WOKEN_AT_ONCE = 50
#: Between two reads the event loop is left to others for as long as it took to bring the items to their subscribers, at most so long.
LONGEST_PAUSE = 0.025


class Channel:
    """One feed, and those of this event loop who wait for its next item."""

    def __init__(self, feed: str, tail: Place) -> None:
        self.feed = feed
        self.buffer = FeedBuffer(tail, MOST_ITEMS, MOST_BYTES)
        self.subscriptions: WeakSet[Subscription] = WeakSet()
        self.loop = asyncio.get_running_loop()
        self.waiting: list[asyncio.Future[None]] = []
        """Done when there are new items."""

    def tell(self, error: Exception) -> None:
        """It cannot be read: all who wait get this."""
        waiting, self.waiting = self.waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(error)

    async def wake(self) -> None:
        """There are new items: wake all who wait now, some in each turn of the loop. Those have taken their items when this returns.

        (Thousands in one turn would hold up all others. What the loop keeps of them would bring Python to look for garbage again and
        again, which is more work than to wake them.)
        """
        left = len(self.waiting)
        while left > 0 and self.waiting:
            some = self.waiting[: min(left, WOKEN_AT_ONCE)]
            del self.waiting[: len(some)]
            left -= len(some)
            for waiter in some:
                if not waiter.done():
                    waiter.set_result(None)
            await asyncio.sleep(0)


class Subscription:
    """One subscriber of one feed. It takes each item once, in order."""

    def __init__(self, reader: FeedReader, channel: Channel, place: Place, *, rewound: bool) -> None:
        self._reader = reader
        self._channel = channel
        self._follower = Follower(channel.buffer, place, rewound=rewound)
        channel.subscriptions.add(self)

    @property
    def place(self) -> Place:
        """That of the last item that was taken."""
        return self._follower.place

    def here(self) -> list[Item] | None:
        """The next items, if they are in the buffer: none, if there are none yet; None: they are behind it (:meth:`take`)."""
        return self._follower.take()

    def news(self) -> asyncio.Future[None]:
        """Done when there are new items. Its result may be a :class:`~hubq.errors.RedisRefused`."""
        channel = self._channel
        waiter: asyncio.Future[None] = channel.loop.create_future()
        channel.waiting.append(waiter)
        return waiter

    async def take(self) -> list[Item]:
        """The next items: at least one. None of them follows an ``Ended``.

        Raises :class:`~hubq.errors.RedisRefused`.
        """
        follower = self._follower
        items = follower.take()
        while not items:
            if items is None:
                items = follower.take_back(await self._reader.read_back(self._channel.feed, follower.place))
            if not items:
                await self.news()
                items = follower.take()
        return items

    def close(self) -> None:
        """Take no more."""
        self._channel.subscriptions.discard(self)


def read_event(hub: HubContext, feed: str, topic: str, payload: bytes) -> Any:
    """The data of an event of this feed (its key)."""
    if hub.seal is not None:
        child = feed.removeprefix(hub.keys.prefix).split(":", 3)[3]
        payload = hub.seal.opens_any(payload, "event", child, topic)[1]
    return hub.values.decode(payload)


class FeedReader:
    """Reads the feeds of all subscriptions of an event loop, with one blocking read."""

    def __init__(self, redis: AsyncRedis, decode: Decode) -> None:
        self._redis = redis
        self._decode = decode
        self._channels: dict[str, Channel] = {}
        self._work: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()  # a feed has been added

    async def subscribe(self, feed: str, after: Place | None) -> Subscription:
        """Subscribe to a feed, behind this place; None: to what comes from now on."""
        tail = await self.tail(feed)
        channel = self._channels.get(feed)
        if channel is None:
            channel = self._channels[feed] = Channel(feed, tail)
            self._wanted.set()
        subscription = Subscription(
            self, channel, tail if after is None else after, rewound=after is not None and after > tail
        )
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._read())
        return subscription

    async def tail(self, feed: str) -> Place:
        """Where the last entry of a feed stands."""
        return await self._redis.run(feed_tail(feed), retry_for=10.0)

    async def read_back(self, feed: str, place: Place) -> Sequence[Item]:
        """The items behind a place, without waiting for any."""
        while True:
            pages = await self._redis.run(read_feeds({feed: place}, AT_ONCE, self._decode), retry_for=10.0)
            page = pages.get(feed)
            if page is None or page.items:
                return page.items if page is not None else ()
            place = page.last  # nothing of it can be read

    async def close(self) -> None:
        """Read no more. Whoever waits is told."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        for channel in self._channels.values():
            channel.tell(RedisUnavailable("the hub was closed while a feed was read"))
        self._channels.clear()

    # -- the loop --------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        loop, pause, lost = asyncio.get_running_loop(), 0.02, False
        while self._drop_unread():
            try:
                if lost:
                    await self._look_back()
                    lost = False
                found = await self._next()
                pause = 0.02
            except RedisRefused as error:
                await self._refused(error)
                continue
            except (*LOST, RedisUnavailable) as error:
                log.debug("feeds wait: %s", error)
                lost = True
                await asyncio.sleep(pause)
                pause = min(pause * 2, 0.5)
                continue
            began = loop.time()
            for channel in found:
                await channel.wake()
            if (spent := loop.time() - began) > 0.001:
                await asyncio.sleep(min(spent, LONGEST_PAUSE))

    def _drop_unread(self) -> bool:
        """Forget the feeds that nobody reads any more. False: there is none left."""
        for feed in [feed for feed, channel in self._channels.items() if not channel.subscriptions]:
            del self._channels[feed]
        return bool(self._channels)

    async def _next(self) -> list[Channel]:
        """One read. The answer: the channels that have new items. (None: it found nothing, or was begun anew.)"""
        self._wanted.clear()
        feeds = {feed: channel.buffer.tail for feed, channel in self._channels.items()}
        loop = asyncio.get_running_loop()
        read = loop.create_task(self._redis.run(read_feeds(feeds, AT_ONCE, self._decode, BLOCK_MS)))
        wanted = loop.create_task(self._wanted.wait())
        try:
            await asyncio.wait({read, wanted}, return_when=asyncio.FIRST_COMPLETED)
            if not read.done():
                await asyncio.wait({read}, timeout=BETWEEN_CHANGES)
            if not read.done():
                return []  # nothing is lost: a read changes nothing
            pages = read.result()
        finally:
            for task in (read, wanted):
                if not task.done():
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
        found = []
        for feed, channel in self._channels.items():
            page = pages.get(feed)
            if page is not None:
                channel.buffer.extend(page.items)
                channel.buffer.pass_over(page.last)
                found.append(channel)
            elif not pages:
                channel.buffer.clear()  # it is quiet
        return found

    async def _look_back(self) -> None:
        """The connection was lost. Perhaps Redis has lost the last events of a feed: then what comes next is behind those left."""
        channels = list(self._channels.values())
        tails = await self._redis.run_many([feed_tail(channel.feed) for channel in channels])
        for channel, tail in zip(channels, tails, strict=True):
            if tail < channel.buffer.tail:
                channel.buffer.goes_on_behind(tail)
                await channel.wake()

    async def _refused(self, error: RedisRefused) -> None:
        """A feed cannot be read, or none: subscribers of those that cannot are told."""
        refused = 0
        for channel in list(self._channels.values()):
            try:
                await self._redis.run(read_feeds({channel.feed: channel.buffer.tail}, 1, self._decode))
            except (RedisRefused, Unreadable) as its_own:
                refused += 1
                channel.tell(its_own)
                channel.subscriptions.clear()
            except (*LOST, RedisUnavailable):
                return
        if not refused:
            log.debug("feeds wait: %s", error)
            await asyncio.sleep(0.5)
