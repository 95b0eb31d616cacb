"""A standby takes a shard over while Redis stumbles: what only its copies hold is not lost, and not saved by two."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from hubq import Replication
from hubq.errors import RedisUnavailable
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.testing import Cluster, LedgerChild, eventually, interfere, moments, probe

from .test_replication import MODELS, copies, followed, originals, play, start


class Mover(LedgerChild):
    """Its state is saved only when it moves; it writes down where it was started."""

    durability = "handover"
    started: ClassVar[list[str]] = []

    async def on_start(self) -> None:
        Mover.started.append(self.node_name)


class Saver(Mover):
    durability = "interval"
    save_every = 60.0


@pytest.mark.parametrize("kind", [Mover, Saver])
@pytest.mark.parametrize("model", MODELS)
def test_a_commit_that_fails_is_tried_again_and_loses_nothing(make_hub: Any, model: Any, kind: Any) -> None:
    async def scenario() -> None:
        failures = 3

        async def stumble(redis: AsyncRedis) -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise RedisUnavailable("away for longer than anybody waits")

        hub = make_hub(shards=1, lease=1.5, redundancy=Replication(2, model))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            (child,) = await start(hub, kind, 1)
            await followed(cluster, [child], 1)
            for number in range(5):
                await hub.aio.ref(child).call("record", "x", number + 1)
            with moments.before_each_commit_sent(stumble):
                (owner,) = originals(cluster, child)
                await cluster.kill(owner)
                assert await hub.aio.ref(child).call("entries", timeout=20) == {"x": [1, 2, 3, 4, 5]}
                assert failures == 0

    play(scenario)


def test_a_standby_that_is_fenced_starts_nothing(make_hub: Any) -> None:
    """It has claimed the shard, and before it has saved its copies somebody else is the owner."""

    async def scenario() -> None:
        Mover.started.clear()
        hub = make_hub(shards=1, lease=1.5, redundancy=Replication(2, "active_passive"))
        stolen = False

        async def steal(redis: AsyncRedis) -> None:
            nonlocal stolen
            if not stolen:
                stolen = True
                await redis.run(plain("HSET", hub.keys.owners, "0", "thief 1 1000", read=int))

        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            (child,) = await start(hub, Mover, 1)
            await followed(cluster, [child], 1)
            await hub.aio.ref(child).call("record", "x", 1)
            with moments.before_each_commit_sent(steal):
                (owner,) = originals(cluster, child)
                (other,) = copies(cluster, child)
                await cluster.kill(owner)
                await hub.aio.ref(child).call("entries", timeout=20)  # the thief is no node: the shard is claimed again
                assert stolen and Mover.started == [owner, other], "the fenced one was not started"

    play(scenario)


def test_a_follower_waits_for_redis_longer_than_a_second(make_hub: Any) -> None:
    """While it learns what a new child is. It would begin anew otherwise, and what only its copies hold were lost."""

    async def scenario() -> None:
        hub = make_hub(shards=1, lease=4.0, redundancy=Replication(2, "active_passive"))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = await start(hub, Mover, 1)
            await followed(cluster, children, 1)
            (follower,) = copies(cluster, children[0])
            node, tries = cluster.nodes[follower], 7  # 1.12 s in all
            before = probe(node).following(0)
            assert before is not None

            def asks_for_specs(words: Any) -> bool:
                return ("HMGET", hub.keys.children(0)) == tuple(words[:2])

            with interfere.tries_fail(node, asks_for_specs, ConnectionError("away"), tries) as failed:
                await hub.aio.start_child("late", Mover)
                await eventually(lambda: follower in copies(cluster, "late"), 20.0, "a copy of the late one")
                assert len(failed) == tries and probe(node).following(0) is before

    play(scenario)
