"""The app of the job tests: functions that write down, in a list of the test's Redis, what they did."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import redis

from hubq import Child, Hub, Work, current_hub

hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=2.0, lease_margin=0.5)
scope: ContextVar[str] = ContextVar("scope", default="")


def note(*words: object) -> None:
    client = redis.Redis.from_url(os.environ["HUBQ_REDIS_URL"])
    client.rpush(f"notes:{hub.hub_id}", " ".join(str(word) for word in words))
    client.close()


@hub.job(result_ttl=60)
def add(a: int, b: int) -> int:
    return a + b


def slow(name: str, seconds: float) -> str:
    note("begin", name, os.getpid())
    time.sleep(seconds)
    note("end", name)
    return name


@hub.middleware
@contextmanager
def scoped(work: Work) -> Iterator[None]:
    token = scope.set(f"{work.kind} {work.name}")
    try:
        yield
    finally:
        scope.reset(token)


def where_am_i() -> str:
    return current_hub().hub_id


def what_is_around() -> str:
    return scope.get()


def fails() -> None:
    raise ValueError("not today")


def keyed(key: str, number: int) -> None:
    note("begin", key, number, os.environ.get("HUBQ_TEST_NODE", "-"), os.getpid())
    time.sleep(0.01)
    note("end", key, number)


@hub.job(resumable=True, result_ttl=300)
async def count(ctx: Any, seconds: float, every: float = 0.1) -> list[int]:
    """Count in memory: no commit, nothing written anywhere but for the test's own notes."""
    counted = ctx.state.setdefault("counted", [])
    while len(counted) < round(seconds / every):
        await asyncio.sleep(every)
        number = len(counted)
        counted.append(number)
        # It is counted, so it is noted, whenever the job is interrupted (and what is noted twice was counted twice).
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, note, number))
    return counted


def succeeded(job: Any, connection: Any, result: Any) -> None:
    note("succeeded", job.id, result, current_hub().hub_id)


def failed(job: Any, connection: Any, kind: Any, error: Any, trace: Any) -> None:
    note("failed", job.id, kind.__name__, current_hub().hub_id)


@hub.child
class Desk(Child):
    """Has its sums done by jobs."""

    def __init__(self) -> None:
        self.entries: list[int] = []

    async def enter(self, number: int) -> int:
        self.entries.append(number)
        return len(self.entries)

    async def order(self, a: int, b: int, key: str | None = None) -> str:
        job = await current_hub().aio.enqueue(add, a, b, key=key)
        return str(job.id)

    def order_in_a_thread(self, a: int, b: int) -> str:
        return str(current_hub().enqueue(add, a, b).id)


@hub.child
class Till(Child):
    """Enqueues a job with each message, and counts both."""

    def __init__(self) -> None:
        self.sold: list[int] = []

    async def sell(self, number: int) -> int:
        self.sold.append(number)
        self.enqueue(note, self.child_id, number)
        return len(self.sold)

    async def all_sold(self) -> list[int]:
        return self.sold


def open_a_desk(name: str, number: int) -> int:
    """A job that starts a child, and calls it."""
    current_hub().start_child(name, Desk).result(20)
    current_hub().ref(name).cast("enter", number)
    return int(current_hub().ref(name).call("enter", number))


@hub.job(resumable=True)
async def open_a_desk_resumable(ctx: Any, name: str, number: int) -> int:
    await current_hub().aio.start_child(name, Desk)
    return int(await current_hub().aio.ref(name).call("enter", number))


if "HUBQ_TEST_CRON" in os.environ:
    hub.cron("* * * * * *", note, "tick", name=f"cron-{hub.hub_id}")


def kill_the_worker() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(30)
