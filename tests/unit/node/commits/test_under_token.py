"""Scripts beside the commits: asked until they are answered, and void if they arrive late."""

from __future__ import annotations

import asyncio

from hubq.errors import RedisUnavailable
from hubq.node.commits.under_token import UnderToken
from hubq.node.held.holding import Holding
from hubq.store.command import Command, plain
from tests.unit.node.commits.test_committer import Bench
from tests.unit.node.fakes import a_holding


class Asking(Bench):
    """A script that answers with what it is given, if the owner line is that of Redis. The first ``away`` tries are not answered."""

    def __init__(self, holding: Holding) -> None:
        super().__init__(holding)
        self.holding = holding
        self.lines: list[str] = []
        self.again: list[bool] = []
        self.asked = asyncio.Event()
        self.under_token = UnderToken(self.group, self.committer)

    def ask(self, again: bool) -> Command[str | None]:
        self.again.append(again)
        self.asked.set()
        self.lines.append(self.holding.owner.line)
        return plain("SCRIPT", self.holding.owner.line, read=str)

    def answer(self, command: Command[object]) -> object:
        if command.args[0] != "SCRIPT":
            away, self.away = self.away, 0  # (renewals are answered)
            try:
                return super().answer(command)
            finally:
                self.away = away
        if self.away:
            self.away -= 1
            return RedisUnavailable("no answer")
        return "done" if command.args[1] in self.owners.values() else None

    async def answered(self) -> str | None:
        return await asyncio.wait_for(self.under_token.answered(self.holding, "a script", self.ask), 5)


def test_an_answer_is_the_answer() -> None:
    async def scenario() -> None:
        bench = Asking(a_holding(0))
        assert await bench.answered() == "done" and bench.again == [False]

    asyncio.run(scenario())


def test_a_try_without_an_answer_is_void_before_the_next_one() -> None:
    async def scenario() -> None:
        bench = Asking(a_holding(0))
        bench.away = 2
        assert await bench.answered() == "done"
        assert bench.again == [False, True, True]
        assert len(set(bench.lines)) == 3, "each under a token of its own: what arrives late is fenced"
        assert list(bench.owners.values()) == [bench.lines[-1]]

    asyncio.run(scenario())


def test_it_ends_when_another_node_owns_the_holding() -> None:
    async def scenario() -> None:
        bench = Asking(a_holding(0))
        bench.owners = dict.fromkeys(bench.owners, "b 9 9")
        assert await bench.answered() is None

    asyncio.run(scenario())


def test_it_waits_while_the_holding_is_given_away_and_ends_with_it() -> None:
    async def scenario() -> None:
        bench = Asking(a_holding(0))
        bench.away = 1
        bench.holding.close_intake()
        asked = asyncio.ensure_future(bench.answered())
        await asyncio.wait_for(bench.asked.wait(), 5)
        bench.holding.lose()
        assert await asked is None and bench.again == [False]

    asyncio.run(scenario())


def test_it_waits_while_the_holding_is_split_and_goes_on_with_the_commits() -> None:
    async def scenario() -> None:
        bench = Asking(a_holding(0))
        bench.away = 1
        bench.holding.freeze()
        asked = asyncio.ensure_future(bench.answered())
        await asyncio.wait_for(bench.asked.wait(), 5)
        await bench.committer.settled(bench.holding)
        assert bench.again == [False], "nothing is sent while its token passes"
        bench.holding.thaw()
        assert await asked == "done" and bench.again == [False, True]

    asyncio.run(scenario())


def test_it_goes_on_if_the_holding_stays() -> None:
    async def scenario() -> None:
        bench = Asking(a_holding(0))
        bench.away = 1
        bench.holding.close_intake()
        asked = asyncio.ensure_future(bench.answered())
        await asyncio.wait_for(bench.asked.wait(), 5)
        bench.holding.open_intake()
        assert await asked == "done" and bench.again == [False, True]

    asyncio.run(scenario())
