"""A start of children of several groups, all or none, leaves all of them or none, whatever is not answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hubq import ChildSpec, Hub, RedisUnavailable
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
