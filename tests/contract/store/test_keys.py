"""Every key of a hub stands in the table of ``store/keys.py`` and in docs/keys.md, and is left behind by nobody."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import hubq.store.keys as keys_module
from hubq import Hub
from hubq.store.command import plain, text
from hubq.store.connection import SyncRedis
from hubq.testing import Cluster, Ledger, LedgerChild, eventually

DOCS = Path(__file__).parents[3] / "docs"


def shape(hub: Hub, key: str) -> str:
    """A key with its variable parts named as in the table."""
    key = key.replace(f"{{{hub.hub_id}}}", "{chat}")
    key = re.sub(r":shard:\d+:", ":shard:<n>:", key)
    key = re.sub(r":node:[^:]+:", ":node:<node>:", key)
    key = re.sub(r":sender:\w+$", ":sender:<id>", key)
    return re.sub(r":reply:\w+$", ":reply:<client>", key)


@pytest.mark.long_on_fakeredis
def test_every_key_is_in_the_table_and_nothing_is_left_behind(make_hub: Any, server: Any) -> None:
    hub: Hub = make_hub(shards=4)
    redis = SyncRedis(server)

    def keys() -> list[str]:
        return [text(key) for key in redis.run(plain("KEYS", f"hubq:{{{hub.hub_id}}}:*", read=list))]

    async def scenario() -> None:
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = [f"c{n}" for n in range(20)]
            for child in children:
                await hub.aio.start_child(child, LedgerChild)
                await ledger.call("s", child)
            await cluster.drain("a")
            await cluster.settled()
            await ledger.check()
            await hub.aio.stop_children(children)
            await cluster.drain("b")

    asyncio.run(scenario())
    table = set(re.findall(r"``(hubq:\{chat\}:[^`]+)``", keys_module.__doc__ or ""))
    in_docs = (DOCS / "keys.md").read_text("utf-8")
    for key in table:
        assert key in in_docs, f"docs/keys.md does not name {key}"
    left = {}
    for key in keys():
        assert shape(hub, key) in table, key
        if redis.run(plain("TTL", key, read=int)) == -1:
            left[shape(hub, key)] = text(redis.run(plain("TYPE", key, read=text)))
    assert left == {
        "hubq:{chat}:config": "hash",
        "hubq:{chat}:epoch": "string",
        "hubq:{chat}:owners": "hash",
        "hubq:{chat}:events": "stream",
        "hubq:{chat}:shard:<n>:mailbox": "stream",
    }, "what remains of a hub that is empty and has no node"
    for shard in range(4):
        assert redis.run(plain("XLEN", hub.keys.mailbox(shard), read=int)) == 0
    redis.close()


def test_redis_cli_sees_what_the_docs_say(make_hub: Any, server: Any) -> None:
    hub: Hub = make_hub(shards=4)
    redis = SyncRedis(server)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("room-1", LedgerChild, metadata={"tag": "vip"})
            await hub.aio.ref("room-1").call("record", "s", 1)
            shard = (await hub.aio.where("room-1")).shard

            def ask(*args: Any) -> str:
                return text(redis.run(plain(*args, read=lambda answer: answer)))

            assert ask("HGET", hub.keys.owners, str(shard)) == "a 1 1"
            assert ask("HGET", hub.keys.nodes, "a").startswith('{"incarnation":1,"status":"up",')
            assert float(ask("ZSCORE", hub.keys.leases, "a")) > 0
            spec = redis.run(plain("HGET", hub.keys.children(shard), "room-1", read=bytes)).splitlines()[0]
            assert b'"name":"LedgerChild"' in spec
            assert b'"tag":"vip"' in spec
            head = redis.run(plain("HGET", hub.keys.msk(shard), "room-1", read=bytes)).splitlines()[0]
            assert re.fullmatch(rb"1 attributes \d+-\d+", head)

            async def quiet() -> bool:
                return redis.run(plain("XLEN", hub.keys.mailbox(shard), read=int)) == 0

            await eventually(quiet, what="nothing waits in the mailbox")

    asyncio.run(scenario())
    redis.close()
