"""What somebody else has written into Redis is passed over by itself: what stands around it is served as before."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from hubq import CallFailed, Hub, Unreadable
from hubq.core.hashing import shard_of
from hubq.errors import RedisRefused
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.message import LAST_ID
from hubq.store.server import RedisServer
from hubq.testing import Cluster, Ledger, LedgerChild, eventually
from tests.simulation.faults import CONTROL, GARBAGE

CHILDREN = [f"plain-{n}" for n in range(6)]
MESSAGE = {
    "kind": "cast",
    "child": "plain-0",
    "method": "record",
    "id": "1",
    "reply_to": "",
    "deadline": "0",
    "payload": "p",
}


@pytest.fixture
def server(real_server: RedisServer) -> RedisServer:
    """fakeredis is in the memory of the process that uses it: nobody else writes into it."""
    return real_server


class Plain(LedgerChild):
    """Keeps a ledger."""


async def raw(hub: Hub, *args: Any) -> Any:
    """One command of somebody who has a Redis client."""
    redis = AsyncRedis(hub.server)
    try:
        return await redis.run(plain(*args, read=lambda answer: answer))
    finally:
        await redis.close()


async def add(hub: Hub, key: str, *fields: Any) -> None:
    await raw(hub, "XADD", key, "*", *fields)


async def served(hub: Hub, ledger: Ledger) -> None:
    """Each child answers, and is clean."""
    for child in CHILDREN:
        await ledger.call("s", child)
    assert await ledger.breaches() == []


async def malformed_letters(hub: Hub, count: int) -> list[Any]:
    async def found() -> Any:
        letters = [letter for letter in await hub.aio.dead_letters() if letter.why == "malformed"]
        return letters if len(letters) >= count else None

    letters: list[Any] = await eventually(found, 20, f"{count} malformed entries are dead letters")
    assert len(letters) == count
    return letters


def scenario_of(make_hub: Any, work: Any, nodes: int = 1, **settings: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4, **settings)
        hub.child(Plain)
        async with Cluster(hub) as cluster:
            for name in "ab"[:nodes]:
                await cluster.start(name)
            for child in CHILDREN:
                await hub.aio.start_child(child, Plain)
            await work(hub, cluster, Ledger(hub))

    asyncio.run(scenario())


def test_malformed_entries_between_good_ones_are_dead_letters_and_the_others_keep_their_order(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        for entry in GARBAGE:
            for shard in range(4):
                await add(hub, hub.keys.mailbox(shard), *entry)
            for child in CHILDREN:
                await ledger.cast("s", child)
        letters = await malformed_letters(hub, 4 * len(GARBAGE))
        assert any("deadline 'soon' is no time in ms" in letter.error for letter in letters)
        assert any("unknown kind 'state'" in letter.error for letter in letters)
        assert any("names no children" in letter.error for letter in letters)
        await served(hub, ledger)
        assert all([not await raw(hub, "XLEN", hub.keys.mailbox(shard)) for shard in range(4)])
        assert any(event.type == "malformed" for event in (await asyncio.to_thread(hub.inspect.events))[1])

    scenario_of(make_hub, work)


def test_malformed_entries_wait_for_a_node_and_move_with_their_shard(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        for _ in range(3):
            for shard in range(4):
                await add(hub, hub.keys.mailbox(shard), "x", "y")
            await asyncio.gather(*[ledger.cast("s", child) for child in CHILDREN])
        await cluster.start("b")
        await cluster.drain("a")
        await malformed_letters(hub, 12)
        await served(hub, ledger)

    scenario_of(make_hub, work)


def test_the_caller_of_a_newer_kind_is_told(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        newer = {**MESSAGE, "kind": "begin", "id": "77", "reply_to": "somebody"}
        await add(hub, hub.keys.mailbox(0), *(part for pair in newer.items() for part in pair))
        (letter,) = await malformed_letters(hub, 1)
        assert letter.error == "unknown kind 'begin'"
        reply = (await raw(hub, "LRANGE", hub.keys.reply("somebody"), 0, -1))[0]
        assert reply.startswith(b"77 failed a\n") and b"unknown kind 'begin'" in reply

    scenario_of(make_hub, work)


def test_a_node_of_which_every_control_message_is_garbage_still_hands_over(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        for entry in CONTROL:
            for node in "ab":
                await add(hub, hub.keys.control(node), *entry)
        await add(hub, hub.keys.events, b"type", b"\xff\xfe")
        await add(hub, hub.keys.events, b"\xff", b"\xfe")
        await served(hub, ledger)
        await cluster.drain("a")
        await served(hub, ledger)
        assert (await asyncio.to_thread(hub.inspect.events))[1][-1].type

    scenario_of(make_hub, work, nodes=2)


def test_a_child_with_a_malformed_spec_is_parked_and_can_be_stopped(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        bad = next(f"bad-{n}" for n in range(100) if shard_of(f"bad-{n}", 4) == shard_of("plain-0", 4))
        await raw(hub, "HSET", hub.keys.children(shard_of(bad, 4)), bad, "{not json", b"\xff", "{}")
        await raw(hub, "HSET", hub.keys.msk(shard_of("plain-1", 4)), "plain-1", "no state")
        await cluster.kill("a")
        await cluster.start("b")

        async def listed() -> Any:
            children = {child.child_id: child for child in await hub.aio.children()}
            return (
                children if children["plain-1"].status == "parked" and children["plain-2"].status == "running" else None
            )

        found = await eventually(listed, 20, "the children are parked on b")
        assert found[bad].status == "parked" and "malformed" in found[bad].reason
        assert found["plain-1"].status == "parked" and "no saved state" in found["plain-1"].reason
        with pytest.raises(Unreadable, match="what is saved of child 'plain-1' is malformed"):
            await asyncio.to_thread(hub.inspect.state, "plain-1")
        for child in CHILDREN[2:]:
            await ledger.call("s", child)
        await hub.aio.stop_child(bad)
        await hub.aio.stop_child("plain-1")
        assert bad not in {child.child_id for child in await hub.aio.children()}
        assert await ledger.breaches() == []

    scenario_of(make_hub, work, lease=1.0)


def test_malformed_owners_members_and_wishes_harm_nobody(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        keys = hub.keys
        await raw(hub, "HSET", keys.owners, "x", "y", "1/plain-0", "garbage", b"\xff", b"\xff", "9" * 40, "a 1 1")
        await raw(hub, "HSET", keys.nodes, "ghost", "{", b"\xff", "{}")
        await raw(hub, "ZADD", keys.leases, "inf", "ghost")
        await raw(hub, "HSET", keys.pins, "plain-0", "b")
        await raw(hub, "SET", keys.pins_epoch, "soon")
        await raw(hub, "SET", keys.vitals("a"), "{")
        await served(hub, ledger)
        await cluster.start("b")
        await cluster.drain("a")
        await served(hub, ledger)
        assert [node.name for node in await hub.aio.nodes()] == ["b"]
        assert len(await hub.aio.children()) == len(CHILDREN)
        await asyncio.to_thread(hub.inspect.vitals)
        await asyncio.to_thread(hub.inspect.diagnosis)
        await asyncio.to_thread(hub.inspect.mailboxes)

    scenario_of(make_hub, work)


def test_numbers_that_are_none_hold_up_nobody(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        keys = hub.keys
        await cluster.drain("a")
        for child in CHILDREN:
            await ledger.cast("s", child)
        await raw(
            hub, "HSET", keys.backlog(shard_of("plain-0", 4)), "plain-0", "soon"
        )  # its commit, and those beside it
        await raw(hub, "SET", keys.epoch, "soon")  # a join
        await cluster.start("b")
        await served(hub, ledger)
        await raw(hub, "SET", keys.epoch, "later")  # renewals of the lease, an eviction
        await cluster.start("c")
        await cluster.kill("c")
        await raw(hub, "SET", keys.epoch, "-1")
        await raw(hub, "SET", keys.pins_epoch, "9" * 30)
        await hub.aio.move("plain-0", "b")
        await served(hub, ledger)
        await cluster.settled(20)
        await raw(hub, "SET", keys.epoch, "")
        await hub.aio.stop_child("plain-0")  # and its wish
        await cluster.start("d")
        await cluster.drain("b")  # and leaves
        for child in CHILDREN[1:]:
            await ledger.call("s", child)
        events = (await asyncio.to_thread(hub.inspect.events, 200, ["malformed"]))[1]
        assert {event.fields["place"] for event in events} >= {keys.epoch, keys.pins_epoch}
        evicted = (await asyncio.to_thread(hub.inspect.events, 200, ["node_evicted"]))[1]
        assert [event.fields["node"] for event in evicted] == ["c"]

    scenario_of(make_hub, work, lease=1.0)


def test_a_batch_that_cannot_be_read_holds_up_no_other(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        for batch, start_id in (("spoilt", "s:1"), ("undone", "s:2")):
            for shard in range(4):
                await raw(hub, "HSET", hub.keys.batches(shard), start_id, batch)
        await raw(hub, "HSET", hub.keys.batch("spoilt"), "x", "y")
        await cluster.start("b")
        await cluster.drain("a")  # b reads the marks

        async def settled() -> bool:
            marks = [await raw(hub, "HVALS", hub.keys.batches(shard)) for shard in range(4)]
            return all(found == [b"spoilt"] for found in marks)

        await eventually(settled, 10, "the marks of the other batch are gone")
        await served(hub, ledger)
        events = (await asyncio.to_thread(hub.inspect.events, 200, ["malformed"]))[1]
        assert hub.keys.batch("spoilt") in {event.fields["place"] for event in events}

    scenario_of(make_hub, work)


def test_a_key_of_another_type_holds_up_the_commits_of_its_own_shard_only(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        shard = shard_of("plain-0", 4)
        mine = [child for child in CHILDREN if shard_of(child, 4) == shard]
        others = [child for child in CHILDREN if child not in mine]
        await served(hub, ledger)
        await raw(hub, "RENAME", hub.keys.msk(shard), "aside")
        await raw(hub, "SET", hub.keys.msk(shard), "garbage")
        waiting = [asyncio.create_task(ledger.call("s", child, timeout=60)) for child in mine]
        for _ in range(5):
            await asyncio.gather(*(ledger.call("s", child) for child in others))

        async def told() -> bool:
            return any(
                "its commits wait" in event.fields["why"]
                for event in (await asyncio.to_thread(hub.inspect.events, 100, ["malformed"]))[1]
            )

        await eventually(told, 10, "an event says which shard waits")
        assert not any(call.done() for call in waiting)
        waiting += [asyncio.create_task(ledger.call("t", child, timeout=60)) for child in mine]  # they wait on the node
        for _ in range(5):
            await asyncio.gather(*(ledger.call("s", child) for child in others))
        await cluster.start("b")  # shards move, but for this one
        await asyncio.gather(*(ledger.call("s", child) for child in others))
        await raw(hub, "RENAME", "aside", hub.keys.msk(shard))
        await asyncio.gather(*waiting)
        await served(hub, ledger)
        await cluster.drain("a")
        await served(hub, ledger)

    scenario_of(make_hub, work)


def test_a_key_of_another_type_refuses_the_messages_to_its_own_shard_only(make_hub: Any) -> None:
    """Calls that are made at the same time share a request."""

    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        await served(hub, ledger)
        shard = shard_of("plain-0", 4)
        for kind in ("backlog", "children", "mailbox"):
            key = getattr(hub.keys, kind)(shard)
            before = await raw(hub, "EXISTS", key)
            await raw(hub, "RENAME", key, "aside") if before else None
            await raw(hub, "SET", key, "garbage")
            calls = [hub.aio.ref(child).call("entries", timeout=20) for child in CHILDREN]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            for child, answer in zip(CHILDREN, answers, strict=True):
                if shard_of(child, 4) != shard:
                    assert "s" in answer, "it is served"
                else:
                    assert isinstance(answer, RedisRefused) and key in str(answer)
            await raw(hub, "RENAME", "aside", key) if before else await raw(hub, "DEL", key)
        await served(hub, ledger)

    scenario_of(make_hub, work)


def test_a_control_mailbox_of_another_type_stops_nothing(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        await served(hub, ledger)
        for node in "ab":
            await raw(hub, "DEL", hub.keys.control(node))
            await raw(hub, "SET", hub.keys.control(node), "garbage")
        await served(hub, ledger)
        await cluster.start("b")
        await cluster.drain("a")
        await served(hub, ledger)

        async def told() -> set[str]:
            events = (await asyncio.to_thread(hub.inspect.events, 100, ["malformed"]))[1]
            return {event.fields["place"] for event in events} & {hub.keys.control(node) for node in "ab"}

        assert await eventually(told, 10, "an event says which mailbox was deleted")

    scenario_of(make_hub, work)


def test_events_of_another_type_hold_up_no_join_no_handover_and_no_take_over(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        await served(hub, ledger)
        await raw(hub, "DEL", hub.keys.events)
        await raw(hub, "SET", hub.keys.events, "garbage")
        await cluster.start("b")
        await cluster.start("c")
        await cluster.drain("a")
        await served(hub, ledger)
        await cluster.kill("b")
        for child in CHILDREN:
            await ledger.call("s", child, timeout=20)
        assert await ledger.breaches() == []

    scenario_of(make_hub, work, lease=1.0)


def test_a_key_of_another_type_holds_up_the_claim_of_its_own_shard_only(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        await served(hub, ledger)
        shard = shard_of("plain-0", 4)
        await cluster.kill("a")
        await raw(hub, "SET", hub.keys.tries(shard), "garbage")
        await cluster.start("b")
        for child in CHILDREN:
            if shard_of(child, 4) != shard:
                await ledger.call("s", child, timeout=20)
        events = (await asyncio.to_thread(hub.inspect.events, 100, ["malformed"]))[1]
        assert any("nobody can claim it" in event.fields["why"] for event in events)
        await raw(hub, "DEL", hub.keys.tries(shard))
        await asyncio.gather(*(ledger.call("s", child, timeout=20) for child in CHILDREN))
        await served(hub, ledger)

    scenario_of(make_hub, work, lease=1.0)


def test_a_mailbox_that_is_no_stream_stops_its_own_shard_only(make_hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        shard = shard_of("plain-0", 4)
        others = [child for child in CHILDREN if shard_of(child, 4) != shard]
        await cluster.drain("a")
        await raw(hub, "SET", hub.keys.mailbox(shard), "garbage")
        await cluster.start("b")
        for child in others:
            await ledger.call("s", child)
        assert await ledger.breaches() == []
        assert f"{hub.keys.mailbox(shard)}: a string, no stream" in caplog.text
        await raw(hub, "DEL", hub.keys.mailbox(shard))
        await served(hub, ledger)  # once it is a stream again, the shard is served, too

    with caplog.at_level(logging.ERROR, "hubq"):
        scenario_of(make_hub, work)


def test_a_mailbox_that_takes_nothing_more_is_mended_and_costs_its_own_senders_only(make_hub: Any) -> None:
    """An entry has the last id that a stream can have."""

    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        await served(hub, ledger)
        shard = shard_of("plain-0", 4)

        async def events() -> list[Any]:
            return await asyncio.to_thread(lambda: list(hub.inspect.events(1000, ["malformed"])[1]))

        for number, node in enumerate("ab"):
            await raw(hub, "XADD", hub.keys.mailbox(shard), LAST_ID, "x", "y")
            sent = [hub.aio.ref(child).call("entries", timeout=20) for child in CHILDREN]
            for child, answer in zip(CHILDREN, await asyncio.gather(*sent, return_exceptions=True), strict=True):
                if shard_of(child, 4) != shard or not isinstance(answer, BaseException):
                    assert "s" in answer, "it is served"
                else:
                    assert isinstance(answer, RedisRefused) and "exhausted" in str(answer)

            async def taken() -> bool:
                try:
                    return "s" in await hub.aio.ref("plain-0").call("entries", timeout=20)
                except RedisRefused:
                    return False

            await eventually(taken, 10, "its mailbox takes messages again")
            told = [event.fields["why"] for event in await events() if event.fields["place"] == hub.keys.mailbox(shard)]
            assert len(told) == number + 1 and f"shard {shard} takes no message" in told[-1]
            await malformed_letters(hub, number + 1)
            await served(hub, ledger)
            if node == "a":
                await cluster.start("b")
                await cluster.drain("a")
        await served(hub, ledger)

    scenario_of(make_hub, work)


def test_a_malformed_reply_fails_nobodys_call(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        async def litter() -> int:
            keys = await raw(hub, "KEYS", f"{hub.keys.prefix}sender:*")
            for key in keys:
                client = key.decode().rpartition(":")[2]
                await raw(hub, "RPUSH", hub.keys.reply(client), b"\xff", b"1 2", b"", b"a b c d\n", b"1 ok")
            return len(keys)

        for _ in range(10):  # before the replies, and among them
            assert await litter(), "somebody waits for replies"
            await asyncio.gather(*[act for child in CHILDREN for act in (ledger.call("s", child), litter())])
        answer = await asyncio.to_thread(lambda: hub.ref("plain-0").call("entries"))
        assert answer["s"] == list(range(1, 11))
        assert await ledger.breaches() == []

    scenario_of(make_hub, work)


def test_what_is_no_method_is_not_run(make_hub: Any) -> None:
    async def work(hub: Hub, cluster: Cluster, ledger: Ledger) -> None:
        for name in ("mro", "applied", "stop", "run", "prepare_handover_state"):
            with pytest.raises((CallFailed, AttributeError), match="has no method"):
                await hub.aio.ref("plain-0").call(name)
        await served(hub, ledger)

    scenario_of(make_hub, work)
