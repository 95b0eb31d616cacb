"""The web view and its API: what an operator does, and that it is written down."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rq.job import JobStatus

from hubq import Hub
from hubq.testing import eventually

from .site import Room, Site, run


@pytest.mark.long_on_fakeredis
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


@pytest.mark.long_on_fakeredis
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


@pytest.mark.long_on_fakeredis
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


@pytest.mark.long_on_fakeredis
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


@pytest.mark.long_on_fakeredis
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
