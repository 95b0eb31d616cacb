"""What a commit publishes: once, numbered, capped, and ended with the child; and how it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hubq.core.feed import START, Ended, Event, Place
from hubq.store.codec import decode
from hubq.store.connection import SyncRedis
from hubq.store.effects import Effects, Numbered
from hubq.store.feeds import Page, Published, feed_tail, read_feeds
from hubq.store.keys import Keys
from hubq.store.owners import commit_shard

from .script_drives import World


class Stage(World):
    """A child ``x`` of shard 0 publishes."""

    def __init__(self, keys: Keys, redis: SyncRedis) -> None:
        super().__init__(keys, redis)
        self.feed = keys.feed(0, "x")
        self.raw("HSET", keys.children(0), "x", b'{"name":"Room","module":"m","start_id":"s:1"}\n')

    def commit(self, *topics: str, number: int | None = None, kept: int = 1000, ended: str = "") -> str:
        numbered = None if number is None else Numbered("a", self.a, number, "0")
        said = [Published("x", kept, topic, b"j1") for topic in topics]
        effects = Effects(said=list(said), numbered=numbered, ended={"x": ended} if ended else {})
        return str(self.run(commit_shard(self.keys, 0, None, self.owner, effects)))

    def page(self, after: Place = START) -> Page:
        return dict(self.run(read_feeds({self.feed: after}, 10_000, lambda feed, topic, data: decode(data))))[self.feed]

    def topics(self) -> list[str]:
        return [item.topic if isinstance(item, Event) else "end" for item in self.page().items]


@pytest.fixture
def stage(server: Any, make_hub: Any) -> Iterator[Stage]:
    redis = SyncRedis(server)
    yield Stage(Keys(make_hub().hub_id), redis)
    redis.close()


def test_events_are_numbered_and_their_times_rise(stage: Stage) -> None:
    stage.commit("a", "b")
    stage.commit("c")
    first, *_, last = [item for item in stage.page().items if isinstance(item, Event)]
    assert [first.place.number, last.place.number] == [1, 3] and first.place.ms <= last.place.ms
    assert last.data == 1 and last.at == last.place.ms / 1000
    assert stage.run(feed_tail(stage.feed)) == stage.page().last == last.place


def test_a_clock_that_has_gone_back_does_not_stop_the_feed(stage: Stage) -> None:
    stage.raw("XADD", stage.feed, "900000000000000-7", "topic", "future", "data", "j1")
    assert stage.commit("a") == "ok"
    assert stage.page().last == Place(900000000000000, 8)


def test_a_commit_that_is_repeated_publishes_nothing_again(stage: Stage) -> None:
    stage.commit("a", number=1)
    stage.commit("a", number=1)
    assert stage.topics() == ["a"]


def test_a_fenced_commit_publishes_nothing(stage: Stage) -> None:
    stage.raw("HSET", stage.keys.owners, "0", "b 1 9")
    assert stage.commit("a") == "fenced"
    assert not stage.raw("EXISTS", stage.feed)


def test_a_feed_keeps_about_so_many(stage: Stage) -> None:
    for _ in range(5):
        stage.commit(*["a"] * 100, kept=100)
    kept = [item for item in stage.page().items if isinstance(item, Event)]
    assert 100 <= len(kept) <= 300 and kept[-1].place.number == 500


def test_a_feed_ends_with_its_child_behind_its_last_word_and_goes_on_when_it_is_started_again(stage: Stage) -> None:
    stage.commit("a", ended="s:1")
    assert stage.topics() == ["a", "end"] and stage.raw("PTTL", stage.feed) > 0
    stage.commit(ended="s:1")  # it has ended already
    assert stage.topics() == ["a", "end"]
    stage.commit("b")
    assert stage.topics() == ["a", "end", "b"] and stage.raw("PTTL", stage.feed) == -1
    assert isinstance(stage.page().items[1], Ended)


def test_a_child_that_has_published_nothing_leaves_no_feed(stage: Stage) -> None:
    stage.commit(ended="s:1")
    assert not stage.raw("EXISTS", stage.feed)


def test_what_others_have_written_into_a_feed_is_passed_over(stage: Stage) -> None:
    stage.commit("a")
    stage.raw("XADD", stage.feed, "900000000000000-2", "x", b"\xff")
    page = stage.page()
    assert [type(item) for item in page.items] == [Event] and page.last == Place(900000000000000, 2)
    stage.raw("XADD", stage.feed, f"{(1 << 64) - 1}-{(1 << 64) - 1}", "x", "y")  # nothing could be put behind it
    stage.commit("b")
    assert stage.topics() == ["b"]
