"""User code as it should type-check (checked by mypy --strict, not run)."""

from __future__ import annotations

from typing import Any, assert_type

from rq.job import Job

from hubq import (
    AsyncResumableJob,
    Child,
    ChildRef,
    ChildSpec,
    ColdSwap,
    HotSwap,
    Hub,
    NodeStatus,
    Place,
    Progress,
    ResumableJob,
    StartFuture,
    StartResult,
    current_hub,
)
from hubq.jobs.progress import QueuedJob

hub = Hub("types", migration=HotSwap(retention=1.0), lease=10)
cold = Hub("cold", migration=ColdSwap())


@hub.child
class Room(Child):
    transient = ("socket",)

    def __init__(self, topic: str) -> None:
        self.topic = topic

    async def post(self, text: str) -> int:
        await self.commit()
        return len(text)


@hub.child(durability="interval", save_every=1.0)
class Meter(Child):
    async def run(self) -> None:
        self.stop()


@hub.child
async def crawl(ctx: Any, url: str) -> None:
    ctx.state.url = url
    await ctx.commit()


def sync_code() -> None:
    assert_type(hub.start_child("room-1", Room, "redis"), StartFuture)
    assert_type(hub.start_children([ChildSpec("room-2", Room, args=("redis",))]).result(5), StartResult)
    assert_type(hub.ref("room-1"), ChildRef)
    assert_type(hub.nodes(), list[NodeStatus])
    assert_type(hub.where("room-1"), Place)
    assert_type(Room("x"), Room)


@hub.job(timeout=60)
def send_mail(to: str) -> str:
    return to


@hub.job(resumable=True)
async def export(ctx: Any, customers: list[str]) -> int:
    ctx.state.done = len(customers)
    return len(customers)


def jobs() -> None:
    assert_type(hub.enqueue(send_mail, "ann", key="account-7"), QueuedJob)
    assert_type(hub.enqueue("app.send_mail", "ann"), QueuedJob)
    assert_type(send_mail.delay("ann"), QueuedJob)
    assert_type(send_mail.delay("ann").progress(), Progress | None)
    assert_type(hub.enqueue_in(60, send_mail, "ann"), QueuedJob)
    assert_type(hub.enqueue(export, ["ann"]), ResumableJob)
    assert_type(export.enqueue(["ann"]).status, str)
    assert_type(hub.start_child_in(60, "room-1", Room, "redis"), Job)
    assert_type(hub.rq_queue.count, int)
    hub.cron("0 9 * * *", send_mail, "ann", name="morning")
    assert_type(send_mail("ann"), str)
    assert_type(hub.queue_name, str)
    assert_type(current_hub(), Hub)


async def async_code() -> None:
    assert_type(await hub.aio.enqueue(export, ["ann"], retry=None), AsyncResumableJob)
    assert_type(await hub.aio.enqueue(send_mail, "ann"), QueuedJob)
    assert_type(await hub.aio.start_child("room-1", Room, "redis", metadata={"a": 1}), StartResult)
    await hub.aio.ref("room-1").cast("post", "hi")
    await hub.aio.close()
