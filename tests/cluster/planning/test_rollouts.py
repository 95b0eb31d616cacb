"""A rolling deploy of workers that say their version: every child moves once, and no call fails (docs/rollouts.md)."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import pytest

from hubq import ConfigError
from hubq.client.operations.rollouts import end_rollout, ramp_to, rollout
from hubq.core.hashing import shard_of
from hubq.core.rollout import Ramp
from hubq.node.node import Node
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.testing import Cluster, Ledger, LedgerChild, eventually
from hubq.testing.load import Load, start_children

OLD, NEW = [f"old-{number}" for number in range(1, 6)], [f"new-{number}" for number in range(1, 6)]


async def moves(cluster: Cluster, kind: str) -> Counter[str]:
    """How often each shard has been handed over."""
    _, found = await asyncio.to_thread(cluster.hub.inspect.events, 10_000, [kind])
    return Counter(str(event.fields["shard"]) for event in found)


def test_in_a_rolling_deploy_each_child_moves_once(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=16)) as cluster:
            await cluster.start(*OLD, app_version="v1")
            await cluster.settled()
            children = await start_children(cluster.hub, LedgerChild, 24)
            ledger = Ledger(cluster.hub)
            before = await moves(cluster, "token_passed")
            load = Load(ledger, children)
            for old, new in zip(OLD, NEW, strict=True):
                await cluster.start(new, app_version="v2")
                assert await cluster.drain(old)
            await load.end()
            made = await moves(cluster, "token_passed") - before
            assert set(made) >= {str(shard_of(child, 16)) for child in children}
            assert set(made.values()) == {1}, made
            loads = Counter(cluster.serving().values())
            assert set(loads) == set(NEW) and max(loads.values()) - min(loads.values()) <= 1
            await ledger.check()

    hubq_run(scenario())


def test_a_killed_node_is_replaced_by_the_newest(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=8)) as cluster:
            await cluster.start("old-1", "old-2", app_version="v1")
            await cluster.settled()
            await cluster.start("new-1", app_version="v2")
            await cluster.kill("old-1")
            await eventually(
                lambda: set(cluster.serving().values()) == {"old-2", "new-1"}, 20, "the new one takes over"
            )
            loads = await eventually(lambda: whole(cluster, 8), 20, "all shards are served")
            assert loads == {"old-2": 4, "new-1": 4}
            nodes = {node.name: node.app_version for node in await cluster.hub.aio.nodes()}
            assert (nodes["old-2"], nodes["new-1"]) == ("v1", "v2")

    hubq_run(scenario())


def test_a_share_is_given_watched_and_taken_back(make_hub: Any, hubq_run: Any) -> None:
    """What ``hubq rollout`` does, without its waiting."""

    async def scenario() -> None:
        async with Cluster(make_hub(shards=8)) as cluster:
            hub = cluster.hub
            driver = hub.aio.driver
            await cluster.start("old-1", "old-2", app_version="v1")
            await cluster.settled()
            await cluster.start("new-1", app_version="v2")
            for share, wanted in ((0.5, {"old-1": 2, "old-2": 2, "new-1": 4}), (0.0, {"old-1": 4, "old-2": 4})):
                await driver.drive(ramp_to(driver.context, Ramp("v2", share), "a test"))
                reached = partial(has_loads, cluster, wanted)
                await eventually(reached, 20, f"{share} of the shards are moved")
            assert await driver.drive(rollout(driver.context)) == Ramp("v2", 0.0)
            _, told = await asyncio.to_thread(hub.inspect.events, 10, ["rollout"])
            assert [(e.fields["share"], e.fields["why"]) for e in told] == [("50%", "a test"), ("0%", "a test")]
            await driver.drive(end_rollout(driver.context, "v2"))
            assert await driver.drive(rollout(driver.context)) is None

    hubq_run(scenario())


def has_loads(cluster: Cluster, wanted: dict[str, int]) -> bool:
    return whole(cluster, 8) == wanted


@pytest.mark.parametrize("garbage", [("SET", "x"), ("HSET", "version", "v2"), ("HSET", "version", "v2", "share", "2")])
def test_a_garbage_share_counts_for_nothing(make_hub: Any, hubq_run: Any, garbage: tuple[str, ...]) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=8)) as cluster:
            await cluster.start("old-1", app_version="v1")
            await cluster.settled()
            redis = AsyncRedis(cluster.hub.server)
            await redis.run(plain(garbage[0], cluster.hub.keys.rollout, *garbage[1:], read=lambda answer: None))
            await redis.close()
            await cluster.start("new-1", app_version="v2")
            assert await cluster.drain("old-1")
            assert whole(cluster, 8) == {"new-1": 8}

    hubq_run(scenario())


def whole(cluster: Cluster, shards: int) -> dict[str, int]:
    loads = Counter(cluster.serving().values())
    return dict(loads) if loads.total() == shards else {}


@pytest.mark.parametrize("version", ["v 1", "x" * 65, "-v"])
def test_a_version_is_a_name(make_hub: Any, version: str) -> None:
    with pytest.raises(ConfigError, match="app version"):
        Node(make_hub(), "a", app_version=version)
