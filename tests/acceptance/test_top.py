"""``hubq top`` on a live hub: as text in a pipe, and its screen at 80 by 24."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import DataTable, Static

from hubq import Hub
from hubq.cli.top import make_app
from hubq.cli.top_view import View

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = pytest.mark.acceptance


def test_in_a_pipe_it_prints_one_picture(shell: Shell, hub_id: str) -> None:
    shell.worker("a")
    shell.ok("start", "basic:hub", "c-1", "Counter")
    text = shell.ok("top", hub_id)
    assert text.startswith(f"{hub_id} 1 nodes  ")
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
            await until(pilot, lambda: "1 nodes" in shown(app, "#title"))
            await pilot.press("f", "z", "enter")
            await until(pilot, lambda: table.row_count == 0)
            await pilot.press("escape")
            await until(pilot, lambda: table.row_count == 1)

    asyncio.run(look())
    assert leaving.wait() == 0
