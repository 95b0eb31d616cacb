"""A reader of the events while Redis goes away: it is told, and neither ends nor asks without a pause."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq import Hub
from hubq.errors import RedisUnavailable
from hubq.web.view.news import News, Reader


class Gone(News):
    """Redis has gone away, and the read that serves all does not know yet."""

    async def behind(self, last: str) -> Any:
        raise RedisUnavailable("it is away")


def news_at(kind: type[News], last: str, away: str = "") -> News:
    made = kind(Hub("chat", redis="redis://127.0.0.1:1/0"))
    made._last, made.away = last, away
    return made


def test_a_reader_that_finds_it_out_itself_says_so() -> None:
    reader = Reader(news_at(Gone, "2-0"), "1-0")
    assert asyncio.run(reader.take()) == ([], "it is away")
    assert asyncio.run(reader.take()) == ([], "it is away"), "and goes on"


def test_a_reader_that_has_been_told_waits_though_there_are_events_behind_its_last() -> None:
    async def scenario() -> None:
        news = news_at(News, "2-0", away="it is away")
        told = asyncio.create_task(news.changed("1-0", "it is away"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not told.done()
        news.away = ""
        news._wake()
        await told

    asyncio.run(scenario())
