"""One message: what its handler brings about, and what is left of it when it fails or is undone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from hubq.core.child import Child
from hubq.core.lifecycle import Life
from hubq.node.children.methods import TracedMethods
from hubq.node.held.holding import HostedChild
from hubq.store.codec import encode
from hubq.store.envelope import Envelope
from hubq.store.message import Message
from tests.unit.node.children.test_outcomes import Witness
from tests.unit.node.fakes import REDIS_MS, Seen
from tests.unit.node.household import LATE, Household, call, cast_of, replies, state_in


class Room(Child):
    waits: ClassVar[Seen]

    def __init__(self) -> None:
        self.n = 0

    async def add(self, many: int) -> int:
        self.n += many
        return self.n

    def add_in_thread(self, many: int) -> tuple[int, bool]:
        self.n += many
        return self.n, threading.current_thread() is threading.main_thread()

    async def spoil(self) -> None:
        self.n = 99
        raise ValueError("spoilt")

    async def wait(self) -> None:
        self.n = 99
        self.waits.again()
        await asyncio.Event().wait()

    async def cancel_itself(self) -> None:
        self.n = 99
        raise asyncio.CancelledError

    async def unsendable(self) -> Any:
        self.n = 99
        return threading.Lock()

    async def unsavable(self) -> None:
        self.lock = threading.Lock()

    async def leave(self) -> str:
        self.stop()
        return "bye"

    async def leave_badly(self) -> None:
        self.stop()
        raise ValueError("spoilt")


class Keeps(Room):
    on_error = "keep"


class Rarely(Room):
    durability = "handover"


class RarelyKeeps(Rarely):
    on_error = "keep"


class Tally(Room):
    durability = "interval"


def room(hosted: HostedChild) -> Room:
    assert isinstance(hosted.instance, Room)
    return hosted.instance


def failure(home: Household) -> tuple[str, dict[str, str]]:
    """The only reply there is: its word, and what it says."""
    ((word, text),) = replies(home.shard.effects)
    return word, json.loads(text)


def test_a_message_saves_the_state_it_leaves_and_replies() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            await home.handled(hosted, call("add", 2), call("add", 3, entry="6-0"))
            effects = home.shard.effects
            assert replies(effects) == [("ok", 2), ("ok", 5)]
            assert effects.done == {"room-1": [b"5-0", b"6-0"]}
            assert Envelope.read(effects.states["room-1"]).cursor == "6-0"
            assert state_in(effects.states["room-1"]) == {"n": 5} and hosted.saved
            assert (home.handler.handled, home.counters.failures.total()) == (2, 0)

    asyncio.run(scenario())


def test_a_message_that_changes_nothing_saves_nothing() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            await home.handled(hosted, cast_of("add", 2))
            home.commit()
            await home.handled(hosted, call("add", 0, entry="6-0"))
            assert not home.shard.effects.states and home.shard.effects.done == {"room-1": [b"6-0"]}

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [Rarely, RarelyKeeps, Tally])
def test_a_child_that_is_saved_rarely_is_not_saved_with_its_message(kind: type[Room]) -> None:
    async def scenario() -> None:
        async with Household(kind) as home:
            hosted = home.build(kind)
            home.lives.begin(hosted, Envelope("attributes", "4-0", encode({"n": 0})))
            assert hosted.saved
            await home.handled(hosted, call("add", 2))
            assert not home.shard.effects.states and replies(home.shard.effects) == [("ok", 2)]
            assert not hosted.saved and hosted.cursor == "5-0"
            assert hosted.unsaved == ([b"5-0"] if kind is Tally else None)

    asyncio.run(scenario())


def test_a_plain_method_runs_in_a_thread() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            await home.handled(hosted, call("add_in_thread", 2))
            assert replies(home.shard.effects) == [("ok", (2, False))]
            assert state_in(home.shard.effects.states["room-1"]) == {"n": 2} and not hosted.abandoned

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["spoil", "unsendable", "cancel_itself", "unsavable"])
def test_a_handler_that_fails_leaves_the_state_before_its_message(method: str) -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            await home.handled(hosted, cast_of("add", 2))
            home.commit()
            await home.handled(hosted, call(method, entry="6-0"))
            word, said = failure(home)
            assert (word, said["type"]) == {
                "spoil": ("failed", "ValueError"),
                "unsendable": ("not_sendable", "NotSendable"),
                "cancel_itself": ("failed", "CancelledError"),
                "unsavable": ("state_not_savable", "StateNotSavable"),
            }[method]
            assert room(hosted).__dict__ == {"n": 2} and home.counters.failures.total() == 1
            assert not home.shard.effects.states and home.shard.effects.done == {"room-1": [b"6-0"]}
            await home.handled(hosted, call("add", 1, entry="7-0"))
            assert replies(home.shard.effects)[1] == ("ok", 3)

    asyncio.run(scenario())


def test_an_error_carries_its_text_and_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            await home.handled(hosted, call("spoil"))
            _, said = failure(home)
            assert said["message"] == "spoilt" and "in spoil" in said["traceback"]
            await home.handled(hosted, cast_of("spoil", entry="6-0"))

    asyncio.run(scenario())
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "child room-1: Room.spoil failed (raised): spoilt; its caller client is told"),
        ("ERROR", "child room-1: Room.spoil failed (raised): spoilt; a cast of ?, now a dead letter"),
    ]
    assert all(record.exc_info for record in caplog.records)


def test_what_a_failing_handler_has_left_is_kept_if_the_child_wants_it() -> None:
    async def scenario() -> None:
        async with Household(Keeps, RarelyKeeps) as home:
            hosted, rarely = home.child(Keeps), home.child(RarelyKeeps, child="room-2")
            await home.handled(hosted, call("spoil"))
            await home.handled(rarely, cast_of("spoil"))
            assert room(hosted).n == room(rarely).n == 99
            effects = home.shard.effects
            assert {child: state_in(state) for child, state in effects.states.items()} == {"room-1": {"n": 99}}
            assert hosted.saved and not rarely.saved and rarely.boundary is None
            assert hosted.cursor == rarely.cursor == "5-0"

    asyncio.run(scenario())


def test_followers_see_the_kept_state_of_a_child_that_is_saved_rarely() -> None:
    async def scenario() -> None:
        witness = Witness()
        async with Household(RarelyKeeps, recorder=witness) as home:
            hosted = home.child(RarelyKeeps)
            await home.handled(hosted, cast_of("spoil"))
            assert hosted.boundary is not None and not hosted.saved and not home.shard.effects.states
            assert witness.seen == [("spoil", "failed", False)]

    asyncio.run(scenario())


def test_a_state_that_cannot_be_kept_is_the_error_that_is_told() -> None:
    class Locks(Keeps):
        async def lock_and_raise(self) -> None:
            self.lock = threading.Lock()
            raise ValueError("spoilt")

    async def scenario() -> None:
        async with Household(Locks) as home:
            hosted = home.child(Locks)
            await home.handled(hosted, call("lock_and_raise"))
            assert failure(home)[0] == "state_not_savable"
            assert not home.shard.effects.states and not hosted.saved

    asyncio.run(scenario())


def test_a_message_that_makes_the_state_too_large_is_undone() -> None:
    class Large(Room):
        async def grow(self) -> None:
            self.text = "x" * 5000

    async def scenario() -> None:
        async with Household(Large, max_state_bytes=1000) as home:
            hosted = home.child(Large)
            await home.handled(hosted, call("grow"))
            assert failure(home)[0] == "state_too_large" and room(hosted).__dict__ == {"n": 0}

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["_hidden", "on_start", "nothing"])
def test_what_is_no_method_for_callers_is_refused(method: str) -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            await home.handled(home.child(Room), call(method))
            word, said = failure(home)
            assert (
                word == "unknown_method" and f"has no method {method!r}; it has: add, add_in_thread" in said["message"]
            )
            assert home.counters.failures == {("Room", "?", "unknown-method"): 1}

    asyncio.run(scenario())


def test_a_message_whose_deadline_has_passed_is_not_begun() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            await home.handled(hosted, call("add", 2, deadline=REDIS_MS - 1))
            assert failure(home)[0] == "overdue" and room(hosted).n == 0
            await home.handled(hosted, cast_of("add", 2, entry="6-0"), call("add", 2, entry="7-0", deadline=LATE))
            assert room(hosted).n == 4

    asyncio.run(scenario())


def test_what_another_node_may_have_answered_is_handled_past_its_deadline() -> None:
    async def scenario() -> None:
        async with Household(Tally) as home:
            hosted = home.child(Tally)
            home.lives.goes_on(hosted)
            before, after = f"{REDIS_MS - 1}-0", f"{REDIS_MS + 2000}-0"
            await home.handled(hosted, call("add", 2, entry=before, deadline=REDIS_MS - 1))
            assert replies(home.shard.effects) == [("ok", 2)]
            await home.handled(hosted, call("add", 2, entry=after, deadline=REDIS_MS - 1))
            assert replies(home.shard.effects)[1][0] == "overdue"

    asyncio.run(scenario())


def test_a_message_that_is_undone_is_the_next_one_again() -> None:
    async def scenario() -> None:
        Room.waits = Seen()
        async with Household(Room) as home:
            hosted = home.child(Room)
            home.pumps.offer(hosted, call("wait"))
            home.pumps.offer(hosted, call("add", 2, entry="6-0"))
            await Room.waits.until(1)
            home.shard.close_intake()
            assert hosted.in_hand is not None and room(hosted).n == 99
            hosted.in_hand.cancel()
            await asyncio.wait_for(hosted.at_boundary(), 5)
            assert hosted.queue is not None and [m.method for m in hosted.queue] == ["wait", "add"]
            assert room(hosted).n == 0 and not home.shard.effects and not hosted.abandoned

    asyncio.run(scenario())


def test_the_thread_of_a_message_that_is_undone_is_abandoned() -> None:
    may_end = threading.Event()

    async def scenario() -> None:
        loop, thinks = asyncio.get_running_loop(), asyncio.Event()

        class Slow(Room):
            def think(self) -> None:
                self.n = 99
                loop.call_soon_threadsafe(thinks.set)
                may_end.wait(10)

        async with Household(Slow) as home:
            hosted = home.child(Slow)
            home.pumps.offer(hosted, call("think"))
            await asyncio.wait_for(thinks.wait(), 5)
            home.shard.close_intake()
            assert hosted.in_hand is not None and hosted.in_hand.in_thread
            hosted.in_hand.cancel()
            await asyncio.wait_for(hosted.at_boundary(), 5)
            may_end.set()
            assert hosted.abandoned and hosted.queue is not None and len(hosted.queue) == 1

    asyncio.run(scenario())


def test_a_message_that_is_undone_after_its_child_has_left_is_not_kept() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            home.handler.unbegun(hosted, cast_of("add", 1))
            assert hosted.queue is None

    asyncio.run(scenario())


def test_stop_ends_the_child_and_says_so() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            stop, late = call("", kind="stop"), call("add", 1, entry="6-0")
            home.pumps.offer(hosted, stop)
            home.pumps.offer(hosted, late)
            await ended(hosted)
            assert [word for word, _ in replies(home.shard.effects)] == ["ok", "unknown_child"]
            assert home.shard.effects.ended == {"room-1": "s:1"} and len(home.events.added) == 1

    asyncio.run(scenario())


def test_a_stop_that_is_to_be_quiet_leaves_no_event() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            home.pumps.offer(hosted, call("quiet", kind="stop"))
            await ended(hosted)
            assert home.events.added == [] and home.quiet == set()

    asyncio.run(scenario())


def test_a_child_that_has_ended_while_its_handler_went_on_saves_nothing() -> None:
    async def scenario() -> None:
        may_end, begun = asyncio.Event(), asyncio.Event()

        class Slow(Room):
            async def think(self) -> None:
                begun.set()
                await may_end.wait()
                self.n = 99

        async with Household(Slow) as home:
            hosted = home.child(Slow)
            home.pumps.offer(hosted, call("think"))
            await asyncio.wait_for(begun.wait(), 5)
            home.endings.end(hosted)
            may_end.set()
            await asyncio.wait_for(hosted.at_boundary(), 5)
            assert home.shard.effects.ended == {"room-1": "s:1"} and not home.shard.effects.states
            assert replies(home.shard.effects) == [("ok", None)]

    asyncio.run(scenario())


def test_a_child_that_has_ended_keeps_nothing_of_a_handler_that_raises() -> None:
    async def scenario() -> None:
        may_end, begun = asyncio.Event(), asyncio.Event()

        class Slow(Keeps):
            async def think(self) -> None:
                begun.set()
                await may_end.wait()
                self.n = 99
                raise ValueError("spoilt")

        witness = Witness()
        async with Household(Slow, recorder=witness) as home:
            hosted = home.child(Slow)
            home.pumps.offer(hosted, call("think"))
            await asyncio.wait_for(begun.wait(), 5)
            home.endings.end(hosted)
            may_end.set()
            await asyncio.wait_for(hosted.at_boundary(), 5)
            assert home.shard.effects.ended == {"room-1": "s:1"} and not home.shard.effects.states
            assert failure(home)[0] == "failed"

    asyncio.run(scenario())


@pytest.mark.parametrize(("kind", "method", "word"), [(Room, "leave", "ok"), (Keeps, "leave_badly", "failed")])
def test_a_child_that_stops_itself_answers_first(kind: type[Room], method: str, word: str) -> None:
    async def scenario() -> None:
        async with Household(Room, Keeps) as home:
            hosted = home.child(kind)
            home.pumps.offer(hosted, call(method))
            await ended(hosted)
            assert [said for said, _ in replies(home.shard.effects)] == [word]
            assert home.shard.effects.ended == {"room-1": "s:1"} and not home.shard.effects.states

    asyncio.run(scenario())


def test_a_stop_is_undone_with_its_message() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            await home.handled(hosted, call("leave_badly"))
            assert [said for said, _ in replies(home.shard.effects)] == ["failed"]
            assert not home.shard.effects.ended and hosted.life is Life.RUNNING

    asyncio.run(scenario())


def test_a_copy_is_given_its_originals_state() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted, envelope = home.child(Room), Envelope("attributes", "5-0", b"state")
            await home.handled(hosted, Message(b"0", "state", "room-1", "", "0", "", 0, envelope.written()))
            assert home.copy_states.laid == [("room-1", envelope)] and not home.shard.effects

    asyncio.run(scenario())


def test_a_hub_that_traces_wraps_each_call() -> None:
    spans: list[tuple[str, str, str]] = []

    class Spans:
        def handled(
            self, method: Callable[..., Any], is_async: bool, kind: type, child_id: str, node: str, name: str, payload: bytes
        ) -> Callable[..., Any]:  # fmt: skip
            async def inside(*args: Any, **kwargs: Any) -> Any:
                spans.append((node, child_id, name))
                return await method(*args, **kwargs)

            return inside

    async def scenario() -> None:
        traced: Any = Spans()
        async with Household(Room, methods=TracedMethods("a", traced)) as home:
            await home.handled(home.child(Room), call("add", 2), call("nothing", entry="6-0"))
            assert [word for word, _ in replies(home.shard.effects)] == ["ok", "unknown_method"]
            assert spans == [("a", "room-1", "add")]

    asyncio.run(scenario())


async def ended(hosted: HostedChild) -> None:
    """Wait until the child is no more."""
    async with asyncio.timeout(5):
        while hosted.life is not Life.ENDED:
            await hosted.changed()
