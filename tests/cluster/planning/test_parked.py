"""Children that cannot run where their shard is: they find a node that can run them, and come home."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, ClassVar

import pytest

from hubq.core.messages import Revive
from hubq.store.command import plain, text
from hubq.store.connection import AsyncRedis
from hubq.store.tries import TOOK_DOWN
from hubq.testing import Cluster, Ledger, LedgerChild, Load, eventually, moments


class Choosy(LedgerChild):
    """Cannot be built on some nodes: their version of it is broken."""

    broken: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        if self.node_name in Choosy.broken:
            raise ImportError("no module named 'new'")


@pytest.fixture(autouse=True)
def none_broken() -> None:
    Choosy.broken = set()


async def status(hub: Any, child: str) -> Any:
    (found,) = [each for each in await hub.aio.children() if each.child_id == child]
    return found


async def becomes(hub: Any, child: str, node: str, status_: str, pin: str = "") -> Any:
    async def there() -> Any:
        found = await status(hub, child)
        return found if (found.node, found.status, found.pin) == (node, status_, pin) else None

    return await eventually(there, 20, f"{child} is {status_} on {node}")


def test_a_child_that_cannot_be_built_by_its_owner_is_served_by_a_node_that_can(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        hub.child(Choosy)
        hub.child(LedgerChild)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("p", Choosy)
            await hub.aio.start_child("neighbour", LedgerChild)
            for _ in range(5):
                await ledger.call("s", "p")
            await cluster.drain("a")
            Choosy.broken = {"b", "c"}
            await cluster.start("b", "c")
            assert (await becomes(hub, "p", "b", "parked")).reason.endswith("no module named 'new'")
            for _ in range(5):
                await ledger.cast("s", "p")
            # One that can: it joins, and has the child, while its shard stays where it is.
            await cluster.start("d")
            found = await becomes(hub, "p", "d", "running", "straggler")
            load = Load(ledger, ["p", "neighbour"], senders=2)
            await load.reached(50)
            assert cluster.serving() == {0: "b"}
            assert cluster.copies("p") == ["d"]

            async def explained() -> bool:
                return (await status(hub, "p")).reason.startswith("cannot start on b: ")

            await eventually(explained, what=f"ps says why, not {found}")
            # It ends: back to its shard, and on to the next that can.
            await cluster.start("e")
            await cluster.kill("d")
            await becomes(hub, "p", "e", "running", "straggler")
            await load.reached(load.count + 50)
            # The one with its shard can by now: a node has come, so it is asked again.
            Choosy.broken = {"c"}
            await cluster.start("f")
            assert (await becomes(hub, "p", "b", "running")).reason == ""
            await load.reached(load.count + 50)
            await load.end()
            await ledger.check()

    asyncio.run(scenario())


def test_one_that_was_moved_by_hand_goes_there(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        hub.child(Choosy)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("p", Choosy)
            await ledger.call("s", "p")
            await cluster.drain("a")
            Choosy.broken = {"b"}
            await cluster.start("b", "c", "d")
            await becomes(hub, "p", "c", "running", "straggler")
            await hub.aio.move("p", "d")
            await becomes(hub, "p", "d", "running", "moved")
            await hub.aio.move("p", "c")
            await becomes(hub, "p", "c", "running", "moved")
            await ledger.call("s", "p")
            await ledger.check()

    asyncio.run(scenario())


async def condemn(redis: AsyncRedis, keys: Any, shard: int, child: str) -> None:
    """As the scripts leave it after the third crash (tests/contract/store/test_poison_scripts.py has them)."""
    await redis.run(plain("HSET", keys.parked(shard), child, f"{TOOK_DOWN} 3 workers", read=int))
    fields = {"kind": "start", "child": child, "class": "LedgerChild", "method": "", "id": "", "reply_to": ""}
    fields |= {"deadline": "0", "payload": "", "entry": "-", "tries": "3", "crashes": "x#1 y#2 x#3"}
    flat = [word for pair in fields.items() for word in pair]
    await redis.run(plain("XADD", keys.dead(shard), "*", *flat, read=text))


@pytest.mark.parametrize("message", ["arrives", "is lost"])
def test_a_child_whose_start_took_nodes_down_is_tried_again_when_asked_for(
    make_hub: Any, server: Any, message: str
) -> None:
    """`hubq dead replay`: it is Redis that says whether a child is parked, not the message that it is so no more."""

    async def scenario(lost: list[Any]) -> None:
        hub = make_hub(shards=2)
        hub.child(LedgerChild)
        ledger, keys, redis = Ledger(hub), hub.keys, AsyncRedis(server)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("p", LedgerChild)
            await ledger.call("s", "p")
            shard = (await hub.aio.where("p")).shard
            await cluster.drain("a")
            await condemn(redis, keys, shard, "p")
            await cluster.start("b")
            await ledger.cast("s", "p")
            assert (await becomes(hub, "p", "b", "parked")).reason == f"{TOOK_DOWN} 3 workers"
            assert await hub.aio.replay_dead()
            await becomes(hub, "p", "b", "running")
            await ledger.call("s", "p")
            assert bool(lost) is (message == "is lost")
            await ledger.check()
        await redis.close()

    with moments.control_messages_lost(Revive) if message == "is lost" else contextlib.nullcontext([]) as lost:
        asyncio.run(scenario(lost))


def test_a_child_whose_start_took_nodes_down_is_not_started_when_its_pin_returns(make_hub: Any, server: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        hub.child(LedgerChild)
        ledger, redis = Ledger(hub), AsyncRedis(server)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await hub.aio.start_child("p", LedgerChild)
            (owner,) = cluster.serving().values()
            other = "b" if owner == "a" else "a"
            await hub.aio.move("p", other)
            await becomes(hub, "p", other, "running", "moved")
            await ledger.call("s", "p")
            await condemn(redis, hub.keys, 0, "p")
            await cluster.kill(other)
            await ledger.cast("s", "p")
            assert (await becomes(hub, "p", owner, "parked", "moved")).reason == f"{TOOK_DOWN} 3 workers"
            assert cluster.copies("p") == []
            assert await hub.aio.replay_dead()
            await becomes(hub, "p", owner, "running", "moved")
            await ledger.call("s", "p")
            await ledger.check()
        await redis.close()

    asyncio.run(scenario())


def test_a_node_that_cannot_build_what_comes_to_it_is_not_ready(make_hub: Any) -> None:
    """While its children are served elsewhere, and while they are parked here; until it can build them."""

    async def scenario() -> None:
        hub = make_hub(shards=4)
        hub.child(Choosy)
        ledger = Ledger(hub)
        children = [f"p-{number}" for number in range(12)]
        async with Cluster(hub) as cluster:
            old = await cluster.start("a")
            for child in children:
                await hub.aio.start_child(child, Choosy)
            Choosy.broken = {"b", "c"}
            await cluster.start("b")
            await cluster.start("c", ready_failures=12)
            await eventually(lambda: cluster.nodes["c"].ready, 20, "a node that tolerates it is ready")

            async def left_behind() -> bool:
                return all([(await status(hub, child)).node == "a" for child in children])

            await eventually(left_behind, 20, "the children stay where they can run")
            assert old.ready and not cluster.nodes["b"].ready
            assert "no module named 'new'" in cluster.nodes["b"].pulse.why_unready()
            await cluster.kill("a")

            async def parked() -> bool:
                return all([(await status(hub, child)).status == "parked" for child in children])

            await eventually(parked, 20, "nobody can run them")
            assert not cluster.nodes["b"].ready
            Choosy.broken = {"c"}
            await cluster.start("d")
            await eventually(lambda: cluster.nodes["d"].ready, 20, "the mended version is ready")
            for child in children:
                await ledger.call("s", child)
            await ledger.check()

    asyncio.run(scenario())
