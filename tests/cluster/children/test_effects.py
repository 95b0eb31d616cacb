"""What children say to one another leaves with the commit: once, in order, or not at all (docs/effects.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from hubq import CallFailed, Child, HotSwap, Hub, MailboxFull, OutsideHandler, Replication, UnknownChild
from hubq.core.hashing import shard_of
from hubq.store.command import plain
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, interfere, probe
from tests.cluster import scenes

GATES: dict[str, asyncio.Event] = {}


class Sink(LedgerChild):
    """Writes down what other children say."""


class SlowSink(LedgerChild):
    """Its messages wait until the test lets them go."""

    async def record(self, sender: str, number: int) -> int:
        await GATES.setdefault(self.child_id, asyncio.Event()).wait()
        return await super().record(sender, number)


class Relay(LedgerChild):
    """Tells its sinks of each message that it has applied, with a number of its own for each sink."""

    sinks: ClassVar[tuple[str, ...]] = ("sink-1", "sink-2")

    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    async def record(self, sender: str, number: int) -> int:
        self.tell()
        return await super().record(sender, number)

    def tell(self) -> None:
        self.told += 1
        for sink in self.sinks:
            self.ref(sink).cast("record", self.child_id, self.told)

    async def fail(self) -> None:
        self.tell()
        raise ValueError("after it had told them")


class Keeping(Relay):
    on_error = "keep"


class Saving(Relay):
    durability = "interval"
    save_every = 60.0


class Forgetful(Relay):
    durability = "handover"


@pytest.fixture(autouse=True)
def nothing_held() -> None:
    GATES.clear()


async def started(hub: Hub, **children: type[Child]) -> None:
    await scenes.started(hub, Sink, SlowSink, Relay, **children)


async def said(hub: Hub, sink: str, relay: str, count: int) -> None:
    """Wait until a sink has so many messages of a relay, each once and in order."""

    async def heard() -> bool:
        try:
            numbers = (await hub.aio.ref(sink).call("entries")).get(relay, [])
        except MailboxFull:
            return False
        assert numbers == list(range(1, len(numbers) + 1)), f"{sink} heard of {relay}: {numbers}"
        return len(numbers) >= count

    await eventually(heard, what=f"{sink} has heard {count} of {relay}")
    assert len((await hub.aio.ref(sink).call("entries")).get(relay, [])) == count


def test_what_a_handler_says_arrives_once_and_in_order(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await started(hub, sink_1=Sink, sink_2=Sink, relay=Relay, other=Relay)
            for _ in range(20):
                await ledger.cast("s", "relay")
                await ledger.call("s", "other")
            for sink in ("sink-1", "sink-2"):
                await said(hub, sink, "relay", 20)
                await said(hub, sink, "other", 20)
            await ledger.check()

    asyncio.run(scenario())


@pytest.mark.parametrize(("kind", "count"), [(Relay, 1), (Keeping, 2)])
def test_a_handler_that_raises_has_said_nothing_unless_it_keeps(make_hub: Any, kind: Any, count: int) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, sink_1=Sink, sink_2=Sink, relay=kind)
            with pytest.raises(CallFailed, match="after it had told them"):
                await hub.aio.ref("relay").call("fail")
            await hub.aio.ref("relay").call("record", "s", 1)
            await said(hub, "sink-1", "relay", count)

    asyncio.run(scenario())


class Starter(Child):
    """Starts sinks, and tells them something."""

    async def begin(self, name: str) -> None:
        sink = self.ref(Sink, name)
        sink.start()
        sink.cast(Sink.record, self.child_id, 1)

    async def wrong(self, what: str) -> None:
        match what:
            case "method":
                self.ref(Sink, "x").cast("recrod", 1)
            case "class":
                self.ref("x").start()
            case "id":
                self.ref("").cast("record")
            case "arguments":
                self.ref("x").cast("record", (n for n in ()))
            case "target":
                self.ref(int, "x").start()


def test_a_child_starts_others(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await started(hub, starter=Starter)
            await hub.aio.ref("starter").call("begin", "new")
            await eventually(lambda: cluster.copies("new"))
            await said(hub, "new", "starter", 1)
            await hub.aio.ref("new").call("record", "s", 1)
            await hub.aio.ref("starter").call("begin", "new")
            entries = await hub.aio.ref("new").call("entries")
            assert entries["s"] == [1], "it was there: it goes on as it was"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("method", "UnknownMethod: .*recrod.*it has: entries, record"),
        ("class", "ConfigError: child 'x' cannot be started by its name alone"),
        ("id", "InvalidChildId: child id is empty"),
        ("arguments", "NotSendable: the arguments of x.record cannot be pickled"),
        ("target", "ConfigError: .*int.* cannot be a child"),
    ],
)
def test_what_cannot_be_said_is_an_error_in_the_handler(make_hub: Any, what: str, error: str) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, starter=Starter)
            with pytest.raises(Exception) as raised:
                await hub.aio.ref("starter").call("wrong", what)
            said_so = f"{type(raised.value).__name__}: {raised.value}"
            trace = getattr(raised.value, "remote_traceback", "") or said_so
            kind, _, text = error.partition(": ")
            assert kind in said_so or kind in trace
            raised.match(text)

    asyncio.run(scenario())


def test_outside_a_handler_nothing_can_be_said(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await started(hub, sink_1=Sink, sink_2=Sink, relay=Relay)
            await hub.aio.ref("relay").call("entries")
            relay = next(child for child in probe(node).children() if child.child_id == "relay")
            with pytest.raises(OutsideHandler, match="'relay' has no message in hand"):
                relay.instance.tell()

    asyncio.run(scenario())


class Ticker(Relay):
    """Says something in its ``run()``."""

    steps: ClassVar[asyncio.Queue[str]]

    async def run(self) -> None:
        while True:
            step = await self.steps.get()
            try:
                match step:
                    case "tell":
                        self.tell()
                    case "commit":
                        await self.commit()
                    case "raise":
                        raise RuntimeError("run() has a fault")
            finally:
                self.steps.task_done()


@pytest.fixture
def steps() -> Any:
    async def step(*words: str) -> None:
        for word in words:
            Ticker.steps.put_nowait(word)
            await Ticker.steps.join()

    return step


def test_what_run_says_leaves_with_its_commit_and_is_undone_with_it(make_hub: Any, steps: Any) -> None:
    async def scenario() -> None:
        Ticker.steps = asyncio.Queue()
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, sink_1=Sink, sink_2=Sink, ticker=Ticker)
            await steps("tell", "tell")
            assert await hub.aio.ref("sink-1").call("entries") == {}
            await steps("commit")
            await said(hub, "sink-1", "ticker", 2)
            await steps("tell", "raise")
            await steps("tell", "commit")
            await said(hub, "sink-1", "ticker", 3)

    asyncio.run(scenario())


def test_a_message_that_is_handled_meanwhile_takes_along_what_run_has_said(make_hub: Any, steps: Any) -> None:
    """Its commit saves the state, which holds what ``run()`` has changed."""

    async def scenario() -> None:
        Ticker.steps = asyncio.Queue()
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, sink_1=Sink, sink_2=Sink, ticker=Ticker)
            await steps("tell")
            await hub.aio.ref("ticker").call("record", "s", 1)
            await said(hub, "sink-1", "ticker", 2)

    asyncio.run(scenario())


def test_a_move_takes_along_what_run_has_said_since_its_last_commit(make_hub: Any, steps: Any) -> None:
    async def scenario() -> None:
        Ticker.steps = asyncio.Queue()
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, sink_1=Sink, sink_2=Sink, ticker=Ticker)
            await steps("tell")
            await cluster.start("b")
            await cluster.drain("a")
            await said(hub, "sink-1", "ticker", 1)
            await steps("tell", "commit")
            await said(hub, "sink-1", "ticker", 2)

    asyncio.run(scenario())


def test_with_interval_what_was_said_leaves_with_the_save(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, sink_1=Sink, sink_2=Sink, relay=Saving)
            for number in (1, 2, 3):
                await hub.aio.ref("relay").call("record", "s", number)
            assert await hub.aio.ref("sink-1").call("entries") == {}
            await cluster.start("b")
            await cluster.drain("a")  # saves
            await said(hub, "sink-1", "relay", 3)

    asyncio.run(scenario())


def test_with_interval_a_crash_sends_once_what_is_handled_again(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, sink_1=Sink, sink_2=Sink, relay=Saving)
            for number in (1, 2, 3):
                await hub.aio.ref("relay").call("record", "s", number)
            await cluster.kill("a")
            await cluster.start("b")
            await hub.aio.ref("relay").call("entries", timeout=20)
            await cluster.drain("b")  # saves
            await cluster.start("c")
            await said(hub, "sink-1", "relay", 3)

    asyncio.run(scenario())


def test_with_handover_what_was_said_leaves_with_the_message(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, sink_1=Sink, sink_2=Sink, relay=Forgetful)
            await hub.aio.ref("relay").call("record", "s", 1)
            await said(hub, "sink-1", "relay", 1)

    asyncio.run(scenario())


def test_a_child_that_ends_says_its_last_word(make_hub: Any) -> None:
    class Leaving(Relay):
        async def leave(self) -> None:
            self.tell()
            self.stop()

    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, sink_1=Sink, sink_2=Sink, relay=Leaving)
            await hub.aio.ref("relay").call("leave")
            await said(hub, "sink-1", "relay", 1)

    asyncio.run(scenario())


# -- moves, crashes, lost answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["join", "drain", "kill", "partition"])
def test_nothing_is_lost_or_said_twice_whatever_happens_to_the_nodes(make_hub: Any, fault: str) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=8)
        ledger = Ledger(hub)
        relays = [f"relay-{n}" for n in range(6)]
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await started(hub, sink_1=Sink, sink_2=Sink, **{name.replace("-", "_"): Relay for name in relays})
            sending = asyncio.Event()

            async def send(relay: str) -> None:
                while not sending.is_set():
                    await ledger.call("s", relay)

            senders = [asyncio.create_task(send(relay)) for relay in relays]
            await said_some(hub, 10)
            match fault:
                case "join":
                    await cluster.start("c")
                    await cluster.settled()
                case "drain":
                    await cluster.drain("a")
                case "kill":
                    await cluster.kill("a")
                    await cluster.settled()
                case "partition":
                    cluster.partition("a")
                    await eventually(lambda: not probe(cluster.nodes["a"]).shards_open)
                    cluster.heal("a")
                    await cluster.settled()
            sending.set()
            await asyncio.gather(*senders)
            await ledger.check()
            for relay in relays:
                done = len((await hub.aio.ref(relay).call("entries"))["s"])
                for sink in ("sink-1", "sink-2"):
                    await said(hub, sink, relay, done)

    asyncio.run(scenario())


async def said_some(hub: Hub, count: int) -> None:
    async def enough() -> bool:
        return sum(map(len, (await hub.aio.ref("sink-1").call("entries")).values())) >= count

    await eventually(enough)


def test_a_commit_whose_answer_is_lost_sends_once(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await started(hub, sink_1=Sink, sink_2=Sink, relay=Relay)
            with interfere.answers_lost(node, is_commit, most=5) as lost:
                for _ in range(30):
                    await ledger.call("s", "relay")
                assert len(lost) == 5
            await said(hub, "sink-1", "relay", 30)
            await said(hub, "sink-2", "relay", 30)
            await ledger.check()

    asyncio.run(scenario())


def is_commit(args: Any) -> bool:
    from hubq.store.scripts import SCRIPTS

    return bool(args[0] == "EVALSHA" and args[1] == SCRIPTS["commit_shards"].sha)


# -- the outbox -----------------------------------------------------------------------------------------------------


class ToSlow(Relay):
    sinks = ("slow", "sink-1")


def letting_go(child: str) -> Callable[[], None]:
    return GATES.setdefault(child, asyncio.Event()).set


def test_a_full_mailbox_makes_the_outbox_wait_and_nobody_else(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4, max_backlog=5)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await started(hub, slow=SlowSink, sink_1=Sink, relay=ToSlow)
            for _ in range(20):
                await ledger.call("s", "relay")  # the commit does not wait
            await said(hub, "sink-1", "relay", 20)
            letting_go("slow")()
            await said(hub, "slow", "relay", 20)
            await ledger.check()
            length = plain("EXISTS", *hub.keys.outbox_keys(shard_of("relay", 4)), read=int)
            assert await probe(cluster.nodes["a"]).connection.run(length) == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["kill", "drain"])
def test_the_next_owner_empties_the_outbox(make_hub: Any, how: str) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4, max_backlog=5)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, slow=SlowSink, sink_1=Sink, relay=ToSlow)
            for _ in range(20):
                await ledger.call("s", "relay")
            await cluster.start("b")
            await (cluster.kill("a") if how == "kill" else cluster.drain("a"))
            letting_go("slow")()
            await said(hub, "slow", "relay", 20)
            await said(hub, "sink-1", "relay", 20)
            await ledger.check()

    asyncio.run(scenario())


def test_a_pinned_child_says_what_it_says_from_its_pin(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4, max_backlog=5)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            await started(hub, slow=SlowSink, sink_1=Sink, relay=ToSlow)
            owner = (await hub.aio.where("relay")).node
            other = "b" if owner == "a" else "a"
            await hub.aio.move("relay", other)
            for _ in range(20):
                await ledger.call("s", "relay")
            await cluster.kill(other)  # its pin is dissolved; the owner of the shard finds the outbox
            letting_go("slow")()
            await said(hub, "slow", "relay", 20)
            await said(hub, "sink-1", "relay", 20)
            await ledger.check()

    asyncio.run(scenario())


# -- copies ---------------------------------------------------------------------------------------------------------


def test_copies_say_nothing(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(
            shards=4, redundancy=Replication(replication_factor=2, replication_model="active_active"),
            migration=HotSwap(),
        )  # fmt: skip
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await started(hub, sink_1=Sink, sink_2=Sink, relay=Relay)
            for _ in range(10):
                await ledger.call("s", "relay")
            await said(hub, "sink-1", "relay", 10)
            await cluster.kill("a")
            for _ in range(10):
                await ledger.call("s", "relay")
            await said(hub, "sink-1", "relay", 20)
            await ledger.check()

    asyncio.run(scenario())


class Ender(Child):
    """Ends itself, and may fail after that."""

    async def end(self, fails: bool) -> str:
        self.stop()
        if fails:
            raise ValueError("not yet")
        return "bye"

    def end_in_thread(self, fails: bool) -> str:
        self.stop()
        if fails:
            raise ValueError("not yet")
        return "bye"


class Keeper(Ender):
    on_error = "keep"


@pytest.mark.parametrize("method", ["end", "end_in_thread"])
def test_a_stop_is_undone_with_its_message(make_hub: Any, hubq_run: Any, method: str) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            for name, kind in (("ender", Ender), ("keeper", Keeper)):
                await hub.aio.start_child(name, kind)
                with pytest.raises(CallFailed, match="not yet"):
                    await hub.aio.ref(name).call(method, True)
            assert await hub.aio.ref("ender").call(method, False) == "bye"
            for name in ("ender", "keeper"):
                with pytest.raises(UnknownChild):
                    await hub.aio.ref(name).call(method, False)

    hubq_run(scenario())
