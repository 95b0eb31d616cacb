"""Messages that failed: none goes without a trace, whatever it failed of, and a flood of them does not flood the log."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, cast

import pytest

from hubq.core.child import Child
from hubq.node.children import failures
from hubq.node.held.holding import Holding
from hubq.store.dead_letters import NewLetter
from hubq.store.effects import Effects
from hubq.store.message import Message
from hubq.store.owners import Owner
from tests.unit.node.fakes import FakeEvents
from tests.unit.node.household import Household, call, cast_of, state_in


class Room(Child):
    def __init__(self) -> None:
        self.n = 0

    async def post(self, text: str) -> None:
        self.n += 1
        if text == "type":
            raise TypeError("inside")
        if text == "raise":
            raise ValueError("no")
        if text == "unsayable":
            raise ValueError("no \udcff")

    def in_thread(self, text: str) -> None:
        self.n += 1

    async def leave(self) -> None:
        self.stop()


class Keeps(Room):
    on_error = "keep"


class Tally(Room):
    durability = "interval"


class TallyKeeps(Tally):
    on_error = "keep"


class Forgets(Room):
    dead_kept: ClassVar[int] = 0


def letters(home: Household) -> list[tuple[bytes, str, str]]:
    return [(letter.entry, letter.class_name, letter.why) for letter in home.shard.effects.letters]


@pytest.mark.parametrize(
    ("message", "why", "label"),
    [
        (cast_of("psot", "x"), "unknown-method", "?"),
        (cast_of("on_start"), "unknown-method", "?"),
        (cast_of("post"), "bad-arguments", "post"),
        (cast_of("post", "a", "b"), "bad-arguments", "post"),
        (cast_of("in_thread"), "bad-arguments", "in_thread"),
        (cast_of("post", "type"), "raised", "post"),
        (cast_of("post", "raise"), "raised", "post"),
        (Message(b"5-0", "cast", "room-1", "post", "c#1", "", 0, b"pgarbage"), "bad-arguments", "post"),
        (Message(b"5-0", "cast", "room-1", "post", "c#1", "", 0, b"?"), "bad-arguments", "post"),
    ],
)  # fmt: skip
def test_a_cast_that_fails_becomes_a_letter(message: Message, why: str, label: str) -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            await home.handled(hosted, message)
            assert letters(home) == [(b"5-0", "Room", why)]
            assert home.shard.effects.done == {"room-1": [b"5-0"]}
            assert hosted.instance is not None and hosted.instance.__dict__ == {"n": 0}
            assert home.counters.failures == {("Room", label, why): 1}
            ((kind, fields),) = home.events.added
            assert (kind, fields["class"], fields["method"], fields["why"]) == ("message_failed", "Room", label, why)

    asyncio.run(scenario())


def test_a_letter_has_the_traceback_as_redis_takes_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")

    async def scenario() -> None:
        async with Household(Room) as home:
            await home.handled(home.child(Room), cast_of("post", "unsayable"))
            (letter,) = home.shard.effects.letters
            assert "in post" in letter.error and "ValueError: no ?" in letter.error and letter.error.encode()
            assert (letter.kept, letter.kept_in_shard) == (Child.dead_kept, home.group.config.dead_kept)

    asyncio.run(scenario())


def test_a_call_that_fails_is_no_letter_but_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            await home.handled(home.child(Room), call("post", "raise"), call("psot", entry="6-0"))
            assert letters(home) == [] and home.events.added == []
            assert home.counters.failures == {("Room", "post", "raised"): 1, ("Room", "?", "unknown-method"): 1}

    asyncio.run(scenario())
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "child room-1: Room.post failed (raised): no; its caller client is told" in caplog.text


def test_casts_to_a_child_that_ends_become_letters() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            queued = [cast_of("post", "x", entry="6-0"), call("post", "x", entry="7-0")]
            await home.handled(hosted, cast_of("leave"), *queued)
            home.outcomes.refuse_unknown(home.shard, cast_of("post", "x", entry="8-0"))
            home.outcomes.refuse_unknown(home.shard, call("post", "x", entry="9-0", kind="stop"))
            assert letters(home) == [(b"6-0", "Room", "ended"), (b"8-0", "", "ended")]
            assert home.shard.effects.done["room-1"] == [b"5-0", b"6-0", b"7-0", b"8-0", b"9-0"]
            assert home.counters.failures == {("Room", "post", "ended"): 2, ("?", "?", "ended"): 1}

    asyncio.run(scenario())


def test_a_state_that_is_kept_goes_together_with_the_letter() -> None:
    async def scenario() -> None:
        async with Household(Keeps, TallyKeeps) as home:
            at_once, later = home.child(Keeps), home.child(TallyKeeps, child="room-2")
            await home.handled(at_once, cast_of("post", "raise"))
            await home.handled(later, cast_of("post", "fine", entry="6-0"))
            assert home.shard.effects.done == {"room-1": [b"5-0"]}
            await home.handled(later, cast_of("post", "raise", entry="7-0"))
            effects = home.shard.effects
            assert {child: state_in(state) for child, state in effects.states.items()} == {
                "room-1": {"n": 1}, "room-2": {"n": 2}
            }  # fmt: skip
            assert effects.done == {"room-1": [b"5-0"], "room-2": [b"7-0", b"6-0"]} or effects.done == {
                "room-1": [b"5-0"], "room-2": [b"6-0", b"7-0"]
            }  # fmt: skip
            assert [letter.entry for letter in effects.letters] == [b"5-0", b"7-0"]
            assert not later.unsaved

    asyncio.run(scenario())


def test_a_cast_that_is_rolled_back_does_not_wait_for_the_next_save() -> None:
    async def scenario() -> None:
        async with Household(Tally) as home:
            hosted = home.child(Tally)
            await home.handled(hosted, cast_of("post", "fine"), cast_of("post", "raise", entry="6-0"))
            assert home.shard.effects.done == {"room-1": [b"6-0"]} and hosted.unsaved == [b"5-0"]
            assert letters(home) == [(b"6-0", "Tally", "raised")]

    asyncio.run(scenario())


def test_a_class_may_keep_none(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Household(Forgets) as home:
            await home.handled(home.child(Forgets), cast_of("psot"))
            assert letters(home) == [] and home.shard.effects.done == {"room-1": [b"5-0"]}
            assert home.counters.failures.total() == len(home.events.added) == 1

    asyncio.run(scenario())
    assert "not kept, since dead_kept is 0" in caplog.text


def test_a_copy_tells_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            copies = Holding(1, Owner("b", 1, 1), home.shard.recorder, is_copy=True)
            copies.open_intake()
            hosted = home.child(Room, holding=copies)
            await home.handled(hosted, cast_of("post", "raise"))
            assert not copies.effects.letters and not home.counters.failures and not home.events.added

    asyncio.run(scenario())
    assert not caplog.records


def test_a_flood_is_told_of_together(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            flood = [cast_of("post", "raise", entry=f"{n}-0") for n in range(5, 105)]
            others = [cast_of(name, entry=f"{n}-0") for n, name in enumerate(("post", "x\x1b[2J", "y"), 200)]
            await home.handled(hosted, *flood, *others)
            assert [(fields["why"], fields["count"]) for _, fields in home.events.added] == [
                ("raised", 1), ("bad-arguments", 1), ("unknown-method", 1)
            ]  # fmt: skip
            assert len(home.shard.effects.letters) == 103 and home.counters.failures.total() == 103
            home.failures.stop()
            assert [(fields["why"], fields["count"]) for _, fields in home.events.added[3:]] == [
                ("raised", 99), ("unknown-method", 1)
            ]  # fmt: skip

    asyncio.run(scenario())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 5 and "; 98 more like it" in lines[3], lines
    assert not any("\x1b" in line for line in lines)


class Heard(FakeEvents):
    """Events that can be waited for: their counts."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: asyncio.Queue[object] = asyncio.Queue()

    def add(self, kind: str, **fields: object) -> None:
        super().add(kind, **fields)
        self.counts.put_nowait(fields["count"])


def test_as_long_as_a_flood_lasts_it_is_told_of_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "TOLD_EVERY", 0.01)

    async def scenario() -> None:
        async with Household(Room) as home:
            hosted, heard = home.child(Room), Heard()
            told = failures.Failures(home.group.config, home.counters, cast(Any, heard))
            for count in (3, 5):
                for _ in range(count):
                    told.failed(hosted, cast_of("post"), "raised", "why")
                if count == 3:
                    assert await heard.counts.get() == 1
                    assert await heard.counts.get() == 2
                else:
                    assert await heard.counts.get() == 5
            told.stop()

    asyncio.run(scenario())


def test_what_was_not_told_of_is_told_at_the_end() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            await home.handled(hosted, *(cast_of("psot", entry=f"{n}-0") for n in (5, 6, 7)))
            assert [fields["count"] for _, fields in home.events.added] == [1]
            home.failures.stop()
            home.failures.stop()
            assert [fields["count"] for _, fields in home.events.added] == [1, 2]

    asyncio.run(scenario())


def test_letters_of_a_pin_that_never_came_to_be_are_not_lost() -> None:
    letter = NewLetter.of(b"5-0", "Room", "raised", "why", 1, 1)
    effects = Effects(letters=[letter])
    both = Effects()
    both.absorb(effects)
    assert both and both.letters == [letter]
