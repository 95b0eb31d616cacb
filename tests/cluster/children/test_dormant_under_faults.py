"""Nothing of a dormant child is lost: what comes while it goes to rest, lost answers, nodes that die, freeze or give its shard."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import ChildSpec, UnknownChild
from hubq.store.scripts import SCRIPTS
from hubq.testing import Cluster, Ledger, eventually, interfere
from hubq.testing.probe import probe
from tests.cluster.children.sleepers import MOMENTS, Brief, Goodbye, Sleepy, Slow, Stopping, gone, is_dormant, rest


@pytest.fixture(autouse=True)
def moments() -> None:
    MOMENTS.begin_anew()


def test_a_child_that_gets_a_message_while_its_state_is_taken_stays(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            ledger = Ledger(hub)
            await hub.aio.start_child("s-1", Slow)
            await ledger.call("x", "s-1")
            await MOMENTS.taking.wait()
            await ledger.call("x", "s-1")
            assert probe(node).counted("rested") == 0
            MOMENTS.may_go.set()
            await rest(cluster, "s-1")
            await ledger.call("x", "s-1")
            assert await hub.aio.ref("s-1").call("handed_over") == [2], "the state was handed over, and taken as such"
            await ledger.check()

    hubq_run(scenario())


@pytest.mark.parametrize("when", ["before", "after"])
def test_messages_that_are_sent_around_the_script_are_handled(when: str, make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            ledger = Ledger(hub)

            async def send() -> None:
                for _ in range(3):
                    await ledger.cast("x", "s-1")
                await eventually(lambda: probe(node).child("s-1").waiting == 3, 5, "they are read")

            with interfere.around_script(node, "rest_children", **{when: send}) as seen:
                await hub.aio.start_child("s-1", Goodbye)
                await eventually(lambda: bool(seen), 10, "it goes to rest")
                await eventually(lambda: len(ledger.sent.get(("x", "s-1"), ())) == 3, 10, "they are sent")
            if when == "after":
                await MOMENTS.saying.wait()
                assert await is_dormant(cluster, "s-1"), "it is woken when on_stop is done"
                MOMENTS.may_go.set()
            await ledger.check()

    if when == "before":
        MOMENTS.may_go.set()
    hubq_run(scenario())


def test_a_child_that_is_stopped_at_once_while_it_goes_to_rest_ends(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            stops: list[asyncio.Task[Any]] = []

            async def stop() -> None:
                stops.append(asyncio.ensure_future(hub.aio.stop_child_now("s-1")))
                await eventually(lambda: probe(node).child("s-1") is None, 10, "it has ended here")

            with interfere.around_script(node, "rest_children", before=stop) as seen:
                await hub.aio.start_child("s-1", Stopping)
                await eventually(lambda: bool(seen) and bool(stops), 10, "it is stopped while it goes to rest")
                assert await stops[0] == "a"
            await gone(cluster, "s-1")
            assert "s-1 idle" not in MOMENTS.stopped, "it has not gone to rest here"
            with pytest.raises(UnknownChild):
                await hub.aio.ref("s-1").call("hello")
            assert await hub.aio.start_child("s-1", Sleepy, "new")

    hubq_run(scenario())


@pytest.mark.parametrize("script", ["rest_children", "wake_children", "expire_children"])
def test_a_lost_answer_changes_nothing(script: str, make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            ledger = Ledger(hub)

            def is_meant(args: Any) -> bool:
                return bool(args[1] == SCRIPTS[script].sha)

            await hub.aio.start_child("s-1", Brief if script == "expire_children" else Sleepy)
            most = 1 if script == "expire_children" else 2
            with interfere.answers_lost(node, is_meant, most=most) as lost:
                await ledger.call("x", "s-1")
                if script == "expire_children":
                    await gone(cluster, "s-1")
                else:
                    await rest(cluster, "s-1")
                    for _ in range(3):
                        await ledger.call("x", "s-1")
                await eventually(lambda: len(lost) == most, 10, "answers are lost")
            if script != "expire_children":
                await ledger.call("x", "s-1")
                await ledger.check()

    hubq_run(scenario())


@pytest.mark.parametrize("script", ["rest_children", "wake_children"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_node_that_dies_around_the_script_loses_nothing(
    script: str, when: str, make_hub: Any, hubq_run: Any
) -> None:  # fmt: skip
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1, lease=1.0, lease_margin=0.3, heartbeat=0.05)) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            ledger = Ledger(hub)
            died = asyncio.Event()

            async def die() -> None:
                died.set()
                await asyncio.Event().wait()

            if script == "wake_children":  # (it may rest before its first call has come, and be woken by that)
                await hub.aio.start_child("s-1", Sleepy)
                await ledger.call("x", "s-1")
                await rest(cluster, "s-1")
            with interfere.around_script(node, script, **{when: die}):
                if script == "rest_children":
                    await hub.aio.start_child("s-1", Sleepy)
                await ledger.cast("x", "s-1")
                async with asyncio.timeout(10):
                    await died.wait()
                await cluster.kill("a")
            await cluster.start("b")
            await ledger.call("x", "s-1")
            await ledger.check()
            await rest(cluster, "s-1")

    hubq_run(scenario())


@pytest.mark.parametrize("script", ["rest_children", "wake_children"])
def test_a_frozen_owner_puts_nobody_to_rest_and_wakes_nobody(script: str, make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1, lease=1.0, lease_margin=0.3, heartbeat=0.05)) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            ledger = Ledger(hub)

            async def freeze() -> None:
                cluster.freeze("a")

            if script == "wake_children":
                await hub.aio.start_child("s-1", Sleepy)
                await ledger.call("x", "s-1")
                await rest(cluster, "s-1")
            with interfere.around_script(node, script, before=freeze) as seen:
                if script == "rest_children":
                    await hub.aio.start_child("s-1", Sleepy)
                await ledger.cast("x", "s-1")
                await eventually(lambda: bool(seen), 10, "it is frozen at the script")
                await cluster.start("b")
                await ledger.call("x", "s-1")
                cluster.thaw("a")
                for _ in range(3):
                    await ledger.call("x", "s-1")
            await ledger.check()

    hubq_run(scenario())


def test_a_shard_moves_while_its_children_rest_and_wake(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=4)) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            ledger = Ledger(hub)
            names = [f"s-{number}" for number in range(12)]
            await hub.aio.start_children([ChildSpec(name, Sleepy) for name in names])

            async def talk(sender: str, pause: float) -> None:
                for _ in range(12):
                    for name in names:
                        await ledger.call(sender, name)
                    await asyncio.sleep(pause)  # (some of them rest meanwhile)

            async def move() -> None:
                for name in ("b", "c"):
                    await cluster.start(name)
                    await cluster.settled()
                await cluster.drain("a")
                await cluster.drain("b")

            await asyncio.gather(talk("x", 0.1), talk("y", 0.07), move())
            await ledger.check()
            await rest(cluster, *names)
            assert await cluster.drain("c")
            await cluster.start("d")
            await ledger.check()

    hubq_run(scenario())


def test_the_next_owner_of_a_shard_wakes_a_child_whose_message_it_finds(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            ledger = Ledger(hub)
            await hub.aio.start_child("s-1", Sleepy)
            await ledger.call("x", "s-1")
            await rest(cluster, "s-1")
            await cluster.drain("a")
            await ledger.cast("x", "s-1")
            node = await cluster.start("b")
            await eventually(lambda: probe(node).counted("woken") == 1, 10, "it is woken")
            await ledger.check()

    hubq_run(scenario())
