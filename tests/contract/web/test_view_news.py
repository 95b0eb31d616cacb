"""The web view and its API: what goes on, as it happens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hubq import Hub
from hubq.client.asking.steps import Fetch
from hubq.client.operations.inspection import next_events
from hubq.testing import eventually
from hubq.web.view import news

from .site import Room, Site, run
from .test_web import Connection


@asynccontextmanager
async def streaming(site: Site, path: str, query: str = "", last_id: str = "") -> AsyncIterator[Connection]:
    connection = Connection(site.view, path=path, query=query, last_id=last_id, root_path="")
    await connection.shows("retry:")
    try:
        yield connection
    finally:
        connection.incoming("http.disconnect")
        await connection.ends()


def events_of(connection: Connection) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in connection.body.splitlines() if line.startswith('data: {"id')]
    return [json.loads(line) for line in lines]


def test_events_come_as_they_happen_and_go_on_behind_the_last_one(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        async with streaming(site, "/api/events/stream") as one, streaming(site, "/api/events/stream") as two:
            await site.hub.aio.start_child("x", Room)
            await site.hub.aio.stop_child("x")
            await one.shows("child_stopped")
            await two.shows("child_stopped")
            last = events_of(one)[-1]["id"]
        await site.hub.aio.start_child("y", Room)
        await site.hub.aio.stop_child("y")
        async with streaming(site, "/api/events/stream", last_id=last) as again:
            await again.shows('"child":"y"')
            children = [each["fields"]["child"] for each in events_of(again)]
            assert [child for child in children if child] == ["y"], "(a slow machine has events of blocked loops, too)"
        async with streaming(site, "/api/events/stream", query=f"after={last}") as again:
            await again.shows('"child":"y"')

    run(make_hub, scenario)


def test_one_read_serves_all_pages_and_ends_with_the_last(make_hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(site: Site) -> None:
        under_way: list[str] = []
        most = 0

        def counted(context: Any, after: str, wait: float) -> Any:
            nonlocal most
            under_way.append(after)
            most = max(most, len(under_way))
            try:
                return (yield from next_events(context, after, wait))
            finally:
                under_way.remove(after)

        monkeypatch.setattr(news, "next_events", counted)
        connections = [Connection(site.view, path="/api/events/stream", root_path="") for _ in range(20)]
        for connection in connections:
            await connection.shows("hello")
        assert most == 1
        for connection in connections:
            connection.incoming("http.disconnect")
            await connection.ends()
        await eventually(lambda: not under_way, what="the read ends with its last reader")
        assert most == 1

    run(make_hub, scenario)


def test_a_feed_is_shown_without_unpickling_it(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        ref = site.hub.aio.ref("r/1")
        await ref.call("post", "hi")
        async with streaming(site, "/api/child/feed", query="id=r/1&after=0") as feed:
            await feed.shows("'hi'")
            await ref.call("post", "ho")
            await feed.shows("'ho'")
            assert [(each["topic"], each["data"]) for each in events_of(feed)] == [("posts", "'hi'"), ("posts", "'ho'")]

    run(make_hub, scenario)


@pytest.mark.long_on_fakeredis
def test_a_redis_that_is_away_is_said_and_so_is_its_return(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        from hubq.errors import RedisUnavailable

        async with streaming(site, "/api/events/stream") as stream:
            driver = site.hub.aio.driver
            real = driver.drive
            down = True

            def drive(operation: Any) -> Any:
                if not down:
                    return real(operation)
                operation.close()

                async def fails() -> Any:
                    raise RedisUnavailable("it is away")

                return fails()

            driver.drive = drive  # type: ignore[method-assign]
            await site.page("/children", 503)
            await real(_event(site.hub))  # wakes the read that is under way
            await stream.shows('"away":"it is away"')
            down = False
            await stream.shows('"away":""')
            driver.drive = real  # type: ignore[method-assign]
            await site.hub.aio.stop_child("r/1")
            await stream.shows("child_stopped")

    run(make_hub, scenario)


def _event(hub: Hub) -> Any:
    from hubq.store.events import add_deed

    yield Fetch([add_deed(hub.keys, 100, "test", "nothing", {})])
