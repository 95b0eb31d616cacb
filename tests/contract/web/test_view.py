"""The web view and its API over a hub with workers: what it shows."""

from __future__ import annotations

import asyncio
import os
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hubq import Hub
from hubq.client.asking.steps import Fetch
from hubq.store.command import plain
from hubq.store.history import Point, read_points
from hubq.testing import eventually
from hubq.web import User, dashboard, open_to_all

from .site import BASE, Site, run


class Bomb:
    """Whoever unpickles it makes a directory."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.makedirs, (str(self.mark), 0o777, True)


@pytest.mark.long_on_fakeredis
def test_the_pages_show_the_hub_below_the_path_where_they_are_mounted(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        await site.hub.aio.ref("r/1").call("post", "<hi>")
        await site.hub.aio.ref("r/1").cast("fail")
        await eventually(site.hub.aio.dead_letters, what="a dead letter")
        hub = await site.page("/")
        assert 'href="/below/hubq/children"' in hub and 'src="/below/hubq/static/view.js' in hub
        assert hub.count('class="dot ') == site.hub.config.shards and "a serves 64" in hub
        assert 'href="/below/hubq/child?id=r/1"' in await site.page("/children?match=r")
        child = await site.page("/child?id=r/1")
        assert "[&#39;&lt;hi&gt;&#39;]" in child and "node_joined" not in child
        dead = await site.page("/dead?why=raised")
        assert "broken &lt;b&gt;" in dead and "ValueError" in dead and "Room.fail" in dead
        assert "None." in await site.page("/dead?why=dropped")
        summary = dead[dead.index("<summary>") : dead.index("</summary>")]
        assert "ValueError: broken" in summary, "why is seen before the letter is opened"
        events = await site.page("/events")
        assert "node_joined" in events and "0-63" in events
        # (One, unless a loop has stood still on a slow machine: events on both sides of another one are not joined.)
        _, every = await asyncio.to_thread(site.hub.inspect.events, 1000)
        runs = [kind for kind, _ in groupby(event.type for event in every) if kind == "shard_adopted"]
        assert events.count('"type">shard_adopted') == len(runs) < 64, "events of many shards are one line"
        assert (await site.page("/events?type=shard_adopted")).count('"type">shard_adopted') == 64
        assert "RQ workers" in await site.page("/jobs")
        assert "dead letter" in await site.page("/doctor?fresh=true")
        assert "no child" in await site.page("/child?id=nobody", 404)
        assert "no part" in await site.page("/?part=other", 400)
        part = await site.client.get("/children?part=children&match=r")
        assert part.text.lstrip().startswith("<div") and "r/1" in part.text and "<html" not in part.text
        moved = await site.client.get("http://hub.example/below/hubq")
        assert moved.status_code in (307, 308) and moved.headers["location"].endswith("/below/hubq/")

    run(make_hub, scenario)


def test_a_worker_writes_its_figures_down_and_the_last_hour_is_drawn(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        context, drive = site.hub.aio.driver.context, site.hub.aio.driver.drive

        def do(commands: Any) -> Any:
            return (yield Fetch(commands))

        async def written() -> Any:
            return (await drive(do([read_points(context.keys, "a")])))[0]

        *_, first = await eventually(written, what="a point of the worker")
        assert first.memory > 1_000_000 and first.incarnation == 1
        later = Point(1, first.handled + 500, 5, 100, first.cpu + 2, 2**30, 7, 3, 0.25)
        key = context.keys.history("a")
        at = int(first.at * 1000) + 5_000
        await drive(do([plain("XADD", key, f"{at}-0", "p", msgspec.json.encode(later), read=lambda answer: None)]))
        await drive(do([plain("XADD", key, f"{at}-1", "p", "no point", read=lambda answer: None)]))
        (series,) = (await site.get("/metrics"))["series"]
        k = series["at"].index(at / 1000)
        assert (series["node"], series["messages"][k], series["failed"][k]) == ("a", 100.0, 1.0)
        assert [series[name][k] for name in ("cpu", "memory", "children", "waiting")] == [0.4, 2**30, 7, 3]
        page = await site.page("/metrics")
        assert page.count("<polyline") == 7 and "a</span> " in page

    run(make_hub, scenario)


@pytest.mark.long_on_fakeredis
def test_a_viewer_has_no_actions_on_the_pages(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        await site.hub.aio.ref("r/1").cast("fail")
        await eventually(site.hub.aio.dead_letters, what="a dead letter")
        for path in ("/", "/child?id=r/1", "/dead", "/jobs"):
            assert "data-act" not in await site.page(path)

    run(make_hub, scenario, role="viewer")


@pytest.mark.long_on_fakeredis
def test_what_is_asked_is_answered(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        await site.hub.aio.ref("r/1").call("post", "hi")
        hub = await site.get("/hub")
        assert (hub["hub"], hub["children"], hub["served"], hub["owners"]) == (site.hub.hub_id, 1, 64, ["a"] * 64)
        assert [node["name"] for node in hub["nodes"]] == ["a"] == [n["name"] for n in await site.get("/nodes")]
        for query, fits in (
            ({"match": "r/1"}, True), ({"match": "/"}, True), ({"match": "r*"}, True), ({"kind": "Room", "tag": "vip"}, True),
            ({"node": "a", "status": "running"}, True), ({"node": "b"}, False), ({"waiting": 1}, False), ({"tag": "x"}, False),
            ({"match": "r/1", "tag": "x"}, False), ({"match": "r/1", "kind": "x"}, False), ({"waiting": ""}, True),
        ):  # fmt: skip
            found = await site.get("/children", **query)
            assert [each["child_id"] for each in found["children"]] == ["r/1"] * fits, query
        child = await site.get("/child", id="r/1")
        assert child["child"]["metadata"] == {"tag": "vip"} and "post" in child["methods"]
        assert child["state"]["state"]["posts"] == ["hi"] and child["state"]["trouble"] == ""
        assert (await site.get("/child/state", id="r/1"))["attributes"][0] == {"name": "posts", "value": "['hi']"}
        assert (await site.get("/child/mailbox", id="r/1"))["messages"] == 0
        assert await site.get("/child/reminders", id="r/1") == []
        history = (await site.get("/child/history", id="r/1"))["events"]
        assert [(each["type"], each["fields"]["shard"]) for each in history] == [
            ("shard_adopted", str(child["child"]["shard"]))
        ]
        assert (await site.get("/jobs"))["counts"]["queued"] == 0
        assert (await site.get("/doctor"))["age"] == 0.0 <= (await site.get("/doctor"))["age"]
        assert (await site.get("/openapi.json"))["servers"] == [{"url": "/below/hubq"}]

    run(make_hub, scenario)


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/children", {"colour": "red"}, "colour"),
        ("/children", {"limit": "many"}, "limit"),
        ("/children", {"status": "happy"}, "status"),
        ("/children", {"after": "x"}, "no place"),
        ("/children", {"oldest": "-1"}, "oldest"),
        ("/children", {"oldest": "nan"}, "oldest"),
        ("/child", {}, "id"),
        ("/child", {"id": "a\x00b"}, "unprintable"),
        ("/dead", {"after": "x"}, "dead letter"),
        ("/events", {"before": "x"}, "no id of an event"),
        ("/child/feed", {"id": "r/1", "after": "x"}, "no id of an event"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    make_hub: Any, path: str, query: dict[str, str], said: str
) -> None:
    hub: Hub = make_hub()

    async def ask() -> None:
        app = dashboard(hub, auth=open_to_all())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as client:
            answer = await client.get(f"http://hub.example/api{path}", params=query)
            assert answer.status_code == 400 and said in answer.json()["detail"], answer.text
        await hub.aio.close()
        hub.close()

    asyncio.run(ask())


@pytest.mark.long_on_fakeredis
def test_nothing_that_is_shown_is_run(make_hub: Any, tmp_path: Path) -> None:
    mark = tmp_path / "gone-off"

    async def scenario(site: Site) -> None:
        ref = site.hub.aio.ref("r/1")
        await ref.cast("no_such_method", Bomb(mark))
        await eventually(site.hub.aio.dead_letters, what="a dead letter")
        await site.cluster.kill("a")
        if mark.exists():  # the worker may have unpickled it; the view must not
            mark.rmdir()
        for path in ("/dead", "/api/dead", "/child?id=r/1"):
            answer = await site.client.get(path)
            assert answer.status_code == 200
        assert "makedirs" in (await site.get("/dead"))["letters"][0]["arguments"]
        assert not mark.exists()

    run(make_hub, scenario)


def test_a_user_is_known_by_name() -> None:
    assert User("ann").may_act is False
