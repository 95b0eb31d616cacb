"""Load balancing: a skewed load is evened out, measured by the messages that each node handles; leaders come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from hubq import CentralizedLoadBalancer, Hub
from hubq.core.entry_ids import entry_ms
from hubq.core.hashing import shard_of
from hubq.store.assignment import Assignment, read_assignment
from hubq.store.command import pairs, plain, text
from hubq.store.connection import AsyncRedis
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, probe, start_children

SHARDS, HOTTER = 40, 10
#: How long a shard that was moved stays, seconds. What the first measurements have put in a wrong place can be put right then.
REST = 10.0


class Skewed:
    """Rounds of one message to every child, and of ten to each hot one, all children side by side."""

    def __init__(self, ledger: Ledger, children: Sequence[str], hot: Sequence[str]) -> None:
        self.rounds = 0
        self._stop = False
        self._ledger = ledger
        self._task = asyncio.ensure_future(self._rounds(children, hot))

    async def _rounds(self, children: Sequence[str], hot: Sequence[str]) -> None:
        while not self._stop:
            await asyncio.gather(*(self._send(child, HOTTER if child in hot else 1) for child in children))
            self.rounds += 1

    async def _send(self, child: str, times: int) -> None:
        for _ in range(times - 1):
            await self._ledger.cast("s", child)
        await self._ledger.call("s", child)

    async def more(self, rounds: int) -> None:
        """Wait until this many more rounds have been sent."""
        until = self.rounds + rounds
        await eventually(lambda: self.rounds >= until, 60.0, f"{rounds} rounds")

    async def end(self) -> None:
        """Finish the round."""
        self._stop = True
        await self._task

    def cancel(self) -> None:
        """End at once: the test has failed."""
        self._task.cancel()


async def busiest(cluster: Cluster, load: Skewed, rounds: int = 6) -> float:
    """The messages that the busiest node handles in these rounds, as a multiple of the mean.

    Each round sends the same, and ends when all is handled: more rounds tell no more, and take minutes on a slow machine.
    """
    before = {name: probe(node).handled for name, node in cluster.nodes.items()}
    await load.more(rounds)
    handled = [probe(node).handled - before[name] for name, node in cluster.nodes.items()]
    assert sum(handled) > 150
    return max(handled) * len(handled) / sum(handled)


async def evened_out(cluster: Cluster, load: Skewed) -> float:
    """Wait until the load is even and stays so."""

    async def even() -> bool:
        return await busiest(cluster, load) <= 1.25

    await eventually(even, 60.0, "the busiest node has at most 1.25 times the mean")
    return await busiest(cluster, load, rounds=30)


async def assignment(hub: Hub) -> Assignment:
    redis = AsyncRedis(hub.server)
    try:
        return await redis.run(read_assignment(hub.keys))
    finally:
        await redis.close()


async def moves_of(hub: Hub) -> dict[int, list[float]]:
    """When each shard has been handed over, seconds."""
    redis = AsyncRedis(hub.server)
    try:
        entries = await redis.run(plain("XRANGE", hub.keys.events, "-", "+", read=list))
    finally:
        await redis.close()
    found: dict[int, list[float]] = {}
    for entry_id, fields in entries:
        event = pairs(fields)
        if event["type"] == b"token_passed":
            found.setdefault(int(event["shard"]), []).append(entry_ms(text(entry_id)) / 1000)
    return found


async def moves_since(hub: Hub, before: dict[int, list[float]]) -> dict[int, list[float]]:
    """The same, without those that were known before."""
    return {
        shard: new for shard, times in (await moves_of(hub)).items() if (new := times[len(before.get(shard, ())) :])
    }


async def one_child_for_each_shard(hub: Hub) -> list[str]:
    """Children, in the order of their shards."""
    names = [f"child-{n}" for n in range(SHARDS * 20)]
    by_shard = {shard_of(name, hub.config.shards): name for name in names}
    assert len(by_shard) == SHARDS
    children = [by_shard[shard] for shard in range(SHARDS)]
    for child in children:
        await hub.aio.start_child(child, LedgerChild)
    return children


@pytest.mark.long
@pytest.mark.alone  # hundreds of rounds of a skewed load: on fakeredis beside other tests they take minutes
def test_a_skewed_load_is_evened_out_and_goes_on_when_the_leader_dies(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=SHARDS, distribution=CentralizedLoadBalancer(push_interval=0.3, rest=REST))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c", "d")
            await cluster.settled()
            children = await one_child_for_each_shard(hub)
            placed = await cluster.settled_shards()
            before = await moves_of(hub)
            hot = [children[shard] for shard in range(SHARDS) if placed[shard] == "b"][: SHARDS // 10]
            load = Skewed(ledger, children, hot)
            try:
                assert await busiest(cluster, load) > 1.4 or await moves_since(hub, before)
                assert await evened_out(cluster, load) <= 1.25
                published = await assignment(hub)
                moves = await moves_since(hub, before)
                assert published.leader == "a" and moves
                for times in moves.values():
                    # A move takes its time: the second may end sooner after the first than it was decided.
                    assert all(later - earlier > REST / 2 for earlier, later in pairwise(times)), "it has to rest"

                await cluster.kill("a")
                await cluster.settled_shards()

                async def led_by_the_next() -> bool:
                    now = await assignment(hub)
                    return now.leader == "b" and now.epoch > published.epoch and set(now.shards.values()) == set("bcd")

                await eventually(led_by_the_next, 20.0, "the node that is up longest now leads")
                assert await evened_out(cluster, load) <= 1.25
                await load.end()
                await ledger.check()
            finally:
                load.cancel()

    asyncio.run(scenario())


def test_a_new_node_gets_work_by_the_next_rebalance(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=12, distribution=CentralizedLoadBalancer(push_interval=0.1, rest=0.5))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = await start_children(hub, LedgerChild, 24)

            async def published() -> bool:
                return len((await assignment(hub)).shards) == 12

            await eventually(published, 20.0, "an assignment")
            await cluster.start("c")
            loads = await cluster.settled()  # no message was sent: children and shards are a load, too
            assert loads == {"a": 4, "b": 4, "c": 4}
            assert await cluster.drain("a")
            await cluster.settled_shards()
            for child in children:
                await ledger.call("s", child)

            async def next_leader() -> bool:
                now = await assignment(hub)
                return now.leader == "b" and set(now.shards.values()) == {"b", "c"}

            await eventually(next_leader, 20.0, "b leads")
            await cluster.drain("b")
            await cluster.drain("c")
            await cluster.start("d")  # nobody of those in the assignment is left
            assert await cluster.serves({"d": 12})
            await ledger.check()

    asyncio.run(scenario())


def test_with_nodeup_redistribution_a_new_node_gets_its_share_at_once(make_hub: Any) -> None:
    async def scenario() -> None:
        balancer = CentralizedLoadBalancer(push_interval=600.0, nodeup_redistribution=True)
        hub = make_hub(shards=12, distribution=balancer)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = await start_children(hub, LedgerChild, 24)
            for child in children:
                await ledger.call("s", child)
            await cluster.start("b")
            assert await cluster.settled() == {"a": 6, "b": 6}
            await cluster.start("c")
            assert await cluster.settled() == {"a": 4, "b": 4, "c": 4}
            await ledger.check()

    asyncio.run(scenario())
