"""A hub on a Redis Cluster: its slot moves to another primary under load, and its primary fails over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from hubq import Hub
from hubq.store.embedded_cluster import EmbeddedCluster
from hubq.store.slots import slot_of
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, probe

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]
CHILDREN = [f"c{n}" for n in range(12)]


class Load:
    """Calls to all children, one after the other each, until it is stopped."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stopping = asyncio.Event()
        self.done = 0

    async def run(self) -> None:
        await asyncio.gather(*map(self._calls, CHILDREN))

    def stop(self) -> None:
        self._stopping.set()

    async def _calls(self, child: str) -> None:
        while not self._stopping.is_set():
            await self._ledger.call("load", child, timeout=30)
            self.done += 1
            await asyncio.sleep(0.002)


async def under_load(hub: Hub, what: Callable[[Load], Awaitable[None]]) -> None:
    ledger = Ledger(hub)
    async with Cluster(hub) as cluster:
        await cluster.start("a", "b")
        await cluster.settled()
        for child in CHILDREN:
            await hub.aio.start_child(child, LedgerChild)
        load = Load(ledger)
        running = asyncio.ensure_future(load.run())
        await what(load)
        load.stop()
        await running
        await cluster.settled()
        assert ledger.failed == []
        await ledger.check()


async def goes_on(load: Load) -> None:
    """Each child has been called some times more."""
    before = load.done
    await eventually(lambda: load.done >= before + 10 * len(CHILDREN), 20, "calls go on")


def hub_on(cluster: EmbeddedCluster, name: str) -> Hub:
    return Hub(name, redis=cluster.url, shards=8, lease=5.0, lease_margin=0.5, heartbeat=0.2)


def test_the_slot_moves_and_nobody_notices(three: EmbeddedCluster) -> None:
    hub = hub_on(three, "moves")
    slot = slot_of("moves")
    homes = three.primaries

    async def moves(load: Load) -> None:
        for _ in range(3):
            await goes_on(load)
            owner = three.owner(slot)
            target = homes[(homes.index(owner) + 1) % len(homes)]
            assert await asyncio.to_thread(three.move_slot, slot, target) > 20
        await goes_on(load)

    asyncio.run(under_load(hub, moves))
    assert not seen(hub) & {"redis_changed", "node_evicted"}  # no child was built anew


def test_a_slot_that_takes_its_time_to_move(three: EmbeddedCluster) -> None:
    hub = hub_on(three, "slow")
    slot = slot_of("slow")

    async def moves(load: Load) -> None:
        await goes_on(load)
        target = next(port for port in three.primaries if port != three.owner(slot))
        pauses = lambda keys: time.sleep(0.04) if keys <= 25 else None  # noqa: E731  (a second, for renewals that are refused)
        await asyncio.to_thread(three.move_slot, slot, target, pauses)
        await goes_on(load)

    asyncio.run(under_load(hub, moves))
    assert not seen(hub) & {"redis_changed", "node_evicted"}


def test_a_primary_that_forgets_scripts_and_hands_its_last_slot_on(three: EmbeddedCluster) -> None:
    hub = hub_on(three, "last")
    slot = slot_of("last")

    async def moves(load: Load) -> None:
        await goes_on(load)
        three.ask(three.owner(slot), "SCRIPT FLUSH")
        await goes_on(load)

    asyncio.run(under_load(hub, moves))


def test_a_failover_by_command_loses_nothing(with_replicas: EmbeddedCluster) -> None:
    hub = hub_on(with_replicas, "failover")

    async def fails_over(load: Load) -> None:
        await goes_on(load)
        await asyncio.to_thread(with_replicas.fail_over, with_replicas.owner_of("failover"))
        await goes_on(load)
        await asyncio.to_thread(with_replicas.fail_over, with_replicas.owner_of("failover"))
        await goes_on(load)

    asyncio.run(under_load(hub, fails_over))
    assert "redis_changed" in seen(hub)  # a replica may lack the last writes: what nodes have in memory does not count


def test_a_primary_that_is_killed_and_one_that_is_frozen(with_replicas: EmbeddedCluster) -> None:
    hub = hub_on(with_replicas, "killed")

    async def scenario() -> None:
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            for child in CHILDREN:
                await hub.aio.start_child(child, LedgerChild)
            for number, harm in enumerate((with_replicas.kill, with_replicas.freeze)):
                for child in CHILDREN:
                    await ledger.call(f"before {number}", child)
                primary = with_replicas.owner_of("killed")
                if number == 0:
                    await eventually(partial(with_replicas.in_step, primary), 10, "in step")
                    harm(primary)
                    await asyncio.gather(*(ledger.call("during", child, timeout=60) for child in CHILDREN))
                else:  # nobody takes its place: for longer than the lease nothing answers
                    harm(primary)
                    during = [asyncio.ensure_future(ledger.call("frozen", child, timeout=60)) for child in CHILDREN]
                    await eventually(
                        lambda: not any(probe(node).holds for node in cluster.nodes.values()), 30, "dropped"
                    )
                    with_replicas.thaw(primary)
                    await asyncio.gather(*during)
            await cluster.settled()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


def seen(hub: Hub) -> set[str]:
    """The types of the events of a hub."""
    return {event.type for event in hub.inspect.events(last=1000)[1]}


def test_a_move_of_a_slot_that_was_interrupted_is_ended(three: EmbeddedCluster) -> None:
    slot = slot_of("interrupted")
    source = three.owner(slot)
    target = next(port for port in three.primaries if port != source)
    names = {f"{{interrupted}}:{n}" for n in range(6)}
    for name in names:
        three.ask(source, "SET", name, "x")

    class Interrupted(Exception):
        pass

    def after_two(moved: int) -> None:
        if moved == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        three.move_slot(slot, target, after_two)
    assert three.ask(source, "CLUSTER COUNTKEYSINSLOT", slot) == 4
    three.settle_slot(slot)
    assert {*three.ask(three.owner(slot), "CLUSTER GETKEYSINSLOT", slot, 10)} == names
    assert not any(f"[{slot}-" in three.ask(port, "CLUSTER NODES") for port in three.primaries)
    three.wait_until_up()
    assert three.move_slot(slot, target) == 6
    assert {*three.ask(target, "CLUSTER GETKEYSINSLOT", slot, 10)} == names
    three.ask(target, "DEL", *names)
