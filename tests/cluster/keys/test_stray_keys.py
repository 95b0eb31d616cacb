"""Every key of a hub belongs to something alive, or goes by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import Child, ChildSpec, Hub, HubqError
from hubq.store.command import plain
from hubq.store.connection import SyncRedis
from hubq.store.keys import Keys
from hubq.testing import Cluster, FakeServer, LedgerChild, eventually, stray_keys


class Broken(Child):
    """Cannot start."""

    async def on_start(self) -> None:
        raise RuntimeError("never")


class Ticker(LedgerChild):
    """Saves by itself."""

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            await self.commit()


class Once(LedgerChild):
    """Ends by itself."""

    async def end(self) -> None:
        self.stop()


class Forwarding(Child):
    """Says something to all others."""

    def __init__(self) -> None:
        self.count = 0

    async def greet_all(self) -> None:
        for n in range(8):
            self.ref(f"c{n}").cast("greet")

    async def greet(self) -> None:
        self.count += 1

    async def greeted(self) -> int:
        return self.count


KINDS = {"plain": LedgerChild, "ticker": Ticker, "once": Once}


def test_a_walk_over_all_keys_finds_nothing_that_belongs_to_nobody(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=8, lease=1.5)
        redis = SyncRedis(hub.server)

        def strays() -> list[str]:
            return stray_keys(redis, hub.hub_id, 8)

        names = [f"{kind}-{n}" for kind in KINDS for n in range(6)]
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.start("b")
            for name in names:
                await hub.aio.start_child(name, KINDS[name.partition("-")[0]])
            with pytest.raises(HubqError):
                await hub.aio.start_child("broken", Broken)
            with pytest.raises(HubqError):
                await hub.aio.ref("nobody").cast("record", "s", 1)
            for name in names:
                await hub.aio.ref(name).call("record", "s", 1)
            await cluster.start("c")
            await cluster.nodes["a"].kill()  # evicted, not gone by itself
            for name in names:
                await hub.aio.ref(name).call("record", "s", 2)
                await hub.aio.ref(name).cast("end" if name.startswith("once") else "record", *_more(name))
            await cluster.nodes["b"].drain()
            del cluster.nodes["a"], cluster.nodes["b"]
            await cluster.settled()
            await eventually(lambda: not strays(), 10, "nothing is left of the dead and the ended")
            left = [child.child_id for child in await hub.aio.children()]
            assert sorted(left) == sorted(name for name in names if not name.startswith("once"))
            await hub.aio.stop_children(left)
            await eventually(lambda: not strays(), 10, "nothing is left of the stopped")
            await cluster.nodes["c"].drain()
            assert strays() == []
            await hub.aio.close()

        def kept(pattern: str) -> set[str]:
            keys = redis.run(plain("KEYS", pattern, read=list))
            names = {
                key.decode()[len(hub.keys.prefix) :] for key in keys if redis.run(plain("PTTL", key, read=int)) < 0
            }
            return {name if not name.startswith("shard:") else "shard:n:" + name.split(":")[2] for name in names}

        # What docs/keys.md says of a hub at rest: these, and the empty mailboxes.
        assert kept(hub.keys.prefix + "*") == {"config", "epoch", "owners", "events", "shard:n:mailbox"}
        assert not any(redis.run(plain("XLEN", hub.keys.mailbox(shard), read=int)) for shard in range(8))
        redis.close()

    asyncio.run(scenario())


def _more(name: str) -> tuple[Any, ...]:
    return () if name.startswith("once") else ("s", 3)


def test_the_walk_sees_what_should_not_be_there(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4)
        redis = SyncRedis(hub.server)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            assert stray_keys(redis, hub.hub_id, 4) == []
            for args in (
                ("HSET", hub.keys.msk(1), "ghost", "state"),
                ("HSET", hub.keys.backlog(2), "ghost", "3"),
                ("HSET", hub.keys.owners, "1/ghost", "gone 7 9"),
                ("SET", hub.keys.prefix + "forgotten", "1"),
                ("HSET", hub.keys.said("gone"), "1", "7 1"),
                ("HSET", hub.keys.nodes, "ghost", '{"incarnation":9}'),
            ):
                redis.run(plain(*args, read=int if args[0] != "SET" else bytes))
            found = "; ".join(stray_keys(redis, hub.hub_id, 4))
            for what in (
                "shard:1:msk: 'ghost'",
                "shard:2:backlog",
                "pin '1/ghost'",
                "forgotten",
                "node:gone:said",
                "node 'ghost'",
            ):
                assert what in found
            redis.run(plain("HDEL", hub.keys.nodes, "ghost", read=int))
        redis.close()

    asyncio.run(scenario())


def test_each_group_is_walked_by_itself() -> None:
    async def scenario() -> None:
        hub = Hub("walked", redis=[FakeServer()], groups=2, shards=4)
        redis, groups = SyncRedis(hub.server), [Keys("walked", group, 2) for group in (0, 1)]

        def strays(group: int) -> list[str]:
            return stray_keys(redis, hub.hub_id, 4, group, 2)

        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_children([ChildSpec(f"c{n}", Forwarding) for n in range(8)])
            for n in range(8):
                await hub.aio.ref(f"c{n}").call("greet_all")

            async def greeted() -> bool:
                return [await hub.aio.ref(f"c{n}").call("greeted") for n in range(8)] == [8] * 8

            await eventually(greeted, 20, "what was said to the other group has arrived")
            await eventually(lambda: strays(0) == strays(1) == [], 10, "the numbers of outboxes may stay")
            for args in (
                ("HSET", groups[0].msk(1), "ghost", "state"),
                ("XADD", groups[1].far_keys(3, 0)[0], "99-0", "field", "value"),
                ("HSET", groups[1].owners, "2", "gone 7 9"),
            ):
                redis.run(plain(*args, read=lambda answer: answer))
            assert "shard:1:msk: nothing that lives" in "; ".join(strays(0))
            found = "; ".join(strays(1))
            assert "shard:3:outbox:0: nothing that lives" in found and "owners: '2' is no shard" in found
        redis.close()

    asyncio.run(scenario())
