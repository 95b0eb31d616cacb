"""What becomes of a message that has been read for a holding."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hubq.core.lifecycle import LifeEvent
from hubq.node.held.due_times import DueTimes
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.strangers import Strangers
from hubq.node.mailbox.delivery import Delivery
from hubq.store.message import Message
from tests.unit.node.fakes import a_holding
from tests.unit.node.movers import Stage


class Told:
    """The parts that messages are given to; offered ones are queued as the pumps do while the child is busy."""

    def __init__(self) -> None:
        self.got: list[tuple[str, object]] = []

    def offer(self, hosted: HostedChild, message: Message) -> None:
        self.got.append(("offered", hosted.child_id))
        hosted.offer(message)

    def message(self, holding: Holding, message: Message) -> None:
        self.got.append(("start", message.child))

    def refuse_unknown(self, holding: Holding, message: Message) -> None:
        self.got.append(("unknown", message.child))

    def noted(self, holding: Holding, message: Message) -> None:
        self.got.append(("noted", message.child))

    def bury(self, holding: Holding, message: Message, why: str) -> None:
        self.got.append(("buried", why))

    def stop_parked(self, hosted: HostedChild, message: Message) -> None:
        self.got.append(("stopped", hosted.child_id))


class Delivering(Stage):
    """Shard 0 has ``room-1``; a child's queue holds two messages, or 100 bytes."""

    def __init__(self) -> None:
        super().__init__(queue_limit=2, queue_bytes=1000)
        self.told = Told()
        told = cast(Any, self.told)
        self.times = DueTimes()
        self.strangers = Strangers(limit=2)
        self.delivery = Delivery(
            self.group.config, self.cursors, told, told, told, told, told, told, self.times, self.strangers
        )
        self.room = self.child("room-1")

    def deliver(
        self, kind: str = "call", child: str = "room-1", entry: str = "5-0", holding: Holding | None = None
    ) -> None:
        """One message."""
        message = Message(entry.encode(), kind, child, "say", "1", "c", 0, b"x" * 10)
        self.delivery.deliver(holding or self.shard, message)


def test_a_message_goes_to_its_child() -> None:
    stage = Delivering()
    stage.deliver()
    assert stage.told.got == [("offered", "room-1")] and not stage.shard.behind


def test_messages_for_a_child_that_is_not_here_are_kept_until_it_is_known_whether_it_is_dormant() -> None:
    stage = Delivering()
    stage.shard.may_have_dormant(False)
    stage.deliver(child="ghost", entry="4-0")
    assert stage.told.got == [("unknown", "ghost")], "none is dormant: its child has ended"
    stage.told.got.clear()
    stage.shard.may_have_dormant(True)
    for entry in ("5-0", "6-0", "7-0"):
        stage.deliver(child="ghost", entry=entry)
    assert stage.told.got == [] and stage.strangers.wanted(stage.shard, 9) == ["ghost"]
    stranger = stage.strangers.take(stage.shard, "ghost")
    assert [message.entry for message in stranger.messages] == [b"5-0", b"6-0"]
    assert stranger.left == b"6-0", "the third one is left in the mailbox"
    assert stage.strangers.holdings() == []


@pytest.mark.parametrize("where", ["apart", "behind"])
def test_messages_of_children_that_others_serve_or_that_are_behind_stay_in_the_mailbox(where: str) -> None:
    stage = Delivering()
    if where == "apart":
        stage.shard.set_apart(["room-1"])
    else:
        stage.cursors.set_behind(stage.shard, "room-1", b"4-0")
    stage.deliver()
    assert stage.told.got == []


def test_a_pin_takes_the_messages_of_its_child_and_of_nobody_else() -> None:
    stage = Delivering()
    pin = a_holding(0, 4, "room-2")
    stage.child("room-2", pin)
    for kind, child in (("call", "room-2"), ("call", "room-1"), ("call", "ghost"), ("start", "room-2")):
        stage.deliver(kind, child, holding=pin)
    assert stage.told.got == [("offered", "room-2")], "starts and strangers are for the shard"


def test_a_pin_whose_child_has_ended_refuses_nobody() -> None:
    stage = Delivering()
    stage.deliver(child="room-2", holding=a_holding(0, 4, "room-2"))
    assert stage.told.got == []


def test_a_start_is_carried_out_even_for_a_child_that_is_behind() -> None:
    stage = Delivering()
    stage.cursors.set_behind(stage.shard, "room-1", b"4-0")
    stage.deliver("start")
    assert stage.told.got == [("start", "room-1")]


def test_a_parked_child_takes_a_stop_and_leaves_all_else_in_the_mailbox() -> None:
    stage = Delivering()
    stage.room.moved(LifeEvent.FAILED)
    stage.deliver("call")
    assert stage.told.got == []
    stage.deliver("stop")
    assert stage.told.got == [("stopped", "room-1")]


def test_what_does_not_fit_into_the_queue_is_read_again_from_the_last_that_did() -> None:
    stage = Delivering()
    for entry in ("5-0", "6-0", "7-0", "8-0"):
        stage.deliver(entry=entry)
    assert len(stage.told.got) == 2 and stage.shard.behind == {"room-1": b"6-0"}


def test_large_messages_fill_the_queue_before_its_number_does() -> None:
    stage = Delivering()
    stage.delivery.deliver(stage.shard, Message(b"5-0", "call", "room-1", "say", "1", "c", 0, b"x" * 2000))
    stage.deliver(entry="6-0")
    assert len(stage.told.got) == 1 and stage.shard.behind == {"room-1": b"5-0"}


def test_the_time_of_a_reminder_is_for_the_owner_of_the_shard() -> None:
    stage = Delivering()
    stage.deliver("remind", child="")
    assert stage.times.due(0) == [0] and stage.told.got == [("noted", "")]
