"""Starts that may have taken nodes down: one at a time, each marked."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.core.child import Child
from hubq.core.lifecycle import Life, LifeEvent
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.runtime.background import Background
from hubq.node.trials import starts
from hubq.node.trials.marks import Marks
from hubq.node.trials.starts import StartTrials
from hubq.store.command import Command
from hubq.store.envelope import Envelope
from hubq.store.owners import Owner
from hubq.store.tries import Mark, Suspect, Watch
from tests.unit.node.fakes import FakeRedis, Seen, a_child, a_group, a_holding, name_of


class FakeLives:
    """Begins children, and starts them when it may."""

    def __init__(self, redis: FakeRedis) -> None:
        self.begun: list[tuple[str, int]] = []
        self.begins = Seen()
        self.may_start = asyncio.Event()
        self.may_start.set()
        self._redis = redis
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, hosted: HostedChild, envelope: Envelope | None, *, first: bool = False) -> None:
        self.begun.append((hosted.child_id, len(self._redis.asked)))
        hosted.moved(LifeEvent.RESTORED)
        self.begins.again()
        self._tasks.add(asyncio.ensure_future(self._start(hosted)))

    async def _start(self, hosted: HostedChild) -> None:
        await self.may_start.wait()
        hosted.moved(LifeEvent.STARTED)


class Bench:
    """Trials of starts. ``words``: what Redis says to ``end_watch``, in turn."""

    def __init__(self, *words: str) -> None:
        answers = iter(words)
        self.may_mark = True

        def answer(command: Command[Any]) -> Any:
            if name_of(command) == "end_watch":
                return next(answers)
            return "ok" if self.may_mark else "fenced"

        self.redis, self.background = FakeRedis(answer), Background()
        self.lives = FakeLives(self.redis)
        group = a_group(self.redis)
        self.marks = Marks(group, self.background)
        self.trials = StartTrials(group, self.background, self.marks, cast(Any, self.lives))

    def written(self) -> list[tuple[str, bool]]:
        """The starts that were marked (True), and whose marks were taken back (False)."""
        commands = [
            command for commands in self.redis.asked for command in commands if name_of(command) == "mark_tries"
        ]
        return [(str(command.args[-2]), bool(command.args[-1])) for command in commands]


class Starting(Child):
    """Has something to do when it starts."""

    async def on_start(self) -> None:
        pass


def careful() -> Holding:
    """A shard of which the last nodes did not get through the starts."""
    holding = a_holding()
    holding.watched(Watch((9, 0), "careful", ("c#2", "b#5")))
    return holding


def test_a_child_is_built_under_a_mark_only_after_crashes_at_starts() -> None:
    async def scenario() -> None:
        bench, plain = Bench(), a_holding()
        async with bench.trials.building(plain, "room-1"):
            assert not bench.marks.alone.locked()
        plain.watched(Watch((9, 0), "open", ("b#5",)))
        async with bench.trials.building(plain, "room-1"):
            assert not bench.marks.alone.locked()
        assert bench.written() == []
        async with bench.trials.building(careful(), "room-1"):
            assert bench.marks.alone.locked() and bench.written() == [("start room-1", True)]
        assert not bench.marks.alone.locked()
        assert bench.written() == [("start room-1", True), ("start room-1", False)]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("crashes", "known", "mark"),
    [
        (("c#2", "b#5", "d#6"), None, "- 2 a#7 b#5 d#6"),
        (("b#5",), None, "- 1 a#7 b#5"),
        (("b#5",), Mark("-", 2, "-", ("x#1", "y#2")), "- 2 a#7 x#1 y#2"),
    ],
    ids=["three", "one, since another was taken back", "those that it was blamed for"],
)
def test_a_start_counts_as_many_crashes_as_there_were(crashes: tuple[str, ...], known: Mark | None, mark: str) -> None:
    async def scenario() -> None:
        bench, holding = Bench(), a_holding()
        marks = {} if known is None else {"start room-1": known}
        holding.watched(Watch((9, 0), "careful", crashes, marks))
        async with bench.trials.building(holding, "room-1"):
            (command,) = bench.redis.asked[0]
            assert command.args[-1] == mark

    asyncio.run(scenario())


def test_a_child_that_cannot_be_built_has_taken_no_node_down() -> None:
    async def scenario() -> None:
        bench = Bench()
        with pytest.raises(ValueError, match="no such room"):
            async with bench.trials.building(careful(), "room-1"):
                raise ValueError("no such room")
        assert bench.written() == [("start room-1", True), ("start room-1", False)]

    asyncio.run(scenario())


def test_nothing_is_built_in_a_shard_that_is_another_nodes() -> None:
    async def scenario() -> None:
        bench, holding = Bench(), careful()
        bench.may_mark = False
        holding.lose()
        built = False
        with pytest.raises(asyncio.CancelledError):
            async with bench.trials.building(holding, "room-1"):
                built = True
        assert not built and not bench.marks.alone.locked()

    asyncio.run(scenario())


def test_children_begin_one_after_the_other_each_under_its_mark() -> None:
    async def scenario() -> None:
        bench, holding = Bench(), careful()
        waiting = [(a_child(holding, name, Starting), None) for name in ("room-1", "room-2")]
        bench.lives.may_start.clear()
        begin = asyncio.create_task(bench.trials.begin(holding, waiting))
        await bench.lives.begins.until(1)
        for _ in range(50):  # however often the loop turns
            await asyncio.sleep(0)
        assert bench.lives.begun == [("room-1", 1)] and bench.marks.alone.locked()
        bench.lives.may_start.set()
        await begin
        assert bench.lives.begun == [("room-1", 1), ("room-2", 3)]
        assert bench.written() == [
            ("start room-1", True), ("start room-1", False), ("start room-2", True), ("start room-2", False),
        ]  # fmt: skip

    asyncio.run(scenario())


def test_a_child_whose_start_runs_no_code_of_its_own_needs_no_mark() -> None:
    async def scenario() -> None:
        bench, holding = Bench(), careful()
        await bench.trials.begin(holding, [(a_child(holding), None)])
        assert bench.lives.begun == [("room-1", 0)] and bench.written() == []

    asyncio.run(scenario())


def test_a_child_that_is_on_its_way_elsewhere_is_waited_for_and_not_begun_if_it_has_gone() -> None:
    async def scenario() -> None:
        bench, holding = Bench(), careful()
        goes, stays = a_child(holding, "room-1"), a_child(holding, "room-2")
        holding.begin_motion()
        begin = asyncio.create_task(bench.trials.begin(holding, [(goes, None), (stays, None)]))
        await asyncio.sleep(0)
        assert bench.lives.begun == []
        goes.moved(LifeEvent.END)
        holding.end_motion()
        await begin
        assert [child for child, _ in bench.lives.begun] == ["room-2"] and goes.life is Life.ENDED

    asyncio.run(scenario())


def test_a_child_that_goes_while_its_mark_is_written_is_not_begun() -> None:
    async def scenario() -> None:
        bench, holding = Bench(), careful()
        hosted = a_child(holding, "room-1", Starting)
        bench.redis.may_answer.clear()
        begin = asyncio.create_task(bench.trials.begin(holding, [(hosted, None)]))
        await bench.redis.until_asked(1)
        hosted.moved(LifeEvent.END)
        bench.redis.may_answer.set()
        await begin
        assert bench.lives.begun == []
        assert bench.written() == [("start room-1", True), ("start room-1", False)]

    asyncio.run(scenario())


def test_a_start_that_does_not_end_keeps_the_others_waiting_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "START_TRIAL", 0.0)

    async def scenario() -> None:
        bench, holding = Bench(), careful()
        holding.open_intake()
        hosteds = [a_child(holding, name, Starting) for name in ("hangs", "next")]
        bench.lives.may_start.clear()
        await asyncio.wait_for(bench.trials.begin(holding, [(hosted, None) for hosted in hosteds]), 5)
        assert [name for name, _ in bench.lives.begun] == ["hangs", "next"]
        assert bench.written() == [("start hangs", True), ("start next", True)], (
            "the marks stay until they have started"
        )
        bench.lives.may_start.set()
        await asyncio.wait_for(bench.background.idle(), 5)
        assert bench.written()[2:] == [("start hangs", False), ("start next", False)]

    asyncio.run(scenario())


def test_a_watch_ends_when_the_messages_of_that_time_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "STARTS_SETTLE", 0.0)
    monkeypatch.setattr(starts, "WATCH_EVERY", 0.0)

    async def scenario() -> None:
        bench, holding = Bench("watching", "over"), careful()
        hosted = a_child(holding)
        await bench.trials.watch(holding, [(hosted, None)])
        assert holding.watch is None and bench.redis.names() == ["end_watch", "end_watch"]
        assert hosted.life is Life.RUNNING

        # A commit without an answer has renewed the token meanwhile: the shard is still here, and so is its watch.
        renewed = careful()
        bench = Bench("fenced", "over")
        await bench.trials.watch(renewed)
        assert renewed.watch is None and bench.redis.names() == ["end_watch", "end_watch"]

        gone, bench = careful(), Bench()
        gone.lose()
        await bench.trials.watch(gone)
        assert bench.redis.names() == []

    asyncio.run(scenario())


def test_a_node_that_was_only_cut_off_is_absolved() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.redis.answer = lambda command: 2
        await bench.trials.absolve([], 6, None)
        await bench.trials.absolve([1], 0, None)
        assert bench.redis.asked == []
        await bench.trials.absolve([1, 4], 6, None)
        assert bench.redis.names() == ["absolve_node"] * 2
        assert [command.args[-1] for commands in bench.redis.asked for command in commands] == [1, 4]

    asyncio.run(scenario())


def test_the_count_of_what_held_the_node_up_is_spared() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.redis.answer = lambda command: 1
        culprit = Suspect(4, None, Owner("a", 6, 2), "message x", "5-0")
        await bench.trials.absolve([1, 4], 6, culprit)
        words = [command.args[-5:] for commands in bench.redis.asked for command in commands]
        assert words == [(4, "message x", "5-0", 1, shard) for shard in (1, 4)], "the script leaves this count"

    asyncio.run(scenario())
