"""Every hook is fired at its moment, on the node it belongs to, on every backend."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from typing import Any

import pytest

from hubq import Child, ChildSpec, Hub
from hubq.hooks import DATA, PAYLOADS, ChildData
from hubq.testing import Cluster, LedgerChild, eventually, moments, probe


class Heard:
    """Writes down what is fired, in order."""

    def __init__(self, hub: Hub, *ids: str) -> None:
        self.all: list[tuple[str, Any]] = []
        for name in ids or [name for name in PAYLOADS if name != "child_data_alter"]:
            hub.add_hook(name, lambda name, data: self.all.append((name, data)), args=(name, DATA))

    def of(self, name: str, node: str | None = None) -> list[Any]:
        return [data for heard, data in self.all if heard == name and node in (None, data.node)]

    def names(self, node: str) -> list[str]:
        return [name for name, data in self.all if data.node == node]


class Room(Child):
    def __init__(self, topic: str, pool: str = "none") -> None:
        self.topic, self.pool = topic, pool
        self.held = False

    async def get(self) -> tuple[str, str, dict[str, Any]]:
        return self.topic, self.pool, self.metadata

    async def hold(self) -> None:
        await HOLD.wait()


class Feed(Child):
    async def run(self) -> None:
        if not BROKEN:
            BROKEN.append(1)
            raise RuntimeError("the feed broke")
        await asyncio.Event().wait()


HOLD = asyncio.Event()
BROKEN: list[int] = []


def test_the_story_of_a_hub_in_hooks(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        heard = Heard(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            assert [name for name in heard.names("a") if "cluster" in name] == ["pre_cluster_join", "post_cluster_join"]
            assert [j.incarnation for j in heard.of("pre_cluster_join")] == [0]
            assert [j.incarnation for j in heard.of("post_cluster_join")] == [1]
            (plan,) = heard.of("pre_nodes_redistribution")
            assert plan.claims == (0, 1, 2, 3) and plan.moves == {} and plan.members == ("a",)
            await eventually(lambda: heard.of("post_nodes_redistribution"), what="nothing is in motion")

            names = [f"c{n}" for n in range(20)]
            result = await hub.aio.start_children([ChildSpec(name, LedgerChild) for name in names])
            await eventually(lambda: len(heard.of("registry_pid_inserted")) == 4, what="all shards have told")
            for before, after, new in zip(
                heard.of("pre_children_start"), heard.of("post_children_start"), heard.of("registry_pid_inserted"),
                strict=True,
            ):  # fmt: skip
                assert before.children == after.children == new.children and after.failed == {}
                assert {result.pids[child] for child in new.children} == {new.pid}
            assert sorted(child for data in heard.of("registry_pid_inserted") for child in data.children) == sorted(
                names
            )

            heard.all.clear()
            await cluster.start("b")
            await cluster.settled()
            await eventually(lambda: heard.of("post_nodes_redistribution", "a"), what="a has moved two shards")
            assert [(d.joined, d.incarnation) for d in heard.of("pre_cluster_join", "a")] == [("b", 2)]
            assert heard.of("pre_cluster_join", "a") == heard.of("post_cluster_join", "a")
            (plan,) = heard.of("pre_nodes_redistribution", "a")
            assert list(plan.moves.values()) == ["b", "b"] and plan.members == ("a", "b")
            await eventually(lambda: len(heard.of("child_process_pid_update", "b")) == 2, what="b has told all")
            moved = {data.shard: data for data in heard.of("children_migrated")}
            assert sorted(moved) == sorted(plan.moves)
            for shard, data in moved.items():
                assert (
                    (data.node, data.source, data.target) == ("b", "a", "b")
                    and 0 <= data.pause < 10
                    and data.seconds >= 0
                )
                announced = [d for d in heard.of("pre_children_redistribution", "a") if d.shard == shard]
                assert [(set(d.children), d.target, d.draining) for d in announced] == [
                    (set(data.children), "b", False)
                ]
                begun = [d for d in heard.of("process_startups", "b") if d.shard == shard]
                assert [set(d.children) for d in begun] == [set(data.children)]
                (update,) = [d for d in heard.of("child_process_pid_update", "b") if d.shard == shard]
                assert update.reason == "migrated" and update.pid.node == "b"
                assert await hub.aio.where(data.children[0]) and update.pid.token > 1
                intake = [(d.node, d.open) for d in heard.of("priority_state_updated") if d.shard == shard]
                assert intake == [("a", False), ("b", True)]

            heard.all.clear()
            await cluster.drain("b")
            await cluster.settled()
            await eventually(lambda: heard.of("post_cluster_leave", "a"), what="a has seen b go")
            assert heard.names("b")[-2:] == ["post_cluster_leave", "coordinator_shutdown"]
            assert heard.of("coordinator_shutdown")[0].left
            assert [(d.left, d.reason) for d in heard.of("pre_cluster_leave", "a")] == [("b", "drained")]
            assert {d.draining for d in heard.of("pre_children_redistribution", "b")} == {True}

            heard.all.clear()
            await hub.aio.stop_child("c1")
            await eventually(lambda: heard.of("registry_pid_removed"), what="c1 has ended")
            (removed,) = heard.of("registry_pid_removed")
            assert (removed.children, removed.node) == (("c1",), "a")

    asyncio.run(scenario())


def test_a_crash_in_hooks(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        heard = Heard(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            await hub.aio.start_children([ChildSpec(f"c{n}", LedgerChild) for n in range(20)])
            heard.all.clear()
            await cluster.kill("b")
            await cluster.settled()
            await eventually(lambda: heard.of("post_cluster_leave", "a"), what="a has seen b go")
            assert heard.names("b") == []
            assert [(d.left, d.reason) for d in heard.of("pre_cluster_leave", "a")] == [("b", "evicted")]
            await eventually(lambda: heard.of("child_process_pid_update", "a"), what="a has the children of b")
            assert {d.reason for d in heard.of("child_process_pid_update", "a")} == {"claimed"}
            assert heard.of("children_migrated") == []

    asyncio.run(scenario())


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("early", [False, True], ids=["", "while its shard is being adopted"])
def test_stragglers_and_restarts_in_hooks(make_hub: Any, early: bool) -> None:
    async def scenario() -> None:
        global HOLD
        HOLD = asyncio.Event()
        BROKEN.clear()
        hub: Hub = make_hub(shards=1)
        heard = Heard(hub, "forwarded_migration", "child_process_pid_update", "children_migrated")
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            await hub.aio.start_child("feed", Feed)
            await eventually(lambda: heard.of("child_process_pid_update"), what="the feed was restarted")
            assert [(d.children, d.reason) for d in heard.of("child_process_pid_update")] == [(("feed",), "restarted")]
            await hub.aio.start_child("busy", Room, "redis")
            held = asyncio.ensure_future(hub.aio.ref("busy").call("hold", timeout=20))
            await eventually(lambda: bool(probe(cluster.nodes["a"]).busy), what="it holds")
            await cluster.start("b")
            heard.all.clear()
            draining = asyncio.ensure_future(cluster.drain("a"))
            await eventually(lambda: heard.of("forwarded_migration"), what="busy is a straggler")
            (stays,) = heard.of("forwarded_migration")
            assert (stays.node, stays.target, stays.child, stays.serving) == ("a", "b", "busy", False)
            if not early:
                await eventually(lambda: heard.of("children_migrated"), what="b has the shard")
            HOLD.set()
            await held
            assert await draining
            await eventually(lambda: len(heard.of("children_migrated")) == 2, what="busy has followed")
            assert [d.children for d in heard.of("children_migrated")] == [("feed",), ("busy",)]
            assert [d.reason for d in heard.of("child_process_pid_update")] == ["migrated", "released"]

    with moments.straggler_released_while_adopting("b") if early else contextlib.nullcontext():
        asyncio.run(scenario())


def test_child_data_is_altered_before_every_start(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        hub.child(Room)

        @hub.hook("child_data_alter")
        def pool(data: ChildData) -> ChildData:
            return replace(data, kwargs={"pool": f"pool of {data.node}"}, metadata={**data.metadata, "seen": True})

        @hub.hook("child_data_alter", priority=-1)
        def topic(data: ChildData) -> ChildData | None:
            return replace(data, args=(data.args[0] + "!",)) if data.child_id == "loud" else None

        @hub.hook("child_data_alter", priority=1)
        def broken(data: ChildData) -> None:
            raise RuntimeError("no")

        hub.add_hook("child_data_alter", lambda data: 3)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("loud", Room, "redis", metadata={"tag": "vip"})
            await hub.aio.start_child("quiet", Room, "redis")
            assert await hub.aio.ref("loud").call("get") == ("redis!", "pool of a", {"tag": "vip", "seen": True})
            assert await hub.aio.ref("quiet").call("get") == ("redis", "pool of a", {"seen": True})
            assert {child.child_id: child.metadata for child in await hub.aio.children()} == {
                "loud": {"tag": "vip"}, "quiet": {},
            }  # fmt: skip

    asyncio.run(scenario())


def test_handlers_that_raise_or_hang_stop_nothing(make_hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        order: list[str] = []

        @hub.hook("pre_children_start", priority=2)
        async def fails(data: Any) -> None:
            order.append("fails")
            raise RuntimeError("a broken hook")

        @hub.hook("pre_children_start", priority=1)
        async def waits(data: Any) -> None:
            order.append("waits")
            await asyncio.Event().wait()

        @hub.hook("post_children_start")
        def fails_too(data: Any) -> None:
            order.append("after")
            raise RuntimeError("a broken hook")

        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            assert (await hub.aio.start_child("x", LedgerChild)).status == "ok"
            await eventually(lambda: order == ["fails", "waits", "after"], what="all were called")
            assert await hub.aio.ref("x").call("record", "s", 1) == 1

    with caplog.at_level(logging.WARNING, "hubq.node"), moments.hooks_awaited_for(0.2):
        asyncio.run(scenario())
    assert "a handler of hook pre_children_start raised" in caplog.text
    assert "handlers of hook pre_children_start took longer than 0.2 s" in caplog.text
    assert "a handler of hook post_children_start raised" in caplog.text
