"""Somebody who can write to Redis, against a hub with ``seal="require"`` and ``codec="data"``: nothing runs, nothing is applied, and
nobody is stopped.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from hubq import Hub
from hubq.store.codec import encode
from hubq.store.server import RedisServer
from hubq.testing import Cluster, connections, eventually
from tests.cluster.children.attacker import FORMS, SEEN, Account, Attacker, Evil, hubs


@pytest.fixture
def server(real_server: RedisServer) -> RedisServer:
    """fakeredis is in the memory of the process that uses it: nobody else writes into it."""
    return real_server


@pytest.mark.parametrize("form", FORMS)
def test_a_sealed_hub_works(make_hub: Callable[..., Hub], form: str) -> None:
    async def scenario() -> None:
        workers, shop, desk = hubs(make_hub, form=form)
        async with Cluster(workers) as cluster:
            await cluster.start("a")
            for name in ("one", "two"):
                assert (await shop.aio.start_child(name, Account)).started == {name: "a"}
            one = shop.aio.ref(Account, "one")
            assert await one.call(Account.add, 5) == 5
            assert await desk.aio.ref("one").call("now") == 5
            assert (
                await one.options(key="k").call(Account.add, 1) == await one.options(key="k").call(Account.add, 1) == 6
            )
            await one.call(Account.give, "two", 2)
            await one.call(Account.later, 10)
            await one.cast_in(0.01, Account.add, 0)
            await eventually(lambda: _is(shop, "one", 14))
            await eventually(lambda: _is(desk, "two", 2))
            await eventually(lambda: _published(desk, [0, 1, 5, 10]))
            await cluster.start("b")
            await cluster.drain("a")
            assert await one.call(Account.add, 1) == 15
            await cluster.kill("b")
            await cluster.start("c")
            assert await one.options(timeout=20).call(Account.now) == 15
            assert await shop.aio.kill("one") == "c"
            assert await one.call(Account.now) == 15
            assert (await desk.aio.stop_child("two")).stopped == {"two": "c"}
            for app in (shop, desk):
                await app.aio.close()

    asyncio.run(scenario())


async def _published(hub: Hub, amounts: list[int]) -> bool:
    return sorted([event.data async for event in hub.aio.ref("one").feed(follow=False)]) == amounts  # type: ignore[union-attr]


async def _is(hub: Hub, child: str, balance: int) -> bool:
    return bool(await hub.aio.ref(Account, child).call(Account.now) == balance)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_that_an_attacker_writes_is_run_or_applied(make_hub: Callable[..., Hub], form: str) -> None:
    async def scenario() -> None:
        workers, shop, desk = hubs(make_hub, form=form)
        async with Cluster(workers) as cluster:
            await cluster.start("a")
            for name in ("one", "two"):
                await shop.aio.start_child(name, Account)
            one, two = shop.aio.ref(Account, "one"), desk.aio.ref(Account, "two")
            assert (await one.call(Account.add, 5), await two.call(Account.add, 7)) == (5, 7)
            attacker = Attacker(workers, await connections.connection_here(workers))
            await _by_messages(attacker, cluster, shop)
            await _by_replies(attacker, shop)
            await _by_control(attacker)
            await _by_other_keys(attacker, shop)
            assert SEEN == []
            assert (await one.call(Account.now), await two.call(Account.now)) == (5, 7)
            assert (await one.call(Account.add, 1), await two.call(Account.add, 1)) == (6, 8)
            await cluster.start("b")
            await cluster.drain("a")  # (what stands in msk is read)
            assert (await one.call(Account.now), await two.call(Account.now)) == (6, 8)
            letters = await workers.aio.dead_letters()
            assert {letter.why for letter in letters} == {"unsealed"}
            for app in (shop, desk):
                await app.aio.close()

    asyncio.run(scenario())
    assert SEEN == []


async def _by_messages(attacker: Attacker, cluster: Cluster, shop: Hub) -> None:
    # A real message, to be moved: the child is frozen meanwhile, by the node that reads nothing.
    real: dict[bytes, bytes] = {}
    cluster.freeze("a")
    sent = asyncio.create_task(shop.aio.ref(Account, "one").cast(Account.add, 0))
    mailbox = attacker.keys.mailbox(attacker.context.shard_of("one"))

    async def found() -> bool:
        for _, fields in await attacker.do("XRANGE", mailbox, "-", "+"):
            flat = dict(zip(fields[::2], fields[1::2], strict=True))
            if flat[b"method"] == b"add":
                real.update(flat)
        return bool(real)

    await eventually(found)
    await sent
    cluster.thaw("a")
    payload, real_id = real[b"payload"], real[b"id"].decode()
    evil = b"p" + pickle.dumps(((Evil(),), {}))
    plain_data = b"m\x92\x91\xcd\x03\xe8\x80"  # [[1000], {}]
    before = len(await shop.aio.dead_letters())
    puts: list[tuple[Any, ...]] = [
        ("one", "cast", "add", evil), ("one", "call", "add", evil, "9", "desk.5f"), ("one", "cast", "add", plain_data),
        ("one", "cast", "add", b"j[[1000], {}]"), ("one", "headed", "add", b'h{"key":"k","keep":1}\n' + plain_data),
        ("two", "cast", "add", payload, real_id), ("one", "cast", "give", payload, real_id), ("one", "cast", "add", payload, "shop.00#7"),
        ("one", "call", "add", payload, real_id.rpartition("#")[2], real_id.rpartition("#")[0]),
        ("one", "stop", "", b""), ("one", "stop", "", payload, real_id), ("one", "cast", "add", payload, "desk.5f#1"),
        ("one", "cast", "add", payload[:-1], real_id), ("one", "cast", "add", b"", real_id),
    ]  # fmt: skip
    for put in puts:
        await attacker.put(*put)
    await eventually(lambda: _letters(shop, before + len(puts)))
    # A start message of its own, with a spec of its own.
    shard = attacker.context.shard_of("mine")
    for arguments in (evil, b"m\x92\x90\x80", b""):
        spec = b'{"name":"Account","module":"os","start_id":"x:1"}\n' + arguments
        await attacker.do("HSET", attacker.keys.children(shard), "mine", spec)
        await attacker.put("mine", "start", "", b'["mine"]', "1", "desk.5f")
        await eventually(lambda: _gone(attacker, shard))


async def _letters(hub: Hub, count: int) -> bool:
    return len(await hub.aio.dead_letters()) == count


async def _gone(attacker: Attacker, shard: int) -> bool:
    return not await attacker.do("HEXISTS", attacker.keys.children(shard), "mine")


async def _by_replies(attacker: Attacker, shop: Hub) -> None:
    """A call gets the answer of its child, whatever else stands in its list of replies."""
    session = await shop.aio.driver.asker()
    evil = b"p" + pickle.dumps(Evil())
    lines = [
        f"{number} {status} a\n".encode() + payload
        for number in range(1, 60)
        for status in ("ok", "failed", "started", "cancelled")
        for payload in (evil, b"j1000", b"m\x01", b'{"owner":"a 1 1","failed":{}}')
    ]
    await attacker.do("RPUSH", attacker.keys.reply(session.sender), *lines)
    assert await shop.aio.ref(Account, "one").call(Account.now) == 5


async def _by_control(attacker: Attacker) -> None:
    mailbox, shard = attacker.keys.control("a"), attacker.context.shard_of("one")
    for what in ("kill", "stop", "drop"):
        for proof in ("", "00", "zz", "73" * 40):
            await attacker.do(
                "XADD", mailbox, "*", "kind", "intervene", "from", "desk.5f", "shard", shard, "child", "one", "message_id", "i1",
                "what", what, "entry", "1-1", "proof", proof,
            )  # fmt: skip
    await attacker.do(
        "XADD", mailbox, "*", "kind", "cancel", "from", "desk.5f", "shard", shard, "child", "one", "caller", "desk.5f",
        "message_id", "1", "answer_id", "i2",
    )  # fmt: skip


async def _by_other_keys(attacker: Attacker, shop: Hub) -> None:
    """States, what is kept under keys, events, reminders."""
    evil = b"p" + pickle.dumps(Evil())
    one, two = attacker.context.shard_of("one"), attacker.context.shard_of("two")
    saved = await attacker.do("HGET", attacker.keys.msk(one), "one")
    signed = attacker.context.config.seal_form == "sign"  # it is readable, and nothing more
    assert saved[:13] == b"1 attributes " and (b"balance" in saved) == signed
    await attacker.do("SET", attacker.keys.kept(one, "one", "k"), b"1-1 " + b"0" * 32 + b" ok\n" + evil)
    assert await shop.aio.ref(Account, "one").options(key="k").call(Account.add, 0) == 5
    feed = attacker.keys.feed(two, "two")
    await attacker.do("XADD", feed, "*", "topic", "added", "data", evil)
    for event in [item async for item in shop.aio.ref("two").feed(follow=False)][-1:]:
        with pytest.raises(Exception, match=r"not sealed|cannot be read"):
            event.data  # type: ignore[union-attr]  # noqa: B018
    due, what, names = attacker.keys.reminder_keys(one)
    before = len(await shop.aio.dead_letters())
    await shop.aio.ref(Account, "one").cast_in(0.2, Account.add, 0)  # its owner looks then at what is due
    await attacker.do("HSET", what, "one\nmine", b"1 0 once add\n" + evil)
    await attacker.do("ZADD", due, 1, "one\nmine")
    await attacker.do("ZADD", names, 0, "one\nmine")
    await eventually(lambda: _letters(shop, before + 1))


@pytest.mark.parametrize("state", ["pickle", "data", "of another child", "of an earlier start", "cut"])
@pytest.mark.parametrize("form", FORMS)
def test_a_state_that_an_attacker_writes_parks_its_child_and_is_not_read(
    make_hub: Callable[..., Hub], form: str, state: str
) -> None:
    async def scenario() -> None:
        workers, shop, _ = hubs(make_hub, form=form)
        async with Cluster(workers) as cluster:
            await cluster.start("a")
            for name in ("one", "two"):
                await shop.aio.start_child(name, Account)
                await shop.aio.ref(Account, name).call(Account.add, 5)
            attacker = Attacker(workers, await connections.connection_here(workers))
            one, two = (attacker.keys.msk(attacker.context.shard_of(name)) for name in ("one", "two"))
            saved = await attacker.do("HGET", one, "one")
            if state == "of an earlier start":
                await shop.aio.stop_child("one")
                await shop.aio.start_child("one", Account)
            written = {
                "pickle": b"1 attributes 7-0\n" + encode(Evil()), "data": b"1 attributes 7-0\nm\x81\xa7balance\xcd\x03\xe8",
                "of another child": await attacker.do("HGET", two, "two"), "of an earlier start": saved, "cut": saved[:-1],
            }  # fmt: skip
            await attacker.do("HSET", one, "one", written[state])
            await cluster.kill("a")
            await cluster.start("b")
            assert await shop.aio.ref(Account, "two").options(timeout=20).call(Account.now) == 5
            parked = await attacker.do("HGET", attacker.keys.parked(attacker.context.shard_of("one")), "one")
            assert b"seal" in (parked or b"")
            await shop.aio.close()

    asyncio.run(scenario())
    assert SEEN == []


@pytest.mark.parametrize("form", FORMS)
def test_an_app_that_calls_itself_something_absurd_stops_nobodys_commit(
    make_hub: Callable[..., Hub], form: str
) -> None:
    async def scenario() -> None:
        workers, shop, desk = hubs(make_hub, form=form)
        seal = desk.driver.context.seal
        assert seal is not None
        async with Cluster(workers) as cluster:
            await cluster.start("a")
            await shop.aio.start_child("one", Account)
            one = shop.aio.ref(Account, "one")
            attacker = Attacker(workers, await connections.connection_here(workers))
            for number, name in enumerate(("a" * 256, "é" * 200, "a b")):
                sender = f"reminder {name}.5f"
                payload = seal.message("call", "one", "add", sender, "3", b"m\x92\x91\x05\x80")  # [[5], {}]
                await attacker.put("one", "call", "add", payload, "3", sender)
                assert await one.call(Account.add, 1) == number + 1, "an app that calls as a reminder is refused"
            await cluster.start("b")
            await cluster.drain("a")
            assert await one.call(Account.now) == 3
            for app in (shop, desk):
                await app.aio.close()

    asyncio.run(scenario())
