"""What other nodes tell this one is brought to the part that it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from hubq.core.messages import (
    Cancel,
    ChildrenPassed,
    ChildStartProgress,
    ChildStartResp,
    ControlMessage,
    Handover,
    HandoverConfirmed,
    Intervene,
    PinReleased,
    ReplicaJoined,
    Revive,
    StartChildren,
    Wake,
    Withdraw,
)
from hubq.errors import RedisUnavailable
from hubq.node.planning.control import ControlLoop
from hubq.store.command import Command
from hubq.store.control import Heard, Places
from hubq.strategies.synchronization import PubSub
from tests.unit.node.fakes import FakePauses, FakeRedis, FakeReports, Seen, a_group
from tests.unit.node.movers import Stage

CASES: list[tuple[ControlMessage, tuple[str, object]]] = [
    (begin := StartChildren("b", 1, "h"), ("start_children", begin)),
    (handed := Handover("b", 1, 4, "h", 0.0), ("handed_over", handed)),
    (passed := ChildrenPassed("b", 1, 4, "h", 0.0, "room-1"), ("children_passed", passed)),
    (released := PinReleased("b", 1, "room-1", 0.0), ("pin_released", released)),
    (goes_on := ChildStartProgress("b", 1, "h"), ("goes_on", goes_on)),
    (started := ChildStartResp("b", 1, "h", ""), ("started", started)),
    (confirmed := HandoverConfirmed("b", 1, "h"), ("confirmed", confirmed)),
    (Revive("b", 1, "room-1"), ("revive", (1, "room-1"))),
    (withdraw := Withdraw("client", 1, "room-1", "m1"), ("withdraw", withdraw)),
    (unwanted := Cancel("client", 1, "room-1", "caller", "m1", "i1"), ("cancel", unwanted)),
    (asked := Intervene("client", 1, "room-1", "i1", "kill"), ("intervene", asked)),
    (ReplicaJoined("b", 1), ("snapshots", 1)),
]


def heard(control: str, messages: list[ControlMessage], events_at: str, events: list[dict[str, str]]) -> Heard:
    """An answer: up to where, and what."""
    return Heard(Places(control, "0", events_at), list(messages), events)


class Parts:
    """All that the loop brings messages to: it remembers who was asked for what."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.news = Seen()

    def _tell(self, what: str, of: object) -> None:
        self.told.append((what, of))
        self.news.again()

    async def start_children(self, message: object) -> None:
        self._tell("start_children", message)

    async def handed_over(self, message: object) -> None:
        self._tell("handed_over", message)

    async def children_passed(self, message: object) -> None:
        self._tell("children_passed", message)

    async def pin_released(self, message: object) -> None:
        self._tell("pin_released", message)

    def goes_on(self, message: object) -> None:
        self._tell("goes_on", message)

    def started(self, message: object) -> None:
        self._tell("started", message)

    def confirmed(self, message: object) -> None:
        self._tell("confirmed", message)

    async def revive(self, shard: int, child: str) -> None:
        self._tell("revive", (shard, child))

    def withdraw(self, message: object) -> None:
        self._tell("withdraw", message)

    async def cancel(self, message: object) -> None:
        self._tell("cancel", message)

    def intervene(self, message: object) -> None:
        self._tell("intervene", message)

    async def snapshots(self, shard: int) -> None:
        self._tell("snapshots", shard)


class Listening(Stage):
    """A control loop that reads these answers one after the other, and then waits for the next."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.reads: list[tuple[Any, ...]] = []
        self._answers = list(answers)
        self.told = FakeRedis(self._next)
        self.parts, self.reports, self.pausing = Parts(), FakeReports(), FakePauses()
        part = cast(Any, self.parts)
        self.loop = ControlLoop(
            a_group(self.told, self.clock), self.background, self.plan_due, PubSub(), part, part, part, part, part, part, part,
            part, cast(Any, self.reports), cast(Any, self.pausing),
        )  # fmt: skip

    def _next(self, command: Command[Any]) -> Any:
        self.reads.append(tuple(command.args))
        if len(self._answers) == 1:
            self.told.may_answer.clear()
        return self._answers.pop(0)

    async def heard(self, until: Callable[[], Any]) -> None:
        """Listen until all answers have been read."""
        self.loop.start()
        await until()
        await self.loop.stop()
        await self.end()


@pytest.mark.parametrize(("message", "told"), CASES, ids=lambda value: type(value).__name__)
def test_each_message_goes_to_its_part_and_to_no_other(message: ControlMessage, told: tuple[str, object]) -> None:
    async def scenario() -> None:
        stage = Listening("5-0", heard("1-0", [message], "5-0", []))
        await stage.heard(lambda: stage.parts.news.until(1))
        assert stage.parts.told == [told]

    asyncio.run(scenario())


def test_the_event_of_a_pause_has_the_pauses_read() -> None:
    async def scenario() -> None:
        events = [{"type": "paused", "what": "hub"}, {"type": "node_joined"}]
        stage = Listening("5-0", heard("1-0", [], "6-0", events), heard("1-0", [], "7-0", [{"type": "child_wanted"}]))
        await stage.heard(lambda: stage.told.until_asked(4))
        assert stage.pausing.reads == 1

    asyncio.run(scenario())


def test_every_kind_of_message_has_a_case() -> None:
    assert {type(message) for message, _ in CASES} | {Wake} == set(ControlMessage.__args__)


def test_it_reads_on_from_what_it_has_read_and_a_wake_is_for_nobody() -> None:
    async def scenario() -> None:
        stage = Listening("5-0", heard("1-0", [Wake("a")], "6-0", []), heard("2-0", [ReplicaJoined("b", 3)], "6-0", []))
        await stage.heard(lambda: stage.parts.news.until(1))
        assert stage.parts.told == [("snapshots", 3)]
        first, second = stage.reads[1], stage.reads[2]
        assert first[-3:] == ("0", "0", "5-0"), "the whole mailbox, all asks, and the events from now on"
        assert second[-3:] == ("1-0", "0", "6-0")

    asyncio.run(scenario())


@pytest.mark.parametrize(("kind", "rings"), [("node_joined", True), ("child_started", False)])
def test_events_that_change_the_plan_ring_for_it(kind: str, rings: bool) -> None:
    async def scenario() -> None:
        stage = Listening(
            "5-0", heard("0", [], "6-0", [{"type": kind}]), heard("1-0", [ReplicaJoined("b", 3)], "6-0", [])
        )
        await stage.heard(lambda: stage.parts.news.until(1))
        assert await stage.plan_due.heard(within=0.0) is rings

    asyncio.run(scenario())


def test_it_goes_on_when_redis_answers_again() -> None:
    async def scenario() -> None:
        away = RedisUnavailable("no answer")
        stage = Listening(away, "5-0", away, heard("1-0", [ReplicaJoined("b", 3)], "5-0", []))
        await stage.heard(lambda: stage.parts.news.until(1))
        assert stage.parts.told == [("snapshots", 3)]
        assert stage.reads[3][-3:] == ("0", "0", "5-0"), (
            "nothing is passed over, and the events are not asked for again"
        )

    asyncio.run(scenario())
