"""Messages, starts, ends and failures while a handover is under way, or when it came to nothing."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq import ChildSpec, HotSwap, Hub
from hubq.core.hashing import shard_of
from hubq.errors import HubqError
from hubq.strategies.migration.protocol import Handover
from hubq.testing import Cluster, LedgerChild, eventually, probe


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
