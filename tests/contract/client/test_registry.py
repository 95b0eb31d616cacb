"""What a hub can be asked about its children, and that its cache of owners is never wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from hubq import Child, ChildSpec, ConfigError, Hub, NotAlive, Pid, Polling, PubSub, UnknownChild
from hubq.core.hashing import shard_of
from hubq.store.command import plain, text
from hubq.store.connection import AsyncRedis, SyncRedis
from hubq.store.membership import living, read_members
from hubq.store.owners import Owner, Owners, read_owners, renew_tokens
from hubq.testing import Cluster, Ledger, LedgerChild, connections, eventually, interfere


class Room(Child):
    async def seen(self) -> int:
        return 0

    async def bye(self) -> None:
        self.stop()


class Feed(Child):
    async def run(self) -> None:
        if not BROKEN:
            BROKEN.append(1)
            raise RuntimeError("the feed broke")
        await asyncio.Event().wait()


class Stuck(Child):
    max_restarts = 0

    async def run(self) -> None:
        raise RuntimeError("always")


BROKEN: list[int] = []


@pytest.mark.long_on_fakeredis
def test_queries(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=8)
        aio = hub.aio
        assert not await aio.is_alive() and await aio.is_locked()
        with pytest.raises(NotAlive, match="no node of hub"):
            await aio.process_list("local")
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            assert await aio.is_alive() and await aio.is_alive("b") and not await aio.is_alive("c")
            assert not await aio.is_locked()
            specs = [ChildSpec(f"room-{n}", Room, metadata={"tag": "vip"} if n % 3 == 0 else {}) for n in range(30)]
            result = await aio.start_children([*specs, ChildSpec("ledger", LedgerChild), ChildSpec("stuck", Stuck)])
            assert (await aio.children(match="ledger"))[0].kind == "LedgerChild"
            assert [child.child_id for child in await aio.children(kind="LedgerChild")] == ["ledger"]
            vips = sorted(f"room-{n}" for n in range(0, 30, 3))
            assert [child.child_id for child in await aio.children(tag="vip")] == vips
            assert len(await aio.children(match="room-1*")) == 11
            on_a = await aio.children(node="a", kind="Room")
            assert {child.child_id for child in on_a} == {
                c for c, n in result.started.items() if n == "a" and "room" in c
            }

            async def parked() -> bool:
                return [child.child_id for child in await aio.children(status="parked")] == ["stuck"]

            await eventually(parked, what="stuck is parked")
            assert len(await aio.children(status="running")) == 31

            assert await aio.tag_query("vip") == {child: [result.pids[child]] for child in vips}
            looked_up = await aio.child_lookup("room-3")
            assert (looked_up.kind, looked_up.pid, looked_up.metadata) == (
                "Room",
                result.pids["room-3"],
                {"tag": "vip"},
            )
            with pytest.raises(UnknownChild, match="no child 'nobody'"):
                await aio.child_lookup("nobody")
            assert await aio.get_pid("room-3") == result.pids["room-3"]
            assert await aio.get_pids("room-3") == [result.pids["room-3"]]
            assert await aio.get_pid("nobody") is None and await aio.get_pids("nobody") == []
            every = {child: [pid] for child, pid in result.pids.items()}
            assert await aio.process_list() == await aio.process_list("local") == every
            assert await aio.pids_of([*every, "nobody"]) == every
            dump = await aio.registry_dump()
            assert set(dump) == set(every) and dump["stuck"].reason.startswith("run() ended more than 0 times")
            by_node = await aio.which_children()
            assert {n: {c.child_id for c in them} for n, them in by_node.items()} == {
                n: {c for c, on in result.started.items() if on == n} for n in ("a", "b")
            }
            steps: list[tuple[int, int, int]] = []
            found = [child async for child in aio.iter_children(progress=lambda *step: steps.append(step))]
            assert sorted(child.child_id for child in found) == sorted(every)
            assert steps[-1] == (8, 8, 32) and steps == sorted(steps)
            with pytest.raises(ConfigError, match="cannot ask for children by 'colour'"):
                await aio.children(colour="red")
            with pytest.raises(ConfigError, match="status='dead'"):
                await aio.children(status="dead")
            with pytest.raises(ConfigError, match="scope='all'"):
                await aio.process_list("all")
        assert {child.status for child in await aio.children()} == {"running", "parked"}
        await aio.close()

    asyncio.run(scenario())


def test_the_same_questions_without_await(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=4)
    for n in range(10):
        hub.start_child(f"room-{n}", Room, metadata={"tag": "vip"})
    assert [child.child_id for child in hub.iter_children(match="room-3")] == ["room-3"]
    assert len(list(hub.iter_children())) == len(hub.children()) == len(hub.registry_dump()) == 10
    assert hub.get_pid("room-1") is None and hub.get_pids("room-1") == [] and hub.process_list() == {}
    assert hub.where("room-1").node is None
    assert hub.pids_of(["room-1", "nobody"]) == {"room-1": []}
    assert set(hub.tag_query("vip")) == {f"room-{n}" for n in range(10)}
    assert hub.child_lookup("room-1").status == "waiting"
    assert list(hub.which_children()) == [""]
    assert not hub.is_alive() and hub.is_locked()
    hub.close()


@pytest.mark.long_on_fakeredis
def test_a_node_that_is_gone_serves_nothing(make_hub: Any) -> None:
    """With no other node there to evict it, a node that was killed stays a member: nothing of it counts any more."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        aio = hub.aio
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            await aio.start_child("room", Room)
            lived = await aio.get_pid("room")
            assert lived is not None and not await aio.is_locked()
            await cluster.kill("a")

            async def over() -> bool:
                return not await aio.is_alive("a")

            await eventually(over, what="the lease of a is over")
            assert [node.name for node in await aio.nodes()] == ["a"], "nobody has evicted it"
            assert await aio.is_locked()
            assert await aio.get_pid("room") is None and await aio.process_list() == {}
            assert (await aio.where("room")).node is None
            (child,) = await aio.children()
            assert child == await aio.child_lookup("room")
            assert (child.status, child.node, child.reason) == ("waiting", None, "its node a is gone")
            assert await aio.children(node="a") == [] and list(await aio.which_children()) == [""]
            seen = await asyncio.to_thread(hub.inspect.glance)
            assert (seen.owners, seen.children) == ([None] * 4, 1)
            assert (
                "no worker serves: the lease is over: a (" in (await asyncio.to_thread(hub.inspect.diagnosis))[0].seen
            )
            await cluster.start("b")
            await cluster.settled()
            assert await aio.ref("room").call("seen") == 0
            assert not await aio.is_locked() and (await aio.where("room")).node == "b"
            assert [child.status for child in await aio.children()] == ["running"]

    asyncio.run(scenario())


def test_the_registry_follows_restarts_stops_and_moves(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        BROKEN.clear()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_children([ChildSpec("feed", Feed), ChildSpec("room", Room)])
            before = await hub.aio.get_pid("feed")
            await eventually(lambda: BROKEN, what="the feed has been restarted")
            assert await hub.aio.get_pid("feed") == before, "the same node and token"
            await hub.aio.ref("room").call("bye")

            async def gone() -> bool:
                return await hub.aio.get_pid("room") is None and "room" not in await hub.aio.registry_dump()

            await eventually(gone, what="a child that has stopped itself is not in the registry")
            await cluster.start("b")
            await cluster.drain("a")
            after = await hub.aio.get_pid("feed")
            assert before is not None and after is not None and (before.node, after.node) == ("a", "b")
            assert after.token > before.token

    asyncio.run(scenario())


def test_a_new_token_of_the_same_owner_is_seen_at_once(make_hub: Any) -> None:
    """Its owner takes one when Redis has not answered a commit."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("room", Room)
            before = await hub.aio.get_pid("room")
            assert before is not None
            shard, old = shard_of("room", 2), Owner(before.node, before.incarnation, before.token)
            redis = AsyncRedis(hub.server)
            renewal = (shard, None, old, replace(old, token=old.token + 1))
            assert await redis.run(renew_tokens(hub.keys, "a", [renewal], 100)) == ["renewed"]
            after = await hub.aio.get_pid("room")
            await redis.close()
            assert after is not None and (after.node, after.token) == ("a", before.token + 1)

    asyncio.run(scenario())


class Counting:
    """Counts a session's round trips, and tells the truth about owners over a connection of its own."""

    def __init__(self, hub: Hub, seen: AsyncRedis) -> None:
        self.trips = 0
        self._hub = hub
        self._redis = AsyncRedis(hub.server)
        whole = seen.run_many

        async def counted(commands: Any, **options: Any) -> Any:
            self.trips += 1
            return await whole(commands, **options)

        seen.run_many = counted  # type: ignore[method-assign]

    async def truth(self) -> tuple[Owners, dict[str, int]]:
        """The owners, and which nodes live."""
        owners, *members = await self._redis.run_many([read_owners(self._hub.keys), *read_members(self._hub.keys)])
        return owners, living(*members)

    async def ask(self, children: list[str]) -> tuple[dict[str, list[Pid]], int]:
        before = self.trips
        found = await self._hub.aio.pids_of(children)
        return found, self.trips - before

    async def close(self) -> None:
        await self._redis.close()


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("synchronization", [PubSub(), Polling(sync_interval=0.5)], ids=["pub_sub", "polling"])
def test_the_cache_of_owners_is_right_at_once(make_hub: Any, synchronization: Any) -> None:
    """At most one more round trip after a change, and at no moment an answer older than the question."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=8, synchronization=synchronization)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = [f"c{n}" for n in range(40)]
            await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in children])
            web = Hub(hub.hub_id, redis=hub.server, shards=8, synchronization=synchronization)
            counting = Counting(web, await connections.connection_here(web))

            async def check() -> int:
                before, lived = await counting.truth()
                answer, trips = await counting.ask(children)
                after, live = await counting.truth()
                for child in children:
                    shard = shard_of(child, 8)
                    lines = [owners.pins.get((shard, child)) or owners.shards[shard] for owners in (before, after)]
                    low, high = (line.token for line in lines)
                    assert [low <= pid.token <= high for pid in answer[child]] in ([True], []), (
                        child,
                        answer[child],
                        lines,
                    )
                    if (
                        lines[0] == lines[1]
                        and lived.get(lines[0].node) == live.get(lines[0].node) == lines[0].incarnation
                    ):
                        assert [(p.node, p.incarnation, p.token) for p in answer[child]] == [
                            (lines[0].node, lines[0].incarnation, lines[0].token)
                        ]
                assert trips <= 2
                return trips

            async def quiet() -> bool:
                return await check() == 1

            await eventually(quiet, what="one round trip while nothing changes")
            asking = True

            async def keep_asking() -> int:
                asked = 0
                while asking:
                    await check()
                    asked += 1
                return asked

            asker = asyncio.ensure_future(keep_asking())
            for change in ("join", "kill", "join again", "drain"):
                for child in children[:5]:
                    await ledger.call(change, child)
                match change:
                    case "kill":
                        await cluster.kill("b")
                    case "drain":
                        await cluster.drain("a")
                    case _:
                        await cluster.start("b")
                await cluster.settled()
            asking = False
            assert await asker > 10
            await eventually(quiet, what="one round trip while nothing changes")
            assert {pid.node for pids in (await web.aio.pids_of(children)).values() for pid in pids} == {"b"}
            await ledger.check()
            await counting.close()
            await web.aio.close()

    asyncio.run(scenario())


def test_more_events_than_are_read_at_once_make_the_cache_look_again(make_hub: Any, server: Any) -> None:
    hub: Hub = make_hub(shards=2, events_kept=10)
    hub.start_child("c", LedgerChild)
    redis = SyncRedis(server)
    assert hub.where("c").node is None
    view = connections.context_of(hub).view
    assert view.reloads == 1
    redis.run(plain("XADD", hub.keys.events, "*", "type", "child_stopped", read=text))
    assert hub.where("c").node is None and view.reloads == 1
    shard = hub.where("c").shard
    ghost = '{"incarnation": 7, "status": "up", "joined_at": 0}'
    redis.run(plain("HSET", hub.keys.nodes, "ghost", ghost, read=int))
    redis.run(plain("ZADD", hub.keys.leases, 1e15, "ghost", read=int))
    redis.run(plain("HSET", hub.keys.owners, str(shard), "ghost 7 9", read=int))
    for _ in range(200):
        redis.run(plain("XADD", hub.keys.events, "MAXLEN", 10, "*", "type", "child_stopped", read=text))
    redis.run(plain("XADD", hub.keys.events, "MAXLEN", 10, "*", "type", "of a newer version", read=text))
    assert hub.where("c").node == "ghost" and view.reloads == 2
    redis.close()
    hub.close()


@pytest.mark.long_on_fakeredis
def test_large_listings_do_not_block_redis(make_hub: Any, server: Any) -> None:
    """Only HSCAN and HMGET (and the members, to know who lives), and no answer holds more than some hundred children."""
    hub: Hub = make_hub(shards=2)
    names = [f"room-{n}" for n in range(3000)]
    hub.start_children([ChildSpec(name, Room) for name in names])
    redis = connections.connection_of(hub)
    seen: list[tuple[str, int]] = []
    whole = redis.run_many

    def watched(commands: Any, **options: Any) -> Any:
        answers = whole(commands, **options)
        for command, answer in zip(commands, answers, strict=True):
            name = str(command.args[0])
            size = len(answer[1]) if name == "HSCAN" else 1 if name == "TIME" else len(answer)
            seen.append((name, size))
        return answers

    redis.run_many = watched  # type: ignore[method-assign]
    steps: list[int] = []
    found = hub.children(progress=lambda done, shards, count: steps.append(count))
    assert [child.child_id for child in found] == sorted(names)
    assert {name for name, _ in seen} == {"HSCAN", "HMGET", "HGETALL", "ZRANGE", "TIME"}
    assert all(size == 0 for name, size in seen if name in ("HGETALL", "ZRANGE"))
    assert len(steps) >= 3 and steps == sorted(steps) and steps[-1] == 3000
    if hasattr(server, "url"):  # fakeredis may answer HSCAN with everything
        assert max(size for _, size in seen) < 1500
    hub.close()


@pytest.mark.long_on_fakeredis
def test_a_damaged_view_is_repaired_by_the_interval(make_hub: Any) -> None:
    """A node that has forgotten a shard it owns, and one that serves what it lost, both come right by themselves."""

    async def scenario(repair: Callable[[Hub, Cluster], Awaitable[None]]) -> None:
        hub: Hub = make_hub(shards=4, synchronization=PubSub(sync_interval=0.2))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = [f"c{n}" for n in range(12)]
            await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in children])
            for child in children:
                await ledger.call("before", child)
            await repair(hub, cluster)
            await cluster.settled()
            for child in children:
                await ledger.call("after", child)
                assert len(cluster.copies(child)) == 1
            assert ledger.failed == []
            await ledger.check()

    async def forget(hub: Hub, cluster: Cluster) -> None:
        await interfere.forget_shards(cluster.nodes["a"])
        assert "a" not in cluster.serving().values()

    async def take_away(hub: Hub, cluster: Cluster) -> None:
        redis = AsyncRedis(hub.server)
        owners = await redis.run(read_owners(hub.keys))
        for shard, owner in owners.shards.items():
            line = f"ghost 99 {owner.token + 1}"
            await redis.run(plain("HSET", hub.keys.owners, str(shard), line, read=int))
        await redis.close()

        async def mended() -> bool:
            return {(await hub.aio.where(f"c{n}")).node for n in range(12)} <= {"a", "b"}

        await eventually(mended, what="the owners are members again")

    asyncio.run(scenario(forget))
    asyncio.run(scenario(take_away))


def test_wrong_intervals() -> None:
    for wrong in (0, -1, 4000, True, "1"):
        with pytest.raises(ConfigError, match="sync_interval="):
            Polling(sync_interval=wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="sync_interval="):
            PubSub(sync_interval=wrong)  # type: ignore[arg-type]
