"""Groups are waited for at the same time, and what some of them say can be had without the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from typing import Any, cast

import pytest

from hubq import RedisUnavailable
from hubq.client.asking.context import HubContext
from hubq.client.asking.grouped import AsyncGroupedDriver, GroupedDriver
from hubq.client.asking.over_groups import in_groups
from hubq.client.asking.reachable import of_those_that_answer
from hubq.client.asking.side_by_side import side_by_side
from hubq.client.asking.steps import Operation

GROUPS = range(3)
#: Seconds until a group that is asked alone gives up on the others. No test waits so long unless it fails.
ALONE = 10.0


def test_every_task_is_under_way_at_once() -> None:
    meeting = threading.Barrier(len(GROUPS))
    outcomes = side_by_side({group: lambda: meeting.wait(ALONE) for group in GROUPS})
    assert [outcome.error for outcome in outcomes.values()] == [None] * len(GROUPS)


def test_a_task_that_fails_ends_no_other() -> None:
    outcomes = side_by_side({0: lambda: 1 / 0, 1: lambda: "here"})
    assert isinstance(outcomes[0].error, ZeroDivisionError) and outcomes[1].value == "here"
    assert side_by_side({}) == {}


def test_what_the_caller_has_set_is_set_in_every_task() -> None:
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("mine")
    assert {each.value for each in side_by_side(dict.fromkeys(GROUPS, variable.get)).values()} == {"mine"}


def asked(group: int) -> Operation[str]:
    """A question to one group."""
    return (yield cast(Any, group))


class OneGroup:
    """A driver of one group, and its session: it answers, or is away."""

    def __init__(self, group: int, answer: Callable[[], str]) -> None:
        self.connected, self.asked = False, 0
        self._group, self._answer = group, answer

    def connect(self) -> None:
        self.asked += 1
        self._answer()
        self.connected = True

    def asker(self) -> OneGroup:
        assert self.connected, "to connect is what takes long"
        return self

    def drive(self, operation: Operation[str]) -> str:
        assert cast(Any, operation.send(None)) == self._group
        self.asked += 1
        return self._answer()


def hub_of(*answers: Callable[[], str]) -> tuple[GroupedDriver, list[OneGroup]]:
    groups = [OneGroup(group, answer) for group, answer in enumerate(answers)]
    return GroupedDriver(cast(HubContext, None), cast(Any, groups)), groups


def of_group(group: int) -> Callable[[], str]:
    return lambda: f"answer {group}"


def away() -> str:
    raise RedisUnavailable("no answer from b:6379")


def question() -> Operation[dict[int, str]]:
    return in_groups({group: asked(group) for group in GROUPS}, question=True)


def test_a_question_connects_and_asks_side_by_side() -> None:
    meeting = threading.Barrier(len(GROUPS))

    def met() -> str:
        meeting.wait(ALONE)
        return "met"

    driver, _ = hub_of(met, met, met)
    assert driver.drive(question()) == dict.fromkeys(GROUPS, "met")


def test_each_group_must_answer() -> None:
    driver, _ = hub_of(of_group(0), away, of_group(2))
    with pytest.raises(RedisUnavailable, match="no answer from b:6379"):
        driver.drive(question())


def test_what_can_be_had_is_the_answer_and_a_group_is_waited_for_once() -> None:
    driver, groups = hub_of(of_group(0), away, of_group(2))
    with of_those_that_answer() as left_out:
        for _ in range(3):
            assert driver.drive(question()) == {0: "answer 0", 2: "answer 2"}
    assert {group: str(why) for group, why in left_out.items()} == {1: "no answer from b:6379"}
    assert groups[1].asked == 1
    with pytest.raises(RedisUnavailable):  # what follows is as before
        driver.drive(question())


def test_if_no_group_answers_there_is_no_answer() -> None:
    driver, groups = hub_of(away, away, away)
    with pytest.raises(RedisUnavailable), of_those_that_answer():
        driver.drive(question())
    assert [group.asked for group in groups] == [1, 1, 1]


def test_another_error_is_no_silence() -> None:
    driver, _ = hub_of(of_group(0), lambda: str(1 / 0), of_group(2))
    with pytest.raises(ZeroDivisionError), of_those_that_answer():
        driver.drive(question())


def test_what_is_no_question_needs_every_group() -> None:
    driver, _ = hub_of(of_group(0), away, of_group(2))
    for group in driver.groups:
        cast(Any, group).connected = True
    with pytest.raises(RedisUnavailable), of_those_that_answer():
        driver.drive(in_groups({group: asked(group) for group in GROUPS}))


def test_the_same_in_an_event_loop() -> None:
    class Awaited(OneGroup):
        async def asker(self) -> Any:
            return self

        def drive(self, operation: Operation[str]) -> Coroutine[Any, Any, str]:  # type: ignore[override]
            async def driven() -> str:
                self.connected = True
                return OneGroup.drive(self, operation)

            return driven()

    groups = [Awaited(0, of_group(0)), Awaited(1, away), Awaited(2, of_group(2))]

    async def scenario() -> None:
        driver = AsyncGroupedDriver(cast(HubContext, None), cast(Any, groups))
        with of_those_that_answer() as left_out:
            for _ in range(3):
                found: Mapping[int, str] = await driver.drive(question())
                assert found == {0: "answer 0", 2: "answer 2"}
        assert set(left_out) == {1} and groups[1].asked == 1
        with pytest.raises(RedisUnavailable):
            await driver.drive(question())

    asyncio.run(scenario())
