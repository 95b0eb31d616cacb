"""The feed of a child, as users iterate over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Protocol, cast

from hubq.client.asking.driver import AsyncChildDriver
from hubq.client.asking.feeds import FeedReader, Subscription
from hubq.client.asking.loop_thread import LoopThread
from hubq.core.feed import RETRACT, START, Ended, Event, Gap, Item, Place, checked_topic
from hubq.core.feed_buffer import joined, place_of


class AsyncFeed:
    """The events of a child, each once, in order: ``async for event in hub.aio.ref("room-1").feed():``.

    Items are :class:`~hubq.Event` and :class:`~hubq.Gap`. The iteration ends when the child ends; then ``ended`` is True. It begins at
    ``async with``, or at the first item that is asked for.
    """

    def __init__(
        self,
        driver: AsyncChildDriver,
        child_id: str,
        after: str | None,
        topics: str | Iterable[str] | None,
        follow: bool,
    ) -> None:
        context = driver.context
        self.child_id = child_id
        self.ended = False
        """The child has ended, and everything that it has published was taken."""
        self._driver = driver
        self._feed = context.keys.feed(context.shard_of(child_id), child_id)
        self._after = None if after is None else Place.read(after)
        listed = (topics,) if isinstance(topics, str) else topics
        self._topics = None if listed is None else frozenset(checked_topic(topic) for topic in listed)
        self._follow = follow
        self._source: Source | None = None
        self._rest: Iterator[Event | Gap] = iter(())  # taken, and not given out yet
        self._last: Item | None = None
        self._end: Ended | None = None  # behind all that was taken

    @property
    def last_id(self) -> str | None:
        """The id of the last item that was given out; give it as ``after`` to go on behind it. None: there was none."""
        last = self._after if self._last is None else place_of(self._last)
        return None if last is None else str(last)

    async def take(self) -> list[Event | Gap]:
        """The next items together: at least one. None: the feed is over."""
        items = list(self._rest) or list(await self._taken())
        if items:
            self._last = items[-1]
        return items

    async def _taken(self) -> list[Event | Gap]:
        source = self._source or await self._open()
        while self._end is None:
            items = await source.take()
            if not items:
                return []
            if wanted := self._wanted(items):
                return wanted
        self.ended, self._last = True, self._end
        return []

    def _wanted(self, items: list[Item]) -> list[Event | Gap]:
        """Those of its topics; an end behind them is noted."""
        if isinstance(items[-1], Ended):
            self._end, items = items[-1], items[:-1]
        wanted, topics = cast("list[Event | Gap]", items), self._topics  # (nothing stands before an end)
        if topics is None:
            return wanted
        return [item for item in wanted if isinstance(item, Gap) or item.topic in topics or item.topic == RETRACT]

    async def _open(self) -> Source:
        reader = (await self._driver.asker()).feeds
        if self._follow:
            source: Source = await reader.subscribe(self._feed, self._after)
        else:
            source = Kept(reader, self._feed, START if self._after is None else self._after)
        self._source = source
        return source

    async def __aiter__(self) -> AsyncIterator[Event | Gap]:
        while True:
            for item in self._rest:
                self._last = item
                yield item
            items: list[Event | Gap] = []
            source = self._source
            if isinstance(source, Subscription) and self._end is None:
                # With thousands of subscribers the coroutines below would be most of the work.
                found = source.here()
                while found is not None and not items:
                    if found:
                        items = self._wanted(found)
                    if self._end is not None or items:
                        break
                    await source.news()
                    found = source.here()
            items = items or await self._taken()
            if not items:
                return
            self._rest = iter(items)

    async def __anext__(self) -> Event | Gap:
        for item in self._rest:
            self._last = item
            return item
        items = await self._taken()
        if not items:
            raise StopAsyncIteration
        self._rest = iter(items)
        return await self.__anext__()

    async def __aenter__(self) -> AsyncFeed:
        if self._source is None:
            await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take no more."""
        if isinstance(self._source, Subscription):
            self._source.close()

    def __repr__(self) -> str:
        return f"<AsyncFeed of {self.child_id!r}, last {self.last_id}>"


class Source(Protocol):
    """Where the items come from."""

    async def take(self) -> list[Item]:
        """The next items; none: there are no more."""


class Kept:
    """What is kept of a feed, and nothing that comes later."""

    def __init__(self, reader: FeedReader, feed: str, after: Place) -> None:
        self._reader = reader
        self._feed = feed
        self._place = after
        self._tail: Place | None = None

    async def take(self) -> list[Item]:
        """The next items; none: there are no more."""
        if self._tail is None:
            self._tail = await self._reader.tail(self._feed)
        items = [item for item in await self._reader.read_back(self._feed, self._place) if place_of(item) <= self._tail]
        found = joined(self._place, items)
        for n, item in enumerate(found):
            self._place = place_of(item)
            if isinstance(item, Ended) and self._place < self._tail:
                return [*found[:n], *await self.take()]  # it was started again, and has published since
        return found


class Feed:
    """The same as :class:`AsyncFeed` for code that waits: ``for event in hub.ref("room-1").feed():``."""

    def __init__(
        self, loop_thread: Callable[[], LoopThread], child_id: str, after: str | None, topics: str | Iterable[str] | None,
        follow: bool,
    ) -> None:  # fmt: skip
        self._thread = loop_thread()
        self._feed = AsyncFeed(self._thread.driver, child_id, after, topics, follow)
        self._items: list[Event | Gap] = []
        self._last = self._feed.last_id

    @property
    def child_id(self) -> str:
        """The child whose feed this is."""
        return self._feed.child_id

    @property
    def ended(self) -> bool:
        """See :attr:`AsyncFeed.ended`."""
        return self._feed.ended and not self._items

    @property
    def last_id(self) -> str | None:
        """See :attr:`AsyncFeed.last_id`."""
        return self._feed.last_id if self.ended else self._last

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> Event | Gap:
        if not self._items:
            self._items = self._thread.run(self._feed.take())[::-1]
            if not self._items:
                raise StopIteration
        item = self._items.pop()
        self._last = str(place_of(item))
        return item

    def __enter__(self) -> Feed:
        self._thread.run(self._feed.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take no more."""
        self._feed.close()

    def __repr__(self) -> str:
        return f"<Feed of {self.child_id!r}, last {self.last_id}>"
