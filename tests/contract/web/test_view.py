"""The web view and its API over a hub with workers: what it shows, what it does, what goes on."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from rq.job import JobStatus
from starlette.applications import Starlette
from starlette.routing import Mount

from hubq import Child, Hub
from hubq.client.asking.steps import Fetch
from hubq.client.operations.inspection import next_events
from hubq.store.command import plain
from hubq.store.history import Point, read_points
from hubq.testing import Cluster, eventually
from hubq.web import User, dashboard, open_to_all
from hubq.web.view import news

from .test_web import Connection

BASE = "http://hub.example/below/hubq"


class Bomb:
    """Whoever unpickles it makes a directory."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.makedirs, (str(self.mark), 0o777, True)


class Room(Child):
    def __init__(self) -> None:
        self.posts: list[str] = []
        self.go = True

    async def post(self, text: str, *, loud: bool = False) -> int:
        self.posts.append(text.upper() if loud else text)
        self.publish("posts", text)
        return len(self.posts)

    async def fail(self) -> None:
        if self.go:
            raise ValueError("broken <b>")

    async def mend(self) -> None:
        self.go = False

    async def odd(self) -> Any:
        return {"at": 1j, "name": "\ud800"}

    async def hang(self) -> None:
        await asyncio.sleep(3600)

    async def tell(self, child: str, *texts: str) -> None:
        for text in texts:
            self.ref(child).cast("post", text)


class Site:
    """The view, mounted below a path, and requests to it."""

    def __init__(self, hub: Hub, cluster: Cluster, role: Any) -> None:
        self.hub, self.cluster = hub, cluster
        self.view = dashboard(hub, auth=open_to_all("ann", role), read_only=role == "viewer")
        app = Starlette(routes=[Mount("/below/hubq", self.view)])
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE)

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.client.get(f"/api{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def do(self, path: str, status: int = 200, **body: Any) -> Any:
        answer = await self.client.post(f"/api{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def page(self, path: str, status: int = 200) -> str:
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        self.client.cookies.clear()  # the API is asked as by a program
        return answer.text

    async def acted(self) -> list[dict[str, str]]:
        """What the events say of the actions, the oldest first."""
        found = (await self.get("/events", type="operator_acted"))["events"]
        return [each["fields"] for each in reversed(found)]


def run(
    make_hub: Any, scenario: Callable[[Site], Awaitable[None]], *nodes: str, role: str = "operator", **settings: Any
) -> None:
    async def whole() -> None:
        hub: Hub = make_hub(**settings)
        hub.child(Room)
        async with Cluster(hub) as cluster:
            await cluster.start(*(nodes or ("a",)))
            await cluster.settled()
            await hub.aio.start_child("r/1", Room, metadata={"tag": "vip"})
            site = Site(hub, cluster, role)
            async with site.client:
                await scenario(site)

    asyncio.run(whole())


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
        assert events.count('"type">shard_adopted') == 1, "events of many shards are one line"
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


def test_a_viewer_has_no_actions_on_the_pages(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        await site.hub.aio.ref("r/1").cast("fail")
        await eventually(site.hub.aio.dead_letters, what="a dead letter")
        for path in ("/", "/child?id=r/1", "/dead", "/jobs"):
            assert "data-act" not in await site.page(path)

    run(make_hub, scenario, role="viewer")


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


def test_an_operator_calls_casts_moves_and_stops_and_it_is_written_down(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        done = await site.do("/child/call", id="r/1", method="post", args=["hi"], kwargs={"loud": True})
        assert done["result"] == 1
        assert (await site.do("/child/call", id="r/1", method="odd"))["result"] == "{'at': 1j, 'name': '\\ud800'}"
        await site.do("/child/cast", id="r/1", method="post", args=["ho"])
        assert (await site.do("/child/call", id="r/1", method="post", args=["!"]))["result"] == 3
        there = (await site.hub.aio.where("r/1")).node
        other = "b" if there == "a" else "a"
        assert (await site.do("/child/move", id="r/1", node=other))["said"] == f"r/1 is on {other}"
        assert (await site.do("/child/move", id="r/1", node=None))["said"] == f"r/1 is on {there}"
        failed = await site.do("/child/call", 422, id="r/1", method="fail")
        assert failed["error"] == "CallFailed" and "broken" in failed["detail"]
        await site.do("/child/call", 400, id="r/1", method="no_such")
        await site.do("/child/move", 409, id="r/1", node="nobody")
        await site.do("/child/stop", id="r/1")
        await site.do("/child/call", 404, id="r/1", method="post", args=["?"])
        acted = await site.acted()
        assert {each["who"] for each in acted} == {"ann"} == {each["who"] for each in acted if each["child"] == "r/1"}
        tried = [each["what"] for each in acted if "failed" not in each]
        assert tried == ["call", "call", "cast", "call", "move", "move", "call", "call", "move", "stop", "call"]
        assert [each["what"] for each in acted if "failed" in each] == ["call", "call", "move", "call"]
        assert {each["type"] for each in (await site.get("/child/history", id="r/1"))["events"]} >= {
            "operator_acted", "child_migrated", "child_stopped",
        }  # fmt: skip

    run(make_hub, scenario, "a", "b")


def test_a_child_that_hangs_is_ended_and_what_waits_is_dropped(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        ref = site.hub.aio.ref("r/1")
        await ref.cast("hang")
        await ref.cast("post", "one")
        await ref.cast("post", "two")

        async def waits() -> Any:
            return (await site.get("/child/mailbox", id="r/1"))["messages"] == 3

        await eventually(waits, what="three messages")
        heads = (await site.get("/child/mailbox", id="r/1"))["heads"]
        assert [head["method"] for head in heads] == ["hang", "post", "post"]
        await site.do("/child/drop", id="r/1", entry=heads[1]["entry"])
        await site.do("/child/kill", id="r/1")
        assert (await site.do("/child/call", id="r/1", method="post", args=["three"]))["result"] == 2
        assert (await site.get("/child/state", id="r/1"))["state"]["posts"] == ["two", "three"]
        await ref.cast("hang")
        await site.do("/child/stop", id="r/1", now=True)
        assert (await site.get("/children"))["children"] == []

    run(make_hub, scenario)


def test_who_waits_and_for_how_long_and_what_cannot_leave(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        await site.hub.aio.start_child("r/2", Room)
        await site.hub.aio.start_child("r/3", Room)
        await site.hub.aio.ref("r/1").cast("hang")

        async def old_enough() -> Any:
            return (await site.get("/children", oldest=0.2))["children"]

        (child,) = await eventually(old_enough, what="a message that waits")
        assert child["child_id"] == "r/1"
        shown = await site.get("/children", match="r")
        assert list(shown["oldest"]) == ["r/1"] and 0.2 <= shown["oldest"]["r/1"] < 3_600
        assert (await site.get("/children", oldest=3_600))["children"] == []
        assert [each["child_id"] for each in (await site.get("/children", match="r/1", oldest=0.2))["children"]] == [
            "r/1"
        ]
        assert (await site.get("/children", match="r/1", oldest=3_600))["children"] == []
        assert [child.child_id for child in await site.hub.aio.children(oldest=0.2)] == ["r/1"]

        texts = [f"text {n}" for n in range(5)]
        await site.hub.aio.ref("r/2").call("tell", "r/1", *texts)  # two of them have room beside the one in hand
        box = await site.get("/child/outbox", id="r/2")
        assert [(each["child"], each["method"]) for each in box["heads"]] == [("r/1", "post")] * 3
        assert box["messages"] == 3 and all(each["age"] >= 0 and each["size"] > 0 for each in box["heads"])
        assert len((await site.get("/child/outbox", id="r/2", count=2))["heads"]) == 2
        assert (await site.get("/child/outbox", id="r/3"))["heads"] == []
        full = await site.get("/child", id="r/1")
        assert (full["mailbox"]["messages"], full["held_back"]) == (3, 3)
        assert "3 more messages for it wait in the outboxes" in await site.page("/child?id=r/1")
        assert "What it has said to children whose mailboxes are full" in await site.page("/child?id=r/2")

        await site.do("/child/kill", id="r/1")

        async def all_there() -> bool:
            return bool((await site.hub.aio.inspect.state("r/1")).value().get("posts") == texts)

        await eventually(all_there, what="what waited in the outbox")
        assert (await site.get("/child/outbox", id="r/2"))["messages"] == 0

    run(make_hub, scenario, max_backlog=3)


def test_arguments_that_a_method_does_not_take_are_a_bad_request(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        said = await site.do("/child/call", 400, id="r/1", method="post", args=[3])
        assert (said["error"], said["detail"]) == (
            "BadArguments",
            "Room.post: argument 'text': Expected `str`, got `int`",
        )

    run(make_hub, scenario, codec="data")


def test_dead_letters_are_sent_again_and_dropped_by_name_and_by_filter(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        ref = site.hub.aio.ref("r/1")
        for _ in range(3):
            await ref.cast("fail")
        await ref.cast("no_such_method")

        async def all_dead() -> bool:
            return len(await site.hub.aio.dead_letters()) == 4

        await eventually(all_dead, what="four dead letters")
        await ref.call("mend")
        for body in ({}, {"letters": ["1/1-1"], "why": "raised"}, {"every": True, "child": "r/1"}):
            await site.do("/dead/replay", 400, **body)
        first = (await site.get("/dead", why="raised"))["letters"][0]["letter"]
        done = await site.do("/dead/replay", letters=[first, "1/1-1"])
        assert done["done"] == [first] and list(done["stay"]) == ["1/1-1"]
        assert len((await site.do("/dead/replay", why="raised", kind="Room", child="r/1"))["done"]) == 2
        assert (await site.get("/dead"))["total"] == 1
        assert len((await site.do("/dead/drop", why="unknown-method"))["done"]) == 1
        assert (await site.do("/dead/drop", every=True)) == {"done": [], "stay": {}, "more": False}
        assert (await site.get("/dead"))["letters"] == []

    run(make_hub, scenario)


def test_children_are_paused_and_go_on(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        for what, name in (("child", "r/1"), ("class", "Room"), ("hub", "")):
            await site.do("/pause", what=what, name=name, why="a look")
            assert "it was before" in (await site.do("/pause", what=what, name=name))["said"]
            (found,) = await site.get("/pauses")
            assert (found["what"], found["name"], found["why"]) == (what, name, "a look")
            assert "a look" in await site.page("/") and "a look" in await site.page("/child?id=r/1")
            await site.do("/child/call", 504, id="r/1", method="mend", timeout=0.1)
            await site.do("/resume", what=what, name=name)
            assert "was not paused" in (await site.do("/resume", what=what, name=name))["said"]
            await site.do("/child/call", id="r/1", method="mend")
        for what, name in (("hub", "x"), ("class", ""), ("child", ""), ("child", "no\nname"), ("class", "no\nname")):
            await site.do("/pause", 400, what=what, name=name)
        await site.do("/pause", 404, what="child", name="nobody")
        assert {each["what"] for each in await site.acted()} == {"pause", "resume", "call"}

    run(make_hub, scenario)


def test_a_worker_is_drained(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        await site.do("/nodes/drain", node="b")

        async def given() -> bool:
            return set((await site.get("/hub"))["owners"]) == {"a"}

        await eventually(given, what="b has given everything away")
        assert [each["what"] for each in await site.acted()] == ["drain"]
        await site.do("/nodes/drain", 409, node="nobody")
        await site.cluster.drain("b")

    run(make_hub, scenario, "a", "b")


def test_a_job_of_rq_is_run_again_and_canceled(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        job = await site.hub.aio.enqueue("os.getpid")
        assert [each["id"] for each in (await site.get("/jobs"))["jobs"]] == [job.id]
        await site.do("/jobs/retry", 409, id=job.id)
        await site.do("/jobs/cancel", id=job.id)
        await site.do("/jobs/cancel", 409, id=job.id)
        canceled = (await site.get("/jobs", state="canceled"))["jobs"]
        assert [(each["id"], each["state"]) for each in canceled] == [(job.id, "canceled")]
        await site.do("/jobs/cancel", 404, id="no-such")
        failed = await asyncio.to_thread(failed_job, site.hub)
        await site.do("/jobs/retry", id=failed)
        assert [(each["id"], each["state"]) for each in (await site.get("/jobs", state="queued"))["jobs"]] == [
            (failed, "queued")
        ]
        await site.do("/jobs/cancel", 404, id="r/1")  # a child, but no job: nothing is sent to it

    run(make_hub, scenario)


async def forever(ctx: Any) -> None:
    """A resumable job that does not end by itself."""
    await asyncio.Event().wait()


def test_a_resumable_job_is_shown_and_canceled(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        site.hub.job(resumable=True)(forever)
        job = await site.hub.aio.enqueue(forever)

        async def running() -> bool:
            jobs = (await site.get("/jobs"))["jobs"]
            return [(each["kind"], each["id"], each["state"]) for each in jobs] == [("resumable", job.id, "started")]

        await eventually(running, what="the job is shown")
        await site.do("/jobs/retry", 404, id=job.id)
        assert "told to end" in (await site.do("/jobs/cancel", id=job.id))["said"]

        async def ended() -> bool:
            return (await site.get("/jobs"))["jobs"] == [] and await job.status() == "canceled"

        await eventually(ended, what="the job has ended")
        await site.do("/jobs/cancel", 404, id=job.id)

    run(make_hub, scenario)


def failed_job(hub: Hub) -> str:
    """A job of RQ that stands where its worker puts one that has raised."""
    job = hub.enqueue("os.getpid")
    hub.rq_queue.remove(job)
    job.set_status(JobStatus.FAILED)
    hub.rq_queue.failed_job_registry.add(job, exc_string="ValueError: broken")
    return str(job.id)


# -- what goes on -------------------------------------------------------------------------------------------------


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
            assert [each["fields"]["child"] for each in events_of(again)] == ["y"]
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
    from hubq.store.control import add_deed

    yield Fetch([add_deed(hub.keys, 100, "test", "nothing", {})])


def test_a_user_is_known_by_name() -> None:
    assert User("ann").may_act is False
