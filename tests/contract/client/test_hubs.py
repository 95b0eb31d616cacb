"""Several hubs, static children, and what expires."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from hubq import Child, ChildSpec, ConfigError, Guided, Hub, HubqError, Replication, hubs
from hubq.store.command import plain, text
from hubq.store.connection import AsyncRedis, SyncRedis
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, interfere, probe


class Broken(Child):
    mended = False

    async def on_start(self) -> None:
        if not type(self).mended:
            raise RuntimeError("no network")


def test_hubs_are_found_and_opened(make_hub: Any, server: Any) -> None:
    async def scenario() -> None:
        one, two = make_hub(shards=4), make_hub(shards=8)
        assert one.hub_id not in [info.hub_id for info in hubs(server)]
        async with Cluster(one) as cluster:
            await cluster.start("a", "b")
            await asyncio.to_thread(two.start_child, "c", LedgerChild)
            found = {info.hub_id: info for info in await asyncio.to_thread(hubs, server)}
            assert found[one.hub_id].nodes == ("a", "b") and found[one.hub_id].shards == 4
            assert found[two.hub_id].nodes == () and found[two.hub_id].shards == 8
            opened = Hub.open(two.hub_id, redis=server)
            assert [child.child_id for child in await asyncio.to_thread(opened.children)] == ["c"]
            with pytest.raises(HubqError, match="no hub 'nobody' in this Redis"):
                Hub.open("nobody", redis=server)
            opened.close()
            two.close()

    asyncio.run(scenario())


def test_hubs_of_one_process_do_not_meet(make_hub: Any) -> None:
    async def scenario() -> None:
        one, two = make_hub(shards=4), make_hub(shards=4)
        async with Cluster(one) as first, Cluster(two) as second:
            await first.start("a")
            await second.start("a")
            ledgers = [Ledger(one), Ledger(two)]
            for ledger in ledgers:
                await ledger.hub.aio.start_child("same", LedgerChild)
                await ledger.call("s", "same")
            await first.drain("a")
            await ledgers[1].call("s", "same")
            assert not await one.aio.is_alive() and await two.aio.is_alive()
            await first.start("b")
            for ledger in ledgers:
                await ledger.check()
            assert (await one.aio.where("same")).node == "b" and (await two.aio.where("same")).node == "a"

    asyncio.run(scenario())


@pytest.mark.long_on_fakeredis
def test_static_children_start_once_per_hub(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4, child_specs=[ChildSpec(f"s{n}", LedgerChild) for n in range(3)])
        ledger = Ledger(hub)

        async def there() -> list[str]:
            return [child.child_id for child in await hub.aio.children(status="running")]

        async def all_three() -> bool:
            return await there() == ["s0", "s1", "s2"]

        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c")
            await eventually(all_three, what="the static children run")
            for child in ("s0", "s1", "s2"):
                await ledger.call("s", child)
                await eventually(lambda child=child: len(cluster.copies(child)) == 1, what="one copy of each")
            await hub.aio.stop_child("s1")
            for name in ("a", "b", "c"):
                await cluster.drain(name)
            await cluster.start("d")
            await cluster.settled()
            assert await there() == ["s0", "s2"], "one that was stopped stays stopped"
            await ledger.call("s", "s0")
            assert await hub.aio.ref("s0").call("entries") == {"s": [1, 2]}, "it is the same child as before"
            await hub.aio.start_child("s1", LedgerChild)
            assert await all_three()

    asyncio.run(scenario())


def test_a_static_child_that_cannot_start_is_tried_again_by_the_next_node(
    make_hub: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        Broken.mended = False
        hub: Hub = make_hub(shards=2, child_specs=[ChildSpec("s", Broken)])
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await eventually(lambda: "static child s: " in caplog.text, what="it is said")
            assert await hub.aio.children() == []

            redis = AsyncRedis(hub.server)

            async def forgotten() -> bool:
                return await redis.run(plain("HLEN", hub.keys.static, read=int)) == 0

            await eventually(forgotten, what="it does not count as started")
            await redis.close()
            Broken.mended = True
            await cluster.start("b")

            async def runs() -> bool:
                return [child.child_id for child in await hub.aio.children(status="running")] == ["s"]

            await eventually(runs, what="the next node has started it")

    with caplog.at_level(logging.ERROR, "hubq.node"):
        asyncio.run(scenario())


def test_what_expires_has_a_time_to_live(make_hub: Any, server: Any) -> None:
    """The janitor of hubq is Redis itself: leases by score, the rest by TTL or a cap."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=2, lease=1.0, lease_margin=0.2, events_kept=100)
        redis = SyncRedis(server)

        def left(pattern: str) -> dict[str, int]:
            keys = [text(key) for key in redis.run(plain("KEYS", f"hubq:{{{hub.hub_id}}}:{pattern}", read=list))]
            return {key: redis.run(plain("PTTL", key, read=int)) for key in keys}

        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            await hub.aio.start_child("c", LedgerChild)
            await hub.aio.ref("c").call("record", "s", 1)
            senders = left("sender:*")
            assert senders and all(0 < ttl <= hub.config.sender_ttl * 1000 for ttl in senders.values())

            # A reply nobody fetches.
            unfetched = asyncio.ensure_future(hub.aio.ref("c").call("record", "s", 2, timeout=0.001))
            await asyncio.gather(unfetched, return_exceptions=True)
            assert all(0 < ttl <= hub.config.reply_ttl * 1000 for ttl in left("reply:*").values())

            # A batch whose caller has gone, before it has started anything.
            from hubq.store.batches import open_batch

            redis.run(open_batch(hub.keys, "b", 15_000))
            assert all(0 < ttl <= 15_000 for ttl in left("batch:*").values())

            mailboxes = left("node:*:mailbox")
            assert mailboxes and all(0 < ttl <= 3_600_000 for ttl in mailboxes.values())
            await cluster.kill("b")
            await cluster.settled()
            assert f"{hub.keys.prefix}node:b:mailbox" not in left("node:*:mailbox")
            assert redis.run(plain("ZSCORE", hub.keys.leases, "b", read=lambda score: score)) is None
            assert redis.run(plain("HGET", hub.keys.nodes, "b", read=lambda info: info)) is None

            interfere.write_events(cluster.nodes["a"], 600, "child_restarted", child="c")
            await eventually(lambda: not probe(cluster.nodes["a"]).events_unwritten, what="all are written")

            def capped() -> bool:
                return 0 < redis.run(plain("XLEN", hub.keys.events, read=int)) <= 300

            await eventually(capped, what="old events are cut off")
        redis.close()

    asyncio.run(scenario())


def test_guided_children_have_no_copies() -> None:
    with pytest.raises(ConfigError, match=r"distribution=Guided\(\) does not go with Replication") as refused:
        Hub("chat", distribution=Guided(), redundancy=Replication(2))
    assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="one copy"):
        Hub("chat", distribution=Guided(when_gone="shard"), redundancy=Replication("cluster_size"))
    Hub("chat", distribution=Guided(), redundancy=Replication(1))
