"""Group commit: what is sent, what is sent again, and who is told."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

import pytest

from hubq.config import Config
from hubq.errors import NotReplicated, RedisUnavailable
from hubq.node.commits.committer import SAMPLED, Committer
from hubq.node.commits.confirmation import Confirmation, NoConfirmation, ReplicaConfirmation
from hubq.node.commits.forfeits import Forfeits
from hubq.node.commits.held_up import HeldUp
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.holding import Holding
from hubq.node.held.outboxes import Outboxes
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.sizes import Sizes
from hubq.store.command import Command
from hubq.store.effects import Effects
from hubq.store.keys import owner_field
from hubq.store.sends import Sent
from tests.unit.node.fakes import (
    REDIS_MS,
    Clock,
    FakeEndings,
    FakeEvents,
    FakeRedis,
    FakeReports,
    a_group,
    a_holding,
    a_register,
    name_of,
    words_of,
)
from tests.unit.node.movers import Pumps


class Bench:
    """A committer, and what it works with. Redis knows the owner lines in ``owners``."""

    def __init__(self, *holdings: Holding, confirmation: Confirmation | None = None) -> None:
        self.clock, self.redis = Clock(), FakeRedis(self.answer)
        self.owners = {owner_field(holding.shard, holding.pinned): holding.owner.line for holding in holdings}
        self.sent: list[list[str]] = []  # of each commit: whose it is
        self.committed: list[str] = []
        self.away = 0  # so many requests are not answered
        self.register, self.counters, self.plan_due = a_register(), Counters(), Bell()
        self.group = a_group(self.redis, self.clock)
        for holding in holdings:
            self.register.hold(holding)
        self.queue, self.background = CommitQueue(self.register), Background()
        self.endings, self.events, self.pumps = FakeEndings(), FakeEvents(), Pumps()
        forfeits = Forfeits(
            self.register, cast(Any, self.endings), cast(Any, self.events), self.background, self.plan_due, self.group
        )
        confirmation = confirmation or NoConfirmation()
        self.committer = Committer(
            self.group, self.queue, Outboxes(), forfeits, self.counters, confirmation, Sizes(Config()),
            HeldUp(cast(Any, FakeReports()), cast(Any, self.pumps)), self.background,
        )  # fmt: skip

    def answer(self, command: Command[Any]) -> Any:
        if self.away:
            self.away -= 1
            return RedisUnavailable("no answer")
        name, arguments = name_of(command), [str(part) for part in command.args]
        if name == "renew_tokens":
            lines = [str(word) for word in words_of(command)[2:]]
            return [self.renewed(*lines[i : i + 3]) for i in range(0, len(lines), 3)]
        words: list[str] = []
        self.sent.append([])
        for field, line in pairwise(arguments):
            if field in self.owners and line.count(" ") == 2:
                self.sent[-1].append(field)
                words.append("ok" if self.owners[field] == line else "fenced")
                self.committed += [field] if words[-1] == "ok" else []
        return command.read(words)

    def renewed(self, field: str, before: str, after: str) -> str:
        if self.owners[field] != before:
            return "fenced"
        self.owners[field] = after
        return "renewed"


def finish(holding: Holding, child: str = "room-1", entry: bytes = b"1-0") -> None:
    """A message of a child is done."""
    holding.effects.done.setdefault(child, []).append(entry)


def test_all_that_is_due_goes_in_one_request_and_those_who_wait_are_told() -> None:
    async def scenario() -> None:
        first, second, idle = a_holding(0), a_holding(1), a_holding(2)
        bench = Bench(first, second, idle)
        finish(first)
        waiter = second.next_commit()
        bench.committer.start()
        bench.queue.changed()
        await asyncio.wait_for(waiter, 5)
        assert len(bench.redis.asked) == 1 and len(bench.committed) == 2
        assert bench.committer.commits == 2 and not first.effects
        await bench.committer.stop()

    asyncio.run(scenario())


def test_only_what_was_touched_is_looked_at() -> None:
    async def scenario() -> None:
        first, second = a_holding(0), a_holding(1)
        bench = Bench(first, second)
        await bench.committer.flush()  # all are looked at once
        finish(first)
        finish(second)
        bench.queue.touched(second)
        await bench.committer.flush()
        assert first.effects and not second.effects

    asyncio.run(scenario())


def test_nothing_is_taken_while_the_lease_is_in_doubt() -> None:
    async def scenario() -> None:
        holding = a_holding()
        bench = Bench(holding)
        finish(holding)
        bench.clock.now += 4.5
        await bench.committer.flush()
        assert holding.effects and not bench.redis.asked
        bench.group.standing.lease.renewed(bench.clock.now)
        await bench.committer.flush()
        assert not holding.effects and bench.committer.commits == 1

    asyncio.run(scenario())


def test_a_frozen_holding_waits_and_settled_waits_for_what_is_under_way_of_the_holding() -> None:
    async def scenario() -> None:
        frozen, other = a_holding(0), a_holding(1)
        bench = Bench(frozen, other)
        finish(frozen)
        finish(other)
        frozen.freeze()
        bench.redis.may_answer.clear()
        commit = asyncio.create_task(bench.committer.flush())
        await bench.redis.until_asked(1)
        settled = asyncio.create_task(bench.committer.settled(other))
        await asyncio.wait_for(bench.committer.settled(frozen), 5)
        assert not settled.done() and not commit.done(), "the commit of another holding is not waited for"
        bench.redis.may_answer.set()
        await settled
        await commit
        assert frozen.effects and not other.effects

    asyncio.run(scenario())


@pytest.mark.parametrize("work", ["commit", "void_unanswered"])
def test_settled_waits_for_whatever_is_under_way_of_the_holding(work: str) -> None:
    async def scenario() -> None:
        holding, other = a_holding(0), a_holding(1)
        bench = Bench(holding, other)
        finish(holding)
        bench.redis.may_answer.clear()
        under_way = asyncio.create_task(
            bench.committer.commit(holding, bench.committer.take(holding))
            if work == "commit"
            else bench.committer.void_unanswered(holding)
        )  # fmt: skip
        await bench.redis.until_asked(1)
        settled = asyncio.create_task(bench.committer.settled(holding))
        await asyncio.wait_for(bench.committer.settled(other), 5)
        assert not settled.done()
        bench.redis.may_answer.set()
        await asyncio.wait_for(settled, 5)
        assert under_way.done()
        await under_way

    asyncio.run(scenario())


def test_who_owns_it_no_more_is_dropped_and_nobody_waits_for_its_commit() -> None:
    async def scenario() -> None:
        lost, kept = a_holding(0), a_holding(1)
        bench = Bench(lost, kept)
        bench.owners["0"] = "b 9 4"
        waits = [lost.next_commit(), kept.next_commit()]
        await bench.committer.flush()
        assert waits[0].cancelled() and waits[1].result() is None
        assert lost.gone and bench.register.all() == [kept]
        assert bench.events.added == [("fenced", {"shard": 0, "child": ""})]
        assert await bench.plan_due.heard(within=0.0)
        await bench.background.stop()

    asyncio.run(scenario())


def test_a_commit_without_an_answer_is_sent_again_under_a_new_token() -> None:
    async def scenario() -> None:
        shard, pin = a_holding(0), a_holding(1, pinned="room-9")
        bench = Bench(shard, pin)
        finish(shard)
        finish(pin, "room-9")
        bench.away = 1
        await bench.committer.flush()
        assert bench.redis.names() == ["commit_shards", "renew_tokens", "commit_shards"]
        # A pin's next life begins with the token of its shard: its new token is like none of those.
        assert shard.owner.token == 4 and pin.owner.token == REDIS_MS
        assert bench.committed == ["0", "1/room-9"] and bench.committer.commits == 2

    asyncio.run(scenario())


def test_what_has_become_void_meanwhile_is_not_sent_again() -> None:
    async def scenario() -> None:
        void, kept = a_holding(0), a_holding(1)
        bench = Bench(void, kept)
        finish(void)
        finish(kept)
        bench.redis.may_answer.clear()
        bench.away = 1
        commit = asyncio.create_task(bench.committer.flush())
        await bench.redis.until_asked(1)
        bench.register.drop(void)
        bench.redis.may_answer.set()
        await commit
        assert bench.redis.names() == ["commit_shards", "renew_tokens", "commit_shards"]
        assert bench.sent == [["1"]] and bench.committed == ["1"] and bench.owners["0"] == "a 7 3"

    asyncio.run(scenario())


def test_after_an_answer_that_nobody_understands_what_is_in_memory_is_given_up() -> None:
    async def scenario() -> None:
        holding = a_holding(token=3)
        bench = Bench(holding)
        bench.group.standing.learn(0, 3)
        bench.redis.answer = lambda command: ValueError("half an answer")
        waiter = holding.next_commit()
        with pytest.raises(ValueError, match="half an answer"):
            await bench.committer.flush()
        assert waiter.cancelled() and holding.gone
        assert bench.group.standing.token(0) == 2  # it may be adopted again under the token that it has
        await bench.background.stop()

    asyncio.run(scenario())


def test_those_who_wait_are_told_that_replicas_lack_it_and_the_children_go_on() -> None:
    class Short:
        asked = 0

        async def confirm(self) -> NotReplicated | None:
            self.asked += 1
            return NotReplicated("too few")

    async def scenario() -> None:
        holding, short = a_holding(), Short()
        bench = Bench(holding, confirmation=short)
        finish(holding)
        await bench.committer.flush()
        assert short.asked == 0  # nobody waits
        waiter = holding.next_commit()
        bench.queue.changed()
        await bench.committer.flush()
        assert isinstance(waiter.exception(), NotReplicated) and short.asked == 1
        assert not holding.gone and bench.committer.commits == 2

    asyncio.run(scenario())


def test_replicas_confirm_what_this_connection_has_written() -> None:
    async def scenario() -> None:
        counts = iter([1, 0])
        redis = FakeRedis(lambda command: None if command.args[0] == "TIME" else next(counts))
        confirmation = ReplicaConfirmation(a_group(redis, wait_replicas=1))
        assert await confirmation.confirm() is None
        assert "only 0 of 1" in str(await confirmation.confirm())

    asyncio.run(scenario())


def test_one_commit_in_several_is_looked_at_for_busy_children() -> None:
    async def scenario() -> None:
        holding = a_holding()
        bench = Bench(holding)
        for _ in range(SAMPLED):
            finish(holding)
            finish(holding, entry=b"2-0")
            bench.queue.touched(holding)
            await bench.committer.flush()
        assert bench.counters.sampled == {"room-1": 2}

    asyncio.run(scenario())


def test_the_last_commit_of_a_holding_is_tried_until_the_lease_is_in_doubt() -> None:
    async def scenario() -> None:
        holding = a_holding()
        bench = Bench(holding)
        bench.away = 1
        assert await bench.committer.commit(holding, Effects(done={"room-1": [b"1-0"]})) == "ok"
        assert bench.committed == ["0"] and holding.owner.token == 4
        bench.away = 1
        bench.clock.now += 4.5
        with pytest.raises(RedisUnavailable):
            await bench.committer.commit(holding, Effects())
        assert holding.owner.token == 4

    asyncio.run(scenario())


def test_a_commit_that_is_sent_again_has_the_same_number_and_the_next_one_another() -> None:
    async def scenario() -> None:
        first = a_holding(0)
        bench = Bench(first)
        bench.away = 1
        say(first)
        effects = first.effects
        await bench.committer.flush()
        assert effects.numbered is not None
        commits = [
            args for args in ([str(part) for part in each[0].args] for each in bench.redis.asked) if "stock" in args
        ]
        numbers = [args[args.index("stock") - 8 : args.index("stock") - 6] for args in commits]
        assert len(numbers) == 2 and numbers[0] == numbers[1], numbers
        number = effects.numbered.number
        say(first)
        bench.queue.changed()
        effects = first.effects
        await bench.committer.flush()
        assert effects.numbered is not None and effects.numbered.number == number + 1

    asyncio.run(scenario())


def test_a_commit_that_sends_nothing_has_no_number() -> None:
    async def scenario() -> None:
        first = a_holding(0)
        bench = Bench(first)
        finish(first)
        effects = first.effects
        await bench.committer.flush()
        assert effects.numbered is None

    asyncio.run(scenario())


def say(holding: Holding) -> None:
    """A child says something to another one."""
    holding.effects.said.append(Sent("room-1", 1, "stock", "take", b"p"))
    finish(holding)
