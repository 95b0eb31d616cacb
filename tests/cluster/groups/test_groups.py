"""A hub with several groups is used like one with a single group: on one Redis, and on several primaries."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from hubq import Child, ChildSpec, Hub, MailboxFull, UnknownChild
from hubq.client.operations.happened import Event
from hubq.testing import Cluster, FakeServer, Ledger, LedgerChild, eventually, interfere

_numbers = itertools.count()

pytestmark = pytest.mark.timeout(60)

#: So many primaries.
PRIMARIES = pytest.mark.parametrize("primaries", [1, 3])
CHILDREN = [f"child-{n}" for n in range(24)]


def a_hub(primaries: int | Sequence[Any] = 1, **settings: Any) -> Hub:
    servers = [FakeServer() for _ in range(primaries)] if isinstance(primaries, int) else list(primaries)
    settings = {"groups": 4, "shards": 16, "lease": 4.0, "lease_margin": 0.5, "heartbeat": 0.1, **settings}
    return Hub(f"groups{next(_numbers)}", redis=servers, **settings)


class Room(Child):
    def __init__(self, topic: str = "none") -> None:
        self.topic, self.posts = topic, 0

    async def post(self) -> int:
        self.posts += 1
        return self.posts

    async def tell(self, what: str) -> None:
        self.publish("told", what)

    async def fail(self) -> None:
        raise ValueError("on purpose")


@PRIMARIES
def test_children_are_started_called_listed_and_stopped(primaries: int) -> None:
    async def scenario() -> None:
        hub = a_hub(primaries)
        hub.child(Room)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            started = await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in CHILDREN])
            assert sorted(started.started) == sorted(CHILDREN) and started.status == "ok"
            for child in CHILDREN:
                await ledger.call("app", child)
                await ledger.cast("web", child)
            assert [each.child_id for each in await hub.aio.children()] == sorted(CHILDREN)
            assert {each.child_id async for each in hub.aio.iter_children()} == set(CHILDREN)
            assert {(await hub.aio.where(child)).node for child in CHILDREN} == {"a", "b"}
            assert set(await hub.aio.pids_of(CHILDREN)) == set(CHILDREN)
            assert sum(node.shards for node in await hub.aio.nodes()) == 16
            assert [node.name for node in await hub.aio.nodes()] == ["a", "b"]
            assert await hub.aio.is_alive("a") and not await hub.aio.is_locked()
            await ledger.check()
            stopped = await hub.aio.stop_children(CHILDREN)
            assert sorted(stopped.stopped) == sorted(CHILDREN) and stopped.status == "ok"
            with pytest.raises(UnknownChild):
                await hub.aio.ref(CHILDREN[0]).call("entries")

    asyncio.run(scenario())


@pytest.mark.parametrize("primaries", [pytest.param(1, marks=pytest.mark.long), 3])
def test_shards_of_all_groups_lie_evenly(primaries: int) -> None:
    async def scenario() -> None:
        async with Cluster(a_hub(primaries, shards=32, groups=8)) as cluster:
            for count, name in enumerate(("a", "b", "c"), 1):
                await cluster.start(name)
                loads = await cluster.settled()
                assert max(loads.values()) <= math.ceil(32 / count) + 1
            assert await cluster.drain("b")
            assert sum((await cluster.settled()).values()) == 32
            await cluster.kill("c")
            assert await cluster.settled() == {"a": 32}

    asyncio.run(scenario())


def test_a_shard_that_is_closed_for_a_move_is_the_only_one_of_its_node_whatever_its_group() -> None:
    async def scenario() -> None:
        async with Cluster(a_hub()) as cluster:
            await cluster.start("a")
            assert interfere.closed_at_once(cluster.nodes["a"]) == 1, (
                "else each pause is as long as those of all groups together"
            )

    asyncio.run(scenario())


@PRIMARIES
def test_nothing_is_lost_when_nodes_join_drain_and_die(primaries: int) -> None:
    async def scenario() -> None:
        hub = a_hub(primaries)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in CHILDREN])
            going = True

            async def load(sender: str) -> None:
                for child in itertools.cycle(CHILDREN):
                    if not going:
                        return
                    await ledger.call(sender, child)

            loads = [asyncio.create_task(load(f"app-{n}")) for n in range(4)]
            await cluster.start("b")
            await cluster.settled()
            await cluster.start("c")
            await cluster.settled()
            await cluster.drain("a")
            await cluster.settled()
            await cluster.kill("b")
            await cluster.settled()
            going = False
            await asyncio.gather(*loads)
            assert not ledger.failed
            await ledger.check()

    asyncio.run(scenario())


def test_if_a_primary_is_away_only_its_groups_pause() -> None:
    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]
        hub = a_hub(servers, groups=2)
        of = {group: [c for c in CHILDREN if hub.driver.context.group_of(c) == group] for group in (0, 1)}
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in CHILDREN])
            servers[1].connected = False
            for child in of[0] * 3:
                assert await ledger.call("app", child) is not None
            waiting = asyncio.create_task(ledger.call("app", of[1][0]))
            for child in of[0] * 3:
                assert await ledger.call("app", child) is not None
            servers[1].connected = True
            assert await waiting is not None
            for child in CHILDREN:
                await ledger.call("app", child)
            await ledger.check()

    asyncio.run(scenario())


def test_all_or_nothing_over_groups() -> None:
    async def scenario() -> None:
        hub = a_hub()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("child-7", Room)
            specs = [ChildSpec(child, Room) for child in CHILDREN]
            refused = await hub.aio.start_children(specs, on_failure="rollback")
            assert refused.rollback and list(refused.errors) == ["child-7"]
            assert [child.child_id for child in await hub.aio.children()] == ["child-7"]
            others = [spec for spec in specs if spec.child_id != "child-7"]
            assert (await hub.aio.start_children(others, on_failure="rollback")).status == "ok"
            assert len(await hub.aio.children()) == len(CHILDREN)
            again = await hub.aio.start_children(specs, check_existing=False)
            assert sorted(again.started) == sorted(CHILDREN)

    asyncio.run(scenario())


def test_a_child_that_cannot_start_takes_those_of_other_groups_back() -> None:
    class Broken(Child):
        def __init__(self) -> None:
            raise RuntimeError("no")

    async def scenario() -> None:
        hub = a_hub()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            specs = [ChildSpec("broken", Broken), *(ChildSpec(child, Room) for child in CHILDREN)]
            refused = await hub.aio.start_children(specs, on_failure="rollback")
            assert refused.rollback and "broken" in refused.errors

            async def gone() -> bool:
                return not await hub.aio.children()

            await eventually(gone, 30, "all children are taken back")

    asyncio.run(scenario())


def test_what_lists_is_of_all_groups() -> None:
    async def scenario() -> None:
        hub = a_hub()
        hub.child(Room)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            await hub.aio.start_children([ChildSpec(child, Room) for child in CHILDREN])
            for child in CHILDREN:
                await hub.aio.ref(child).cast("fail")
                await hub.aio.ref(child).cast_in(3600, "post")

            async def letters() -> bool:
                return len(await hub.aio.dead_letters()) == len(CHILDREN)

            await eventually(letters, 30, "a letter of each child")
            dead = await hub.aio.dead_letters()
            assert [letter.died for letter in dead] == sorted(letter.died for letter in dead)
            assert len(await hub.aio.inspect.reminders()) == len(CHILDREN)
            assert [each.child_id for each in await hub.aio.inspect.reminders("child-3")] == ["child-3"]
            assert len(await hub.aio.drop_dead([dead[0].letter, dead[-1].letter])) == 2
            assert len(await hub.aio.replay_dead()) == len(CHILDREN) - 2
            _, events = await hub.aio.inspect.events(100, ["node_joined"])
            assert Counter(event.fields["node"] for event in events) == {"a": 4}
            newest, last = await hub.aio.inspect.events(10)
            assert [event.at for event in last] == sorted(event.at for event in last)
            assert len(newest.split(",")) == 4
            assert (await hub.aio.inspect.glance()).children == len(CHILDREN)
            assert set(await hub.aio.inspect.vitals()) == {"a"}
            pages, after = [], ""
            while True:
                page = await hub.aio.children_page(after, 5)
                pages += page.children
                if not (after := page.next):
                    break
            assert sorted(child.child_id for child in pages) == sorted(CHILDREN)

    asyncio.run(scenario())


def test_events_are_followed_without_a_gap() -> None:
    async def scenario() -> None:
        hub = a_hub()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            after, _ = await hub.aio.inspect.events(0)
            await hub.aio.start_children([ChildSpec(child, Room) for child in CHILDREN])
            await hub.aio.stop_children(CHILDREN)
            seen: list[str] = []
            async for events in hub.aio.inspect.follow(after, wait=0.2):
                seen += [event.fields["child"] for event in events if event.type == "child_stopped"]
                if len(seen) >= len(CHILDREN):
                    break
            assert sorted(seen) == sorted(CHILDREN)

    asyncio.run(scenario())


def test_pauses_and_moves() -> None:
    async def scenario() -> None:
        hub = a_hub()
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            await hub.aio.start_children([ChildSpec(child, Room) for child in CHILDREN])
            assert await hub.aio.pause(Room)
            assert [str(pause) for pause in await hub.aio.pauses()] == ["class Room is paused"]
            assert not await hub.aio.pause(Room)
            assert await hub.aio.resume(Room) and await hub.aio.pauses() == []
            assert await hub.aio.pause(child="child-3")
            assert (await hub.aio.where("child-3")).paused and not (await hub.aio.where("child-4")).paused
            assert await hub.aio.resume(child="child-3")
            place = await hub.aio.where("child-5")
            other = "b" if place.node == "a" else "a"
            assert (await hub.aio.move("child-5", other)).node == other

    asyncio.run(scenario())


def test_feeds_and_casts_together() -> None:
    async def scenario() -> None:
        hub = a_hub(max_backlog=100)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_children([ChildSpec(child, Room) for child in CHILDREN])
            errors = await hub.aio.cast_many([(child, "tell", child) for child in [*CHILDREN, "nobody"]])
            assert errors[:-1] == [None] * len(CHILDREN) and isinstance(errors[-1], UnknownChild)
            for child in CHILDREN:
                feed = hub.aio.ref(child).feed("0")
                assert [event.data for event in await feed.take()] == [child]  # type: ignore[union-attr]
                feed.close()
            assert not isinstance(errors[0], MailboxFull)

    asyncio.run(scenario())


def test_the_waiting_half() -> None:
    hub = a_hub()
    hub.child(Room)

    async def serve(ready: asyncio.Event, done: asyncio.Event) -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            ready.set()
            await done.wait()

    def use() -> None:
        future = hub.start_children([ChildSpec(child, Room) for child in CHILDREN])
        assert sorted(future.result().started) == sorted(CHILDREN)
        assert [hub.ref(child).call("post") for child in CHILDREN] == [1] * len(CHILDREN)
        assert hub.ref(Room, "child-1").call(Room.post) == 2
        assert len(hub.children()) == len(list(hub.iter_children())) == len(CHILDREN)
        assert [each.status for each in hub.children(match="child-1?")] == ["running"] * 10
        assert hub.cast_many([("child-1", "post"), ("child-2", "post")]) == [None, None]
        assert hub.ref("child-3").begin("post").result() == 2
        assert hub.stop_children(CHILDREN[:4]).status == "ok"
        assert hub.start_children([ChildSpec("x", Room), ChildSpec("y", Room)], on_failure="rollback").result().cids
        assert next(iter(hub.ref("child-9").feed("0", follow=False)), None) is None

    async def scenario() -> None:
        ready, done = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(serve(ready, done))
        await ready.wait()
        try:
            await asyncio.to_thread(use)
        finally:
            done.set()
            await serving

    asyncio.run(scenario())


class Blocker(Child):
    async def block(self) -> None:
        time.sleep(1.7)  # noqa: ASYNC251  (it must not, and that is the point)


@PRIMARIES
def test_a_blocked_loop_is_told_of_once(primaries: int, caplog: pytest.LogCaptureFixture) -> None:
    """A worker has one loop, whatever its groups."""

    async def scenario() -> None:
        hub = a_hub(primaries)
        hub.child(Blocker)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_child("x", Blocker)
            await hub.aio.ref("x").call("block")

            async def blocks() -> list[Event]:
                return await asyncio.to_thread(lambda: hub.inspect.events(1000, ["loop_blocked", "loop_unblocked"])[1])

            async def told() -> bool:
                found = [event for event in await blocks() if event.fields.get("child") == "x"]
                return [(event.type, event.fields["node"]) for event in found] == [
                    ("loop_blocked", "a"), ("loop_unblocked", "a")
                ]  # fmt: skip

            await eventually(told, 5, "one event each")
            lines = [record.getMessage() for record in caplog.records if "the event loop of a" in record.getMessage()]
            # (A slow machine makes loops stand still by itself: in a task, or in another method.)
            assert sum("has stood still" in line and "in x.block" in line for line in lines) == 1
            assert sum("turns again" in line and "in x.block" in line for line in lines) == 1
            await cluster.settled()
            assert await told(), "still once"
            assert node.counters.loops_blocked == sum(event.type == "loop_blocked" for event in await blocks())

    asyncio.run(scenario())
