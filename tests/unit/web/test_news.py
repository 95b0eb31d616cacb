"""A reader of the events while Redis goes away: it is told, and neither ends nor asks without a pause."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from hubq.errors import RedisUnavailable
from hubq.web.view.news import News, Reader


class Gone:
    """Redis has gone away, and the read that serves all pages does not know yet."""

    away = ""

    async def changed(self, last: str, away: str) -> None:
        """There is something behind it."""

    async def behind(self, last: str) -> Any:
        raise RedisUnavailable("it is away")


class Driver:
    """Knows the newest event, and then nothing more."""

    def __init__(self) -> None:
        self.context = SimpleNamespace(groups=())
        self.asked = 0

    async def drive(self, operation: Any) -> Any:
        operation.close()
        self.asked += 1
        if self.asked > 1:
            raise RedisUnavailable("it is away")
        return "2-0"


def test_a_reader_that_finds_it_out_itself_says_so() -> None:
    gone: Any = Gone()
    reader = Reader(gone, "1-0")
    assert asyncio.run(reader.take()) == ([], "it is away")
    assert asyncio.run(reader.take()) == ([], "it is away"), "and goes on"


def test_a_reader_that_has_been_told_waits_though_there_are_events_behind_its_last() -> None:
    async def scenario() -> None:
        hub: Any = SimpleNamespace(aio=SimpleNamespace(driver=Driver()))
        news = News(hub)
        reader = await news.begin("1-0")
        await news.changed("2-0", "")
        assert await reader.take() == ([], "it is away")
        told = asyncio.create_task(reader.take())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not told.done()
        told.cancel()
        await news.close()

    asyncio.run(scenario())
