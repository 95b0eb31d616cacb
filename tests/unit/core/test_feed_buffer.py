"""A subscriber takes each item of a feed once, in order, whoever has read it; what it cannot get is a gap."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubq.core.feed import START, Ended, Event, Gap, Item, Place
from hubq.core.feed_buffer import FeedBuffer, Follower
from hubq.errors import ConfigError


def event(number: int, ms: int = 0, size: int = 0) -> Event:
    return Event(Place(ms or number * 10, number), "t", b"x" * size, len)


def events(first: int, last: int) -> list[Item]:
    return [event(number) for number in range(first, last + 1)]


def numbers(items: list[Item] | None) -> list[object]:
    assert items is not None
    return [item.place.number if isinstance(item, Event) else item for item in items]


def buffer_at(number: int, most: int = 5) -> FeedBuffer:
    return FeedBuffer(Place(number * 10, number), most, 1000)


def test_who_is_too_far_behind_reads_back_and_then_goes_on_from_the_buffer() -> None:
    buffer = buffer_at(0)
    follower = Follower(buffer, START)
    buffer.extend(events(1, 20))
    assert follower.take() is None
    assert numbers(follower.take_back(events(1, 17))) == list(range(1, 18))
    assert numbers(follower.take()) == [18, 19, 20]
    assert follower.take() == []


def test_what_was_trimmed_before_it_was_read_back_is_one_gap() -> None:
    buffer = buffer_at(0)
    follower = Follower(buffer, START)
    buffer.extend(events(1, 20))
    assert follower.take() is None
    assert numbers(follower.take_back([])) == [Gap("0-0", "160-16", 15), 16, 17, 18, 19, 20]


def test_who_has_read_further_than_the_buffer_gets_nothing_twice() -> None:
    buffer = buffer_at(3)
    follower = Follower(buffer, Place(50, 5))
    assert follower.take() == []
    buffer.extend(events(4, 7))
    assert numbers(follower.take()) == [6, 7]


def test_when_redis_has_lost_the_end_of_a_feed_subscribers_get_what_comes_instead_behind_a_gap() -> None:
    buffer = buffer_at(0)
    follower = Follower(buffer, START)
    buffer.extend(events(1, 5))
    assert numbers(follower.take()) == [1, 2, 3, 4, 5]
    buffer.goes_on_behind(Place(30, 3))
    buffer.extend([event(4, ms=45)])
    assert numbers(follower.take()) == [Gap("50-5", "45-4", None), 4]
    buffer.extend([event(5, ms=46)])
    assert numbers(follower.take()) == [5]


def test_nothing_follows_the_end() -> None:
    buffer = buffer_at(0)
    follower = Follower(buffer, START)
    buffer.extend([event(1), Ended("20-2"), event(3)])
    assert numbers(follower.take()) == [1, Ended("20-2")] and follower.over
    assert numbers(Follower(buffer, Place(20, 2)).take()) == [3]


def test_the_bytes_of_a_buffer_are_bounded_but_one_item_is_always_held() -> None:
    buffer = FeedBuffer(START, 100, 1000)
    buffer.extend([event(number, size=400) for number in range(1, 6)])
    assert len(buffer) == 2
    buffer.extend([event(6, size=5000)])
    assert len(buffer) == 1 and buffer.tail.number == 6


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["publish", "read", "take", "clear", "trim"]), max_size=60), st.integers(0, 3))
def test_every_event_comes_once_in_order_or_is_in_a_gap(steps: list[str], start: int) -> None:
    kept: list[Item] = []
    published = 0
    buffer = buffer_at(0, most=3)
    follower = Follower(buffer, Place(start * 10, start) if start else START)
    if start:
        kept, published = events(1, start), start
    seen = start
    for step in [*steps, "publish", "read", "take", "take", "take"]:
        if step == "publish":
            published += 2
            kept += events(published - 1, published)
        elif step == "read":
            buffer.extend([item for item in kept if isinstance(item, Event) and item.place > buffer.tail])
        elif step == "clear":
            buffer.clear()
        elif step == "trim":
            kept = kept[-1:]
        else:
            items = follower.take()
            if items is None:
                behind = [item for item in kept if isinstance(item, Event) and item.place > follower.place]
                items = follower.take_back(behind[:4])
            for item in items:
                if isinstance(item, Gap):
                    assert item.missed is not None and item.missed > 0
                    seen += item.missed
                elif isinstance(item, Event):
                    seen += 1
                    assert item.place.number == seen
    while follower.place < buffer.tail:
        items = follower.take()
        items = (
            follower.take_back([i for i in kept if isinstance(i, Event) and i.place > follower.place])
            if items is None
            else items
        )
        for item in items:
            seen += (item.missed or 0) if isinstance(item, Gap) else 1
    assert seen == published


@pytest.mark.parametrize("after", ["", "7", "7-", "a-b", "-1-2", "7-1 ", "7-1-1"])
def test_an_after_that_is_no_id_is_refused(after: str) -> None:
    with pytest.raises(ConfigError, match="no id of an event"):
        Place.read(after)
