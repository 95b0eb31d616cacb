"""Batches of casts to children of several groups: on one primary they go out in one write, and a primary that stands still delays
none of the others.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from typing import Any

import pytest

from hubq import ChildSpec, Hub, MailboxFull, RedisUnavailable, UnknownChild
from hubq.core.send_window import WINDOW
from hubq.store.connection import RedisServer
from hubq.store.embedded import EmbeddedServer
from hubq.testing import Cluster, FakeServer, LedgerChild, eventually
from hubq.testing.connections import lanes_here, writes_of

_numbers = itertools.count()
GROUPS = 4
CHILDREN = [f"c{n}" for n in range(16)]

pytestmark = pytest.mark.timeout(90)


def a_hub(*servers: Any, **settings: Any) -> Hub:
    settings = {"groups": GROUPS, "shards": 16, **settings}
    return Hub(f"casts{os.getpid()}-{next(_numbers)}", redis=list(servers), **settings)


def numbers(first: int, last: int) -> list[tuple[str, str, str, int]]:
    """A cast of each number, to the children in turn."""
    return [(CHILDREN[number % 16], "record", "s", number) for number in range(first, last)]


async def all_have(hub: Hub, last: int) -> None:
    """The ledger: each child has had its numbers once, in order."""
    for n, child in enumerate(CHILDREN):
        mine = [number for number in range(1, last) if number % 16 == n]
        assert await hub.aio.ref(child).call("entries", timeout=20) == {"s": mine}


async def begun(hub: Hub) -> None:
    await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in CHILDREN])


def test_groups_on_one_primary_share_a_connection_and_a_batch_is_one_write(real_server: RedisServer) -> None:
    async def scenario() -> None:
        hub = a_hub(real_server)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await begun(hub)
            (lane,) = await lanes_here(hub)
            assert lane is not None
            with writes_of(lane) as writes:
                assert await hub.aio.cast_many(numbers(1, 201)) == [None] * 200
            assert len(writes) == 1
            await all_have(hub, 201)

    asyncio.run(scenario())


@pytest.mark.parametrize("fake", [True, False])
def test_more_than_may_be_in_flight(fake: bool, real_server: RedisServer) -> None:
    async def scenario() -> None:
        hub = a_hub(FakeServer() if fake else real_server)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await begun(hub)
            count = GROUPS * (WINDOW + 100)
            assert await hub.aio.cast_many(numbers(1, count)) == [None] * (count - 1)
            await all_have(hub, count)

    asyncio.run(scenario())


def test_each_refusal_stands_where_its_cast_stood(real_server: RedisServer) -> None:
    async def scenario() -> None:
        hub = a_hub(real_server, max_backlog=3)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await begun(hub)
            some = [(child, "record", "s", 1) for child in CHILDREN]
            answers = await hub.aio.cast_many([some[0], ("nobody", "record", "s", 1), *some[1:]])
            assert [type(answer) for answer in answers[:3]] == [type(None), UnknownChild, type(None)]
            for child in CHILDREN:
                assert await hub.aio.ref(child).call("entries") == {"s": [1]}
            cluster.freeze("a")
            answers = await hub.aio.cast_many([(child, "record", "s", n) for n in range(2, 7) for child in CHILDREN])
            assert [type(answer) for answer in answers] == [type(None)] * 48 + [MailboxFull] * 32
            cluster.thaw("a")

    asyncio.run(scenario())


def test_who_is_cancelled_leaves_the_others_as_they_were(real_server: RedisServer) -> None:
    async def scenario() -> None:
        hub = a_hub(real_server)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await begun(hub)
            lost = asyncio.ensure_future(hub.aio.cast_many(numbers(1, 33)))
            await asyncio.sleep(0)
            lost.cancel()
            with pytest.raises(asyncio.CancelledError):
                await lost
            assert await hub.aio.cast_many(numbers(33, 65)) == [None] * 32  # (the others were on their way)
            await all_have(hub, 65)

    asyncio.run(scenario())


def test_a_session_that_is_closed_closes_nothing_of_the_others(real_server: RedisServer) -> None:
    async def scenario() -> None:
        hub = a_hub(real_server)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await begun(hub)
            (lane,) = await lanes_here(hub)
            assert lane is not None
            await hub.groups.async_drivers[0].close()
            assert not lane.lost
            assert await hub.aio.cast_many(numbers(1, 33)) == [None] * 32
            assert await lanes_here(hub) == {lane}
            await all_have(hub, 33)
            await hub.aio.close()
            assert lane.lost
            assert await hub.aio.cast_many(numbers(33, 65)) == [None] * 32
            await all_have(hub, 65)

    asyncio.run(scenario())


def test_with_replicas_to_wait_for_each_group_has_its_own(real_server: RedisServer) -> None:
    async def scenario() -> None:
        hub = a_hub(real_server, wait_replicas=1)
        assert len(await lanes_here(hub)) == GROUPS
        await hub.aio.close()

    asyncio.run(scenario())


def test_a_primary_that_stands_still_keeps_no_other_waiting() -> None:
    async def scenario(first: EmbeddedServer, second: EmbeddedServer) -> None:
        hub = a_hub(RedisServer(first.url), RedisServer(second.url), lease=20.0)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await begun(hub)
            assert len(await lanes_here(hub)) == 2
            here = [child for child in CHILDREN if hub.driver.context.group_of(child) % 2]
            assert second.pid is not None and first.pid is not None
            os.kill(first.pid, signal.SIGSTOP)
            try:
                count = 4 * (WINDOW + 100)  # those of the first primary fill its window
                batch = [(child, "record", "s", n) for n in range(1, count // 16 + 1) for child in CHILDREN]
                sent = asyncio.ensure_future(hub.aio.cast_many(batch))
                last = count // 16

                async def handled() -> bool:
                    found = [await hub.aio.ref(child).call("entries", timeout=20) for child in here]
                    return all(each == {"s": list(range(1, last + 1))} for each in found)

                await eventually(handled, 4.0, "the other primary has all of its casts")
                assert not sent.done()
            finally:
                os.kill(first.pid, signal.SIGCONT)
            try:
                assert await sent == [None] * len(batch)
            except RedisUnavailable:  # it stood still for too long: what was sent may be done
                return
            for child in CHILDREN:
                found = await hub.aio.ref(child).call("entries", timeout=20)
                assert found == {"s": list(range(1, last + 1))}

    with EmbeddedServer() as first, EmbeddedServer() as second:
        if first.kind == "fakeredis":
            pytest.skip("no real Redis here")
        asyncio.run(scenario(first, second))
