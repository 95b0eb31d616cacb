"""What a child may do and what its callers see, on every backend."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest

from hubq import (
    AlreadyStarted,
    CallFailed,
    CallTimeout,
    Child,
    ChildSpec,
    ConfigError,
    Hub,
    InvalidChildId,
    MailboxFull,
    NoChildren,
    NotSendable,
    StartFailed,
    StateNotSavable,
    StateTooLarge,
    UnknownChild,
    UnknownMethod,
)
from hubq.core.hashing import shard_of
from hubq.store.registry import read_state, read_texts
from hubq.testing import Cluster, eventually, probe

Scenario = Callable[[Hub, Cluster], Awaitable[None]]


class Account(Child):
    """Everything a caller can do to it."""

    transient = ("lock",)
    #: Opened by the test whose handler waits.
    gate: ClassVar[asyncio.Event]

    def __init__(self, balance: int = 0) -> None:
        self.balance = balance
        self.lock = threading.Lock()
        self.thread = ""

    async def on_start(self) -> None:
        self.lock = threading.Lock()

    async def add(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    async def add_then_fail(self, amount: int) -> None:
        self.balance += amount
        raise ValueError(f"no more than {amount}")

    def add_in_thread(self, amount: int) -> str:
        self.balance += amount
        return threading.current_thread().name

    async def get(self) -> int:
        return self.balance

    async def hoard(self, size: int) -> None:
        self.hoarded = b"x" * size

    async def keep(self, what: str) -> None:
        self.kept = (n for n in range(3)) if what == "generator" else what

    async def give_generator(self) -> Any:
        return (n for n in range(3))

    async def wait(self) -> None:
        await Account.gate.wait()

    async def bye(self) -> str:
        self.stop()
        return "bye"

    async def who(self) -> tuple[str, str, dict[str, Any]]:
        return self.child_id, self.node_name, self.metadata


@pytest.fixture
def play(make_hub: Any) -> Callable[..., None]:
    """Runs a scenario on a hub with one node, ``a``."""

    def run(scenario: Scenario, **settings: Any) -> None:
        async def whole() -> None:
            hub = make_hub(**{"shards": 4, **settings})
            async with Cluster(hub) as cluster:
                await cluster.start("a")
                await scenario(hub, cluster)

        asyncio.run(whole())

    return run


async def crash(cluster: Cluster) -> None:
    """The only node dies; another one takes over."""
    await cluster.kill(next(iter(cluster.nodes)))
    await cluster.start("z")
    await cluster.settled()


def test_calls_casts_and_what_they_see(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        result = await hub.aio.start_child("acc", Account, 10, metadata={"tag": "vip"})
        assert result.started == {"acc": "a"} and result.first == "acc" and result.node == "a"
        ref = hub.aio.ref("acc")
        assert await ref.call("add", 5) == 15
        await ref.cast("add", amount=1)
        assert await ref.call("get") == 16
        assert (await ref.call("add_in_thread", 1)).startswith("hubq-a")
        assert await ref.call("who") == ("acc", "a", {"tag": "vip"})
        (status,) = await hub.aio.children()
        assert (status.child_id, status.node, status.status, status.metadata) == ("acc", "a", "running", {"tag": "vip"})

    play(scenario)


def test_state_survives_a_crash(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        await hub.aio.start_child("acc", Account, 10)
        assert await hub.aio.ref("acc").call("add", 5) == 15
        await crash(cluster)
        assert await hub.aio.ref("acc").call("get") == 15

    play(scenario)


def test_a_handler_that_raises_is_undone(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        await hub.aio.start_child("acc", Account, 10)
        ref = hub.aio.ref("acc")
        with pytest.raises(
            CallFailed, match=r"acc.add_then_fail raised ValueError on node a: no more than 7$"
        ) as caught:
            await ref.call("add_then_fail", 7)
        assert caught.value.remote_type == "ValueError"
        assert "add_then_fail" in caught.value.remote_traceback
        assert await ref.call("get") == 10
        await crash(cluster)
        assert await ref.call("get") == 10

    play(scenario)


def test_on_error_keep_leaves_what_the_handler_left(play: Any) -> None:
    class Keeper(Account):
        on_error = "keep"

    async def scenario(hub: Hub, cluster: Cluster) -> None:
        hub.child(Keeper)
        await hub.aio.start_child("acc", Keeper, 10)
        with pytest.raises(CallFailed):
            await hub.aio.ref("acc").call("add_then_fail", 7)
        assert await hub.aio.ref("acc").call("get") == 17
        await crash(cluster)
        assert await hub.aio.ref("acc").call("get") == 17

    play(scenario)


def test_bad_input_to_children(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        aio = hub.aio
        await aio.start_child("acc", Account, 10)
        with pytest.raises(UnknownChild, match="no child 'nobody' in hub"):
            await aio.ref("nobody").call("get")
        with pytest.raises(UnknownChild):
            await aio.ref("nobody").cast("get")
        with pytest.raises(UnknownChild):
            await aio.stop_child("nobody")
        with pytest.raises(UnknownChild):
            await aio.where("nobody")
        for method in ("nothing", "_host", "on_start", "balance", "prepare_handover_state"):
            with pytest.raises(UnknownMethod, match=rf"has no method '{method}'; it has: add, "):
                await aio.ref("acc").call(method)
        with pytest.raises(CallFailed, match="TypeError"):
            await aio.ref("acc").call("add")
        with pytest.raises(InvalidChildId, match="is empty"):
            aio.ref("")
        with pytest.raises(InvalidChildId, match="has 513 bytes"):
            await aio.start_child("é" * 256 + "x", Account)
        assert (await aio.start_child("é" * 256, Account)).status == "ok"
        with pytest.raises(InvalidChildId, match="unprintable"):
            aio.ref("a\nb")
        with pytest.raises(AlreadyStarted, match="child 'acc' exists already"):
            await aio.start_child("acc", Account)
        with pytest.raises(NoChildren):
            await aio.start_children([])
        with pytest.raises(ConfigError, match="timeout=0"):
            await aio.ref("acc").call("get", timeout=0)
        with pytest.raises(NotSendable, match=r"arguments of acc\.keep cannot be pickled"):
            await aio.ref("acc").call("keep", (n for n in range(3)))
        with pytest.raises(NotSendable, match="result of give_generator"):
            await aio.ref("acc").call("give_generator")
        with pytest.raises(ConfigError, match="cannot be a child"):
            await aio.start_child("x", dict)
        assert await aio.ref("acc").call("get") == 10

    play(scenario)


def test_a_state_that_cannot_be_saved_is_refused_and_undone(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        await hub.aio.start_child("acc", Account, 10)
        ref = hub.aio.ref("acc")
        with pytest.raises(StateNotSavable, match="attribute 'kept'"):
            await ref.call("keep", "generator")
        with pytest.raises(StateTooLarge, match=r"the most is 10000 \(max_state_bytes,"):
            await ref.call("hoard", 20_000)
        assert await ref.call("add", 1) == 11
        await crash(cluster)
        assert await ref.call("get") == 11

    play(scenario, max_state_bytes=10_000)


class Unbuildable(Child):
    def __init__(self) -> None:
        raise RuntimeError("no such room")


class Unstartable(Child):
    async def on_start(self) -> None:
        raise RuntimeError("no network")


def test_children_that_cannot_start(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        with pytest.raises(StartFailed, match="RuntimeError: no such room"):
            await hub.aio.start_child("x", Unbuildable)
        with pytest.raises(StartFailed, match="on_start raised RuntimeError: no network"):
            await hub.aio.start_child("y", Unstartable)
        ghost = type("Ghost", (Child,), {"__module__": "no_such_module"})
        with pytest.raises(StartFailed, match="cannot import 'Ghost' from module 'no_such_module'"):
            await hub.aio.start_child("z", ghost)
        result = await hub.aio.start_children([ChildSpec("x", Unbuildable), ChildSpec("ok", Account)])
        assert result.status == "error" and list(result.errors) == ["x"] and result.cids == ["ok"]
        result = await hub.aio.start_children(
            [ChildSpec("x", Unbuildable), ChildSpec("p", Account)], on_failure="rollback"
        )
        assert result.rollback and result.started == {}
        result = await hub.aio.start_children(
            [ChildSpec("ok", Account), ChildSpec("q", Account)], on_failure="rollback"
        )
        assert result.rollback and isinstance(result.errors["ok"], AlreadyStarted)

        async def only_ok() -> bool:
            return [child.child_id for child in await hub.aio.children()] == ["ok"]

        await eventually(only_ok, what="only 'ok' is left")
        assert (await hub.aio.start_child("x", Account)).status == "ok"

    play(scenario)


def test_a_child_may_be_stopped_and_started_again(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        await hub.aio.start_child("acc", Account, 10)
        await hub.aio.ref("acc").call("add", 5)
        assert (await hub.aio.stop_child("acc")).stopped == {"acc": "a"}
        with pytest.raises(UnknownChild):
            await hub.aio.ref("acc").call("get")
        await hub.aio.start_child("acc", Account, 1)
        assert await hub.aio.ref("acc").call("get") == 1
        assert await hub.aio.ref("acc").call("bye") == "bye"
        await eventually(lambda: not cluster.copies("acc"), what="the child has stopped itself")
        for shard in range(4):
            found = await probe(cluster.nodes["a"]).connection.run(read_state(hub.keys, shard, "acc"))
            assert found is None or await _still(hub, shard)

    async def _still(hub: Hub, shard: int) -> bool:
        async def gone() -> bool:
            return await cluster_of(hub, shard) is None

        await eventually(gone, what="the saved state has gone")
        return True

    async def cluster_of(hub: Hub, shard: int) -> Any:
        from hubq.store.connection import AsyncRedis

        redis = AsyncRedis(hub.server)
        try:
            return await redis.run(read_state(hub.keys, shard, "acc"))
        finally:
            await redis.close()

    play(scenario)


def test_messages_sent_before_any_node_is_up_are_handled(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=4)
    future = hub.start_child("acc", Account, 1)
    hub.ref("acc").cast("add", 2)
    with pytest.raises(CallTimeout, match="no node serves it"):
        hub.ref("acc").call("get", timeout=0.05)
    assert hub.where("acc").node is None

    async def serve() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            assert await asyncio.to_thread(lambda: future.result(10).started) == {"acc": "a"}
            assert await hub.aio.ref("acc").call("get") == 3

    asyncio.run(serve())


def test_a_call_past_its_deadline_is_not_run(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        await hub.aio.start_child("acc", Account, 1)
        ref = hub.aio.ref("acc")
        Account.gate = asyncio.Event()
        slow = asyncio.ensure_future(ref.call("wait"))
        await eventually(lambda: bool(probe(cluster.nodes["a"]).busy), what="the handler runs")
        with pytest.raises(CallTimeout, match=r"was not run: it still waited behind 1 message$") as caught:
            await ref.call("add", 5, timeout=0.1)
        assert not caught.value.may_run
        Account.gate.set()
        await slow
        assert await ref.call("get") == 1

    play(scenario)


def test_a_full_mailbox_refuses_and_recovers(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        await hub.aio.start_children([ChildSpec("acc", Account), ChildSpec("other", Account)])
        ref = hub.aio.ref("acc")
        Account.gate = asyncio.Event()
        slow = asyncio.ensure_future(ref.call("wait"))
        await eventually(lambda: bool(probe(cluster.nodes["a"]).busy), what="the handler runs")
        await asyncio.gather(*(ref.cast("add", 1) for _ in range(49)))  # the message in hand counts as well
        with pytest.raises(MailboxFull, match=r"child 'acc' has 50 messages waiting, the most is 50"):
            await ref.cast("add", 1)
        assert await hub.aio.ref("other").call("add", 1) == 1
        Account.gate.set()
        await slow
        assert await ref.call("get", timeout=5) == 49

    play(scenario, max_backlog=50, queue_limit=4, read_count=7, shards=1)


class Ticker(Child):
    """Has a loop of its own."""

    failures: ClassVar[int] = 0

    def __init__(self) -> None:
        self.ticks = 0
        self.starts = 0

    async def on_start(self) -> None:
        self.starts += 1

    async def run(self) -> None:
        self.ticks += 1
        await self.commit()
        if self.ticks >= 3 and Ticker.failures > 0:
            Ticker.failures -= 1
            self.ticks = 1000
            raise RuntimeError("the feed broke")
        await asyncio.Event().wait()

    async def get(self) -> tuple[int, int]:
        return self.ticks, self.starts


async def count_to(ctx: Any, goal: int, seen: str) -> None:
    """A resumable job: counts in its state."""
    ctx.state.setdefault("n", 0)
    while ctx.state.n < goal:
        ctx.state.n += 1
        COUNTED.setdefault(seen, []).append(ctx.state.n)
        await ctx.commit()
        if ctx.state.n == goal // 2:
            await HALF.setdefault(seen, asyncio.Event()).wait()


COUNTED: dict[str, list[int]] = {}
HALF: dict[str, asyncio.Event] = {}


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("how", ["drain", "kill"])
def test_a_function_child_goes_on_where_it_was(play: Any, how: str) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        COUNTED.clear()
        HALF.clear()
        await hub.aio.start_child("job", count_to, 20, "job")
        await eventually(lambda: "job" in HALF, what="half way, and committed")
        if how == "drain":
            await cluster.drain("a")
        else:
            await cluster.kill("a")
        HALF["job"].set()
        await cluster.start("b")
        await eventually(lambda: COUNTED["job"][-1:] == [20], what="the end")
        assert COUNTED["job"] == list(range(1, 21))

        async def gone() -> bool:
            return await hub.aio.children() == []

        await eventually(gone, what="a function that has returned is no child any more")

    play(scenario)


def test_a_run_that_raises_restarts_from_the_last_commit(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        Ticker.failures = 1
        await hub.aio.start_child("tick", Ticker)
        for _ in range(2):
            await cluster.drain(next(iter(cluster.nodes)))
            await cluster.start("a" if "a" not in cluster.nodes else "b")
            await cluster.settled()

        async def restarted() -> bool:
            ticks, _ = await hub.aio.ref("tick").call("get")
            return bool(ticks == 4)

        await eventually(restarted, what="run() has begun again with the state of its last commit")
        assert Ticker.failures == 0

    play(scenario)


class Hopeless(Child):
    max_restarts = 3

    async def run(self) -> None:
        raise RuntimeError("always")


def test_a_crash_loop_parks_the_child(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        await hub.aio.start_child("loop", Hopeless)

        async def parked() -> Any:
            (child,) = await hub.aio.children()
            return child if child.status == "parked" else None

        child = await eventually(parked, what="the child is parked")
        assert "run() ended more than 3 times" in child.reason

    play(scenario)


@pytest.mark.parametrize(("policy", "left"), [("temporary", []), ("transient", ["x"])])
def test_restart_policies(play: Any, policy: Any, left: list[str]) -> None:
    class Once(Ticker):
        async def run(self) -> None:
            if not ONCE:
                ONCE.append(1)
                raise RuntimeError("once")

    ONCE: list[int] = []

    async def scenario(hub: Hub, cluster: Cluster) -> None:
        hub.child(Once)
        await hub.aio.start_child("x", Once, restart=policy)

        async def there() -> bool:
            return [child.child_id for child in await hub.aio.children()] == left and bool(ONCE)

        await eventually(there, what=f"children left: {left}")

    play(scenario)


class Meter(Child):
    """Saves now and then."""

    durability = "interval"
    save_every = 60.0  # no timer saves what the test counts
    save_after = 10

    def __init__(self) -> None:
        self.seen: list[int] = []

    async def see(self, n: int) -> int:
        self.seen.append(n)
        return len(self.seen)

    async def get(self) -> list[int]:
        return self.seen


@pytest.mark.long_on_fakeredis
def test_durability_interval_replays_since_the_last_save(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        await hub.aio.start_child("m", Meter)
        for n in range(25):
            await hub.aio.ref("m").call("see", n)
        backlog = await probe(cluster.nodes["a"]).connection.run(
            read_texts(hub.keys.backlog(shard_of("m", hub.config.shards)))
        )
        assert 0 < int(backlog["m"]) < 25
        await crash(cluster)
        assert await hub.aio.ref("m").call("get") == list(range(25))
        await hub.aio.ref("m").call("see", 25)
        await cluster.drain("z")
        await cluster.start("b")
        assert await hub.aio.ref("m").call("get") == list(range(26))

    play(scenario)


def test_durability_handover_moves_but_does_not_survive(play: Any) -> None:
    class Light(Meter):
        durability = "handover"

    async def scenario(hub: Hub, cluster: Cluster) -> None:
        hub.child(Light)
        await hub.aio.start_child("m", Light)
        await hub.aio.ref("m").call("see", 1)
        await cluster.drain("a")
        await cluster.start("b")
        assert await hub.aio.ref("m").call("get") == [1]
        await hub.aio.ref("m").call("see", 2)
        await crash(cluster)
        assert await hub.aio.ref("m").call("get") == [1]

    play(scenario)


class Traveller(Child):
    """Has its own idea of what to hand over."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.socket = "closed"

    async def on_start(self) -> None:
        self.log.append(f"started on {self.node_name}")
        self.socket = "open"

    async def on_stop(self, reason: str) -> None:
        STOPPED.append((self.child_id, reason))

    async def prepare_handover_state(self) -> Any:
        return ["packed", *self.log]

    def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
        return {**current, "log": [*handed, f"unpacked, socket {current['socket']}"]}

    async def get(self) -> list[str]:
        return self.log


STOPPED: list[tuple[str, str]] = []


def test_handover_callbacks(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        STOPPED.clear()
        await hub.aio.start_child("t", Traveller)
        assert await hub.aio.ref("t").call("get") == ["started on a"]
        await cluster.start("b")
        await cluster.drain("a")
        log = await hub.aio.ref("t").call("get")
        assert log == ["packed", "started on a", "unpacked, socket closed", "started on b"]
        await eventually(lambda: ("t", "migrated") in STOPPED, what="on_stop")
        await hub.aio.stop_child("t")
        await eventually(lambda: ("t", "stopped") in STOPPED, what="on_stop")

    play(scenario)
