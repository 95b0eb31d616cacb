"""What children of one group say to children of another is done once, in order, whatever dies when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import Child, ChildSpec, Hub, MailboxFull
from hubq.testing import Cluster, FakeServer, LedgerChild, eventually
from tests.cluster.groups.test_groups import a_hub

pytestmark = pytest.mark.timeout(60)

RECEIVERS = [f"receiver-{n}" for n in range(8)]
SENDERS = [f"sender-{n}" for n in range(8)]


class Sender(Child):
    """Says a number to each receiver with each message that it handles."""

    def __init__(self) -> None:
        self.said = 0

    async def say(self) -> int:
        self.said += 1
        for child in RECEIVERS:
            self.ref(LedgerChild, child).cast(LedgerChild.record, self.child_id, self.said)
        return self.said

    async def said_so_far(self) -> int:
        return self.said

    async def start_some(self) -> None:
        for n in range(8):
            self.ref(LedgerChild, f"started-by-{self.child_id}-{n}").start()

    async def say_to_nobody(self) -> None:
        self.ref("nobody-0").cast("record", self.child_id, 1)
        self.ref("nobody-1").cast("record", self.child_id, 1)


class Slow(LedgerChild):
    """Handles nothing until the gate is open."""

    gate = asyncio.Event()

    async def record(self, sender: str, number: int) -> int:
        await self.gate.wait()
        return await super().record(sender, number)


async def begun(hub: Hub) -> None:
    await hub.aio.start_children([ChildSpec(child, Sender) for child in SENDERS])
    await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in RECEIVERS])


async def all_is_there_once(hub: Hub) -> None:
    """The ledger: each receiver has each number of each sender once, in order."""
    said = {child: await hub.aio.ref(child).call("said_so_far", timeout=20) for child in SENDERS}
    expected = {child: list(range(1, number + 1)) for child, number in said.items() if number}

    async def arrived() -> bool:
        try:
            entries = [await hub.aio.ref(child).call("entries", timeout=20) for child in RECEIVERS]
        except MailboxFull:
            return False
        return all(sum(map(len, each.values())) >= sum(said.values()) for each in entries)

    await eventually(arrived, 30, "all that was said has arrived")
    for child in RECEIVERS:
        found = await hub.aio.ref(child).call("entries", timeout=20)
        assert {
            sender: wrong for sender in expected if (wrong := unlike(found.get(sender, []), expected[sender]))
        } == {}, child


def unlike(found: list[int], expected: list[int]) -> list[str]:
    """What is missing, there twice, or nobody has said; ``["order"]`` if it is only that."""
    wrong = [f"{number} is missing" for number in expected if number not in found]
    wrong += [
        f"{number} is there {found.count(number)} times" for number in sorted(set(found)) if found.count(number) > 1
    ]
    wrong += [f"{number} was never said" for number in sorted(set(found) - set(expected))]
    return wrong or ([] if found == expected else ["order"])


def groups_of(hub: Hub, children: list[str]) -> set[int]:
    return {hub.driver.context.group_of(child) for child in children}


def test_all_that_is_said_arrives_once_and_in_order() -> None:
    async def scenario() -> None:
        hub = a_hub(2)
        assert len(groups_of(hub, RECEIVERS)) > 1
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            await begun(hub)
            await asyncio.gather(*(hub.aio.ref(child).call("say") for child in SENDERS * 20))
            await all_is_there_once(hub)

    asyncio.run(scenario())


@pytest.mark.long
def test_once_when_nodes_join_drain_and_die() -> None:
    async def scenario() -> None:
        hub = a_hub(2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await begun(hub)
            going = True

            async def load(child: str) -> None:
                while going:
                    await hub.aio.ref(child).call("say", timeout=20)

            loads = [asyncio.create_task(load(child)) for child in SENDERS]
            await cluster.start("b")
            await cluster.settled()
            await cluster.kill("a")
            await cluster.settled()
            await cluster.start("c")
            await cluster.drain("b")
            await cluster.settled()
            going = False
            await asyncio.gather(*loads)
            await all_is_there_once(hub)

    asyncio.run(scenario())


def test_what_is_for_a_group_that_is_away_waits() -> None:
    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]
        hub = a_hub(servers, groups=2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await begun(hub)
            here = [child for child in SENDERS if hub.driver.context.group_of(child) == 0]
            servers[1].connected = False
            for child in here * 5:
                await hub.aio.ref(child).call("say")
            servers[1].connected = True
            await all_is_there_once(hub)

    asyncio.run(scenario())


def test_a_full_mailbox_holds_up_nobody_else() -> None:
    async def scenario() -> None:
        Slow.gate = asyncio.Event()
        hub = a_hub(max_backlog=5)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_children([ChildSpec(child, Sender) for child in SENDERS])
            slow = RECEIVERS[0]
            await hub.aio.start_child(slow, Slow)
            await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in RECEIVERS[1:]])
            for _ in range(10):
                await asyncio.gather(*(hub.aio.ref(child).call("say") for child in SENDERS))

            async def others() -> bool:
                try:
                    found = [await hub.aio.ref(child).call("entries") for child in RECEIVERS[1:]]
                except MailboxFull:
                    return False
                return all(sum(map(len, each.values())) == 80 for each in found)

            await eventually(others, 30, "those with room have everything")
            Slow.gate.set()
            await all_is_there_once(hub)

    asyncio.run(scenario())


def test_starts_and_letters() -> None:
    async def scenario() -> None:
        hub = a_hub(2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("sender-0", Sender)
            await hub.aio.ref("sender-0").call("start_some")
            await hub.aio.ref("sender-0").call("say_to_nobody")

            async def started() -> bool:
                return len(await hub.aio.children(match="started-by-*", status="running")) == 8

            await eventually(started, 30, "children of all groups are started")

            async def letters() -> Any:
                return sorted((each.child, each.why) for each in await hub.aio.dead_letters())

            async def two() -> bool:
                return len(await letters()) == 2

            await eventually(two, 30, "a letter for each unknown child")
            assert await letters() == [("nobody-0", "unknown-child"), ("nobody-1", "unknown-child")]

    asyncio.run(scenario())
