"""Things that happen at an awkward moment: in the middle of a handover, of a restart, of a start."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq import CallFailed, ChildSpec, HotSwap, Hub
from hubq.core.hashing import shard_of
from hubq.errors import RedisUnavailable
from hubq.store.registry import read_texts
from hubq.strategies.migration.protocol import Handover
from hubq.testing import Cluster, Ledger, LedgerChild, connections, eventually, interfere, probe


class Paused(HotSwap):
    """A hot swap that stops before the token passes, until the test lets it go on (or makes it fail)."""

    reached: ClassVar[asyncio.Event]
    go_on: ClassVar[asyncio.Event]
    fail: ClassVar[bool] = False

    async def handle_migration(self, handover: Handover) -> None:
        if not await handover.build_at_target(self.child_migration_timeout):
            return
        await handover.close_intake(self.straggler_grace)
        await handover.collect_states(self.handover_data_wait, True)
        Paused.reached.set()
        await Paused.go_on.wait()
        if Paused.fail:
            raise RuntimeError("a strategy with a fault")
        if await handover.pass_token():
            handover.follow(self.retention)
            await handover.dispose()


def arm(fail: bool = False) -> None:
    Paused.reached, Paused.go_on, Paused.fail = asyncio.Event(), asyncio.Event(), fail


class Holder(LedgerChild):
    """May be held in a handler, by name."""

    gate: ClassVar[asyncio.Event]

    async def hold(self, sender: str, number: int) -> None:
        await Holder.gate.wait()
        await self.record(sender, number)


async def start(hub: Hub, kind: Any, names: list[str]) -> None:
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names])
    assert result.status == "ok"


@pytest.mark.parametrize("fails", [False, True])
def test_messages_and_starts_in_the_middle_of_a_handover(make_hub: Any, fails: bool) -> None:
    """For the straggler, for its neighbours, and for a child that did not exist when it began."""

    async def scenario() -> None:
        arm(fails)
        Holder.gate = asyncio.Event()
        hub = make_hub(shards=2, migration=Paused(retention=30.0))
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            names = [f"c{n}" for n in range(12)]
            names.sort(key=lambda name: shard_of(name, 2) != 1)
            names = [names[0], names[-1], *names[1:-1]]  # one of each shard: one of them moves
            assert {shard_of(name, 2) for name in names[:2]} == {0, 1}
            await start(hub, Holder, names)
            held = [
                asyncio.ensure_future(hub.aio.ref(n).call("hold", "x", 1, timeout=30)) for n in (names[0], names[1])
            ]
            await eventually(lambda: len(probe(cluster.nodes["a"]).busy) == 2)
            await cluster.start("b")
            await asyncio.wait_for(Paused.reached.wait(), 10)
            for name in names:
                for number in (2, 3, 4):
                    await hub.aio.ref(name).cast("record", "x", number)
            fresh = asyncio.ensure_future(
                hub.aio.start_children([ChildSpec(f"new{n}", LedgerChild) for n in range(6)], timeout=20)
            )

            async def written() -> bool:
                return sum(child.child_id.startswith("new") for child in await hub.aio.children()) == 6

            await eventually(written, what="the specs are written")
            Paused.fail = fails
            Paused.go_on.set()
            assert len((await fresh).started) == 6
            Holder.gate.set()
            await asyncio.gather(*held)
            for name in names[:2]:
                assert await hub.aio.ref(name).call("entries", timeout=10) == {"x": [1, 2, 3, 4]}
            for name in names[2:]:
                assert await hub.aio.ref(name).call("entries", timeout=10) == {"x": [2, 3, 4]}
            for n in range(6):
                assert await hub.aio.ref(f"new{n}").call("entries", timeout=10) == {}
            if fails:
                Paused.fail = False
            await cluster.settled()
            for name in names:
                assert len(cluster.copies(name)) == 1

    asyncio.run(scenario())


class Leaver(LedgerChild):
    """Ends at the end of a message in which it is held."""

    gate: ClassVar[asyncio.Event]

    async def leave(self) -> None:
        await Leaver.gate.wait()
        self.stop()


def test_a_straggler_ends_before_its_shard_has_gone(make_hub: Any) -> None:
    async def scenario() -> None:
        arm()
        Leaver.gate = asyncio.Event()
        hub = make_hub(shards=2, migration=Paused(retention=30.0))
        names = [next(f"c{n}" for n in range(100) if shard_of(f"c{n}", 2) == shard) for shard in range(2)]
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Leaver, names)
            held = [asyncio.ensure_future(hub.aio.ref(name).call("leave", timeout=30)) for name in names]
            await eventually(lambda: len(probe(cluster.nodes["a"]).busy) == 2)
            await cluster.start("b")
            await asyncio.wait_for(Paused.reached.wait(), 10)
            Leaver.gate.set()
            await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)  # the other one's commit waits for the token
            Paused.go_on.set()
            await asyncio.gather(*held)
            await cluster.settled()
            assert await hub.aio.children() == []

    asyncio.run(scenario())


class Restless(LedgerChild):
    """Its run() raises again and again."""

    async def run(self) -> None:
        await asyncio.sleep(0.01)
        raise RuntimeError("again")


def test_restarts_lose_no_message(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Restless, ["r0", "r1"])
            senders = [f"s{n}" for n in range(6)]

            async def send(sender: str) -> None:
                for n in range(60):
                    await ledger.call(sender, f"r{n % 2}")

            await asyncio.gather(*(send(sender) for sender in senders))
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


class Odd(LedgerChild):
    async def cancel_itself(self) -> None:
        raise asyncio.CancelledError

    async def surrogate(self) -> None:
        raise ValueError("bad \udcff text")

    async def exit(self) -> None:
        raise SystemExit(3)


def test_odd_exceptions_do_not_wedge_a_child(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Odd, ["odd"])
            for method, kind in (
                ("cancel_itself", "CancelledError"),
                ("surrogate", "ValueError"),
                ("exit", "SystemExit"),
            ):
                with pytest.raises(CallFailed) as caught:
                    await hub.aio.ref("odd").call(method)
                assert caught.value.remote_type == kind
                assert await hub.aio.ref("odd").call("record", "x", 1) >= 1

    asyncio.run(scenario())


class CommitsFirst(LedgerChild):
    async def on_start(self) -> None:
        await self.record("self", 1)
        await self.commit()


class StopsFirst(LedgerChild):
    async def on_start(self) -> None:
        await asyncio.sleep(0)
        self.stop()


def test_commit_and_stop_in_on_start(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            specs = [
                ChildSpec("commits", CommitsFirst),
                ChildSpec("stops", StopsFirst),
                ChildSpec("plain", LedgerChild),
            ]
            await hub.aio.start_children(specs, timeout=5)
            assert await hub.aio.ref("plain").call("record", "x", 1) == 1
            assert await hub.aio.ref("commits").call("entries") == {"self": [1]}

            async def gone() -> bool:
                return {child.child_id for child in await hub.aio.children()} == {"commits", "plain"}

            await eventually(gone, what="the one that stops itself is gone")

    asyncio.run(scenario())


class Saver(Holder):
    durability = "interval"
    save_every = 60.0


def test_stopping_an_interval_child_leaves_nothing_in_its_mailbox(make_hub: Any) -> None:
    async def scenario() -> None:
        Holder.gate = asyncio.Event()
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Saver, ["s"])
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
            await start(hub, Saver, ["s"])
            assert await hub.aio.ref("s").call("entries") == {}

    asyncio.run(scenario())


def test_a_start_outlives_an_outage_in_which_its_shard_stays(make_hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The specs cannot be read for longer than the node tries; its lease is renewed all the same."""
    caplog.set_level("CRITICAL", "hubq.node")

    async def scenario() -> None:
        hub = make_hub(shards=2)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await cluster.settled()
            away = RedisUnavailable("no answer")
            with interfere.requests_fail(node, lambda words: words[0] == "HMGET", away, 2) as refused:
                await start(hub, LedgerChild, ["c"])
            assert len(refused) == 2
            ledger = Ledger(hub)
            await ledger.call("x", "c")
            await ledger.check()
            assert await probe(node).connection.run(read_texts(hub.keys.backlog(shard_of("c", 2)))) == {}

    asyncio.run(scenario())


def test_a_start_over_thousands_of_shards(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=4096)
    names = [f"c{n}" for n in range(6000)]
    assert len({shard_of(name, 4096) for name in names}) > 2500
    ticket = connections.ticket_of(hub.start_children([ChildSpec(name, LedgerChild) for name in names]))
    assert sum(len(children) for children in ticket.awaited.values()) == 6000
    hub.ref("c1").cast("record", "x", 1)
    hub.close()
