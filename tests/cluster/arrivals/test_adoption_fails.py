"""The token of a shard has come, and what comes with it cannot be served."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import Hub
from hubq.testing import Cluster, Ledger, LedgerChild, Load, interfere, start_children


@pytest.mark.parametrize("step", ["reading", "starting"])
@pytest.mark.parametrize("how", ["handed over", "claimed"])
def test_a_failed_adoption_is_tried_again(make_hub: Any, how: str, step: str) -> None:
    """The token is here, and what comes with it cannot be served: the next look at the plan tries again."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            load = Load(ledger, await start_children(hub, LedgerChild, 20))
            await load.reached(50)
            b = await cluster.start("b")
            with interfere.first_adoption_of_each_shard_fails(b, step) as failed:
                assert await cluster.settled() == {"a": 2, "b": 2}
                assert len(failed) == 2
                if how == "claimed":
                    failed.clear()
                    await cluster.kill("a")
                    assert await cluster.settled() == {"b": 4}
                    assert len(failed) == 2, "both shards of the dead node failed once"
                await load.reached(load.count + 50)
                await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())
