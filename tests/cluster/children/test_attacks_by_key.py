"""Somebody who can write to Redis tries every key of docs/keys.md against ``seal="require"`` and ``codec="data"``: no code runs,
and nothing of it is applied.

A new key in docs/keys.md wants a row here.
"""

from __future__ import annotations

import asyncio
import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hubq import Hub
from hubq.errors import HubqError
from hubq.store.server import RedisServer
from hubq.testing import Cluster, connections
from tests.cluster.children.attacker import Account, Attacker, Evil, hubs, ran

PAGE = Path(__file__).parents[3] / "docs" / "keys.md"
EVIL = pickle.dumps(Evil())
#: What is written in all places: pickles with and without a tag, data, JSON, what looks sealed, and nothing.
BLOBS = (
    b"p" + EVIL,
    EVIL,
    b"c" + EVIL,
    b"m\x81\xa7balance\xcd\x03\xe8",
    b'j{"balance": 1000}',
    b"x" + bytes(60),
    b"s" + bytes(60),
    b"",
)
STATES = tuple(b"1 attributes 7-0\n" + blob for blob in BLOBS)
SPECS = tuple(b'{"name":"Account","module":"os","start_id":"x:1"}\n' + blob for blob in BLOBS)

RESTING = tuple(b"%d " % len(spec) + spec + state for spec, state in zip(SPECS, STATES, strict=True))


@pytest.fixture
def server(real_server: RedisServer) -> RedisServer:
    """fakeredis is in the memory of the process that uses it: nobody else writes into it."""
    return real_server


class Attack(NamedTuple):
    """What is written: into these fields of a hash (members of a set, fields of a stream), these values. ``trusted``: the key says where
    children are, who is a member, or what the settings are, and Redis is trusted for that: the hub may stand still afterwards.
    """

    kind: str
    fields: tuple[str, ...] = ()
    values: tuple[bytes, ...] = BLOBS
    trusted: bool = False


ATTACKS = {
    "config": Attack("hash", ("shards", "wire", "began"), trusted=True),
    "regroup": Attack("hash", ("move", "before", "groups", "address", "phase"), trusted=True),
    "nodes": Attack("hash", ("a", "z"), (*BLOBS, b'{"incarnation":99,"status":"up"}'), trusted=True),
    "leases": Attack("zset", ("a", "z"), trusted=True),
    "epoch": Attack("string", trusted=True),
    "owners": Attack("hash", ("0", "1", "0/one", "1/one"), (*BLOBS, b"z 1 99"), trusted=True),
    "pins": Attack("hash", ("one", "two"), (*BLOBS, b"z 1"), trusted=True),
    "pins_epoch": Attack("string", trusted=True),
    "pauses": Attack("hash", ("child one", "hub", "#"), trusted=True),
    "stragglers": Attack("hash", ("one",)),
    "quorum": Attack("string", values=(*BLOBS, b'{"nodes":{}}'), trusted=True),
    "rollout": Attack("hash", ("version", "share")),
    "partitioned": Attack("string", trusted=True),
    "assignment": Attack("hash", ("epoch", "leader", "incarnation", "shards", "nodes", "moved"), trusted=True),
    "events": Attack("stream", ("type", "node", "child")),
    "node:<node>:mailbox": Attack("stream", ("kind", "from", "shard", "child", "handover_id", "token", "closed_at", "message_id", "what")),
    "node:<node>:asks": Attack("stream", ("kind", "from", "shard", "child", "message_id", "caller", "answer_id", "proof")),
    "node:<node>:history": Attack("stream", ("x",)),
    "node:<node>:left": Attack("string"),
    "node:<node>:vitals": Attack("string", values=(*BLOBS, b'{"ready":1}')),
    "node:<node>:load": Attack("string"),
    "node:<node>:heeded": Attack("string"),
    "node:<node>:said": Attack("hash", ("0", "f"), (*BLOBS, b"99 99")),
    "shard:<n>:mailbox": Attack("stream", ("kind", "child", "method", "id", "reply_to", "deadline", "payload")),
    "shard:<n>:children": Attack("hash", ("mine", "one\n"), SPECS),
    "shard:<n>:dormant": Attack("hash", ("mine",), RESTING),
    "shard:<n>:expiring": Attack("zset", ("one", "mine")),
    "shard:<n>:msk": Attack("hash", ("two", "mine"), STATES),
    "shard:<n>:backlog": Attack("hash", ("mine",)),
    "shard:<n>:parked": Attack("hash", ("mine",)),
    "shard:<n>:progress": Attack("hash", ("one",), (*BLOBS, b'{"done":1}')),
    "shard:<n>:log": Attack("stream", ("n", "kind", "child", "entry", "method", "word", "payload")),
    "shard:<n>:replicas": Attack("hash", ("z", "#")),
    "shard:<n>:tries": Attack("hash", ("watch", "start one")),
    "shard:<n>:dead": Attack("stream", ("kind", "child", "method", "id", "reply_to", "deadline", "payload", "why")),
    "shard:<n>:dead:<c>": Attack("list"),
    "shard:<n>:outbox": Attack("stream", ("shard", "sender", "child", "method", "payload", "spec")),
    "shard:<n>:outbox:waiting": Attack("hash", ("mine",)),
    "shard:<n>:outbox:<g>": Attack("stream", ("shard", "generation", "sender", "child", "method", "payload", "spec")),
    "shard:<n>:outbox:<g>:number": Attack("string"),
    "shard:<n>:jobs": Attack("stream", ("sender", "id", "key", "record")),
    "shard:<n>:reminders": Attack("zset", ("one\nmine",)),
    "shard:<n>:reminders:what": Attack("hash", ("one\nmine",), tuple(b"1 0 once add\n" + blob for blob in BLOBS)),
    "shard:<n>:reminders:names": Attack("zset", ("one\nmine",)),
    "shard:<n>:kept:<l>:<k>:<child>": Attack("string", values=tuple(b"1-1 " + b"0" * 32 + b" ok\n" + blob for blob in BLOBS)),
    "shard:<n>:feed:<child>": Attack("stream", ("topic", "data")),
    "shard:<n>:drafts": Attack("hash", ("one\n1-0",), (*BLOBS, b"x 3")),
    "shard:<n>:batches": Attack("hash", ("x:1",)),
    "batch:<id>": Attack("string"),
    "static": Attack("hash", ("mine", "one")),
    "sender:<id>": Attack("hash", ("top", "0")),
    "reply:<client>": Attack("list", values=tuple(b"%d ok a\n" % n + blob for n in range(1, 40) for blob in BLOBS)),
    "result:<job>": Attack("stream", ("status", "payload")),
}  # fmt: skip


def documented() -> dict[str, str]:
    """The keys of docs/keys.md, and their types."""
    rows = re.findall(r"^\| `hubq:\{chat\}:([^`]+)` \| (\w+) \|", PAGE.read_text("utf-8"), re.M)
    return dict(rows)


def test_every_key_is_attacked() -> None:
    assert {key: attack.kind for key, attack in ATTACKS.items()} == documented()


@pytest.mark.parametrize("form", ["encrypt", pytest.param("sign", marks=pytest.mark.long)])
@pytest.mark.parametrize("key", sorted(ATTACKS))
def test_no_code_runs_and_nothing_is_applied(make_hub: Callable[..., Hub], key: str, form: str) -> None:
    async def scenario() -> None:
        workers, shop, desk = hubs(make_hub, groups=2 if "<g>" in key else 1, form=form)
        attack = ATTACKS[key]
        async with Cluster(workers) as cluster:
            await cluster.start("a")
            for name in ("one", "two"):
                await shop.aio.start_child(name, Account)
            one, two = shop.aio.ref(Account, "one"), desk.aio.ref(Account, "two")
            assert (await one.call(Account.add, 5), await two.call(Account.add, 7)) == (5, 7)
            attacker = Attacker(workers, await connections.connection_here(workers))
            sender = (
                "" if "<g>" in key else (await shop.aio.driver.asker()).sender
            )  # (each group has a sender of its own)
            for shard in range(2):
                name = _named(key, shard, sender)
                await _write(attacker, f"{attacker.keys.prefix}{name}", attack)
            await _look(workers, attack.trusted)
            if not attack.trusted:
                later = shop.aio.ref(Account, "one").options(timeout=20)
                assert (await later.call(Account.now), await two.options(timeout=20).call(Account.now)) == (5, 7)
                assert await later.options(key="k").call(Account.add, 1) == 6
                if key != "shard:<n>:msk":  # what stands there of two is an attacker's, and parks it
                    await cluster.start("b")
                    await cluster.drain("a")
                    assert (await later.call(Account.now), await two.options(timeout=20).call(Account.now)) == (6, 7)
            for app in (shop, desk):
                await app.aio.close()

    asyncio.run(scenario())
    assert ran() == []


def _named(key: str, shard: int, sender: str) -> str:
    places = {
        "<node>": "a",
        "<n>": str(shard),
        "<child>": "one",
        "<f>": str(shard),
        "<g>": "1",
        "<c>": "Account",
        "<l>": "1",
        "<k>": "k",
        "<id>": sender,
    }
    places |= {"<client>": sender, "<job>": "one"}
    return re.sub(r"<\w+>", lambda found: places[found[0]], key)


async def _write(attacker: Attacker, key: str, attack: Attack) -> None:
    match attack.kind:
        case "hash":
            for field in attack.fields:
                for value in attack.values:
                    await attacker.do("HSET", key, field, value)
        case "stream":
            for value in attack.values:
                await attacker.do("XADD", key, "*", *_pairs(attack.fields, value))
                for field in attack.fields:
                    await attacker.do("XADD", key, "*", field, value)
        case "zset":
            for member in (*attack.fields, *attack.values):
                await attacker.do("ZADD", key, 1, member)
        case "string":
            for value in attack.values:
                await attacker.do("SET", key, value)
        case "list":
            await attacker.do("RPUSH", key, *attack.values)


#: Fields that have to be right for an entry to be looked at further.
RIGHT = {
    "kind": b"cast", "child": b"one", "method": b"add", "id": b"x#1", "reply_to": b"", "deadline": b"0", "shard": b"0", "sender": b"one",
    "topic": b"added", "status": b"ok", "from": b"a", "why": b"raised", "n": b"1", "entry": b"1-1", "word": b"ok", "spec": b"", "key": b"",
    "generation": b"x.1",
}  # fmt: skip


def _pairs(fields: Sequence[str], value: bytes) -> list[Any]:
    return [part for field in fields for part in (field, RIGHT.get(field, value))]


async def _look(hub: Hub, trusted: bool) -> None:
    """Somebody looks at the hub: that runs nothing, either, whether or not it can be read."""
    looks = [
        hub.aio.nodes(), hub.aio.children(), hub.aio.dead_letters(), hub.aio.inspect.state("one"), hub.aio.inspect.state("two"),
        hub.aio.inspect.mailboxes(), hub.aio.inspect.vitals(), hub.aio.inspect.events(50), hub.aio.where("one"), hub.aio.pauses(),
    ]  # fmt: skip
    for look in looks:
        try:
            await look
        except (HubqError, ValueError):
            continue
