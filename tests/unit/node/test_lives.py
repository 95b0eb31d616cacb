"""Children begin with their state, start, run, and are restarted by their policy."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq.core.child import Child, FunctionChild
from hubq.core.lifecycle import Life, LifeEvent
from hubq.errors import RedisUnavailable, StartFailed
from hubq.hooks import ChildData
from hubq.hooks.book import Hook
from hubq.node.children.activity import Activity
from hubq.node.held.holding import HostedChild
from hubq.store.codec import encode
from hubq.store.envelope import Envelope
from tests.unit.node.fakes import REDIS_MS, Seen
from tests.unit.node.household import Household, call, cast_of, replies
from tests.unit.node.test_outcomes import Witness


class Room(Child):
    def __init__(self, n: int = 0) -> None:
        self.n = n

    async def add(self, many: int) -> int:
        self.n += many
        return self.n


class Tally(Room):
    durability = "interval"


class Slow(Room):
    """Starts when it may."""

    may_start: ClassVar[asyncio.Event]

    async def on_start(self) -> None:
        await self.may_start.wait()


class Loops(Room):
    """Its ``run()`` fails whenever it is told to."""

    runs: ClassVar[Seen]
    fail: ClassVar[asyncio.Event]
    instances: ClassVar[list[Any]]

    async def run(self) -> None:
        self.instances.append(self)
        self.runs.again()
        await self.fail.wait()
        self.fail.clear()
        raise ValueError("its loop broke")


def looping(**attributes: Any) -> type[Loops]:
    """A class of its own for each test."""
    return type("Loops", (Loops,), {"runs": Seen(), "fail": asyncio.Event(), "instances": [], **attributes})


def saved(n: int, cursor: str = "4-0") -> Envelope:
    return Envelope("attributes", cursor, encode({"n": n}))


def n_of(hosted: HostedChild) -> Any:
    assert isinstance(hosted.instance, Room)
    return hosted.instance.n


async def reaches(hosted: HostedChild, life: Life) -> None:
    """Wait until a child stands there."""
    async with asyncio.timeout(5):
        while hosted.life is not life:
            await hosted.changed()


# -- built ---------------------------------------------------------------------------------------------------------


def test_a_child_is_built_with_its_arguments_and_is_not_in_the_holding_yet() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.builder.build(home.shard, "room-1", home.record(Room, 5))
            assert n_of(hosted) == 5 and hosted.life is Life.BUILT and home.shard.children == {}
            assert hosted.instance is not None and hosted.instance.child_id == "room-1"
            assert hosted.instance.node_name == "a"

    asyncio.run(scenario())


def test_what_cannot_be_built_says_why() -> None:
    class Broken(Child):
        def __init__(self) -> None:
            raise ValueError("no network")

    async def scenario() -> None:
        async with Household(Broken) as home:
            with pytest.raises(StartFailed, match="'room-1' .*Broken.* cannot be built: ValueError: no network"):
                home.builder.build(home.shard, "room-1", home.record(Broken))
            with pytest.raises(StartFailed, match="cannot import 'Room' from module 'nowhere'"):
                home.builder.build(home.shard, "room-1", home.record(Room).__class__("Room", "nowhere", "s:1"))

    asyncio.run(scenario())


def test_a_hook_may_alter_what_a_child_is_built_with() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:

            def alter(data: ChildData) -> ChildData:
                return ChildData(data.hub_id, data.node, data.child_id, data.name, (7,), {}, {"by": "hook"})

            home.book.add(Hook("child_data_alter", alter))
            hosted = home.builder.build(home.shard, "room-1", home.record(Room, 5))
            assert n_of(hosted) == 7 and hosted.metadata == {"by": "hook"} and hosted.record.start_id == "s:1"

    asyncio.run(scenario())


# -- begun ---------------------------------------------------------------------------------------------------------


def test_a_child_begins_with_its_saved_state_and_handles_what_waits() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.build(Room)
            home.pumps.offer(hosted, call("add", 2))
            home.lives.begin(hosted, saved(40))
            assert hosted.life is Life.RUNNING and hosted.saved and hosted.cursor == "4-0"
            await home.handled(hosted)
            assert replies(home.shard.effects) == [("ok", 42)]

    asyncio.run(scenario())


def test_a_child_that_starts_slowly_keeps_its_messages_waiting() -> None:
    async def scenario() -> None:
        Slow.may_start = asyncio.Event()
        async with Household(Slow) as home:
            hosted = home.child(Slow)
            started = asyncio.create_task(hosted.has_started())
            home.pumps.offer(hosted, call("add", 2))
            await asyncio.sleep(0)
            assert hosted.life is Life.STARTING and not started.done() and not hosted.busy
            Slow.may_start.set()
            await asyncio.wait_for(started, 5)
            await home.handled(hosted)
            assert replies(home.shard.effects) == [("ok", 2)]

    asyncio.run(scenario())


def test_a_state_that_cannot_be_restored_parks_the_child() -> None:
    class Picky(Room):
        def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
            raise ValueError("from another world")

    async def scenario() -> None:
        async with Household(Picky) as home:
            hosted = home.build(Picky)
            home.pumps.offer(hosted, call("add", 2))
            home.lives.begin(hosted, saved(1))
            reason = "its state cannot be restored: ValueError: from another world"
            assert hosted.life is Life.PARKED and hosted.reason == reason and hosted.queue is None
            assert home.shard.effects.parked == {"room-1": reason}
            assert home.events.added == [("child_parked", {"child": "room-1", "shard": 0, "reason": reason})]
            await asyncio.wait_for(home.queue.waits(), 5)

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [ValueError("no network"), asyncio.CancelledError("no network")])
def test_on_start_that_raises_parks_the_child(error: BaseException) -> None:
    class Fails(Room):
        async def on_start(self) -> None:
            raise error

    async def scenario() -> None:
        async with Household(Fails) as home:
            home.quiet.add("room-1")
            hosted = home.child(Fails)
            await asyncio.wait_for(hosted.has_started(), 5)
            assert hosted.life is Life.PARKED
            assert hosted.reason == f"on_start raised {type(error).__name__}: no network"
            assert home.events.added == []  # it is quiet

    asyncio.run(scenario())


def test_a_child_that_goes_while_it_starts_does_not_run() -> None:
    async def scenario() -> None:
        Slow.may_start = asyncio.Event()
        async with Household(Slow) as home:
            gone, stopped = home.child(Slow), home.child(Slow, child="room-2")
            home.endings.stop_requested(stopped)
            assert stopped.life is Life.ENDED
            gone.moved(LifeEvent.END)
            Slow.may_start.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert gone.life is Life.ENDED and home.shard.effects.ended == {"room-2": "s:1"}

    asyncio.run(scenario())


def test_the_followers_hear_of_a_child_that_begins() -> None:
    class Begins(Witness):
        begins = 0

        def begun(self, hosted: HostedChild) -> None:
            self.begins += 1

    async def scenario() -> None:
        recorder = Begins()
        async with Household(Room, recorder=recorder) as home:
            home.child(Room)
            await asyncio.wait_for(home.queue.waits(), 5)
            assert recorder.begins == 1

    asyncio.run(scenario())


def test_what_an_interval_child_answered_elsewhere_comes_again() -> None:
    async def scenario() -> None:
        async with Household(Room, Tally) as home:
            home.child(Tally)  # no node has ever had it
            assert home.shard.replays == {}
            home.lives.begin(home.build(Room, child="room-2"), None)
            home.lives.begin(home.build(Tally, child="room-3"), None)
            assert home.shard.replays == {"room-3": pytest.approx(REDIS_MS + 1000)}

    asyncio.run(scenario())


# -- run() ---------------------------------------------------------------------------------------------------------


def test_a_loop_that_fails_begins_anew_with_the_last_commit() -> None:
    async def scenario() -> None:
        kind = looping()
        async with Household(kind) as home:
            home.redis.answer = lambda command: saved(40)
            home.keep_committing()
            hosted = home.child(kind)
            await kind.runs.until(1)
            kind.fail.set()
            await kind.runs.until(2)
            first, second = kind.instances
            assert first is not second is hosted.instance and second.n == 40 and hosted.saved
            assert home.redis.names() == ["HGET"] and [name for name, _ in home.events.added] == ["child_restarted"]

    asyncio.run(scenario())


def test_a_restart_waits_for_the_message_in_hand_and_for_its_commit() -> None:
    async def scenario() -> None:
        class Waits(looping()):  # type: ignore[misc]
            may_end = asyncio.Event()

            async def wait(self) -> None:
                await self.may_end.wait()

        async with Household(Waits) as home:
            home.redis.answer = lambda command: None
            hosted = home.child(Waits)
            await Waits.runs.until(1)
            home.pumps.offer(hosted, cast_of("wait"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert hosted.busy
            Waits.fail.set()
            await reaches(hosted, Life.BUILT)
            home.pumps.offer(hosted, cast_of("wait", entry="6-0"))
            home.commit()
            assert home.redis.asked == []
            Waits.may_end.set()
            await asyncio.wait_for(hosted.at_boundary(), 5)
            await asyncio.wait_for(home.queue.waits(), 5)
            assert home.shard.effects.done == {"room-1": [b"5-0"]} and home.redis.asked == []
            home.keep_committing()
            home.queue.changed()
            await Waits.runs.until(2)
            await home.handled(hosted)
            assert home.redis.names() == ["HGET"] and hosted.life is Life.RUNNING

    asyncio.run(scenario())


def test_a_restart_waits_for_redis() -> None:
    async def scenario() -> None:
        kind = looping()
        async with Household(kind) as home:
            answers: list[Any] = [RedisUnavailable("away"), saved(40)]
            home.redis.answer = lambda command: answers.pop(0)
            home.keep_committing()
            hosted = home.child(kind)
            await kind.runs.until(1)
            kind.fail.set()
            await kind.runs.until(2)
            assert n_of(hosted) == 40 and answers == []

    asyncio.run(scenario())


def test_a_child_whose_shard_has_gone_is_not_restarted() -> None:
    async def scenario() -> None:
        kind = looping()
        async with Household(kind) as home:
            hosted = home.child(kind)
            await kind.runs.until(1)
            kind.fail.set()
            await reaches(hosted, Life.BUILT)
            home.register.drop(home.shard)  # it waits for a commit that will never be
            await home.background.stop()
            assert home.redis.asked == [] and hosted.life is Life.BUILT and len(kind.instances) == 1

    asyncio.run(scenario())


def test_an_interval_child_reads_its_messages_again_when_it_is_restarted() -> None:
    async def scenario() -> None:
        kind = looping(durability="interval", save_every=60.0)
        async with Household(kind) as home:
            home.redis.answer = lambda command: saved(40)
            hosted = home.child(kind)
            await home.handled(hosted, cast_of("add", 1))
            assert hosted.unsaved == [b"5-0"]
            await kind.runs.until(1)
            home.keep_committing()
            kind.fail.set()
            await kind.runs.until(2)
            assert hosted.unsaved is None and hosted.queue is None and n_of(hosted) == 40
            assert home.shard.behind == {"room-1": b"0"} and home.shard.replays

    asyncio.run(scenario())


def test_a_child_that_cannot_be_built_anew_is_parked() -> None:
    async def scenario() -> None:
        kind = looping()
        async with Household(kind) as home:
            home.redis.answer = lambda command: None
            home.keep_committing()
            hosted = home.child(kind)
            await kind.runs.until(1)

            def broken(self: Any) -> None:
                raise ValueError("no network any more")

            kind.__init__ = broken  # type: ignore[method-assign, assignment]
            kind.fail.set()
            await reaches(hosted, Life.PARKED)
            assert "ValueError: no network any more" in hosted.reason

    asyncio.run(scenario())


def test_too_many_restarts_park_the_child() -> None:
    async def scenario() -> None:
        kind = looping(max_restarts=1, restart_within=60.0)
        async with Household(kind) as home:
            home.redis.answer = lambda command: None
            home.keep_committing()
            hosted = home.child(kind)
            await kind.runs.until(1)
            kind.fail.set()
            await kind.runs.until(2)
            kind.fail.set()
            await reaches(hosted, Life.PARKED)
            assert hosted.reason == "run() ended more than 1 times in 60 s"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("restart", "fails", "after"),
    [
        ("temporary", True, Life.ENDED),
        ("transient", False, Life.ENDED),
        ("transient", True, Life.BUILT),
        ("permanent", False, Life.BUILT),
    ],
)
def test_what_follows_the_end_of_a_function(restart: str, fails: bool, after: Life) -> None:
    async def scenario() -> None:
        ended = asyncio.Event()

        class Function(FunctionChild):
            async def run(self) -> None:
                await ended.wait()
                if fails:
                    raise ValueError("it broke")

        async with Household(Function) as home:
            hosted = home.child(Function, restart=restart)
            ended.set()
            await reaches(hosted, after)

    asyncio.run(scenario())


def test_a_loop_that_is_done_leaves_its_child_alive() -> None:
    async def scenario() -> None:
        class Done(Room):
            async def run(self) -> None:
                pass

        async with Household(Done) as home:
            hosted = home.child(Done)
            assert hosted.run_task is not None
            await asyncio.wait([hosted.run_task])
            await home.handled(hosted, call("add", 1))
            assert replies(home.shard.effects) == [("ok", 1)] and hosted.run_task is None

    asyncio.run(scenario())


def test_no_loop_begins_twice_and_one_that_is_slow_to_end_is_waited_for() -> None:
    async def scenario() -> None:
        may_end, runs = asyncio.Event(), Seen()

        class Stubborn(Room):
            at_once = 0

            async def run(self) -> None:
                Stubborn.at_once += 1
                assert Stubborn.at_once == 1
                runs.again()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    await may_end.wait()
                    raise
                finally:
                    Stubborn.at_once -= 1

        async with Household(Stubborn, stop_timeout=0.0) as home:
            hosted = home.child(Stubborn)
            await runs.until(1)
            first = hosted.run_task
            home.lives.start_run(hosted)
            assert hosted.run_task is first
            await home.saver.end_run(hosted)
            home.lives.start_run(hosted)
            assert hosted.run_task is first
            may_end.set()
            await runs.until(2)
            assert hosted.run_task is not first

    asyncio.run(scenario())


def test_without_a_quorum_no_loop_runs_and_afterwards_all_go_on() -> None:
    async def scenario() -> None:
        kind = looping()
        async with Household(kind) as home:
            running = home.child(kind)
            await kind.runs.until(1)
            home.lives.hold_back()
            assert home.gate.closed
            late = home.child(kind, child="room-2")
            assert running.run_task is not None
            await asyncio.wait([running.run_task])
            assert late.run_task is None
            home.lives.go_on()
            await kind.runs.until(3)
            assert not home.gate.closed and {running.instance, late.instance} == set(kind.instances)

    asyncio.run(scenario())


def test_a_loop_whose_shard_is_closed_meanwhile_waits_for_its_opening() -> None:
    async def scenario() -> None:
        kind = looping()
        async with Household(kind, closed=True) as home:
            hosted = home.child(kind)
            home.shard.close_intake()
            home.lives.go_on()
            assert hosted.run_task is None
            home.shard.open_intake()
            home.lives.start_run(hosted)
            await kind.runs.until(1)

    asyncio.run(scenario())


# -- active and passive --------------------------------------------------------------------------------------------


class Signalled(Room):
    heard: ClassVar[list[tuple[str, str]]]
    times: ClassVar[Seen]

    def on_redundancy_signal(self, mode: str) -> None:
        self.heard.append((self.child_id, mode))
        self.times.again()


BOTH = frozenset({"active", "passive"})


def signalled() -> type[Signalled]:
    return type("Signalled", (Signalled,), {"heard": [], "times": Seen()})


def test_a_child_hears_that_it_is_active_before_its_first_message() -> None:
    async def scenario() -> None:
        kind = signalled()
        async with Household(kind, Room, heard=BOTH) as home:
            hosted = home.child(kind)
            assert hosted.life is Life.STARTING
            await asyncio.wait_for(hosted.has_started(), 5)
            assert kind.heard == [("room-1", "active")]
            assert home.child(Room, child="room-2").life is Life.RUNNING  # it does not want to know

    asyncio.run(scenario())


def test_only_what_the_hub_asks_for_is_announced_and_a_signal_that_raises_harms_nobody() -> None:
    async def scenario() -> None:
        class Raises(Room):
            async def on_redundancy_signal(self, mode: str) -> None:
                raise ValueError(mode)

        kind = signalled()
        async with Household(kind, Raises, heard=frozenset({"passive"})) as home:
            hosteds = [home.build(Raises), home.build(kind, child="room-2")]
            await home.signals.announce(hosteds, "active")
            assert kind.heard == []
            await home.signals.announce(hosteds, "passive")
            assert kind.heard == [("room-2", "passive")]

    asyncio.run(scenario())


def test_a_copy_is_active_while_its_node_surely_owns_it() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            assert hosted.instance is not None and hosted.instance.redundancy_mode == "active"
            home.shard.deactivate()
            assert hosted.instance.redundancy_mode == "passive"
            home.shard.activate()
            home.clock.now += 4.5
            assert hosted.instance.redundancy_mode == "passive"
        async with Household(Room, all_active=True) as home:
            hosted = home.child(Room)
            home.clock.now += 4.5
            assert hosted.instance is not None and hosted.instance.redundancy_mode == "active"

    asyncio.run(scenario())


def test_children_hear_when_their_node_is_in_doubt_and_when_it_is_not_any_more() -> None:
    async def scenario() -> None:
        kind = signalled()
        async with Household(kind, heard=BOTH) as home:
            kept, left = home.child(kind), home.child(kind, child="room-2")
            await asyncio.gather(kept.has_started(), left.has_started())
            kind.heard.clear()
            activity = Activity(home.standing, home.signals, home.register)
            home.clock.now += 4.5
            activity.start()
            await kind.times.until(4)
            assert kind.heard == [("room-1", "passive"), ("room-2", "passive")]
            left.holding.detach("room-2")
            pin = home.shard.__class__(0, home.shard.owner, home.shard.recorder, "room-2")
            pin.attach(left)
            pin.lose()
            home.standing.renewed(home.clock.now, REDIS_MS, 5_000)
            await kind.times.until(5)
            assert kind.heard[2:] == [("room-1", "active")]
            await activity.stop()

    asyncio.run(scenario())


def test_nobody_watches_the_lease_where_nobody_hears_of_it() -> None:
    async def scenario() -> None:
        for heard, all_active in ((frozenset[str](), False), (BOTH, True)):
            async with Household(Room, heard=heard, all_active=all_active) as home:
                assert not home.signals.follow_trust
                activity = Activity(home.standing, home.signals, home.register)
                activity.start()
                assert activity._task is None
                await activity.stop()

    asyncio.run(scenario())
