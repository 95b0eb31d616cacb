"""A hub is deleted with all that it has, and never while it is served."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import HubqError, hubs
from hubq.client.operations.removal import delete_hub
from hubq.store.command import plain, text
from hubq.store.connection import SyncRedis
from hubq.store.removal import delete_keys
from hubq.testing import Cluster, LedgerChild


def keys_of(redis: SyncRedis, hub_id: str) -> list[str]:
    return [text(key) for key in redis.run(plain("KEYS", f"hubq:{{{hub_id}}}:*", read=list))]


def test_nothing_is_left_of_it_and_all_of_its_neighbour(make_hub: Any, server: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        hub, other = make_hub(shards=4), make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for child in ("x", "y"):
                await hub.aio.start_child(child, LedgerChild)
                await hub.aio.ref(child).call("record", "s", 1)
            await asyncio.to_thread(other.start_child, "c", LedgerChild)
            with pytest.raises(HubqError, match="is served by a by now: hubq drain them, and delete again"):
                await asyncio.to_thread(hub.driver.drive, delete_hub(hub.driver.context))
            assert await hub.aio.ref("x").call("entries") == {"s": [1]}, "nothing was deleted"
            await cluster.drain("a")
            await hub.aio.ref("x").cast("record", "s", 2)
            redis = SyncRedis(server)
            before = len(keys_of(redis, hub.hub_id))
            assert await asyncio.to_thread(hub.driver.drive, delete_hub(hub.driver.context)) == before > 10
            assert keys_of(redis, hub.hub_id) == []
            assert [info.hub_id for info in hubs(server) if info.hub_id in (hub.hub_id, other.hub_id)] == [other.hub_id]
            assert [child.child_id for child in await asyncio.to_thread(other.children)] == ["c"]
            redis.close()
            other.close()

    hubq_run(scenario())


def test_a_worker_that_joins_meanwhile_keeps_what_is_there(make_hub: Any, server: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4)
        redis = SyncRedis(server)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("x", LedgerChild)
            shard = (await hub.aio.where("x")).shard
            await cluster.drain("a")
            assert redis.run(delete_keys(hub.keys, [hub.keys.feed(shard, "x")])) == "deleted"
            await cluster.start("b")
            assert redis.run(delete_keys(hub.keys, [hub.keys.children(shard), hub.keys.config])) == "served"
            assert await hub.aio.ref("x").call("entries") == {}
        redis.close()

    hubq_run(scenario())
