"""How far mailboxes are read, and who is behind."""

from __future__ import annotations

import asyncio

from hubq.node.held.cursors import START, Cursors
from hubq.node.held.holding import Holding
from hubq.store.message import Message
from hubq.store.saying import USUAL
from tests.unit.node.fakes import a_child, a_holding


async def heard(cursors: Cursors) -> bool:
    """Whether there is something to catch up with."""
    return await cursors.bell.heard(within=0.0)


def test_the_first_holding_of_a_shard_is_read_from_the_first_message_left() -> None:
    async def scenario() -> None:
        cursors, shard = Cursors(), a_holding(4)
        cursors.add(shard)
        assert cursors.position(4) == START and cursors.in_step(shard) and not await heard(cursors)

    asyncio.run(scenario())


def test_a_shard_that_comes_after_its_pin_has_to_catch_up_but_a_pin_does_not() -> None:
    async def scenario() -> None:
        cursors, pin, shard, second = (
            Cursors(),
            a_holding(4, pinned="room-1"),
            a_holding(4),
            a_holding(4, pinned="room-2"),
        )
        cursors.add(pin)
        cursors.by_shard[4] = b"9-0"
        cursors.add(shard)
        assert not cursors.in_step(shard) and cursors.position(4) == b"9-0" and await heard(cursors)
        assert cursors.take_to_catch() == [shard] and cursors.take_to_catch() == []
        cursors.add(second)
        assert cursors.in_step(second) and not await heard(cursors)
        assert cursors.holdings == {4: [pin, shard, second]}

    asyncio.run(scenario())


def test_a_shard_is_read_for_as_long_as_something_of_it_is_here() -> None:
    cursors, pin, shard = Cursors(), a_holding(4, pinned="room-1"), a_holding(4)
    cursors.add(shard)
    cursors.add(pin)
    cursors.by_shard[4] = b"9-0"
    cursors.again(a_child(shard))
    cursors.remove(shard)
    cursors.remove(shard)
    assert cursors.position(4) == b"9-0" and cursors.take_to_catch() == [] and cursors.set_back == {}
    cursors.remove(pin)
    assert cursors.by_shard == {} and cursors.position(4) == START


def test_a_read_that_was_begun_before_the_shard_came_is_not_believed() -> None:
    cursors, shard, other = Cursors(), a_holding(4), a_holding(5)
    cursors.add(other)
    before, asked = cursors.begin_read([4, 5])
    assert asked == {5: START}
    cursors.add(shard)
    assert cursors.is_stale(4, before) and not cursors.is_stale(5, before)
    behind, asked = cursors.begin_read([4])
    assert asked == {4: START} and not cursors.is_stale(4, behind)
    assert cursors.is_stale(4, before), "it is under way still, beside the other"
    cursors.fresh(5)  # a child of it has just come
    assert cursors.is_stale(5, behind) and not cursors.is_stale(4, behind)


def test_a_read_of_all_is_one_more_read_and_keeps_its_places() -> None:
    cursors, shard = Cursors(), a_holding(4)
    cursors.add(a_holding(5))
    before, _ = cursors.begin_read([5])
    cursors.add(shard)
    turn, asked = cursors.begin_read_of_all()
    cursors.by_shard[4] = b"9-0"
    assert asked == {5: START, 4: START} and turn > before
    assert cursors.is_stale(4, before) and not cursors.is_stale(4, turn)


def test_a_child_is_read_for_again_from_past_an_entry() -> None:
    async def scenario() -> None:
        cursors, shard = Cursors(), a_holding(4)
        hosted = a_child(shard)
        cursors.add(shard)
        late = cursors.begin_page(shard)
        cursors.again(hosted, b"7-0")
        assert shard.behind == {"room-1": b"7-0"} and await heard(cursors) and cursors.take_to_catch() == [shard]
        assert late == {"room-1"}  # the page under way may hold messages that have been handled since
        assert cursors.begin_page(shard) == set()
        cursors.again(hosted)
        cursors.orphans(shard, "room-2")
        assert shard.behind == {"room-1": START, "room-2": START}
        assert cursors.set_back[shard] == {"room-1", "room-2"}
        assert cursors.caught_up(shard, "room-1") == START and cursors.caught_up(shard, "room-1") is None

    asyncio.run(scenario())


def test_messages_that_are_left_for_later_are_not_read_before_somebody_says_so() -> None:
    async def scenario() -> None:
        cursors, shard = Cursors(), a_holding(4)
        hosted = a_child(shard)
        cursors.catch_up(shard)
        cursors.room(hosted)
        assert not await heard(cursors)
        cursors.set_behind(shard, "room-1", b"7-0")
        assert not await heard(cursors) and cursors.take_to_catch() == []
        cursors.room(hosted)
        assert await heard(cursors) and cursors.take_to_catch() == [shard]
        cursors.catch_up(shard)
        assert await heard(cursors) and cursors.take_to_catch() == [shard]

    asyncio.run(scenario())


def messages(*entries: bytes) -> list[Message]:
    return [Message(entry, "cast", "room-1", "post", "c#1", "", 0, b"") for entry in entries]


def cut_of(holding: Holding, *done: bytes) -> tuple[bytes, int]:
    """Where the next commit of a holding cuts, and what it asks, if these are done."""
    holding.effects.done["room-1"] = list(done)
    effects = holding.take_effects(1, USUAL)
    return effects.cut, effects.asked_at


def test_what_was_read_of_a_shard_is_cut_off_once_it_is_done() -> None:
    cursors, shard, pin = Cursors(), a_holding(4), a_holding(4, pinned="room-2")
    cursors.add(shard)
    cursors.add(pin)
    cursors.passes(4, messages(b"7-0", b"7-1", b"7-2"))
    assert cursors.position(4) == b"7-2"
    assert cut_of(pin, b"7-0", b"7-1") == (b"", 0), "a pin is a part of its shard"
    assert cut_of(shard, b"7-0") == (b"", 0)
    assert cut_of(shard, b"7-1", b"7-2") == (b"7-3", 0)


def test_what_was_taken_and_not_committed_is_deleted_by_name_with_the_next_commit() -> None:
    cursors, shard = Cursors(), a_holding(4)
    cursors.add(shard)
    cursors.passes(4, messages(b"7-0", b"7-1", b"7-2"))
    shard.effects.done["room-1"] = [b"7-0", b"7-1"]
    shard.give_back_effects(shard.take_effects(1, USUAL))
    shard.effects.done["room-1"].append(b"7-2")
    effects = shard.take_effects(1, USUAL)
    assert effects.cut == b"" and effects.done == {"room-1": [b"7-0", b"7-1", b"7-2"]}
    cursors.passes(4, messages(b"8-0", b"8-1"))
    assert cut_of(shard, b"8-0", b"8-1") == (b"8-2", 0)


def test_a_shard_that_comes_after_its_pin_does_not_cut_what_was_read_before() -> None:
    cursors, pin, shard = Cursors(), a_holding(4, pinned="room-2"), a_holding(4)
    cursors.add(pin)
    cursors.passes(4, messages(b"7-0"))
    cursors.add(shard)
    cursors.passes(4, messages(b"7-1", b"7-2"))
    cut, asked = cut_of(shard, b"7-1", b"7-2")
    assert cut == b"" and asked == 2, "7-0 may still be there"
    assert shard.unfinished is not None
    shard.unfinished.emptied(asked)
    assert shard.unfinished.cut() == b"7-3"


def test_a_mailbox_that_was_mended_is_not_cut_until_it_was_empty() -> None:
    cursors, shard = Cursors(), a_holding(4)
    cursors.add(shard)
    cursors.passes(4, messages(b"7-0", b"7-1"))
    cursors.goes_on_at(4, b"5-0")
    assert cursors.position(4) == b"5-0" and cut_of(shard, b"7-0", b"7-1") == (b"", 2)
    cursors.passes(4, messages(b"6-0", b"6-1"))
    assert shard.unfinished is not None
    shard.unfinished.emptied(2)  # the answer, that comes late
    assert cut_of(shard, b"6-0", b"6-1")[0] == b""
    shard.unfinished.emptied(4)
    assert shard.unfinished.cut() == b"6-2"
