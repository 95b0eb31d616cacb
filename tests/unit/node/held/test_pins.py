"""A child is taken out of its shard, as a pin, and put back."""

from __future__ import annotations

import asyncio

from hubq.core.phase import Phase
from hubq.node.held.cursors import START, Cursors
from hubq.node.held.pins import put_back, set_aside
from hubq.store.tries import Watch
from tests.unit.node.fakes import a_child, a_holding


def test_a_pin_is_closed_and_frozen_under_the_next_token_with_all_that_is_known_of_its_child() -> None:
    shard, cursors = a_holding(4, token=3), Cursors()
    cursors.add(shard)
    cursors.by_shard[4] = b"9-0"
    hosted, other = a_child(shard, "room-1"), a_child(shard, "room-2")
    watch = Watch((9, 0), "open", ("b#5",))
    shard.watched(watch)
    shard.replays_before("room-1", 5.0)
    shard.replays_before("room-2", 6.0)
    shard.condemn("room-1")
    shard.condemn("room-2")
    pin = set_aside(cursors, shard, hosted)
    assert (pin.shard, pin.pinned, pin.phase) == (4, "room-1", Phase.PASSING)
    assert pin.owner.line == "a 7 4" and shard.owner.line == "a 7 3"
    assert pin.children == {"room-1": hosted} and hosted.holding is pin and shard.children == {"room-2": other}
    assert pin.watch is watch and pin.recorder is shard.recorder
    assert pin.replays == {"room-1": 5.0} and pin.condemned == {"room-1"}
    assert shard.apart == {"room-1"} and not hosted.open


def test_its_messages_are_left_to_whoever_reads_them_next() -> None:
    shard, cursors = a_holding(4), Cursors()
    cursors.add(shard)
    cursors.by_shard[4] = b"9-0"
    level, behind = a_child(shard, "room-1"), a_child(shard, "room-2")
    cursors.set_behind(shard, "room-2", b"7-0")
    assert set_aside(cursors, shard, level).behind == {"room-1": b"9-0"}
    assert set_aside(cursors, shard, behind).behind == {"room-2": b"7-0"}
    assert shard.behind == {} and cursors.take_to_catch() == []


def test_a_shard_of_which_nothing_is_read_yet_leaves_all_to_the_pin() -> None:
    shard = a_holding(4)
    assert set_aside(Cursors(), shard, a_child(shard)).behind == {"room-1": START}


def test_a_pin_that_never_came_to_be_gives_all_back() -> None:
    async def scenario() -> None:
        shard, cursors = a_holding(4), Cursors()
        cursors.add(shard)
        cursors.by_shard[4] = b"9-0"
        hosted = a_child(shard)
        shard.effects.done["room-1"] = [b"5-0"]
        pin = set_aside(cursors, shard, hosted)
        pin.effects.done["room-1"], pin.effects.states["room-1"] = [b"6-0"], b"state"
        waiter = pin.next_commit()
        moved = hosted.changed()
        put_back(shard, pin)
        assert shard.children == {"room-1": hosted} and hosted.holding is shard and pin.children == {}
        assert moved.done()  # who waits for the child looks again
        assert shard.effects.done == {"room-1": [b"5-0", b"6-0"]} and shard.effects.states == {"room-1": b"state"}
        assert shard.behind == {"room-1": b"9-0"} and shard.apart == set()
        assert shard.take_waiters() == [waiter] and pin.take_waiters() == [] and not waiter.done()

    asyncio.run(scenario())
