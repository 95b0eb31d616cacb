"""``examples/devices_fastapi.py`` does what it says: over HTTP, with a clock, without a server."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from examples import devices_fastapi
from examples.devices_fastapi import app, hub
from hubq import Hub
from hubq.store.server import Server
from hubq.testing import Clock, Cluster, eventually


def test_it_has_at_most_120_lines_none_of_which_is_machinery() -> None:
    text = Path(devices_fastapi.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    for machinery in ("AlreadyStarted", "start_child", "try:", "except ", "asyncio", "redis", "sleep", "while"):
        assert machinery not in text, machinery


def test_a_device_reports_alarms_moves_and_falls_silent(
    hubq_clock: Clock, hubq_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    async def siren(device: str) -> None:
        tried.append(device)
        if len(tried) < 3:
            raise ConnectionError("the siren is out of reach")

    monkeypatch.setattr(devices_fastapi, "siren", siren)
    hub.connect_to(hubq_server)

    async def scenario() -> None:
        transport = httpx.ASGITransport(app=app)
        async with Cluster(hub) as cluster, httpx.AsyncClient(transport=transport, base_url="http://test") as web:

            async def ask(method: str, path: str) -> Any:
                answer = await web.request(method, path)
                assert answer.status_code == 200, answer.text
                return answer.json()

            await cluster.start("a")
            assert await ask("POST", "/devices/oven-7/readings?celsius=20") == 1
            assert await ask("POST", "/devices/oven-7/readings?celsius=95") == 2
            assert await ask("POST", "/devices/oven-7/readings?celsius=96") == 3, "alarmed once"
            await eventually(lambda: len(tried) == 3, what="the siren is tried again")

            async def alarmed() -> bool:
                return bool(await ask("GET", "/alarms") == [["oven-7", 95.0]])

            await eventually(alarmed, what="one alarm")
            assert [job.args for job in hub.rq_queue.jobs] == [("oven-7", "95 degrees")]
            assert hub.rq_queue.jobs[0].perform() == "to the owner of oven-7: 95 degrees"
            await cluster.start("b")
            await cluster.drain("a")
            await hubq_clock.advance(30)
            assert await ask("POST", "/devices/oven-7/readings?celsius=30") == 4, "it has come along"
            await hubq_clock.advance(40)
            assert (await ask("GET", "/devices/oven-7"))["online"] is True, "30 s ago it reported"
            await hubq_clock.advance(30)
            assert await ask("GET", "/devices/oven-7") == {"online": False, "last": [30.0], "count": 4}
            feed = [event async for event in hub.aio.ref("oven-7").feed(follow=False)]
            assert [event.data for event in feed] == [20.0, "online", 95.0, 96.0, 30.0, "offline"]

    spent = time.process_time()  # not the time that passes, which others on the machine have a part in
    hubq_clock.run(scenario())
    assert time.process_time() - spent < 60


def test_the_first_screen_of_the_readme_runs(
    hubq_server: Server, hubq_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    screen = readme[: readme.index("\n## ")]
    define, use = re.findall(r"^```python\n(.*?)^```", screen, re.MULTILINE | re.DOTALL)
    lines = [line for line in define.splitlines() if line]
    assert len(lines) <= 12 and "docs/pictures/kill.svg" in screen and "pip install" in screen
    module = ModuleType("app")
    monkeypatch.setitem(sys.modules, "app", module)
    exec(define, vars(module))
    counters: Hub = vars(module)["hub"]
    counters.connect_to(hubq_server)

    async def scenario() -> None:
        async with Cluster(counters) as cluster:
            await cluster.start("a")
            said: list[Any] = []
            await asyncio.to_thread(exec, use, {"print": said.append})
            await asyncio.to_thread(exec, use, {"print": said.append})
            assert said == [2, 4]

    hubq_run(scenario())
