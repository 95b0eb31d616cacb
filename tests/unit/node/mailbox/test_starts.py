"""Start messages: children are built and begun, and whoever asked hears how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from hubq.core.child import Child
from hubq.errors import RedisUnavailable
from hubq.node.arrivals.batches import Batches
from hubq.node.arrivals.wishes import Wishes
from hubq.node.held.cursors import START
from hubq.node.held.holding import Holding
from hubq.node.held.strangers import Strangers
from hubq.node.mailbox.burials import Burials
from hubq.node.mailbox.starts import UNDONE, Starts
from hubq.node.runtime.bell import News
from hubq.store.command import Command
from hubq.store.membership import NodeInfo
from hubq.store.message import Message, position
from hubq.store.outgoing import StartOptions
from hubq.store.replies import read_reply, read_started
from hubq.store.spec_record import SpecRecord
from tests.unit.node.fakes import FakeReports, name_of
from tests.unit.node.household import Household
from tests.unit.node.movers import until


class Room(Child):
    """May be told not to start."""

    def __init__(self, refuses: str = "") -> None:
        if refuses == "init":
            raise RuntimeError("no such room")
        self.refuses = refuses

    async def on_start(self) -> None:
        if self.refuses == "on_start":
            raise RuntimeError("no network")


class Elsewhere:
    """Other nodes: those in ``fails`` cannot be started there."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.fails: dict[str, str] = {}

    async def send_away(self, holding: Holding, children: Mapping[str, SpecRecord]) -> dict[str, str]:
        self.sent += children
        for child in children:
            if child not in self.fails:
                holding.placed(child)
                holding.set_apart([child])
        return {child: self.fails[child] for child in children if child in self.fails}


class Starting(Household):
    """A shard whose specs are ``specs``; start messages are carried out there."""

    def __init__(self, *, closed: bool = False) -> None:
        super().__init__(Room, closed=closed)
        self.specs: dict[str, SpecRecord] = {}
        self.marks: dict[str, str] = {}
        self.batch = "open"
        self.left: list[Message] = []
        self.redis.answer = self._answer
        self.elsewhere = Elsewhere()
        self.wishes = Wishes(self.group, News())
        self.wishes.seen({name: NodeInfo(number, "up", 0) for name, number in {"a": 7, "b": 9}.items()})
        events = cast(Any, self.endings)
        self.reports = FakeReports()
        self.burials = Burials("a", self.group.config, self.queue, cast(Any, self.reports))
        self.strangers = Strangers(limit=2)
        self.starts = Starts(
            self.group, self.background, self.gathered, self.hooks, self.gate, self.queue, self.cursors, self.strangers,
            self.builder, self.burials, self.endings, self.lives,
            Batches(self.group, self.background, self.register, events, cast(Any, FakeReports())), self.wishes, self.elsewhere,
            self.pieces, self.failed_starts, self.outcomes, self.quiet,
        )  # fmt: skip

    def _answer(self, command: Command[Any]) -> Any:
        keys, name = self.group.keys, name_of(command)
        if name == "HMGET":
            return {child: self.specs[child] for child in map(str, command.args[2:]) if child in self.specs}
        if name == "XRANGE":
            first, last = (position(cast(bytes, arg).lstrip(b"-(") or b"0") for arg in command.args[2:4])
            return [message for message in self.left if first < position(message.entry) <= last]
        if str(command.args[1]) == keys.batches(0):
            return self.marks
        return self.batch if name == "GET" else {}

    def spec(self, *args: Any, place: str = "") -> SpecRecord:
        """A spec of a room."""
        return msgspec.structs.replace(self.record(Room, *args), place=place) if place else self.record(Room, *args)

    def ask(self, *children: str, options: StartOptions | None = None, entry: bytes = b"5-0") -> None:
        """A start message of these children."""
        method = options.words() if options else ""
        payload = msgspec.json.encode(children)
        self.starts.message(self.shard, Message(entry, "start", children[0], method, "m5", "client", 0, payload))

    async def answered(self, done: Mapping[str, list[bytes]] | None = None) -> dict[str, str]:
        """Wait for the answer: who could not be started, and why."""
        await until(lambda: bool(self.shard.effects.replies))
        (line,) = self.shard.effects.replies["client"]
        owner, failed = read_started(read_reply(line)[-1])
        assert owner == self.shard.owner.line and self.shard.effects.done == (done or {self.first: [b"5-0"]})
        return failed

    first = "one"


def letter(entry: bytes, child: str) -> Message:
    """A cast."""
    return Message(entry, "cast", child, "post", "", "", 0, b"")


def test_children_are_built_and_begun_and_whoever_asked_hears_of_it() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.specs = {"one": home.spec(), "two": home.spec()}
            home.ask("one", "two")
            assert set(home.shard.behind) == {"one", "two"}, "their messages wait in the mailbox"
            assert await home.answered() == {}
            assert set(home.shard.children) == {"one", "two"}
            assert home.shard.behind == {"one": b"5-0", "two": b"5-0"}, "and are read from behind the start"
            assert home.shard in home.cursors.take_to_catch()

    asyncio.run(scenario())


def test_those_that_cannot_start_are_named_each_with_its_reason_and_forgotten() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.specs = {"one": home.spec(), "two": home.spec("init"), "three": home.spec("on_start")}
            home.ask("one", "two", "three")
            failed = await home.answered()
            assert set(failed) == {"two", "three"}
            assert "no such room" in failed["two"] and "no network" in failed["three"]
            assert set(home.shard.children) == {"one"}
            assert set(home.shard.effects.ended) >= {"two", "three"}, "their specs go with the commit"

    asyncio.run(scenario())


def test_a_child_that_is_here_already_is_not_built_again() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            hosted = home.child(Room, child="one")
            home.ask("one")
            assert await home.answered() == {}
            assert home.shard.children["one"] is hosted and home.redis.asked == [] and not home.shard.behind

    asyncio.run(scenario())


def test_a_child_without_a_spec_has_ended_meanwhile_and_its_messages_go_back() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.ask("one")
            assert await home.answered() == {} and "one" not in home.shard.children
            assert home.shard.behind == {"one": START}, "read once more from the start: nobody is there"

    asyncio.run(scenario())


def test_what_is_left_of_an_earlier_child_of_the_name_is_refused_and_not_given_to_the_new_one() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.specs = {"one": home.spec()}
            home.left = [letter(b"2-0", "one"), letter(b"3-0", "other"), letter(b"4-0", "one"), letter(b"7-0", "one")]
            home.cursors.orphans(home.shard, "one")  # the earlier one has ended
            home.ask("one")
            assert await home.answered({"one": [b"2-0", b"4-0", b"5-0"]}) == {}
            assert home.shard.behind == {"one": b"5-0"} and not home.shard.starting

    asyncio.run(scenario())


def test_what_nobody_has_read_again_of_an_earlier_child_that_was_thought_dormant_is_refused_too() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.specs = {"one": home.spec()}
            home.left = [letter(b"2-0", "one"), letter(b"3-0", "one"), letter(b"4-0", "one"), letter(b"7-0", "one")]
            for message in home.left[:3]:
                home.strangers.add(home.shard, message)
            home.ask("one")
            assert await home.answered({"one": [b"4-0", b"5-0"]}) == {}
            stranger = home.strangers.take(home.shard, "one")
            assert [message.entry for message in stranger.messages] == [b"2-0", b"3-0"], (
                "whoever asks for it refuses these"
            )
            assert stranger.left is None, "and sends the new child back to none"

    asyncio.run(scenario())


def test_of_two_starts_of_a_name_the_later_one_sees_to_its_messages() -> None:
    """The first one has failed, and the child was started anew, before its caller has been answered."""

    async def scenario() -> None:
        async with Starting() as home:
            home.specs = {"one": home.spec()}
            home.left = [letter(b"6-0", "one")]
            home.ask("one")
            home.ask("one", entry=b"7-0")
            await until(lambda: not home.shard.starting)
            assert home.shard.effects.done["one"].count(b"6-0") == 1
            assert home.shard.behind == {"one": b"7-0"} and list(home.shard.children) == ["one"]

    asyncio.run(scenario())


def test_without_a_quorum_a_start_waits() -> None:
    async def scenario() -> None:
        async with Starting(closed=True) as home:
            home.specs = {"one": home.spec()}
            home.ask("one")
            for _ in range(10):
                await asyncio.sleep(0)
            assert home.redis.asked == []
            home.lives.go_on()
            assert await home.answered() == {}

    asyncio.run(scenario())


def test_a_start_outlives_an_outage() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.specs = {"one": home.spec()}
            home.redis.answer, answer = lambda command: RedisUnavailable("no answer"), home.redis.answer
            home.ask("one")
            await home.redis.until_asked(1)
            home.redis.answer = answer
            assert await home.answered() == {} and "one" in home.shard.children

    asyncio.run(scenario())


def test_a_shard_that_goes_meanwhile_leaves_the_message_to_its_next_owner() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.specs = {"one": home.spec()}
            home.redis.may_answer.clear()
            home.ask("one")
            await home.redis.until_asked(1)
            home.register.drop(home.shard)
            home.redis.may_answer.set()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not home.shard.effects and not home.shard.children

    asyncio.run(scenario())


def test_one_that_is_wanted_elsewhere_is_started_there_and_not_here() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.specs = {"one": home.spec(), "two": home.spec(place="b guided waits")}
            home.ask("one", "two")
            assert await home.answered() == {}
            assert home.elsewhere.sent == ["two"] and set(home.shard.children) == {"one"}
            assert home.shard.apart == {"two"}

    asyncio.run(scenario())


def test_one_that_cannot_start_there_is_forgotten_and_not_started_here() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.elsewhere.fails = {"two": "no module"}
            home.specs = {"one": home.spec(), "two": home.spec(place="b guided waits")}
            home.ask("one", "two")
            assert await home.answered() == {"two": "no module"}
            assert set(home.shard.children) == {"one"} and not home.shard.apart and not home.shard.unplaced

    asyncio.run(scenario())


def test_a_guided_child_that_belongs_here_is_known_as_one() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.specs = {"one": home.spec(place="a guided waits")}
            home.ask("one")
            assert await home.answered() == {}
            assert home.shard.guided == {"one"} and home.elsewhere.sent == []

    asyncio.run(scenario())


def test_of_a_batch_that_was_undone_nothing_begins() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.specs, home.marks, home.batch = {"one": home.spec()}, {"s:1": "b1"}, ""
            home.ask("one", options=StartOptions(batch="b1"))
            assert await home.answered() == {"one": UNDONE} and not home.shard.children

    asyncio.run(scenario())


def test_a_start_that_is_to_be_quiet_is_quiet_until_it_is_done() -> None:
    async def scenario() -> None:
        async with Starting() as home:
            home.specs = {"one": home.spec()}
            home.redis.may_answer.clear()
            home.ask("one", options=StartOptions(quiet=True))
            await home.redis.until_asked(1)
            home.redis.may_answer.set()
            await until(lambda: "one" in home.shard.children)
            assert home.quiet == {"one"}
            await home.answered()
            await until(lambda: not home.quiet)

    asyncio.run(scenario())
