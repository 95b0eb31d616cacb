"""The events of a hub as they come: one blocking read for all pages that are open in an event loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from hubq.client.hub import Hub
from hubq.client.operations.happened import Event
from hubq.client.operations.inspection import events_behind, newest_event, next_events
from hubq.core.entry_ids import entry_ms
from hubq.errors import HubqError

log = logging.getLogger("hubq.web")

#: Events that are kept for pages that come again. Who is further behind reads back from Redis.
KEPT = 1_000
#: How long one read waits, and the pauses after Redis could not be reached (doubled each time), seconds.
WAIT, FIRST_PAUSE, LONGEST_PAUSE = 4.0, 0.1, 2.0


class News:
    """Reads the events of a hub while anybody waits for them."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._last = ""  # the id of the newest event that was read; empty: nobody has read yet
        self._waiting: set[asyncio.Future[None]] = set()
        self._readers = 0
        self._work: asyncio.Task[None] | None = None
        self.away = ""
        """Why Redis cannot be read just now; empty: it can."""

    async def close(self) -> None:
        """Read no more."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None
        self._wake()

    async def begin(self, after: str = "") -> Reader:
        """Somebody begins to read, behind this event (empty: with what comes from now on)."""
        if self._readers == 0 or not self._last:
            self._kept.clear()
            self._last = await self._hub.aio.driver.drive(newest_event(self._hub.aio.driver.context))
        self._readers += 1
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._read())
        return Reader(self, after or self._last)

    def end(self) -> None:
        """Somebody reads no more. The last one ends the work."""
        self._readers -= 1
        if self._readers == 0 and self._work is not None:
            self._work.cancel()
            self._work = None

    async def changed(self, last: str, away: str) -> None:
        """Wait until there is something behind ``last``, or Redis is away or back."""
        if self.away != away or (not away and _key(self._last) > _key(last)):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    async def behind(self, last: str) -> list[Event]:
        """The events behind this one: those that are kept, else some that Redis still has."""
        if not self._kept or _key(self._kept[0].id) > _key(last):
            found = await self._hub.aio.driver.drive(events_behind(self._hub.aio.driver.context, last, KEPT))
            return [event for event in found if _key(event.id) <= _key(self._last)]
        return [event for event in self._kept if _key(event.id) > _key(last)]

    async def _read(self) -> None:
        driver, pause = self._hub.aio.driver, FIRST_PAUSE
        while True:
            try:
                found = await driver.drive(next_events(driver.context, self._last, WAIT))
                if self.away:
                    # Redis may have lost what was read last: what it has now begins behind its own newest event.
                    newest = await driver.drive(newest_event(driver.context))
                    self._last = min(self._last, newest, key=_key)
            except HubqError as error:
                log.debug("events wait: %s", error)
                self.away = str(error)
                self._wake()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            back, self.away = bool(self.away), ""
            if found:
                self._kept.extend(found)
                self._last = found[-1].id
            if found or back:
                self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class Reader:
    """One page that reads the events. It takes each once."""

    def __init__(self, news: News, last: str) -> None:
        self._news = news
        self._away = ""
        self.last = last

    async def take(self) -> tuple[list[Event], str]:
        """The next events, and why Redis is away (empty: it is not). Both may be empty: Redis is back."""
        await self._news.changed(self.last, self._away)
        self._away = self._news.away
        if self._away:
            return [], self._away
        try:
            found = await self._news.behind(self.last)
        except HubqError as error:  # what reads for all has not seen yet that Redis is away
            self._away = str(error)
            await asyncio.sleep(FIRST_PAUSE)
            return [], self._away
        if found:
            self.last = found[-1].id
        return found, ""

    def close(self) -> None:
        """Take no more."""
        self._news.end()


def _key(entry: str) -> tuple[tuple[int, int], ...]:
    """In which order events were read: each is behind the one before it in one group, and where that was in the others."""
    return tuple((entry_ms(place), int(place.partition("-")[2] or 0)) for place in entry.split(","))
