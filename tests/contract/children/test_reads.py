"""``@read`` methods: beside the handler in hand, on the last committed state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hubq import CallCycle, CallFailed, CallTimeout, Cancelled, Child, ConfigError, Hub, ReadChanged, current_hub, read
from hubq.testing import Cluster, eventually

#: What has been begun.
BEGUN: list[str] = []


class Job(Child):
    transient = ("socket",)

    def __init__(self, what: str = "x") -> None:
        self.what, self.done, self.seen = what, 0, list[int]()

    async def on_start(self) -> None:
        self.socket = object()

    async def work(self, steps: int, seconds: float = 60.0) -> int:
        for _ in range(steps):
            self.done += 1
            self.seen.append(self.done)
        BEGUN.append("work")
        await asyncio.sleep(seconds)
        return self.done

    @read
    async def progress(self) -> tuple[int, list[int]]:
        return self.done, self.seen

    @read
    def in_a_thread(self) -> int:
        return self.done

    @read
    async def slow(self) -> int:
        BEGUN.append("slow")
        await asyncio.sleep(60)
        return self.done

    @read
    async def who(self) -> tuple[str, str, dict[str, Any]]:
        return self.child_id, self.node_name, self.metadata

    @read
    async def assigns(self) -> None:
        self.done = 77

    @read
    async def appends(self) -> None:
        self.seen.append(77)

    @read
    async def says(self) -> None:
        self.ref("other").cast("work", 1)

    @read
    async def commits(self) -> None:
        await self.commit()

    @read
    async def uses_transient(self) -> object:
        return self.socket

    @read
    async def slow_once(self) -> str:
        if self.node_name == "one":
            BEGUN.append("slow_once")
            await asyncio.sleep(60)
        return self.node_name

    @read
    async def raises(self) -> None:
        raise KeyError("nothing")

    async def ask_other(self, other: str) -> Any:
        return await current_hub().aio.ref(Job, other).call(Job.ask_back, self.child_id)

    async def ask_back(self, other: str) -> Any:
        assert (await current_hub().aio.ref(Job, other).call(Job.progress))[0] == 0
        return await current_hub().aio.ref(other).call("in_a_thread")


class Diary(Job):
    durability = "interval"
    save_every = 30.0


class Loose(Diary):
    on_error = "keep"


class Mover(Job):
    durability = "handover"


KINDS = (Job, Diary, Loose, Mover)
Scenario = Callable[[Hub, Cluster], Awaitable[None]]


@pytest.fixture
def play(make_hub: Any) -> Callable[..., None]:
    """Runs a scenario on a hub with a node and a child of each class."""

    def run(scenario: Scenario, **settings: Any) -> None:
        async def whole() -> None:
            hub = make_hub(shards=2, **settings)
            async with Cluster(hub) as cluster:
                await cluster.start("one")
                for kind in KINDS:
                    await hub.aio.start_child(kind.__name__, kind)
                await asyncio.wait_for(scenario(hub, cluster), 20)

        asyncio.run(whole())

    return run


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_handler_hides_nothing(play: Any, kind: type[Job]) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        ref = hub.aio.ref(Job, kind.__name__).options(timeout=30)
        assert await ref.call(Job.progress) == (0, [])
        assert await ref.call(Job.work, 2, 0) == 2
        assert await ref.call(Job.progress) == (2, [1, 2])
        BEGUN.clear()
        busy = ref.begin(Job.work, 3)
        queued = ref.begin(Job.work, 1, 0)
        await eventually(lambda: "work" in BEGUN, 5, "a handler is in hand")
        assert await ref.call(Job.progress) == (2, [1, 2]), "not what the handler has changed so far"
        assert await ref.call(Job.in_a_thread) == 2
        assert await asyncio.to_thread(hub.ref(kind.__name__).call, "progress") == (2, [1, 2])
        assert await ref.call(Job.who) == (kind.__name__, "one", {})
        assert await busy.cancel()
        after = await queued
        assert (await ref.call(Job.progress))[0] == after == (6 if kind is Loose else 3)

    play(scenario)


def test_what_a_read_changes_is_dropped_and_said(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        ref = hub.aio.ref(Job, "Job")
        for method in ("assigns", "appends"):
            with pytest.raises(
                ReadChanged, match=rf"^Job\.{method} is a @read and has changed the child: the change was dropped"
            ):
                await ref.call(method)
            assert await ref.call(Job.progress) == (0, [])
        for method in ("says", "commits"):
            with pytest.raises(CallFailed, match="a @read runs on a copy and only looks"):
                await ref.call(method)
        with pytest.raises(CallFailed, match="no attribute 'socket'"):
            await ref.call(Job.uses_transient)
        with pytest.raises(CallFailed, match="raised KeyError on node one"):
            await ref.call(Job.raises)
        assert await ref.call(Job.work, 1, 0) == 1
        assert await ref.call(Job.progress) == (1, [1])

    play(scenario)


def test_a_read_is_no_cycle(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        assert await hub.aio.ref(Job, "Job").call(Job.ask_other, "Diary") == 0
        with pytest.raises(CallCycle):
            await hub.aio.ref(Job, "Job").call(Job.ask_other, "Job")

    play(scenario)


def test_reads_are_cancelled_withdrawn_and_overdue(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        ref = hub.aio.ref(Job, "Job").options(timeout=30)
        BEGUN.clear()
        future = ref.begin(Job.slow)
        await eventually(lambda: "slow" in BEGUN, 5, "a read is running")
        assert await ref.call(Job.work, 1, 0) == 1, "a slow read keeps no message waiting"
        assert await future.cancel()
        with pytest.raises(Cancelled, match="it only reads"):
            await future
        with pytest.raises(CallTimeout):
            await ref.options(timeout=0.05).call(Job.slow)
        assert await ref.call(Job.in_a_thread) == 1

    play(scenario)


@pytest.mark.long_on_fakeredis
def test_reads_through_a_move_and_a_kill(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        ref = hub.aio.ref(Job, "Job").options(timeout=15)
        assert await ref.call(Job.work, 1, 0) == 1
        stop = asyncio.Event()
        answers: list[int] = []

        async def ask() -> None:
            while not stop.is_set():
                answers.append((await ref.call(Job.progress))[0])

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        await cluster.start("two")
        await cluster.drain("one")
        assert await ref.call(Job.work, 1, 0) == 2
        await cluster.start("three")
        await cluster.kill("two")
        assert await ref.call(Job.work, 1, 0) == 3
        stop.set()
        await asyncio.gather(*asking)
        assert answers == sorted(answers), "no answer is older than one before it"

    play(scenario)


def test_a_read_in_hand_when_its_shard_moves_is_read_there(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        future = hub.aio.ref("Job").options(timeout=20).begin("slow_once")
        await eventually(lambda: "slow_once" in BEGUN, 5, "a read is running")
        await cluster.start("two")
        await cluster.drain("one")
        assert await future == "two"

    play(scenario)


def test_what_cannot_be_a_read() -> None:
    with pytest.raises(ConfigError, match="it goes directly above a `def`"):
        read(3)  # type: ignore[type-var]
    hub = Hub("nobody", redis="redis://localhost:1")

    with pytest.raises(ConfigError, match=r"Wrong\.on_start is marked as @read, but no caller can call it"):

        @hub.child
        class Wrong(Child):
            @read
            async def on_start(self) -> None: ...
