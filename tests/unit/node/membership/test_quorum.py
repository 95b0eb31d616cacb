"""A node looks whether its hub has a quorum, and closes and opens intake by it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hubq import StaticQuorum
from hubq.core.quorum import Roll
from hubq.node.membership.quorum import NoQuorum, Quorum
from hubq.node.runtime.gate import Gate
from hubq.store.command import Command
from hubq.store.membership import NodeInfo
from hubq.store.quorum import written
from tests.unit.node.fakes import FakeRedis, a_group, name_of, words_of
from tests.unit.node.movers import Stage


class Told:
    """The parts that are told of both."""

    def __init__(self, gate: Gate) -> None:
        self.did: list[str] = []
        self._gate = gate

    def hold_back(self) -> None:
        self._gate.close()
        self.did.append("hold back")

    def go_on(self) -> None:
        self._gate.open()
        self.did.append("go on")

    def resume_all(self) -> None:
        self.did.append("resume")


class Looking(Stage):
    """A node of a hub that wants two nodes. ``ups`` are those that are up."""

    def __init__(self, *ups: str, roll: bytes = b"", said: str = "", closed: bool = True, refused: int = 0) -> None:
        super().__init__()
        self.nodes = {name: NodeInfo(n, "up", 0) for n, name in enumerate(ups, 7)}
        self.roll, self.said, self.refused = roll, said, refused
        self.settled: list[tuple[Any, ...]] = []
        self.answers = FakeRedis(self._answer)
        self.group = a_group(self.answers, self.clock)
        self.gate = Gate(self.standing, closed=closed)
        self.told = Told(self.gate)
        self.quorum = Quorum(
            self.group, self.gate, self.hooks, self.plan_due, self.register, cast(Any, self.told),
            cast(Any, self.told), StaticQuorum(2, startup_confirm=True),
        )  # fmt: skip

    def _answer(self, command: Command[Any]) -> Any:
        keys, name = self.group.keys, name_of(command)
        if name == "settle_quorum":
            self.settled.append(words_of(command))
            return len(self.settled) > self.refused
        return {keys.epoch: 7, keys.nodes: self.nodes, keys.quorum: self.roll, keys.partitioned: self.said}[
            str(command.args[1])
        ]


def test_with_enough_nodes_intake_opens_and_what_waited_goes_on() -> None:
    async def scenario() -> None:
        stage = Looking("a", "b")
        await stage.quorum.look()
        assert not stage.gate.closed and stage.told.did == ["go on", "resume"]
        (words,) = stage.settled
        assert words[0] == 7 and words[3] == "", "nothing is missing, as of that epoch"

    asyncio.run(scenario())


def test_with_too_few_intake_closes_and_the_reason_is_written_down() -> None:
    async def scenario() -> None:
        before = written(Roll(members=("a 7", "b 8"), since_start=2, ever=2, sizes=((1000, 2),)))
        stage = Looking("a", roll=before, closed=False)
        await stage.quorum.look()
        assert stage.gate.closed and stage.told.did == ["hold back"]
        (words,) = stage.settled
        assert words[1] == before and "1 live nodes, the quorum is 2 (StaticQuorum)" in str(words[3])
        assert "quorum_lost" in words

    asyncio.run(scenario())


def test_a_hub_that_starts_with_too_few_stays_closed() -> None:
    async def scenario() -> None:
        stage = Looking("a")
        await stage.quorum.look()
        assert stage.gate.closed and stage.told.did == []

    asyncio.run(scenario())


def test_what_stands_there_already_is_done_and_not_written_again() -> None:
    async def scenario() -> None:
        roll = Roll(1, 0, ("a 7", "b 8"), 2, 2, ((1000, 2),))
        stage = Looking("a", "b", roll=written(roll))
        await stage.quorum.look()
        assert not stage.settled and not stage.gate.closed

    asyncio.run(scenario())


def test_when_others_write_at_the_same_moment_it_looks_again_and_then_later() -> None:
    async def scenario() -> None:
        stage = Looking("a", "b", refused=2)
        await stage.quorum.look()
        assert len(stage.settled) == 3 and not stage.gate.closed
        stage = Looking("a", "b", refused=1000)
        await stage.quorum.look()
        assert stage.gate.closed and await stage.plan_due.heard(within=0.0)

    asyncio.run(scenario())


def test_when_everybody_leaves_nobody_decides() -> None:
    async def scenario() -> None:
        stage = Looking(closed=False)
        await stage.quorum.look()
        assert not stage.settled and not stage.gate.closed

    asyncio.run(scenario())


def test_a_hub_without_quorum_forgets_the_one_that_it_had() -> None:
    async def scenario() -> None:
        stage = Stage()
        await NoQuorum(stage.group).look()
        assert not stage.redis.asked
        await NoQuorum(stage.group).members_changed()
        assert stage.replies.of("DEL") == [("DEL", stage.keys.partitioned, stage.keys.quorum)]

    asyncio.run(scenario())
