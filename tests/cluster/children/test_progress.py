"""Progress of children: seen while they work, at most a few times a second, the last one always (docs/guide-progress.md)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import CallFailed, Child
from hubq.store.command import plain
from hubq.store.connection import SyncRedis
from hubq.testing import Cluster, eventually


class Copier(Child):
    def __init__(self) -> None:
        self.n = 0

    async def run(self) -> None:
        self.progress(1, 4, "in run()")
        await asyncio.Event().wait()

    async def step(self, n: int) -> None:
        self.progress(n, 10)

    def step_in_thread(self, n: int) -> None:
        self.progress(n, 10, "thread")

    async def wrong(self) -> None:
        self.progress(-1)

    async def step_and_fail(self) -> None:
        self.progress(9, 10, "fails")
        raise ValueError("no")


class Own(Child):
    """A method of this name is the class's own."""

    async def progress(self) -> str:  # type: ignore[override]
        return "mine"


def test_it_is_seen_wherever_it_was_told(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a")
            hub = cluster.hub.aio
            await hub.start_child("c", Copier)
            await hub.start_child("own", Own)
            copier = hub.ref("c")

            async def shown() -> str:
                return str((await hub.where("c")).progress)

            async def shows(text: str) -> None:
                async def as_told() -> bool:
                    return await shown() == text

                await eventually(as_told, 10, text)

            await shows("1/4 (25%) in run()")
            await copier.call("step", 3)
            await shows("3/10 (30%)")
            await copier.call("step_in_thread", 4)
            await shows("4/10 (40%) thread")
            with pytest.raises(CallFailed, match="give how much is done"):
                await copier.call("wrong")
            with pytest.raises(CallFailed):
                await copier.call("step_and_fail")
            await shows("9/10 (90%) fails")
            assert await hub.ref("own").call("progress") == "mine"
            (listed,) = [child for child in await hub.children() if child.child_id == "c"]
            assert listed.progress == (await hub.where("c")).progress
            assert (await hub.child_lookup("c")).progress == listed.progress
            assert (await hub.where("own")).progress is None

    hubq_run(scenario())


def test_it_moves_with_the_child_and_ends_with_it(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            await cluster.start("a")
            hub, redis = cluster.hub.aio, SyncRedis(cluster.hub.server, 5.0)
            await hub.start_child("c", Copier)
            await hub.ref("c").call("step", 7)
            await cluster.start("b")
            assert await cluster.drain("a"), "what was told last is written before it leaves"
            assert (await hub.where("c")).node == "b"

            async def told() -> str:
                return str((await hub.where("c")).progress)

            await eventually(lambda: _is(told, {"7/10 (70%)", "1/4 (25%) in run()"}), 10, "it is there")
            await hub.ref("c").call("step", 8)
            await eventually(lambda: _is(told, {"8/10 (80%)"}), 10, "b tells")
            await hub.stop_child("c")
            left = plain("HLEN", cluster.hub.keys.progress(0), read=int)
            await eventually(lambda: redis.run(left) == 0, 10, "nothing is left of it")
            redis.close()

    hubq_run(scenario())


async def _is(told: Any, those: set[str]) -> bool:
    return await told() in those


def test_a_new_child_of_the_same_name_has_told_nothing(make_hub: Any, hubq_run: Any) -> None:
    """A node that crashes while a child ends leaves its line behind."""

    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            await cluster.start("a")
            hub, redis = cluster.hub.aio, SyncRedis(cluster.hub.server, 5.0)
            key = cluster.hub.keys.progress(0)
            redis.run(
                plain(
                    "HSET",
                    key,
                    "own",
                    '1 [5, 10, "old", 1.0, "earlier:1"]',
                    "gone",
                    '1 [5, 10, "", 1.0, "x"]',
                    read=int,
                )
            )
            await hub.start_child("own", Own)
            await hub.start_child("c", Copier)
            assert (await hub.where("own")).progress is None
            await hub.ref("c").call("step", 8)
            left = plain("HEXISTS", key, "gone", read=int)
            await eventually(lambda: redis.run(left) == 0, 10, "the line of a child that is gone is swept")
            redis.close()

    hubq_run(scenario())
