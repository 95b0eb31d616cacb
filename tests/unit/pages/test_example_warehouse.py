"""``examples/warehouse.py`` does what it says: over HTTP, with a clock, through a move, without a server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from examples import warehouse
from examples.warehouse import Room, app, hub, report
from hubq.store.server import Server
from hubq.testing import Clock, Cluster, eventually


def test_it_has_at_most_120_lines_none_of_which_is_machinery() -> None:
    text = Path(warehouse.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    for machinery in (
        "AlreadyStarted",
        "UnknownChild",
        "start_child",
        "try:",
        "except ",
        "asyncio",
        "redis",
        "sleep",
        "suppress",
    ):
        assert machinery not in text, machinery


def test_all_that_a_warehouse_does(hubq_clock: Clock, hubq_server: Server) -> None:
    hub.connect_to(hubq_server)

    async def scenario() -> None:
        transport = httpx.ASGITransport(app=app)
        async with Cluster(hub) as cluster, httpx.AsyncClient(transport=transport, base_url="http://test") as web:

            async def ask(method: str, path: str, **more: Any) -> Any:
                answer = await web.request(method, path, **more)
                assert answer.status_code == 200, answer.text
                return answer.json()

            async def imported() -> bool:
                job = hub.aio.resumable_job("monday")
                return await job.status() == "finished" and (await ask("GET", "/imports/monday"))["done"] == 2

            async def order_is(name: str, status: str) -> bool:
                return bool(await ask("POST", f"/orders/{name}?item=tea&count=2&mail=somebody") == status)

            async def told(posts: int) -> list[Any]:
                feed = hub.aio.ref(Room, "hall").feed(after="0", follow=False)
                found = [event.data async for event in feed]
                return found if len(found) >= posts else []

            await cluster.start("a")

            # An import, of which one can see how far it is.
            goods = [["tea", 3], ["salt", 40]]
            assert await ask("POST", "/imports/monday", json=goods) == "monday"
            await eventually(imported, what="the import is done")
            await cluster.start("b")

            # Orders: each once, though asked for twice; what is not there is sold out; each customer is written to.
            assert await ask("POST", "/orders/o-1?item=tea&count=2&mail=ann") == "placed"
            await eventually(lambda: order_is("o-1", "packed"), what="o-1 is packed")
            await ask("POST", "/orders/o-2?item=tea&count=2&mail=bob")
            await eventually(lambda: order_is("o-2", "sold out"), what="o-2 is refused")
            await cluster.drain("a")
            assert await ask("POST", "/orders/o-1?item=tea&count=2&mail=ann") == "packed"
            await eventually(lambda: hub.rq_queue.count == 2, what="two mails")
            assert sorted(job.perform() for job in hub.rq_queue.jobs) == [
                "to ann: o-1 is packed",
                "to bob: o-2 is sold out",
            ]

            # A freezer falls silent 30 s after its last report.
            await ask("POST", "/freezers/f-7?celsius=-18")
            assert await hub.aio.ref("f-7").call("status") == (-18.0, True)
            await hubq_clock.advance(30)
            await ask("POST", "/freezers/f-8?celsius=-21")
            assert await hub.aio.ref("f-7").call("status") == (-18.0, False)
            assert await hub.aio.ref("f-8").call("status") == (-21.0, True)

            # The chat, and what a page sees of it.
            assert await ask("POST", "/rooms/hall?who=ann&text=hi") == 1

            # Its job is in the queue, and says the truth.
            (entry,) = hub.jobs.crons
            assert (entry.function, entry.cron) == (report, "0 3 * * *")
            await asyncio.to_thread(report)
            await eventually(lambda: told(2), what="the room has the report")
            assert await told(2) == [
                {"number": 1, "who": "ann", "text": "hi"},
                {"number": 2, "who": "report", "text": "1 of 2 freezers are silent"},
            ]

    hubq_clock.run(scenario())
