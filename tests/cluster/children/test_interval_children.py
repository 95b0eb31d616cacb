"""``durability="interval"``: a message and the state that holds it are saved together, or neither, whatever goes wrong."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, ClassVar

import pytest

from hubq import CallFailed, CallTimeout, ChildSpec, HotSwap, Hub
from hubq.core.hashing import shard_of
from hubq.store.command import plain
from hubq.store.registry import read_texts
from hubq.strategies.migration.protocol import Handover
from hubq.testing import Cluster, LedgerChild, eventually, interfere, probe


class Saving(LedgerChild):
    durability = "interval"
    save_every = 60.0


class Paused(HotSwap):
    """Stops once the states are collected, until the test lets it go on (or makes it fail)."""

    reached: ClassVar[asyncio.Event]
    go_on: ClassVar[asyncio.Event]
    fail: ClassVar[bool]

    @classmethod
    def arm(cls, *, fail: bool) -> None:
        cls.reached, cls.go_on, cls.fail = asyncio.Event(), asyncio.Event(), fail

    async def handle_migration(self, handover: Handover) -> None:
        if not await handover.build_at_target(self.child_migration_timeout):
            return
        await handover.close_intake(self.straggler_grace)
        await handover.collect_states(self.handover_data_wait, self.handover)
        self.reached.set()
        await self.go_on.wait()
        if self.fail:
            raise RuntimeError("a strategy with a fault")
        if await handover.pass_token():
            handover.follow(self.retention)
            await handover.dispose()


async def start(hub: Hub, kind: Any, *names: str) -> None:
    hub.child(kind)
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names])
    assert result.status == "ok"


async def waiting(cluster: Cluster, hub: Hub, child: str) -> int:
    """How many messages of a child are in its mailbox."""
    node = next(iter(cluster.nodes.values()))
    backlog = await probe(node).connection.run(read_texts(hub.keys.backlog(shard_of(child, hub.config.shards))))
    return int(backlog.get(child, 0))


def one_of_each_shard() -> list[str]:
    return [next(name for name in map("c{}".format, range(99)) if shard_of(name, 2) == shard) for shard in (0, 1)]


def test_a_timer_that_fires_while_a_shard_is_being_passed_is_set_again(make_hub: Any) -> None:
    class Often(LedgerChild):
        durability = "interval"
        save_every = 0.05

    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Often, "c")
            child = probe(cluster.nodes["a"]).the_child("c")
            with interfere.commits_held(child):
                await hub.aio.ref("c").cast("record", "x", 1)
                first = await eventually(lambda: child.next_save, what="the timer is set")
                await eventually(lambda: child.next_save not in (None, first), what="it has fired, and is set again")

            async def saved() -> bool:
                return await waiting(cluster, hub, "c") == 0

            await eventually(saved, what="the message is saved, though no other comes")

    asyncio.run(scenario())


@pytest.mark.parametrize("hurt", ["drain", "kill"])
def test_a_migration_strategy_that_fails_once_states_are_collected(make_hub: Any, hurt: str) -> None:
    """The messages were neither deleted nor waiting for a save any more: the next owner applied them twice."""

    async def scenario() -> None:
        Paused.arm(fail=True)
        hub = make_hub(shards=2, migration=Paused())
        names = one_of_each_shard()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Saving, *names)
            for name in names:
                await hub.aio.ref(name).call("record", "x", 1)
            await cluster.start("b")
            await asyncio.wait_for(Paused.reached.wait(), 10)
            Paused.go_on.set()
            for name in names:
                await hub.aio.ref(name).call("record", "x", 2)
            Paused.fail = False
            await cluster.settled()
            for name in names:
                await hub.aio.ref(name).call("record", "x", 3)
            if hurt == "kill":
                await cluster.kill("a")
            else:
                await cluster.drain("a")
            for name in names:
                assert await hub.aio.ref(name).call("entries", timeout=20) == {"x": [1, 2, 3]}

    asyncio.run(scenario())


@pytest.mark.parametrize("handover", [True, False])
def test_the_target_goes_before_the_token_passes_and_then_the_source(make_hub: Any, handover: bool) -> None:
    """With ``handover=False`` the messages were deleted, and the state that holds them was saved by nobody."""

    async def scenario() -> None:
        Paused.arm(fail=False)
        hub = make_hub(shards=2, migration=Paused(handover=handover))
        names = one_of_each_shard()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Saving, *names)
            for name in names:
                await hub.aio.ref(name).call("record", "x", 1)
            await cluster.start("b")
            await asyncio.wait_for(Paused.reached.wait(), 10)
            await cluster.kill("b")
            await probe(cluster.nodes["a"]).connection.run(plain("ZADD", hub.keys.leases, 1, "b", read=int))
            Paused.go_on.set()
            for name in names:
                await hub.aio.ref(name).call("record", "x", 2, timeout=20)
            await cluster.kill("a")
            await cluster.start("c")
            for name in names:
                assert await hub.aio.ref(name).call("entries", timeout=20) == {"x": [1, 2]}

    asyncio.run(scenario())


def test_a_thread_that_does_not_end_takes_nothing_along(make_hub: Any) -> None:
    """With ``on_error="keep"`` the state at the child's start here was handed over, with the messages since deleted."""
    gate = threading.Event()
    begun = threading.Event()

    class Keeping(Saving):
        on_error = "keep"

        def block(self) -> None:
            begun.set()
            gate.wait(30)

    async def scenario() -> None:
        hub = make_hub(shards=1, migration=HotSwap(retention=0.1))
        try:
            async with Cluster(hub) as cluster:
                await cluster.start("a")
                await start(hub, Keeping, "c")
                await hub.aio.ref("c").call("record", "x", 1)
                await hub.aio.ref("c").cast("block")
                await asyncio.to_thread(begun.wait, 10)
                begun.clear()
                await cluster.start("b")
                await cluster.drain("a")
                await asyncio.to_thread(begun.wait, 10)  # it was undone, and is handled again
                gate.set()
                assert await hub.aio.ref("c").call("entries", timeout=20) == {"x": [1]}
        finally:
            gate.set()

    asyncio.run(scenario())


def test_a_pin_knows_which_messages_may_have_been_answered_before_a_crash(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Saving, "c")
            await hub.aio.ref("c").call("record", "x", 1)
            await cluster.kill("a")
            await cluster.start("b")
            assert await hub.aio.ref("c").call("entries", timeout=20) == {"x": [1]}
            child = probe(cluster.nodes["b"]).the_child("c")
            known = child.replays_until
            assert known is not None
            assert interfere.taken_out_of_its_shard(cluster.nodes["b"], child).replays_until == known

    asyncio.run(scenario())


def test_what_was_refused_does_not_come_again_after_a_crash(make_hub: Any) -> None:
    """Its caller was told that it was not run; the message waited for a save that never came."""

    class Held(Saving):
        gate: ClassVar[asyncio.Event]

        async def hold(self) -> None:
            await Held.gate.wait()

        async def spoil(self) -> None:
            self.applied["spoilt"] = [len(self.applied)]
            raise ValueError("spoilt")

    async def scenario() -> None:
        Held.gate = asyncio.Event()
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Held, "c")
            await hub.aio.ref("c").call("record", "x", 1)
            with pytest.raises(CallFailed):
                await hub.aio.ref("c").call("spoil")
            await hub.aio.ref("c").cast("hold")
            with pytest.raises(CallTimeout) as raised:
                await hub.aio.ref("c").call("record", "x", 2, timeout=0.2)
            assert not raised.value.may_run

            async def only_the_others() -> bool:
                return await waiting(cluster, hub, "c") == 2

            await eventually(only_the_others, what="what was refused has gone")
            Held.gate.set()
            await cluster.kill("a")
            await cluster.start("b")
            assert await hub.aio.ref("c").call("entries", timeout=20) == {"x": [1]}

    asyncio.run(scenario())


class Holder(LedgerChild):
    """May be held in a handler, by name."""

    gate: ClassVar[asyncio.Event]

    async def hold(self, sender: str, number: int) -> None:
        await Holder.gate.wait()
        await self.record(sender, number)


class Saver(Holder):
    durability = "interval"
    save_every = 60.0


def test_stopping_an_interval_child_leaves_nothing_in_its_mailbox(make_hub: Any) -> None:
    async def scenario() -> None:
        Holder.gate = asyncio.Event()
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Saver, "s")
            await hub.aio.ref("s").call("record", "x", 1)
            await hub.aio.ref("s").cast("hold", "x", 2)
            stopping = asyncio.ensure_future(hub.aio.stop_child("s"))

            async def sent() -> bool:
                return (await probe(cluster.nodes["a"]).connection.run(read_texts(hub.keys.backlog(0)))) == {"s": "3"}

            await eventually(sent, what="the stop message is in the mailbox")
            await hub.aio.ref("s").cast("record", "x", 3)
            Holder.gate.set()
            await stopping

            async def empty() -> bool:
                return (await probe(cluster.nodes["a"]).connection.run(read_texts(hub.keys.backlog(0)))) == {}

            await eventually(empty, what="no message is left")
            await start(hub, Saver, "s")
            assert await hub.aio.ref("s").call("entries") == {}

    asyncio.run(scenario())
