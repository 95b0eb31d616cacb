"""Retries in a cluster: the order is kept through moves and kills, and nobody waits longer than needed."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq import CallFailed, CallTimeout, ChildSpec, Hub, Retry, UnknownChild
from hubq.testing import Cluster, Ledger, LedgerChild, Load, eventually


class Shaky(LedgerChild):
    """Its handler fails at first, whenever a node has just got the child."""

    retry = Retry(max=4, wait=0.01, jitter=1.0)
    fails: ClassVar[dict[tuple[str, int], int]] = {}

    async def record(self, sender: str, number: int) -> int:
        count = await super().record(sender, number)
        if number % 3 == 0 and self.fails.setdefault((sender, number), 0) < 2:
            self.fails[sender, number] += 1
            raise OSError(f"not the first time: {number}")
        return count


class ShakyInterval(Shaky):
    durability = "interval"
    save_every = 0.05


def test_the_order_is_kept_through_moves_and_kills(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=8, lease=1.0)
        Shaky.fails = {}
        kinds = {"commit": Shaky, "interval": ShakyInterval}
        for kind in kinds.values():
            hub.child(kind)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            names = [f"{how}-{n}" for how in kinds for n in range(4)]
            await hub.aio.start_children([ChildSpec(name, kinds[name.partition("-")[0]]) for name in names])
            load = Load(ledger, names, senders=4)
            await load.reached(60)
            await cluster.start("c")
            await cluster.drain("a")
            await load.reached(120)
            await cluster.kill("b")
            await load.reached(180)
            await load.end()
            await ledger.check()
            assert Shaky.fails and not ledger.unsure

    asyncio.run(scenario())


class Stuck(LedgerChild):
    """Its handler fails until it may go on."""

    retry = Retry(max=1_000, wait=300.0)
    may_go_on: ClassVar[bool] = False
    tried: ClassVar[int] = 0

    async def record(self, sender: str, number: int) -> int:
        count = await super().record(sender, number)
        type(self).tried += 1
        if not self.may_go_on:
            raise OSError("not yet")
        return count

    @Retry(max=2, wait=0.0)
    async def never(self) -> None:
        raise KeyError("never")


async def stuck(cluster: Cluster, hub: Hub, *nodes: str) -> None:
    """A child whose first message waits for another try, and a second one behind it."""
    Stuck.may_go_on, Stuck.tried = False, 0
    hub.child(Stuck)
    await cluster.start(*nodes)
    await hub.aio.start_child("c", Stuck)
    await hub.aio.ref("c").cast("record", "s", 1)
    await hub.aio.ref("c").cast("record", "s", 2)
    await eventually(lambda: Stuck.tried == 1, what="the first try")


@pytest.mark.parametrize("how", ["drain", "kill"])
def test_the_next_node_tries_at_once(make_hub: Any, how: str) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1, lease=1.0)
        async with Cluster(hub) as cluster:
            await stuck(cluster, hub, "a")
            Stuck.may_go_on = True
            await cluster.start("b")
            await getattr(cluster, how)("a")
            await eventually(lambda: Stuck.tried == 3, what="the other node has tried both messages")
            assert await hub.aio.ref("c").call("entries") == {"s": [1, 2]}

    asyncio.run(scenario())


def test_a_caller_is_told_that_its_call_was_tried_and_is_not_tried_again(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await stuck(cluster, hub, "a")
            with pytest.raises(CallTimeout, match="it still waited behind 2 messages") as late:
                await hub.aio.ref("c").call("entries", timeout=0.2)
            assert not late.value.may_run
            await hub.aio.stop_child_now("c")
            await hub.aio.start_child("c", Stuck)
            with pytest.raises(CallFailed, match="raised OSError"):
                await hub.aio.ref("c").call("record", "s", 1, timeout=299)
            with pytest.raises(CallFailed, match="raised KeyError") as failed:
                await hub.aio.ref("c").call("never")
            assert "It was tried 3 times" in failed.value.remote_traceback

    asyncio.run(scenario())


def test_a_message_that_waits_for_another_try_can_be_dropped(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await stuck(cluster, hub, "a")
            Stuck.may_go_on = True
            (first, _) = (await asyncio.to_thread(hub.inspect.mailbox, "c")).heads
            await hub.aio.drop_message("c", first.entry)
            await eventually(lambda: Stuck.tried == 2, what="the message behind it")
            assert await hub.aio.ref("c").call("entries") == {"s": [2]}
            (letter,) = await hub.aio.dead_letters()
            assert letter.why == "dropped"

    asyncio.run(scenario())


async def waits_for(hub: Hub, count: int) -> bool:
    """Whether so many messages wait for the child."""
    return (await asyncio.to_thread(hub.inspect.mailbox, "c")).messages == count


def test_a_child_that_is_killed_or_stopped_while_it_waits_for_another_try(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await stuck(cluster, hub, "a")
            stop = asyncio.create_task(hub.aio.stop_child("c"))
            await eventually(lambda: waits_for(hub, 3), what="the stop waits behind the messages")
            await hub.aio.kill("c")
            assert Stuck.tried == 1 and not stop.done(), "it has begun anew, and its message waits for its next try"
            assert len((await asyncio.to_thread(hub.inspect.mailbox, "c")).heads) == 3
            await hub.aio.stop_child_now("c")
            with pytest.raises(UnknownChild):
                await hub.aio.ref("c").call("entries")
            assert Stuck.tried == 1
            await asyncio.gather(stop, return_exceptions=True)

    asyncio.run(scenario())
