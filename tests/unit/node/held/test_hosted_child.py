"""A hosted child: its messages, its state, and who may wait for it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.core.child import Child
from hubq.core.lifecycle import Life, LifeEvent
from hubq.core.state_machine import IllegalMove
from hubq.node.held.changing import first_of
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.held.recorder import NoRecorder
from hubq.node.held.state import lay_state, restore, take_state
from hubq.store.codec import encode
from hubq.store.envelope import Envelope
from hubq.store.owners import Owner
from hubq.store.pickled_values import PickledValues
from tests.unit.node.children.test_outcomes import Witness
from tests.unit.node.fakes import a_child, a_holding, in_hand_of
from tests.unit.node.household import cast_of


class Room(Child):
    max_restarts = 2
    restart_within = 10.0


class Tally(Room):
    durability = "interval"


class Acts:
    """Services that remember what a child has asked for."""

    node_name = "a"
    values = PickledValues()
    seal = None

    def __init__(self) -> None:
        self.asked: list[str] = []

    def active(self, hosted: HostedChild) -> bool:
        return hosted.holding.active

    async def commit(self, hosted: HostedChild) -> None:
        self.asked.append("commit")

    def stop(self, hosted: HostedChild) -> None:
        self.asked.append("stop")


def running(holding: Holding | None = None, kind: type[Child] = Room) -> HostedChild:
    hosted = a_child(holding or a_holding(), kind=kind)
    hosted.moved(LifeEvent.RESTORED)
    hosted.moved(LifeEvent.STARTED)
    return hosted


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# -- its life ------------------------------------------------------------------------------------------------------


def test_its_life_is_the_table() -> None:
    hosted = a_child(a_holding())
    with pytest.raises(IllegalMove, match="child: 'started' cannot happen while 'built'"):
        hosted.moved(LifeEvent.STARTED)
    hosted.moved(LifeEvent.RESTORED)
    assert hosted.life is Life.STARTING


def test_a_new_instance_knows_nothing_of_the_old_ones_state() -> None:
    holding = a_holding()
    hosted, fresh = running(holding), a_child(a_holding(), "fresh")
    hosted.laid(b"state", "5-0")
    hosted.take_instance_of(fresh)
    assert hosted.instance is fresh.instance and hosted.instance is not None
    assert hosted.instance.child_id == "room-1"  # a call of self.commit() goes to the one that is served
    assert hosted.boundary is None and not hosted.saved and hosted.cursor == "5-0"


def test_a_child_may_be_restarted_so_often() -> None:
    hosted = running()
    assert [hosted.may_restart(at) for at in (0.0, 1.0, 2.0, 10.5)] == [True, True, False, True]


def test_what_a_child_sees_of_its_node() -> None:
    async def scenario() -> None:
        acts, holding = Acts(), a_holding()
        hosted = HostedChild(acts, holding, "room-1", a_child(holding).record, Room)
        room = Room()
        hosted.made(room)
        assert (room.child_id, room.node_name, room.metadata) == ("room-1", "a", {})
        assert room.redundancy_mode == "active"
        holding.deactivate()
        assert room.redundancy_mode == "passive"
        await room.commit()
        room.stop()
        assert acts.asked == ["commit", "stop"]

    asyncio.run(scenario())


def test_a_copy_neither_commits_nor_stops_by_itself() -> None:
    async def scenario() -> None:
        acts, holding = Acts(), Holding(0, Owner("-", 0, 0), NoRecorder(), is_copy=True)
        hosted = HostedChild(acts, holding, "room-1", a_child(a_holding()).record, Room)
        await hosted.commit()
        hosted.stop()
        assert acts.asked == []

    asyncio.run(scenario())


# -- its messages --------------------------------------------------------------------------------------------------


def test_the_next_message_may_be_handled_only_between_two_while_all_is_open() -> None:
    hosted = running()
    assert hosted.open and not hosted.busy and not hosted.settling
    in_hand_of(hosted, cast_of("post"))
    assert not hosted.open and hosted.busy and hosted.settling
    hosted.hand_empty()
    hosted.holding.close_intake()
    assert not hosted.open and not hosted.settling
    built = a_child(a_holding())
    assert not built.open and not built.settling
    built.moved(LifeEvent.RESTORED)
    assert not built.open and built.settling


def test_its_queue_knows_its_size() -> None:
    hosted = running()
    one, two = cast_of("post", "x" * 10, entry="5-0"), cast_of("post", "x" * 20, entry="6-0")
    assert hosted.offer(one) and not hosted.offer(two), "the first one may be handled"
    assert hosted.queue is not None and hosted.queued_bytes == len(one.payload) + len(two.payload)
    in_hand = hosted.take_in_hand(None)
    assert in_hand.message is one and hosted.in_hand is in_hand and hosted.queued_bytes == len(two.payload)
    hosted.put_back(one)
    assert list(hosted.queue) == [one, two] and hosted.queued_bytes == len(one.payload) + len(two.payload)
    hosted.withdraw(1)
    assert list(hosted.queue) == [one] and hosted.queued_bytes == len(one.payload)
    hosted.drop_queue()
    assert hosted.queue is None and hosted.queued_bytes == 0
    hosted.put_back(one)
    assert hosted.queue is None, "it is read again from the mailbox"


def test_a_message_offered_to_a_busy_child_waits() -> None:
    hosted = running()
    in_hand_of(hosted, cast_of("post"))
    assert not hosted.offer(cast_of("post", entry="6-0"))


def test_what_a_message_in_hand_gathers_is_thrown_away_when_it_fails() -> None:
    in_hand = InHand(cast_of("post"))
    in_hand.succeeded(b"reply", b"state")
    assert (in_hand.word, in_hand.payload, in_hand.state) == ("ok", b"reply", b"state")
    in_hand.failed("failed", b"error")
    assert (in_hand.word, in_hand.payload, in_hand.state) == ("failed", b"error", None)
    in_hand.cancel()  # nobody handles it

    async def scenario() -> None:
        task = asyncio.ensure_future(asyncio.Event().wait())
        InHand(cast_of("post"), task).cancel()
        await settled()
        assert task.cancelled()

    asyncio.run(scenario())


# -- its state -----------------------------------------------------------------------------------------------------


def test_a_state_at_a_boundary_is_saved_once_if_it_is_another_one() -> None:
    hosted = running()
    assert hosted.reached("5-0", b"one", saves=True) and hosted.saved and hosted.cursor == "5-0"
    assert not hosted.reached("6-0", b"one", saves=True) and hosted.saved and hosted.cursor == "6-0"
    assert not hosted.reached("7-0", b"two", saves=False) and not hosted.saved and hosted.boundary == b"two"
    assert hosted.reached("8-0", b"two", saves=True) and hosted.saved
    hosted.reached_unseen("9-0")
    assert not hosted.saved and hosted.cursor == "9-0" and hosted.boundary == b"two"


def test_a_boundary_that_is_another_one_is_not_saved_yet() -> None:
    hosted = running()
    assert hosted.taken(b"one") and not hosted.saved
    hosted.is_saved()
    assert not hosted.taken(b"one") and hosted.saved
    assert hosted.taken(b"two") and not hosted.saved
    hosted.laid(b"three")
    assert hosted.boundary == b"three" and hosted.saved
    hosted.is_changed()
    assert not hosted.saved


def test_which_children_are_saved_with_each_message() -> None:
    followed = Witness()
    assert running().saved_with_each_message
    assert not running(kind=Tally).saved_with_each_message
    assert not running(a_holding(pinned="room-1"), Tally).saved_with_each_message
    assert not running(a_holding(recorder=followed), Tally).saved_with_each_message
    assert running(a_holding(pinned="room-1", recorder=followed), Tally).saved_with_each_message


def test_messages_that_wait_for_a_save_are_counted() -> None:
    hosted = running(kind=Tally)
    assert [hosted.waits_for_save(entry) for entry in (b"5-0", b"6-0")] == [1, 2]
    hosted.drop_unsaved()
    assert hosted.unsaved is None


def test_a_disarmed_timer_does_not_end() -> None:
    async def scenario() -> None:
        hosted = running(kind=Tally)
        ended: list[int] = []
        hosted.arm(asyncio.get_running_loop().call_later(0.0, ended.append, 1))
        hosted.disarm()
        hosted.disarm()
        await settled()
        assert ended == [] and hosted.save_timer is None

    asyncio.run(scenario())


def test_state_leaves_and_returns_without_what_is_transient() -> None:
    class Keeps(Room):
        transient = ("socket",)

        def __init__(self) -> None:
            self.n, self.socket = 0, object()

    hosted = running(kind=Keeps)
    instance: Any = hosted.instance
    socket, before = instance.socket, take_state(hosted, 1000)
    instance.n, instance.more = 5, "new"
    lay_state(hosted, before)
    assert instance.__dict__ == {"n": 0, "socket": socket}
    restore(hosted, Envelope("attributes", "7-0", encode({"n": 7, "socket": None})))
    assert instance.__dict__ == {"n": 7, "socket": socket} and hosted.cursor == "7-0"


# -- waiting for it ------------------------------------------------------------------------------------------------


def test_the_boundary_comes_with_the_end_of_the_message() -> None:
    async def scenario() -> None:
        hosted = running()
        await asyncio.wait_for(hosted.at_boundary(), 5)
        in_hand_of(hosted, cast_of("post"))
        waits = [asyncio.create_task(hosted.at_boundary()) for _ in range(2)]
        await settled()
        hosted.offer(cast_of("post", entry="6-0"))
        hosted.tell()  # some other change
        await settled()
        waits[0].cancel()
        await settled()
        assert not waits[1].done()
        hosted.hand_empty()
        await asyncio.wait_for(waits[1], 5)
        assert waits[0].cancelled()

    asyncio.run(scenario())


@pytest.mark.parametrize("event", [LifeEvent.STARTED, LifeEvent.FAILED, LifeEvent.END])
def test_waiting_for_the_start_ends_however_it_goes(event: LifeEvent) -> None:
    async def scenario() -> None:
        hosted = a_child(a_holding())
        hosted.moved(LifeEvent.RESTORED)
        waits = [asyncio.create_task(hosted.has_started()), asyncio.create_task(hosted.at_boundary())]
        await settled()
        assert not any(wait.done() for wait in waits)
        hosted.moved(event)
        await asyncio.wait_for(asyncio.gather(*waits), 5)

    asyncio.run(scenario())


def test_its_first_message_does_not_hide_that_it_has_started() -> None:
    async def scenario() -> None:
        hosted = running()
        in_hand_of(hosted, cast_of("post"))
        waits = asyncio.create_task(hosted.has_started())
        await settled()
        assert waits.done()

    asyncio.run(scenario())


def test_waiting_for_its_begin_ends_with_its_state_or_with_its_holding_wherever_it_is_then() -> None:
    async def scenario() -> None:
        begun, lost, moved = (a_child(a_holding()) for _ in range(3))
        waits = [asyncio.create_task(hosted.has_begun()) for hosted in (begun, lost, moved)]
        pin = a_holding(pinned="room-1")
        await settled()
        pin.attach(moved)
        await settled()
        begun.moved(LifeEvent.RESTORED)
        lost.holding.lose()
        await asyncio.wait_for(asyncio.gather(*waits[:2]), 5)
        assert not waits[2].done()
        pin.lose()
        await asyncio.wait_for(waits[2], 5)

    asyncio.run(scenario())


def test_a_copy_has_drained_when_it_has_nothing_left_or_may_do_nothing_more() -> None:
    async def scenario() -> None:
        hosted = running()
        await asyncio.wait_for(hosted.has_drained(), 5)
        hosted.offer(cast_of("post"))
        wait = asyncio.create_task(hosted.has_drained())
        await settled()
        hosted.take_in_hand(None)
        hosted.tell()
        await settled()
        assert not wait.done()
        hosted.hand_empty()
        await asyncio.wait_for(wait, 5)
        hosted.offer(cast_of("post"))
        wait = asyncio.create_task(hosted.has_drained())
        await settled()
        assert not wait.done()
        hosted.holding.close_intake()
        await asyncio.wait_for(wait, 5)

    asyncio.run(scenario())


def test_parking_drops_the_queue_and_tells() -> None:
    async def scenario() -> None:
        hosted = running()
        hosted.offer(cast_of("post"))
        hosted.moved(LifeEvent.FAILED)
        changed = hosted.changed()
        hosted.park("no network")
        assert changed.done() and hosted.queue is None and hosted.reason == "no network"

    asyncio.run(scenario())


def test_the_first_of_several_changes_leaves_the_others_be() -> None:
    async def scenario() -> None:
        one, other = running(), running()
        wait = asyncio.create_task(first_of(one.changed(), other.changed()))
        await settled()
        kept = one.changed()
        other.tell()
        await asyncio.wait_for(wait, 5)
        assert not kept.done() and kept is one.changed()
        cast(Any, one).tell()

    asyncio.run(scenario())
