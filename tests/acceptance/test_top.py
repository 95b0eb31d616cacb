"""``hubq top`` on a live hub: as text in a pipe, and its screen at 80 by 24."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import redis
from textual.widgets import DataTable, Input, Static

from hubq import Child, Hub
from hubq.cli.top import make_app
from hubq.cli.top_view import COLUMNS, Order, View
from hubq.client.operations.overview import Glance, NodeGlance
from hubq.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]


def test_in_a_pipe_it_prints_one_picture(shell: Shell, hub_id: str) -> None:
    shell.worker("a")
    shell.ok("start", "basic:hub", "c-1", "Counter")
    text = shell.ok("top", hub_id)
    assert text.startswith(f"{hub_id} 1 node  ")
    assert "64/64 shards served" in text
    assert "a" * 64 in text
    assert "shard_adopted node=a" in text


async def until(pilot: Any, condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await pilot.pause(0.05)


def shown(app: Any, name: str) -> str:
    return str(app.query_one(name, Static).render())


def test_the_screen_shows_the_hub_and_drains_a_node(shell: Shell, hub: Hub) -> None:
    shell.worker("a")
    leaving = shell.worker("b")

    async def look() -> None:
        app = make_app(hub, View(hub.hub_id, "redis", hub.config.lease), 0.2)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "2 nodes" in shown(app, "#title"))
            table = app.query_one(DataTable)
            await until(pilot, lambda: table.row_count == 2)
            await until(pilot, lambda: "a=a  b=b" in shown(app, "#ring"))
            await pilot.press("s", "down", "d")
            assert table.cursor_row == 1
            await pilot.press("d")
            await until(pilot, lambda: "1 node " in shown(app, "#title"))
            await pilot.press("f", "z", "enter")
            await until(pilot, lambda: table.row_count == 0)
            await pilot.press("escape")
            await until(pilot, lambda: table.row_count == 1)

    asyncio.run(look())
    assert leaving.wait() == 0


class MadeUp:
    """A hub whose nodes ``b`` come and go with every look."""

    def __init__(self) -> None:
        self.inspect = self
        self.drained: list[str] = []
        self._pictures = itertools.cycle([("a", "b"), ("a",)])

    def reachable(self) -> AbstractContextManager[dict[int, Any]]:
        return nullcontext({})

    def glance(self, events: int) -> Glance:
        nodes = [NodeGlance(name, "up", 1, 5.0, 10.0, None) for name in next(self._pictures)]
        return Glance(1.0, nodes, ["a"] * 64, {}, [])

    def drain(self, node: str) -> None:
        self.drained.append(node)


def test_a_node_that_leaves_between_two_looks_ends_nothing() -> None:
    async def look() -> None:
        hub: Any = MadeUp()
        app = make_app(hub, View("chat", "redis", 5.0), 0.01)
        async with app.run_test(size=(80, 24)) as pilot:
            table, seen = app.query_one(DataTable), set[int]()
            for order in Order:
                while seen != {1, 2}:
                    seen.add(table.row_count)
                    await pilot.pause(0.01)
                seen.clear()
                await pilot.press("s")
                assert app.is_running, order

    asyncio.run(look())


def test_a_drain_is_confirmed_at_once_or_not_at_all() -> None:
    async def look() -> None:
        hub: Any = MadeUp()
        now = [100.0]
        app = make_app(hub, View("chat", "redis", 5.0, clock=lambda: now[0]), 60.0)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: app.query_one(DataTable).row_count)
            for other in ("s", "up", "x", "escape"):
                await pilot.press("d", other, "d", other)
            await pilot.press("d")
            now[0] += 3.1
            await pilot.press("d")
            await pilot.pause()
            assert hub.drained == []
            now[0] += 2.9
            await pilot.press("d")
            await until(pilot, lambda: hub.drained == ["a"])

    asyncio.run(look())


@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    """A Redis to be paused and stopped."""
    with EmbeddedServer() as server:
        yield server


@pytest.mark.parametrize("away", ["paused", "stopped"])
def test_redis_that_is_away_is_said_and_then_the_picture_is_new_again(own_server: EmbeddedServer, away: str) -> None:
    async def look(hub: Hub) -> None:
        app = make_app(hub, View(hub.hub_id, "redis", hub.config.lease), 0.1)
        async with app.run_test(size=(80, 24)) as pilot:
            title: Callable[[], str] = lambda: shown(app, "#title")  # noqa: E731
            await until(pilot, lambda: "1 children" in title())
            if away == "paused":
                with redis.Redis.from_url(own_server.url) as client:
                    client.client_pause(6000)
                await until(
                    pilot, lambda: re.fullmatch(r"Redis is slow, or gone\. This picture is \d s old\.", title())
                )
            else:
                own_server.stop(keep=True)
                await until(pilot, lambda: title().startswith("Trying again; this picture is "))
                own_server.start()
            await until(pilot, lambda: "children" in title())

    hub = Hub("away", redis=own_server.url)
    hub.start_child("c", Child)
    asyncio.run(look(hub))
    hub.close()


def test_a_child_is_looked_at_and_a_wide_terminal_is_used(shell: Shell, hub: Hub, hub_id: str) -> None:
    shell.worker("a", "--app-version", "v7")
    shell.ok("start", "basic:hub", "c-1", "Counter", "--tag", "tier=vip")
    shell.ok("call", hub_id, "c-1", "add", "41")

    async def look() -> None:
        app = make_app(hub, View(hub.hub_id, "redis", hub.config.lease), 0.2)
        async with app.run_test(size=(160, 50)) as pilot:
            await until(pilot, lambda: "1 node " in shown(app, "#title"))
            table, children = app.query_one(DataTable), app.query_one("#children")
            await until(pilot, lambda: children.region.x > table.region.x and children.region.y == table.region.y)
            assert [str(column.label) for column in table.columns.values()] == list(COLUMNS)
            await pilot.resize_terminal(80, 24)
            await until(pilot, lambda: children.region.x == table.region.x)
            await until(pilot, lambda: len(table.columns) < len(COLUMNS))
            await pilot.press("c")
            await until(pilot, lambda: app.screen.query("#which"))
            app.screen.query_one(Input).value = "c-1"
            await pilot.press("enter")
            seen: Callable[[], str] = lambda: str(app.screen.query_one("#seen", Static).render())  # noqa: E731
            await until(pilot, lambda: "c-1  Counter  running  on a" in seen())
            assert "value = 41" in seen() and "tier" in seen() and "waiting: none" in seen(), seen()
            await pilot.press("c")
            app.screen.query_one(Input).value = "nobody"
            await pilot.press("enter")
            await until(pilot, lambda: "no child 'nobody'" in seen())
            await pilot.press("escape")
            await until(pilot, lambda: app.query("#title") and "1 node " in shown(app, "#title"))

    asyncio.run(look())
