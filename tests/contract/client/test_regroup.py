"""A hub is moved to another number of groups with all that it has: nothing is lost, nor done twice, and nobody works on the source."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from hubq import Child, ChildSpec, ConfigError, Hub, HubqError, MailboxFull, RedisUnavailable
from hubq.client.regroup.regroup import Regroup, found_source
from hubq.client.regroup.sides import Side
from hubq.client.regroup.tally import Tally
from hubq.node.node import Node
from hubq.store.command import plain
from hubq.store.connection import Server, SyncRedis
from hubq.store.contents import about, parts_of, scanned
from hubq.testing import Cluster, FakeServer, Ledger, LedgerChild, eventually

pytestmark = pytest.mark.timeout(120)

TIMES: dict[str, Any] = {"lease": 2.0, "lease_margin": 0.4, "heartbeat": 0.1, "shards": 12, "max_backlog": 6}
TALLIES = [f"tally-{n}" for n in range(12)]
RECEIVERS = [f"receiver-{n}" for n in range(6)]
SENDERS = [f"sender-{n}" for n in range(6)]


class Receiver(LedgerChild):
    """Is paused, so that its mailbox fills up."""


class Sender(Child):
    """Says a number to each receiver with each message that it handles, and publishes it."""

    def __init__(self) -> None:
        self.said = 0

    async def say(self) -> int:
        self.said += 1
        for child in RECEIVERS:
            self.ref(Receiver, child).cast(Receiver.record, self.child_id, self.said)
        self.publish("said", self.said)
        return self.said

    async def said_so_far(self) -> int:
        return self.said


class Sleeper(LedgerChild):
    """Goes to rest at once, and has a reminder."""

    async def remind_me(self, after: float) -> None:
        self.remind("later", "reminder", 1, after=after, call=Sleeper.record)


def classes(hub: Hub) -> Hub:
    for each in (LedgerChild, Receiver, Sender):
        hub.child(each)
    hub.child(idle_after=0.2)(Sleeper)
    return hub


def at(server: Any, hub_id: str, groups: int) -> Hub:
    return classes(Hub(hub_id, redis=server, groups=groups, **TIMES))


async def filled(hub: Hub) -> Ledger:
    """A hub with something of everything, and no worker."""
    ledger = Ledger(hub)
    async with Cluster(hub) as cluster:
        await cluster.start("a", "b")
        await cluster.settled()
        await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in TALLIES])
        await hub.aio.start_children([ChildSpec(child, Receiver) for child in RECEIVERS])
        await hub.aio.start_children([ChildSpec(child, Sender) for child in SENDERS])
        await hub.aio.start_child("sleeper", Sleeper)
        for child in TALLIES:
            for _ in range(3):
                await ledger.call("app", child)
        assert await hub.aio.ref("tally-0").options(key="order-7", keep=3600).call("record", "keyed", 1) == 1
        await hub.aio.move("tally-1", "b")
        await hub.aio.pause(Receiver, why="a test")
        for child in SENDERS * 3:
            await hub.aio.ref(child).call("say")
        # The last thing: it is not to ring before the hub is moved, and nobody wants to wait for long.
        await hub.aio.ref("sleeper").call("remind_me", 8.0)

        async def at_rest() -> bool:
            return [child.child_id for child in await hub.aio.children(status="dormant")] == ["sleeper"]

        await eventually(at_rest, 20, "the sleeper rests")
        await cluster.drain("a")
        await cluster.drain("b")
        for child in TALLIES:
            await ledger.cast("late", child)
            await ledger.cast("late", child)
    return ledger


async def goes_on(hub: Hub, ledger: Ledger) -> None:
    """All is there, once and in order, and goes on."""
    ledger.hub = hub
    async with Cluster(hub) as cluster:
        await cluster.start("a", "c")
        await cluster.settled_shards()
        assert [pause.why for pause in await hub.aio.pauses()] == ["a test"]
        for child in TALLIES:
            await ledger.call("app", child)
        assert await hub.aio.ref("tally-0").options(key="order-7", keep=3600).call("record", "keyed", 1) == 1, (
            "run once"
        )
        ledger.sent["keyed", "tally-0"] = [1]
        await hub.aio.resume(Receiver)
        await all_arrived(hub)
        await ledger.check()
        for child in SENDERS:
            events = [event.data async for event in hub.aio.ref(child).feed(follow=False)]
            assert events == list(range(1, len(events) + 1)) and len(events) >= 3

        async def reminded() -> bool:
            entries: dict[str, list[int]] = await hub.aio.ref("sleeper").call("entries")
            return entries == {"reminder": [1]}

        await eventually(reminded, 20, "the reminder of the sleeper")
        assert {child.child_id for child in await hub.aio.children()} == {*TALLIES, *RECEIVERS, *SENDERS, "sleeper"}
        for name in ("a", "c"):
            await cluster.drain(name)


async def all_arrived(hub: Hub) -> None:
    """Each receiver has each number of each sender once, in order; then once more, by the outboxes of the target."""
    for child in SENDERS:
        await hub.aio.ref(child).call("say", timeout=20)
    expected = {child: list(range(1, 5)) for child in SENDERS}

    async def there() -> bool:
        try:
            return [await hub.aio.ref(child).call("entries", timeout=20) for child in RECEIVERS] == [expected] * len(
                RECEIVERS
            )
        except MailboxFull:
            return False

    await eventually(there, 30, "all that was said has arrived, once and in order")


def regrouped(
    server: Any, hub_id: str, groups: int, to: Any = None, connect: Callable[[Server], SyncRedis] = SyncRedis
) -> Tally | None:
    source, record = found_source(hub_id, [server])
    with Side(source, connect) as before, Side(at(to or server, hub_id, groups), connect) as after:
        return Regroup(before, after, record, lambda line: None).run()


#: From so many groups to so many, and whether to another Redis.
MOVES = [
    (1, 4, False),
    (3, 2, True),
    *(pytest.param(*move, marks=pytest.mark.long) for move in [(1, 4, True), (3, 2, False)]),
    *(pytest.param(*groups, to, marks=pytest.mark.long) for groups in [(4, 1), (2, 6)] for to in (False, True)),
]


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize(("before", "after", "elsewhere"), MOVES)
def test_all_of_a_hub_goes_on_in_other_groups(
    make_hub: Any, server: Any, hubq_run: Any, before: int, after: int, elsewhere: bool
) -> None:
    async def scenario() -> None:
        hub_id = make_hub().hub_id
        target = FakeServer() if elsewhere else server
        ledger = await filled(at(server, hub_id, before))
        tally = await asyncio.to_thread(regrouped, server, hub_id, after, target)
        assert tally is not None
        counts = {kind: count.entries for kind, count in tally.counts.items()}
        assert counts["messages"] >= 2 * len(TALLIES) and counts["reminders"] == 3 and counts["dormant children"] == 1
        assert counts["outboxes"] > 10 and counts["kept replies"] == 1 and counts["feeds"] == 3 * len(SENDERS)
        await goes_on(at(target, hub_id, after), ledger)
        assert await asyncio.to_thread(regrouped, server, hub_id, after, target) is None, "done before"

    hubq_run(scenario())


# -- who is refused --------------------------------------------------------------------------------------------------


def test_a_hub_that_is_served_is_refused_and_goes_on(make_hub: Any, server: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        hub_id = make_hub().hub_id
        hub = at(server, hub_id, 1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("x", LedgerChild)
            with pytest.raises(HubqError, match="is served by a: hubq drain them first"):
                await asyncio.to_thread(regrouped, server, hub_id, 4)
            assert await hub.aio.ref("x").call("record", "s", 1) == 1
            await cluster.start("b")
            assert found_source(hub_id, [server]).record is None

    hubq_run(scenario())


@pytest.mark.long_on_fakeredis
def test_who_still_runs_on_the_source_is_refused_and_nothing_of_it_is_lost(
    make_hub: Any, server: Any, hubq_run: Any
) -> None:
    async def scenario() -> None:
        hub_id = make_hub().hub_id
        web, hub = at(server, hub_id, 1), at(server, hub_id, 1)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for child in TALLIES:
                await web.aio.start_child(child, LedgerChild)
                await ledger.call("app", child)
            await cluster.drain("a")
            await asyncio.to_thread(regrouped, server, hub_id, 4)
            group_of = at(server, hub_id, 4).driver.context.group_of
            for child in [child for child in TALLIES if group_of(child) and group_of(f"{child}-new")]:
                with pytest.raises(RedisUnavailable, match="the hub may have been moved"):
                    await web.aio.ref(child).cast("record", "stale", 1)
                with pytest.raises(RedisUnavailable):
                    await web.aio.start_child(f"{child}-new", LedgerChild, timeout=0.5)
            with pytest.raises(ConfigError, match="was created with groups=4, not groups=1"):
                await Node(at(server, hub_id, 1), "b").start()
            await web.aio.close()
        moved = at(server, hub_id, 4)
        ledger.hub = moved
        async with Cluster(moved) as cluster:
            await cluster.start("a")
            await ledger.check()

    hubq_run(scenario())


@pytest.mark.long_on_fakeredis
def test_a_worker_that_was_frozen_all_the_time_changes_nothing(make_hub: Any, server: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        hub_id = make_hub().hub_id
        hub = at(server, hub_id, 1)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for child in TALLIES:
                await hub.aio.start_child(child, LedgerChild)
                await ledger.call("app", child)
            cluster.freeze("a")
            for child in TALLIES:
                await ledger.cast("late", child)

            async def ended() -> bool:
                return [node.lease for node in await hub.aio.nodes() if node.lease > 0] == []

            await eventually(ended, 20, "the lease of a")
            await asyncio.to_thread(regrouped, server, hub_id, 4)
            cluster.thaw("a")
            moved = at(server, hub_id, 4)
            async with Cluster(moved) as after:
                await after.start("b")
                await after.settled()
                assert [node.name for node in await moved.aio.nodes()] == ["b"]
                ledger.hub = moved
                for child in TALLIES:
                    await ledger.call("late", child)
                await ledger.check()

    hubq_run(scenario())


def test_what_is_in_the_way_is_told(make_hub: Any, server: Any) -> None:
    hub_id = make_hub().hub_id
    with pytest.raises(HubqError, match="no hub"):
        regrouped(server, hub_id, 4)
    at(server, hub_id, 1).nodes()
    with pytest.raises(HubqError, match=r"has groups=1 at .* already"):
        regrouped(server, hub_id, 1)
    other = FakeServer()
    at(other, hub_id, 2).nodes()
    with pytest.raises(HubqError, match=r"there is another hub .* \(group 0: 1 group 0 of 2\)"):
        regrouped(server, hub_id, 4, other)
    assert at(server, hub_id, 1).nodes() == [] and at(other, hub_id, 2).nodes() == [], "both are as they were"


# -- a move that ends in the middle ----------------------------------------------------------------------------------


class Killed(BaseException):
    """As SIGKILL: nothing is done after it."""


class Dying(SyncRedis):
    """Lets so many requests pass, those of all connections together."""

    left: ClassVar[list[int]] = [0]

    def run_many(self, commands: Any, *, retry_for: float = 0.0) -> list[Any]:
        if self.left[0] <= 0:
            raise Killed
        self.left[0] -= 1
        return super().run_many(commands, retry_for=retry_for)


def raw(server: Any, *words: Any) -> Any:
    redis = SyncRedis(server)
    try:
        return redis.run(plain(*words, read=lambda found: found))
    finally:
        redis.close()


def content(server: Any, hub_id: str, without: str = "") -> dict[str, Any]:
    """All keys of a hub but those of its move, and what is in them."""
    redis, found = SyncRedis(server), {}
    for name in scanned(redis, f"hubq:{{{hub_id}"):
        key = f"hubq:{{{hub_id}{name}"
        (known,) = about(redis, [key])
        if ":aside:" not in key and ":regroup" not in key and known.ttl_ms < 0:
            entries = sorted(entry for part in parts_of(redis, key, known.type) for entry in part.entries)
            # (A move has an id, which is the generation of what it puts into outboxes.)
            found[name] = [
                tuple(b"move" if value.startswith(b"regroup.") else value for value in entry) for entry in entries
            ]
    redis.close()
    return found


def moved_with_death(server: Any, hub_id: str, groups: int, requests: int) -> bool:
    """Whether a move has come to its end before it was killed."""
    Dying.left[0] = requests
    try:
        regrouped(server, hub_id, groups, connect=Dying)
    except Killed:
        raw(server, "DEL", f"hubq:{{{hub_id}}}:regroup:lock")  # it outlives its owner for half a minute
        return False
    return True


def copies_of(server: Any, hub_id: str) -> Iterator[FakeServer]:
    """The same Redis again and again: as it is when the first is asked for."""
    redis = SyncRedis(server)
    lasting = [name for name in scanned(redis, "") if about(redis, [name])[0].ttl_ms == -1]
    restore = [plain("RESTORE", name, 0, raw(server, "DUMP", name), read=lambda found: found) for name in lasting]
    redis.close()
    while True:
        copy = FakeServer()
        other = SyncRedis(copy)
        for command in restore:
            other.run(command)
        other.close()
        yield copy


@pytest.mark.long
@pytest.mark.parametrize(("before", "after"), [(1, 2), (4, 2)])
def test_a_move_that_is_killed_anywhere_and_run_again_ends_as_if_it_was_not(
    hubq_run: Any, before: int, after: int
) -> None:
    server, hub_id = FakeServer(), "killed"
    hubq_run(filled(at(server, hub_id, before)))
    copies = copies_of(server, hub_id)
    whole = next(copies)
    assert moved_with_death(whole, hub_id, after, 1_000_000)
    requests, wanted = 1_000_000 - Dying.left[0], content(whole, hub_id)
    assert requests > 100 and any(":outbox" in name for name in wanted)
    for killed_after in range(0, requests, max(1, requests // 12)):
        copy = next(copies)
        assert not moved_with_death(copy, hub_id, after, killed_after)
        moved_with_death(copy, hub_id, after, killed_after // 2)
        assert moved_with_death(copy, hub_id, after, 1_000_000)
        assert content(copy, hub_id) == wanted, f"killed after {killed_after} of {requests} requests"


@pytest.mark.long
def test_a_move_that_is_given_up_leaves_the_hub_as_it_was(hubq_run: Any) -> None:
    server, hub_id = FakeServer(), "given-up"
    hubq_run(filled(at(server, hub_id, 1)))
    copies = copies_of(server, hub_id)
    whole, unmoved = next(copies), content(server, hub_id)
    assert moved_with_death(whole, hub_id, 4, 1_000_000)
    requests = 1_000_000 - Dying.left[0]
    given_up = 0
    for killed_after in range(0, requests, max(1, requests // 12)):
        copy = next(copies)
        assert not moved_with_death(copy, hub_id, 4, killed_after)
        source, record = found_source(hub_id, [copy])
        if record is None or record.phase != "copying":
            continue
        with pytest.raises(ConfigError):
            at(copy, hub_id, 4).nodes()
        with Side(source) as one, Side(at(copy, hub_id, 4)) as two:
            Regroup(one, two, record, lambda line: None).abandon()
        assert content(copy, hub_id) == unmoved, f"killed after {killed_after} of {requests} requests"
        given_up += 1
    assert given_up > 6


def test_one_move_at_a_time(make_hub: Any, server: Any) -> None:
    hub_id = make_hub().hub_id
    at(server, hub_id, 1).nodes()
    raw(server, "SET", f"hubq:{{{hub_id}}}:regroup:lock", "somebody", "PX", 30_000)
    with pytest.raises(HubqError, match=r"another hubq regroup of .* runs, or was killed less than 30 s ago"):
        regrouped(server, hub_id, 4)


@pytest.mark.long_on_fakeredis
def test_the_source_is_deleted_when_that_is_asked_and_the_next_move_waits_for_it(
    make_hub: Any, server: Any, hubq_run: Any
) -> None:
    async def scenario() -> None:
        hub_id = make_hub().hub_id
        ledger = await filled(at(server, hub_id, 2))
        await asyncio.to_thread(regrouped, server, hub_id, 4)
        with pytest.raises(HubqError, match="has keys of an earlier move to groups=4: delete them first"):
            await asyncio.to_thread(regrouped, server, hub_id, 6)
        source, record = found_source(hub_id, [server])
        with Side(source) as before, Side(at(server, hub_id, 4)) as after:
            deleted = Regroup(before, after, record, lambda line: None).delete_source()
        assert deleted > 50 and not [name for name in scanned(SyncRedis(server), f"hubq:{{{hub_id}") if "aside" in name]
        await asyncio.to_thread(regrouped, server, hub_id, 6)
        await goes_on(at(server, hub_id, 6), ledger)

    hubq_run(scenario())
