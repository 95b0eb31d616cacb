"""Moments that the simulation has found, each set up by hand."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq import CallTimeout, Child, HotSwap, Hub, Replication
from hubq.core.hashing import shard_of
from hubq.errors import HubqError
from hubq.node.committer import Committer
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.tries import TOOK_DOWN
from hubq.testing import Cluster, LedgerChild, eventually


class Reluctant(LedgerChild):
    """Never gives its state away, and is held in its first message."""

    begun: ClassVar[int] = 0

    async def hold(self, sender: str, number: int) -> None:
        type(self).begun += 1
        if self.begun == 1:
            await asyncio.Event().wait()
        await self.record(sender, number)

    async def prepare_handover_state(self) -> Any:
        raise RuntimeError("not now")


class Drawer(LedgerChild):
    """Answers before it has saved anything."""

    durability = "interval"
    save_every, save_after = 60.0, 1000


class Worker(Child):
    """Its first run() fails when it is told to; it is held in a message meanwhile."""

    runs: ClassVar[int] = 0
    may_fail: ClassVar[asyncio.Event]
    may_end: ClassVar[asyncio.Event]
    transient = ("mine",)

    async def run(self) -> None:
        type(self).runs += 1
        self.mine = self.runs
        if self.runs == 1:
            await self.may_fail.wait()
            raise RuntimeError("the first one fails")
        await asyncio.Event().wait()

    async def held(self) -> None:
        await self.may_end.wait()

    async def first(self) -> int:
        return self.mine


def test_a_message_that_was_undone_for_a_move_is_handled_if_its_child_stays(make_hub: Any) -> None:
    async def scenario() -> None:
        Reluctant.begun = 0
        hub = make_hub(shards=1, migration=HotSwap(retention=0.05))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            owner = (await cluster.settled_shards())[0]
            await hub.aio.start_child("mule", Reluctant)
            held = asyncio.ensure_future(hub.aio.ref("mule").call("hold", "x", 1, timeout=20))
            await eventually(lambda: Reluctant.begun == 1, 10, "it is held")
            with pytest.raises(HubqError, match="not now"):
                await hub.aio.move("mule", "b" if owner == "a" else "a", timeout=0.5)
            await held
            assert Reluctant.begun == 2
            assert await hub.aio.ref("mule").call("entries", timeout=10) == {"x": [1]}

    asyncio.run(scenario())


def test_what_was_never_begun_is_not_begun_after_a_crash_of_the_first_worker(
    make_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller was told that it will not be run, as there was no worker; the first one dies before its first commit."""

    async def nothing(self: Committer) -> None:
        pass

    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        hub.child(Drawer)
        async with Cluster(hub) as cluster:
            with pytest.raises(CallTimeout):
                await hub.aio.start_child("drawer", Drawer, timeout=0.05)
            with pytest.raises(CallTimeout, match="was not run, and will not be") as never:
                await hub.aio.ref("drawer").call("record", "x", 1, timeout=0.05)
            assert not never.value.may_run
            with monkeypatch.context() as patched:
                patched.setattr(Committer, "_commit", nothing)
                node = await cluster.start("a")
                await eventually(lambda: node.parts.dispatcher.handled, 10, "it has read the call")
                await cluster.kill("a")
            await cluster.start("b")
            assert await hub.aio.ref("drawer").call("entries", timeout=20) == {}

    asyncio.run(scenario())


def test_a_new_follower_hears_of_a_child_that_lives_apart_from_its_shard(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1, redundancy=Replication("cluster_size", "active_active"))
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("drawer", Drawer)
            await cluster.start("b")
            await hub.aio.move("drawer", "b")
            await hub.aio.ref("drawer").call("record", "x", 1)
            follower = await cluster.start("c")

            def followed() -> bool:
                assert follower.parts.replicas is not None
                replica = follower.parts.replicas.shards.get(0)
                cell = None if replica is None or not replica.ready else replica.holding.cells.get("drawer")
                return cell is not None and cell.instance is not None and cell.instance.applied == {"x": [1]}

            await eventually(followed, 20, "c has a copy of the child, as it is")

    asyncio.run(scenario())


def test_a_child_whose_run_is_to_be_restarted_has_no_other_run(make_hub: Any) -> None:
    """It was begun when a move left the child where it was; what it committed was undone by the restart."""

    async def scenario() -> None:
        Worker.runs, Worker.may_fail, Worker.may_end = 0, asyncio.Event(), asyncio.Event()
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_child("worker", Worker)
            held = asyncio.ensure_future(hub.aio.ref("worker").call("held", timeout=10))
            await eventually(lambda: node.cells and node.cells[0].busy is not None, 10, "it is busy")
            Worker.may_fail.set()
            (cell,) = node.cells
            await eventually(lambda: cell.run_task is None, 10, "its run() has failed")
            node.parts.supervisor.runs.start(cell)  # as every move does that leaves a child where it is
            Worker.may_end.set()
            await held
            await eventually(lambda: Worker.runs == 2, 10, "it is restarted")
            assert await hub.aio.ref("worker").call("first", timeout=10) == 2, (
                "the second run() is of the restarted child"
            )

    asyncio.run(scenario())


async def condemn(hub: Hub, child: str) -> None:
    """As if its start had taken three workers down."""
    keys, shard = hub.keys, hub.driver.context.shard_of(child)
    reason = f"{TOOK_DOWN} 3 workers (x#1 x#2 x#3): mend it, then `hubq dead replay`"
    letter = {"kind": "start", "child": child, "method": "", "id": "", "reply_to": "", "deadline": "0", "payload": ""}
    letter |= {"entry": "-", "class": "LedgerChild", "tries": "3", "crashes": "x#1 x#2 x#3"}
    words = [word for pair in letter.items() for word in pair]
    redis = AsyncRedis(hub.server)
    await redis.run(plain("HSET", keys.parked(shard), child, reason, read=int))
    await redis.run(plain("XADD", keys.dead(shard), "*", *words, read=bytes))
    await redis.close()


def test_a_new_copy_of_a_child_that_is_started_again_has_its_state(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1, redundancy=Replication(2, "active_passive"))
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("child", LedgerChild)
            await hub.aio.ref("child").call("record", "x", 1)
            await cluster.drain("a")
            await condemn(hub, "child")
            await cluster.start("b")
            follower = await cluster.start("c")
            replicas = follower.parts.replicas
            assert replicas is not None
            await eventually(lambda: [r for r in replicas.shards.values() if r.ready], 20, "c follows")
            assert replicas.cells() == [], "its start might take this node down, too"
            await hub.aio.replay_dead()
            assert await hub.aio.ref("child").call("entries", timeout=10) == {"x": [1]}
            await eventually(replicas.cells, 10, "it has a copy")
            (copy,) = replicas.cells()
            assert copy.instance is not None and copy.instance.applied == {"x": [1]}  # type: ignore[attr-defined]

    asyncio.run(scenario())


def test_a_parked_child_that_stays_when_its_shard_goes_can_be_started_again(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        children = [next(f"c{n}" for n in range(100) if shard_of(f"c{n}", 2) == shard) for shard in range(2)]
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for child in children:
                await hub.aio.start_child(child, LedgerChild)
            await cluster.drain("a")
            for child in children:
                await condemn(hub, child)
            node = await cluster.start("a")
            await eventually(lambda: len(node.cells) == 2, 10, "a has both")
            for child in children:
                await hub.aio.move(child, "a")
            await cluster.start("b")
            await eventually(lambda: any(h.pinned for h in node.holdings), 20, "one shard goes, its child stays")
            assert len(await hub.aio.replay_dead()) == 2
            for child in children:
                assert await hub.aio.ref(child).call("entries", timeout=10) == {}

    asyncio.run(scenario())


class Opening(LedgerChild):
    """Starts when it may."""

    may_start: ClassVar[asyncio.Event]

    async def on_start(self) -> None:
        await self.may_start.wait()


def test_a_child_whose_start_and_whose_message_are_both_to_be_tried_alone(make_hub: Any) -> None:
    """The trial of the start waited for the end of the message, which waited for its own trial. (If another child's message
    ended in the same moment: see the mutation ``long-trial`` of the simulation.)
    """

    async def scenario() -> None:
        Opening.may_start = asyncio.Event()
        hub: Hub = make_hub(shards=1)
        hub.child(Opening)
        async with Cluster(hub) as cluster:
            with pytest.raises(CallTimeout):
                await hub.aio.start_child("child", Opening, timeout=0.05)
            await hub.aio.ref("child").cast("record", "x", 1)
            redis, keys = AsyncRedis(hub.server), hub.keys
            (last,) = await redis.run(plain("XREVRANGE", keys.mailbox(0), "+", "-", "COUNT", 1, read=list))
            entry = last[0].decode()
            tries = ("watch", f"{entry} careful x#1 x#2", "message child", f"{entry} 2 - x#1 x#2")
            await redis.run(plain("HSET", keys.tries(0), *tries, read=int))
            await redis.close()
            node = await cluster.start("a")
            await eventually(lambda: any(cell.queue for cell in node.cells), 10, "its message is read")
            Opening.may_start.set()
            assert await hub.aio.ref("child").call("entries", timeout=10) == {"x": [1]}

    asyncio.run(scenario())
