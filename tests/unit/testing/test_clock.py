"""A clock that tests advance: what waits for a time comes then, in its order, and nodes live on."""

from __future__ import annotations

import asyncio
import time

import pytest

from hubq import Child, ConfigError, Hub
from hubq.testing import Clock, Cluster, FakeServer


class Room(Child):
    def __init__(self) -> None:
        self.closed_at = 0.0
        self.ticks = 0

    async def close_in(self, seconds: float) -> None:
        self.remind("close", after=seconds, call=Room.close)

    async def close(self) -> None:
        self.closed_at = time.time()

    async def when_closed(self) -> float:
        return self.closed_at


class Ticker(Child):
    def __init__(self) -> None:
        self.ticks = 0
        self.slept = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(60)
            self.ticks += 1
            await self.commit()

    async def how_many(self) -> int:
        return self.ticks

    def nap(self) -> int:
        time.sleep(0.05)
        self.slept += 1
        return self.slept


def hub() -> Hub:
    return Hub("test", redis=FakeServer(), shards=2, heartbeat=2, lease=20)


def test_reminders_and_loops_come_when_it_is_time() -> None:
    clock = Clock()

    async def scenario() -> None:
        async with Cluster(hub()) as cluster:
            await cluster.start("a")
            await cluster.hub.aio.start_child("room", Room)
            await cluster.hub.aio.start_child("ticker", Ticker)
            room, ticker = cluster.hub.aio.ref("room"), cluster.hub.aio.ref("ticker")
            began = time.time()
            await room.call("close_in", 600)
            await clock.advance(599)
            assert await room.call("when_closed") == 0.0
            assert await ticker.call("how_many") == 9
            await clock.advance(1)
            closed = await room.call("when_closed") - began
            assert 600 <= closed < 605
            await clock.advance(60)
            assert await ticker.call("how_many") == 11
            assert await cluster.hub.aio.is_alive("a"), "it has renewed its lease all the time"

    spent = time.process_time()  # not the time that passes, which others on the machine have a part in
    clock.run(scenario())
    assert time.process_time() - spent < 30


def test_the_lease_of_a_killed_node_ends_in_time() -> None:
    clock = Clock()

    async def scenario() -> None:
        async with Cluster(hub()) as cluster:
            await cluster.start("a", "b")
            await cluster.hub.aio.start_child("ticker", Ticker)
            ticker = cluster.hub.aio.ref("ticker")
            await clock.advance(120)
            node = (await cluster.hub.aio.where("ticker")).node
            assert node is not None
            await cluster.kill(node)
            await clock.advance(cluster.hub.config.lease + 5)
            (other,) = cluster.nodes
            assert (await cluster.hub.aio.where("ticker")).node == other
            assert await ticker.call("how_many") >= 1, "its state has come along"

    clock.run(scenario())


def test_a_partitioned_node_loses_its_lease() -> None:
    clock = Clock()

    async def scenario() -> None:
        async with Cluster(hub()) as cluster:
            await cluster.start("a", "b")
            cluster.partition("a")
            await clock.advance(cluster.hub.config.lease + 5)
            assert not await cluster.hub.aio.is_alive("a") and await cluster.hub.aio.is_alive("b")

    clock.run(scenario())


def nothing() -> None: ...


def test_cron_and_scheduled_jobs_come_when_it_is_time() -> None:
    clock, made = Clock(), hub()
    made.cron("*/10 * * * *", nothing)
    made.cron("5-59/10 * * * *", Room, child_id="in-between")

    async def scenario() -> None:
        async with Cluster(made) as cluster:
            await cluster.start("a")
            now = time.localtime(time.time())
            await clock.advance(
                (500 - now.tm_min * 60 - now.tm_sec) % 600
            )  # a hundred seconds before the next ten minutes are full
            before = made.rq_queue.count
            job = await asyncio.to_thread(made.enqueue_in, 50, nothing)
            assert job.id not in made.rq_queue.job_ids
            await clock.advance(50)
            assert job.id in made.rq_queue.job_ids and made.rq_queue.count == before + 1
            await clock.advance(50)
            assert made.rq_queue.count == before + 2, "ten minutes are full"
            await clock.advance(300)
            assert made.rq_queue.count == before + 2, "five minutes later"
            assert await made.aio.ref("in-between").call("when_closed") == 0.0
            await clock.advance(300)
            assert made.rq_queue.count == before + 3, "ten minutes later"

    clock.run(scenario())


def test_threads_are_waited_for() -> None:
    clock = Clock()

    async def scenario() -> None:
        async with Cluster(hub()) as cluster:
            await cluster.start("a")
            await cluster.hub.aio.start_child("ticker", Ticker)
            napping = asyncio.ensure_future(cluster.hub.aio.ref("ticker").call("nap", timeout=5.0))
            await clock.advance(60)
            assert await napping == 1, "the time-out of five seconds did not come before the end of a short nap"

    clock.run(scenario())


def test_time_is_as_before_afterwards_and_only_a_clock_that_runs_advances() -> None:
    clock, real, before = Clock(), time.time, time.time()

    async def scenario() -> float:
        await clock.advance(10_000)
        return time.time()

    assert clock.run(scenario()) >= before + 10_000
    assert time.time is real and time.time() < before + 1_000
    with pytest.raises(ConfigError, match="this clock does not run"):
        asyncio.run(clock.advance(1))
