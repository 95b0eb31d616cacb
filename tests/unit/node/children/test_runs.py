"""The own loop of a child: begun, ended, and the child restarted by its policy."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq.core.child import FunctionChild
from hubq.core.lifecycle import Life
from hubq.errors import RedisUnavailable
from hubq.store.saying import SayingLimits
from tests.unit.node.children.test_lives import Room, n_of, reaches, saved
from tests.unit.node.fakes import Seen
from tests.unit.node.household import Household, call, cast_of, replies


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
            assert first is not second is hosted.instance and n_of(hosted) == 40 and hosted.saved
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


def test_a_restart_waits_for_the_commit_that_is_under_way() -> None:
    async def scenario() -> None:
        kind = looping()
        async with Household(kind) as home:
            home.redis.answer = lambda command: saved(40)
            hosted = home.child(kind)
            await kind.runs.until(1)
            await home.handled(hosted, cast_of("add", 1))
            assert home.shard.take_effects(1000, SayingLimits()), "they are on their way to Redis"
            kind.fail.set()
            await reaches(hosted, Life.BUILT)
            for _ in range(5):
                await asyncio.sleep(0)
            assert home.redis.asked == [], "its state in Redis may be the one before"
            home.keep_committing()
            home.queue.changed()
            await kind.runs.until(2)
            assert home.redis.names() == ["HGET"]

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
            kind.fail.set()
            await reaches(hosted, Life.BUILT)
            home.pumps.offer(hosted, cast_of("add", 1, entry="6-0"))  # it is read again, too: not handled twice
            home.keep_committing()
            home.queue.changed()
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
