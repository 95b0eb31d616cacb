"""A send whose answer was lost is sent again, and applied once: the connection is cut after the script has run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from hubq import CallTimeout, Hub
from hubq.store.command import Command
from hubq.store.mailbox import read_range
from hubq.testing import Ledger, LedgerChild, connections
from hubq.testing.cluster import Cluster


class LosesAnswers:
    """A server of whose answers to scripts every second one is lost on the way, once the script has run."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.address = server.address
        self.lost = self._turn = 0
        self.losing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def after(self, commands: Sequence[Command[Any]]) -> None:
        """The server has done it all; does the client hear of it?"""
        if self.losing and commands[0].args[0] == "EVALSHA":
            self._turn += 1
            if self._turn % 2:
                self.lost += 1
                raise ConnectionError("the answer was lost (test)")


@pytest.fixture
def lossy(server: Any) -> Iterator[LosesAnswers]:
    lossy = LosesAnswers(server)

    def lose(redis: Any, commands: Sequence[Command[Any]], answers: list[Any]) -> None:
        if redis.server is lossy:
            lossy.after(commands)

    with connections.after_each_answer(lose):
        yield lossy


def hubs(make_hub: Any, lossy: LosesAnswers) -> tuple[Hub, Hub]:
    """A hub, and the same one seen through the bad connection."""
    hub: Hub = make_hub(shards=4)
    hub.child(LedgerChild)
    return hub, Hub(hub.hub_id, redis=lossy, shards=4)


def test_async_sends_are_applied_once(make_hub: Any, lossy: LosesAnswers) -> None:
    async def scenario() -> None:
        hub, seen = hubs(make_hub, lossy)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            ledger = Ledger(seen)
            await seen.aio.nodes()
            lossy.losing = True
            names = [f"c{n}" for n in range(6)]
            await asyncio.gather(*(seen.aio.start_child(name, LedgerChild) for name in names))
            for _ in range(5):
                await asyncio.gather(*(ledger.cast("s", name) for name in names))
                await asyncio.gather(*(ledger.call("s", name) for name in names))
            assert lossy.lost >= 10
            lossy.losing = False
            assert ledger.failed == []
            await ledger.check()
            lossy.losing = True
            assert len((await seen.aio.stop_children(names)).stopped) == 6
            await seen.aio.close()

    asyncio.run(scenario())


def test_sync_sends_are_applied_once(make_hub: Any, lossy: LosesAnswers) -> None:
    async def scenario() -> None:
        hub, seen = hubs(make_hub, lossy)

        def work() -> dict[str, list[int]]:
            seen.nodes()
            lossy.losing = True
            seen.start_child("c", LedgerChild).result()
            ref = seen.ref("c")
            for number in range(1, 11):
                if number % 2:
                    ref.cast("record", "s", number)
                else:
                    assert ref.call("record", "s", number) == number
            found: dict[str, list[int]] = ref.call("entries")
            assert seen.stop_child("c").stopped == {"c": "a"}
            seen.close()
            return found

        async with Cluster(hub) as cluster:
            await cluster.start("a")
            assert await asyncio.to_thread(work) == {"s": list(range(1, 11))}
            assert lossy.lost >= 10

    asyncio.run(scenario())


def test_what_was_sent_with_every_answer_lost_is_in_the_mailbox_once(make_hub: Any, lossy: LosesAnswers) -> None:
    hub, seen = hubs(make_hub, lossy)
    with pytest.raises(CallTimeout):
        seen.start_child("c", LedgerChild).result(timeout=0.01)
    lossy.losing = True
    for _ in range(4):
        seen.ref("c").cast("record", "s", 1)
    lossy.losing = False
    redis = connections.connection_of(hub)
    found = [message.kind for shard in range(4) for message in redis.run(read_range(hub.keys, shard, b"0", b"+", 100))]
    assert found == ["start"] + ["cast"] * 4
    assert lossy.lost == 4
    hub.close()
    seen.close()
