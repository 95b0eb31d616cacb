"""A start of children of several groups, all or none, leaves all of them or none, whatever is not answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hubq import CallTimeout, Child, ChildSpec, Hub, RedisUnavailable, StartResult
from hubq.client.operations.batch import Batch
from hubq.testing import Cluster, LedgerChild, eventually
from hubq.testing.patching import replaced
from tests.cluster.groups.test_groups import a_hub

pytestmark = pytest.mark.timeout(60)

CHILDREN = [f"child-{n}" for n in range(8)]


def unanswered(group: int) -> Callable[[Any], Any]:
    """The decision of this group is written, and not answered."""

    def make(seal: Any) -> Any:
        def broken(self: Batch, shards: int) -> Any:
            yield from seal(self, shards)
            if self.hub.group == group:
                raise RedisUnavailable("no answer")
            return True

        return broken

    return make


async def nothing_stays(hub: Hub) -> None:
    async def nobody() -> bool:
        return not await hub.aio.children()

    await eventually(nobody, 20, "no child is there")


@pytest.mark.parametrize("group", [0, 1])
def test_a_decision_that_one_group_does_not_answer_is_taken_back_in_all(group: int) -> None:
    async def scenario() -> None:
        hub = a_hub(2, groups=2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            assert {hub.driver.context.group_of(child) for child in CHILDREN} == {0, 1}
            with replaced(Batch, "seal", unanswered(group)), pytest.raises(RedisUnavailable):
                await hub.aio.start_children(
                    [ChildSpec(child, LedgerChild) for child in CHILDREN], on_failure="rollback"
                )
            await nothing_stays(hub)

    asyncio.run(scenario())


class Gate(Child):
    """Starts when its test lets it, or fails then."""

    open: asyncio.Event
    fails: bool

    async def on_start(self) -> None:
        await Gate.open.wait()
        if Gate.fails:
            raise RuntimeError("no such room")


class Renewals:
    """How often each group's part of a start was renewed."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}

    def counted(self, listen: Any) -> Any:
        def run(batch: Batch, ids: Any, seconds: float, again: bool) -> Any:
            found = yield from listen(batch, ids, seconds, again)
            self.of[batch.hub.group] = self.of.get(batch.hub.group, 0) + 1
            return found

        return run


#: Whoever starts children: code that waits, and code that awaits.
WAITS = pytest.mark.parametrize("waits", [True, False], ids=["hub", "hub.aio"])


async def started(hub: Hub, waits: bool, slow: str, timeout: float = 30) -> StartResult:
    specs = [ChildSpec(child, Gate if child == slow else LedgerChild) for child in CHILDREN]
    if waits:
        return await asyncio.to_thread(
            lambda: hub.start_children(specs, on_failure="rollback", timeout=timeout).result()
        )
    return await hub.aio.start_children(specs, on_failure="rollback", timeout=timeout)


@WAITS
@pytest.mark.parametrize("fails", [False, True], ids=["runs", "fails"])
@pytest.mark.parametrize("group", [0, 1])
def test_the_slowest_group_may_take_longer_than_the_lease_of_a_start(group: int, fails: bool, waits: bool) -> None:
    async def scenario() -> None:
        hub = a_hub(2, groups=2, batch_lease=0.5)
        Gate.open, Gate.fails = asyncio.Event(), fails
        renewals = Renewals()
        slow = next(child for child in CHILDREN if hub.driver.context.group_of(child) == group)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            with replaced(Batch, "listen", renewals.counted):
                result = asyncio.create_task(started(hub, waits, slow))
                await eventually(lambda: renewals.of.get(group, 0) >= 7, 20, "two leases of a start are over")
                Gate.open.set()
                answer = await result
            if fails:
                assert answer.rollback and list(answer.errors) == [slow] and answer.started == {}
                await nothing_stays(hub)
            else:
                assert answer.status == "ok" and sorted(answer.started) == sorted(CHILDREN)
                assert sorted(child.child_id for child in await hub.aio.children()) == sorted(CHILDREN)

    asyncio.run(scenario())


@WAITS
def test_a_group_that_does_not_answer_in_time_leaves_nothing_in_the_others(waits: bool) -> None:
    async def scenario() -> None:
        hub = a_hub(2, groups=2, batch_lease=0.5)
        Gate.open, Gate.fails = asyncio.Event(), False
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            with pytest.raises(CallTimeout, match=r"did not start within 1\.2 s; all 8 (are|will be) undone"):
                await started(hub, waits, CHILDREN[0], timeout=1.2)
            Gate.open.set()
            await nothing_stays(hub)

    asyncio.run(scenario())
