"""What a commit tells the followers of its shard."""

from __future__ import annotations

from typing import Any

import pytest

from hubq.config import Config
from hubq.core.child import Child
from hubq.core.lifecycle import LifeEvent
from hubq.node.copies.recorder import ShardRecorder, Silence, moves_by_itself
from hubq.node.held.holding import HostedChild
from hubq.node.held.state import take_state
from hubq.node.runtime.sizes import Sizes
from hubq.store.envelope import Envelope
from hubq.store.message import Message
from tests.unit.node.fakes import a_child, a_holding

LIMIT = 1_000_000


def sizes_of(most: int) -> Sizes:
    """States of at most so many bytes."""
    return Sizes(Config(max_state_bytes=most))


class Room(Child):
    durability = "handover"

    def __init__(self) -> None:
        self.count = 0


class Account(Child):
    durability = "commit"


class Clockwork(Room):
    async def run(self) -> None:
        pass


class Stubborn(Room):
    on_error = "keep"


def running(kind: type[Child], recorder: Any) -> HostedChild:
    """A child that runs, and its state at the last boundary."""
    hosted = a_child(a_holding(recorder=recorder), kind=kind)
    hosted.moved(LifeEvent.RESTORED)
    hosted.moved(LifeEvent.STARTED)
    hosted.taken(take_state(hosted, LIMIT))
    hosted.holds_until("4-0")
    return hosted


def a_message(kind: str = "call") -> Message:
    return Message(b"5-0", kind, "room-1", "join", "1", "", 0, b"arguments")


def log_of(hosted: HostedChild) -> list[tuple[str, str, bytes]]:
    return [(item.kind, item.word, item.payload) for item in hosted.holding.effects.log]


def envelope(hosted: HostedChild) -> bytes:
    assert hosted.boundary is not None
    return Envelope("attributes", hosted.cursor, hosted.boundary).written()


def test_copies_that_handle_messages_get_them_and_learn_which_left_no_trace() -> None:
    recorder = ShardRecorder(True, sizes_of(LIMIT))
    hosted = running(Room, recorder)
    assert recorder.finished(hosted, a_message(), "ok") and recorder.finished(hosted, a_message(), "failed")
    assert log_of(hosted) == [("message", "ok", b"arguments"), ("message", "undone", b"")]
    assert [(item.entry, item.method) for item in hosted.holding.effects.log] == [("5-0", "join")] * 2


@pytest.mark.parametrize(("kind", "word"), [(Clockwork, "ok"), (Stubborn, "failed")])
def test_the_state_goes_with_a_message_that_does_not_explain_it(kind: type[Child], word: str) -> None:
    recorder = ShardRecorder(True, sizes_of(LIMIT))
    hosted = running(kind, recorder)
    recorder.finished(hosted, a_message(), word)
    assert [item[0] for item in log_of(hosted)] == ["message", "state"]
    assert log_of(hosted)[1][2] == envelope(hosted)


@pytest.mark.parametrize("kind", ["start", "stop"])
def test_only_what_was_handled_is_told(kind: str) -> None:
    recorder = ShardRecorder(True, sizes_of(LIMIT))
    hosted = running(Room, recorder)
    assert recorder.finished(hosted, a_message(kind), "ok") and recorder.finished(hosted, a_message(), "overdue")
    hosted.moved(LifeEvent.END)
    assert recorder.finished(hosted, a_message(), "ok")
    assert log_of(hosted) == []


def test_copies_that_wait_get_the_latest_state_or_learn_that_it_is_saved() -> None:
    recorder = ShardRecorder(False, sizes_of(LIMIT))
    room, account, stubborn = (running(kind, recorder) for kind in (Room, Account, Stubborn))
    recorder.finished(room, a_message(), "ok")
    assert room.holding.effects.latest == {"room-1": envelope(room)} and log_of(room) == []

    recorder.finished(account, a_message(), "ok")
    assert account.holding.effects.latest == {}  # the message has changed nothing
    account.holding.effects.states["room-1"] = b"envelope"
    recorder.finished(account, a_message(), "ok")
    assert account.holding.effects.latest == {"room-1": b""}

    recorder.finished(stubborn, a_message(), "failed")
    assert stubborn.holding.effects.latest == {"room-1": envelope(stubborn)}
    room.holding.effects.latest.clear()
    recorder.finished(room, a_message(), "failed")
    assert room.holding.effects.latest == {}


def test_who_begins_is_told_with_its_state_if_only_it_knows_that() -> None:
    recorder = ShardRecorder(True, sizes_of(LIMIT))
    room, account = running(Room, recorder), running(Account, recorder)
    recorder.begun(room)
    recorder.begun(account)
    assert [item[0] for item in log_of(room)] == ["start", "state"]
    assert log_of(account) == [("start", "s:1", b"")]
    assert (moves_by_itself(room), moves_by_itself(account)) == (True, False)


def test_a_snapshot_is_the_state_as_it_is_now_and_not_saved_yet() -> None:
    recorder = ShardRecorder(True, sizes_of(LIMIT))
    hosted = running(Room, recorder)
    hosted.is_saved()
    recorder.snapshot(hosted)
    assert hosted.saved  # nothing has changed
    assert isinstance(hosted.instance, Room)
    hosted.instance.count = 1
    recorder.snapshot(hosted)
    assert not hosted.saved and log_of(hosted)[-1] == ("state", "", envelope(hosted))

    starting = a_child(a_holding(), kind=Room)
    recorder.snapshot(starting)
    assert log_of(starting) == [("saved", "", b"")]

    too_large = ShardRecorder(True, sizes_of(1))
    hosted.holding.effects.log.clear()
    too_large.snapshot(hosted)
    assert log_of(hosted) == []


def test_an_end_comes_after_all_that_is_told_of_a_child() -> None:
    recorder = ShardRecorder(False, sizes_of(LIMIT))
    hosted = running(Room, recorder)
    recorder.state(hosted)
    recorder.ended(hosted.holding, "room-1", "s:1")
    assert hosted.holding.effects.latest == {} and log_of(hosted) == [("end", "s:1", b"")]


def test_nothing_of_what_a_copy_does_goes_to_redis() -> None:
    silence = Silence()
    copy = running(Room, silence)
    copy.holding.effects.states["room-1"] = b"envelope"
    assert not silence.finished(copy, a_message(), "ok")
    silence.state(copy)
    silence.begun(copy)
    silence.ended(copy.holding, "room-1", "s:1")
    assert not copy.holding.effects and copy.cursor == "5-0"
