"""The copies of one followed shard: what is known of them, and how much they have in hand."""

from __future__ import annotations

from typing import Any, cast

from hubq.core.child import Child
from hubq.core.phase import Phase
from hubq.core.replication import LogPosition
from hubq.node.copies.laying import CopyStates
from hubq.node.copies.replica import REPORT, REPORT_NEWS, Replica
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.state import take_state
from hubq.store.envelope import Envelope
from hubq.store.message import Message
from hubq.store.spec_record import SpecRecord
from tests.unit.node.fakes import Here, a_child


class Room(Child):
    durability = "handover"

    def __init__(self, count: int = 0) -> None:
        self.count = count


class Account(Child):
    durability = "commit"


def a_message(size: int = 1) -> Message:
    return Message(b"5-0", "cast", "room-1", "join", "0", "", 0, bytes(size))


def test_only_copies_that_handle_messages_are_opened() -> None:
    passive, active = Replica(0, "b"), Replica(1, "b")
    passive.follows_from(LogPosition(7, "100-0"), handles=False)
    active.follows_from(LogPosition(7, "100-0"), handles=True)
    assert (passive.holding.open, active.holding.open) == (False, True)
    assert passive.holding.is_copy and passive.position.number == 7
    hosted = a_child(active.holding)
    assert active.end() == [hosted] and active.holding.phase is Phase.GONE and not active.reading


def test_a_replica_is_ready_when_no_state_is_missing_or_doubted() -> None:
    replica = Replica(0, "b")
    assert not replica.ready
    replica.is_built()
    assert replica.ready
    a_child(replica.holding, "room-1", Room), a_child(replica.holding, "account-1", Account)
    replica.waits_for("room-1")
    assert not replica.ready and replica.doubts("room-1")
    replica.knows("room-1")
    assert replica.ready
    replica.owned_by("c")  # what msk has of room-1 may not be all
    assert not replica.ready and replica.doubts("room-1") and not replica.doubts("account-1")
    replica.forget("room-1")
    assert replica.ready and list(replica.holding.children) == ["account-1"]


def test_a_message_is_taken_once_and_not_if_the_state_holds_it() -> None:
    replica = Replica(0, "b")
    assert replica.is_next("room-1", "9-1")
    assert not replica.is_next("room-1", "9-1")
    replica.holds_until("room-1", "10-5")
    assert [replica.is_next("room-1", entry) for entry in ("10-4", "10-5", "10-6")] == [False, False, True]
    replica.forget("room-1")
    assert replica.is_next("room-1", "1-0")


def test_a_full_copy_stops_the_reading_until_half_of_it_is_done() -> None:
    replica = Replica(0, "b")
    hosted = a_child(replica.holding)
    for number in range(4):
        assert replica.has_room(queue_limit=4, queue_bytes=100)
        hosted.offer(a_message())
        replica.queued(hosted, queue_limit=4, queue_bytes=100)
        assert hosted.queue is not None and len(hosted.queue) == number + 1
    hosted.withdraw(0)
    assert not replica.has_room(4, 100)
    hosted.withdraw(0)
    assert replica.has_room(4, 100)
    hosted.withdraw(0)
    hosted.withdraw(0)
    hosted.offer(a_message(size=100))
    replica.queued(hosted, 4, 100)
    assert not replica.has_room(4, 100)
    hosted.drop_queue()
    assert replica.has_room(4, 100)


def test_it_reports_soon_if_there_is_news_and_now_and_then_if_there_is_none() -> None:
    replica = Replica(0, "b")
    replica.follows_from(LogPosition(7, "100-0"), handles=True)
    replica.is_built()
    assert replica.report_is_due(100.0)
    replica.reports(100.0)
    assert not replica.report_is_due(100.0 + REPORT) and replica.report_is_due(100.1 + REPORT)
    replica.position.read(8, "101-0")
    assert not replica.report_is_due(100.0 + REPORT_NEWS) and replica.report_is_due(100.1 + REPORT_NEWS)


class FakeBuilder:
    """Builds rooms; raises if it may not."""

    def __init__(self, *, may: bool = True) -> None:
        self.may = may

    def build(self, holding: Holding, child: str, record: SpecRecord) -> HostedChild:
        if not self.may:
            raise ValueError("no such room")
        hosted = HostedChild(cast(Any, Here()), holding, child, record, Room)
        hosted.made(Room())
        return hosted


def test_a_copy_takes_the_attributes_of_its_original() -> None:
    replica = Replica(0, "b")
    hosted = a_child(replica.holding, kind=Room)
    other = a_child(Replica(1, "b").holding, kind=Room)
    assert isinstance(other.instance, Room) and isinstance(hosted.instance, Room)
    other.instance.count = 8
    data = take_state(other, 1000)
    kept = hosted.instance
    CopyStates(cast(Any, FakeBuilder())).lay(hosted, Envelope("attributes", "7-0", data))
    assert hosted.instance is kept and kept.count == 8
    assert (hosted.boundary, hosted.saved, hosted.cursor) == (data, True, "7-0")


def test_a_copy_is_built_anew_for_a_state_that_was_handed_over() -> None:
    replica = Replica(0, "b")
    hosted = HostedChild(cast(Any, Here()), replica.holding, "room-1", SpecRecord("Room", "tests", "s:1"), Room)
    hosted.made(Room())
    replica.holding.attach(hosted)
    hosted.taken(b"of before")
    before = hosted.instance
    data = take_state(hosted, 1000)
    CopyStates(cast(Any, FakeBuilder())).lay(hosted, Envelope("handed", "7-0", data))
    assert hosted.instance is not before and hosted.instance is not None
    assert hosted.instance.node_name == "a", "it is the copy's own instance, not the builder's"
    assert (hosted.boundary, hosted.cursor) == (None, "7-0")


def test_a_copy_that_cannot_take_its_state_is_dropped() -> None:
    replica = Replica(0, "b")
    hosted = a_child(replica.holding, kind=Room)
    states = CopyStates(cast(Any, FakeBuilder(may=False)))
    states.lay(hosted, Envelope("handed", "7-0", take_state(hosted, 1000)))
    assert replica.holding.children == {}
    states.lay(hosted, Envelope("attributes", "7-0", b"no state at all"))  # it may be in hand while it is dropped
    assert replica.holding.children == {}
