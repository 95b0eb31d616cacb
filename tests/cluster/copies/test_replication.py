"""Several copies of each child: they agree, one of them takes over, and exactly one is active."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest

from hubq import CallFailed, ChildSpec, Hub, Replication
from hubq.core.hashing import shard_of
from hubq.store.command import plain
from hubq.testing import ChildHere, Cluster, Ledger, LedgerChild, eventually, probe

MODELS = ["active_active", "active_passive"]


def copies(cluster: Cluster, child: str) -> dict[str, ChildHere]:
    """The copies of a child that are not the original, by node."""
    found = {name: probe(node).copy(child) for name, node in cluster.nodes.items()}
    return {name: copy for name, copy in found.items() if copy is not None}


def originals(cluster: Cluster, child: str) -> dict[str, ChildHere]:
    """The copies of a child that commit, by node (exactly one, but for moments)."""
    found = {name: probe(node).child(child) for name, node in cluster.nodes.items()}
    return {name: original for name, original in found.items() if original is not None}


async def followed(cluster: Cluster, children: list[str], each: int) -> None:
    """Wait until every child has so many copies besides the original."""
    await eventually(
        lambda: all(len(copies(cluster, child)) == each and len(originals(cluster, child)) == 1 for child in children),
        20.0, f"{each} copies of each child",
    )  # fmt: skip


async def agreed(cluster: Cluster, children: list[str]) -> None:
    """Wait until every copy has the state of its original."""

    def same() -> bool:
        for child in children:
            ((_, original),) = originals(cluster, child).items()
            assert original.instance is not None
            for copy in copies(cluster, child).values():
                assert copy.instance is not None
                if pickle.dumps(copy.instance.__dict__) != pickle.dumps(original.instance.__dict__):
                    return False
        return True

    await eventually(same, 20.0, "all copies agree with their originals")


class Load:
    """Calls and casts to all children until it is ended."""

    def __init__(self, ledger: Ledger, children: list[str], senders: int = 6) -> None:
        self._ledger, self._stop, self.count = ledger, False, 0
        self._tasks = [asyncio.ensure_future(self._send(f"s{n}", children[n::senders])) for n in range(senders)]

    async def _send(self, sender: str, children: list[str]) -> None:
        turn = 0
        while not self._stop:
            child = children[turn % len(children)]
            await (self._ledger.cast(sender, child) if turn % 3 else self._ledger.call(sender, child))
            self.count += 1
            turn += 1

    async def more(self, count: int) -> None:
        goal = self.count + count
        await eventually(lambda: self.count >= goal, 60.0, f"{count} more messages")

    async def end(self) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)


async def start(hub: Hub, kind: Any, count: int) -> list[str]:
    names = [f"c{n}" for n in range(count)]
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names])
    assert result.status == "ok"
    return names


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


@pytest.mark.parametrize("model", MODELS)
def test_copies_follow_under_load_through_join_drain_and_kill(make_hub: Any, model: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=8, redundancy=Replication(2, model))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            children = await start(hub, LedgerChild, 24)
            await followed(cluster, children, 1)
            load = Load(ledger, children)
            await load.more(200)
            await cluster.start("c")
            await cluster.settled()
            await load.more(200)
            await followed(cluster, children, 1)
            await cluster.drain("b")
            await cluster.settled()
            await load.more(200)
            await followed(cluster, children, 1)
            await cluster.kill("a")
            await cluster.settled()
            await load.more(200)
            await cluster.start("d")
            await cluster.settled()
            await followed(cluster, children, 1)
            await load.more(100)
            await load.end()
            await agreed(cluster, children)
            assert ledger.failed == []
            await ledger.check()

    play(scenario)


class Audited(LedgerChild):
    """Writes down, outside its state, what each instance of it has handled on which node."""

    seen: ClassVar[list[tuple[str, str, str, int]]] = []

    async def record(self, sender: str, number: int) -> int:
        Audited.seen.append((self.node_name, self.child_id, sender, number))
        return await super().record(sender, number)


def test_active_active_over_the_whole_cluster_every_copy_has_every_message_once_and_in_order(make_hub: Any) -> None:
    async def scenario() -> None:
        Audited.seen.clear()
        hub = make_hub(shards=4, redundancy=Replication("cluster_size"))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c")
            await cluster.settled()
            children = await start(hub, Audited, 12)
            await followed(cluster, children, 2)
            load = Load(ledger, children)
            await load.more(300)
            await load.end()
            await agreed(cluster, children)
            assert ledger.failed == []
            await ledger.check()
            for child in children:
                expected = {s: numbers for (s, of), numbers in ledger.sent.items() if of == child}
                for node in "abc":
                    handled: dict[str, list[int]] = {}
                    for where, of, sender, number in Audited.seen:
                        if where == node and of == child:
                            handled.setdefault(sender, []).append(number)
                    assert handled == expected, (child, node)

    play(scenario)


class Moody(LedgerChild):
    """Some of its messages fail; with ``on_error`` "keep" they leave something behind."""

    on_error = "keep"

    async def fail(self, sender: str, number: int) -> None:
        self.applied.setdefault(sender, []).append(number)
        raise ValueError("on purpose")


class Careful(Moody):
    on_error = "rollback"


class Walker(LedgerChild):
    """Changes by itself, too."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            self.steps += 1
            if self.steps % 5 == 0:
                await self.commit()


class Saver(LedgerChild):
    durability = "interval"
    save_every = 0.3


class Mover(LedgerChild):
    durability = "handover"


KINDS: list[Any] = [Moody, Careful, Walker, Saver, Mover]


@pytest.mark.parametrize("model", MODELS)
def test_every_kind_of_child_goes_on_from_its_copy(make_hub: Any, model: Any) -> None:
    """For ``interval`` and ``handover`` the copy is the better state: nothing answered is lost, nothing applied twice."""

    async def scenario() -> None:
        hub = make_hub(shards=2, lease=1.5, lease_margin=0.3, redundancy=Replication(2, model))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            names = (f"{kind.__name__}-{n}" for kind in KINDS for n in range(100))
            by_shard = {(name.split("-")[0], shard_of(name, 2)): name for name in names}
            kinds = {name: kind for kind in KINDS for (of, _), name in by_shard.items() if of == kind.__name__}
            assert len(kinds) == 2 * len(KINDS)
            await hub.aio.start_children([ChildSpec(name, kind) for name, kind in kinds.items()])
            children = list(kinds)
            for child in children:
                for _ in range(5):
                    await ledger.call("before", child)
            for child in (child for child, kind in kinds.items() if hasattr(kind, "fail")):
                with pytest.raises(CallFailed):
                    await hub.aio.ref(child).call("fail", "bad", 1)
            await cluster.start("b")
            await cluster.settled()
            await followed(cluster, children, 1)
            for child in children:
                for _ in range(5):
                    await ledger.call("after", child)
            on_a = {child.kind for child in probe(cluster.nodes["a"]).children()}
            assert on_a == set(KINDS)
            await cluster.kill("a")
            for child in children:
                await ledger.call("later", child)
            # What may have been answered before a copy went on is handled again past its deadline, not refused.
            replays = probe(cluster.nodes["b"]).children_replaying
            assert replays == {child for child, kind in kinds.items() if kind is Saver}
            for child, kind in kinds.items():
                entries = await hub.aio.ref(child).call("entries")
                assert entries.pop("bad", []) == ([1] if kind is Moody else [])
                assert entries == {"before": [1, 2, 3, 4, 5], "after": [1, 2, 3, 4, 5], "later": [1]}, child
            assert ledger.failed == []

    play(scenario)


class Signalled(LedgerChild):
    """Writes down when which instance of it is told what, and by which node."""

    told: ClassVar[list[tuple[str, str, str]]] = []
    active: ClassVar[dict[str, set[tuple[str, int]]]] = {}
    breaches: ClassVar[list[str]] = []

    @classmethod
    def arm(cls) -> None:
        cls.told.clear()
        cls.active.clear()
        cls.breaches.clear()

    async def on_redundancy_signal(self, mode: str) -> None:
        Signalled.told.append((self.child_id, self.node_name, mode))
        active = Signalled.active.setdefault(self.child_id, set())
        if mode == "active":
            active.add((self.node_name, id(self)))
            if len(active) > 1:
                Signalled.breaches.append(f"{self.child_id}: {sorted(active)}")
        else:
            active.discard((self.node_name, id(self)))


def modes(cluster: Cluster, child: str) -> dict[str, str]:
    found = [*originals(cluster, child).items(), *copies(cluster, child).items()]
    return {name: copy.redundancy_mode for name, copy in found}


def test_exactly_one_is_active_across_join_drain_kill_and_freeze(make_hub: Any) -> None:
    async def scenario() -> None:
        Signalled.arm()
        hub = make_hub(shards=4, redundancy=Replication(2, "active_passive", "all"))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = await start(hub, Signalled, 12)
            await followed(cluster, children, 1)
            several: list[dict[str, str]] = []
            load = Load(ledger, children)

            async def watch() -> None:
                while True:
                    for child in children:
                        found = modes(cluster, child)
                        if list(found.values()).count("active") > 1:
                            several.append(found)
                    await asyncio.sleep(0.002)

            watching = asyncio.ensure_future(watch())

            async def one_each(of: int) -> None:
                """One active, the others passive; and that is what they were told."""
                await followed(cluster, children, of - 1)
                wanted = ["active", *["passive"] * (of - 1)]

                def wrong() -> dict[str, Any]:
                    told = {child: sorted(node for node, _ in Signalled.active.get(child, ())) for child in children}
                    found = {child: (modes(cluster, child), told[child]) for child in children}
                    return {
                        child: (mode, told)
                        for child, (mode, told) in found.items()
                        if sorted(mode.values()) != wanted or told != [n for n, m in mode.items() if m == "active"]
                    }

                try:
                    await eventually(lambda: not wrong())
                except TimeoutError:
                    raise AssertionError(f"not one active of {of}: {wrong()}") from None

            await one_each(2)
            await cluster.start("c")
            await cluster.settled()
            await one_each(2)
            await cluster.drain("a")
            await cluster.settled()
            await one_each(2)
            cluster.freeze("b")
            await eventually(lambda: probe(cluster.nodes["c"]).holds == {(s, None) for s in range(4)})
            await load.more(50)
            cluster.thaw("b")
            await cluster.settled()
            await one_each(2)
            await cluster.kill("c")
            for active in Signalled.active.values():
                active -= {(node, instance) for node, instance in active if node == "c"}  # a dead process is not told
            await cluster.settled()
            await one_each(1)
            await load.end()
            watching.cancel()
            assert several == [] and Signalled.breaches == []
            assert ledger.failed == []
            await ledger.check()

    play(scenario)


@pytest.mark.parametrize(("signal", "heard"), [("none", set()), ("active", {"active"}), ("passive", {"passive"})])
def test_a_child_hears_only_what_it_asked_for(make_hub: Any, signal: Any, heard: set[str]) -> None:
    async def scenario() -> None:
        Signalled.arm()
        hub = make_hub(shards=2, redundancy=Replication(2, "active_passive", signal))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = await start(hub, Signalled, 4)
            await followed(cluster, children, 1)
            await cluster.drain("a")
            await hub.aio.ref(children[0]).call("entries")
            assert {mode for _, _, mode in Signalled.told} == heard

    play(scenario)


def test_a_start_that_only_the_next_owner_handles_gets_its_copies_too(
    make_hub: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The old owner dies before it sees the start; the other follower had followed before there was such a child."""

    async def scenario() -> None:
        hub = make_hub(shards=3, lease=1.5, lease_margin=0.3, redundancy=Replication(5))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c")
            await cluster.settled()
            assert "5 copies of each child are wanted; with 3 node(s) there are 3" in caplog.text
            await followed(cluster, await start(hub, LedgerChild, 3), 2)
            cluster.partition("a")
            names = [f"late{n}" for n in range(9)]
            result = await hub.aio.start_children([ChildSpec(name, LedgerChild) for name in names], timeout=20)
            assert result.status == "ok"
            await cluster.kill("a")
            for name in names:
                await hub.aio.ref(name).call("record", "x", 1, timeout=20)
            await followed(cluster, names, 1)
            await agreed(cluster, names)
            pids = await hub.aio.get_pids(names[0])
            assert {pid.node for pid in pids} == {"b", "c"}
            place = await hub.aio.where(names[0])
            assert (place.node, *place.replicas) == tuple(pid.node for pid in pids)

    play(scenario)


def test_a_follower_that_lost_the_thread_begins_anew_and_leaves_nothing_behind(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1, redundancy=Replication(2))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = await start(hub, LedgerChild, 3)
            await followed(cluster, children, 1)
            (owner,) = originals(cluster, children[0])
            (follower,) = copies(cluster, children[0])
            redis = probe(cluster.nodes[owner]).connection
            following = probe(cluster.nodes[follower]).following
            old = following(0)
            assert old is not None
            # As if the log had been cut before it was read.
            await redis.run(plain("DEL", hub.keys.log(0), read=int))
            await redis.run(plain("HINCRBY", hub.keys.replicas(0), "#", 5, read=int))
            for child in children:
                await hub.aio.ref(child).call("record", "x", 1)
            await eventually(lambda: following(0) not in (None, old), 10.0, "it begins anew")
            await followed(cluster, children, 1)
            await agreed(cluster, children)
            await cluster.drain(follower)
            left = await redis.run(plain("EXISTS", hub.keys.log(0), hub.keys.replicas(0), read=int))
            assert left == 0

    play(scenario)
