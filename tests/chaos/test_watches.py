"""A run of chaos tells a watch that is under way from one that nobody ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from hubq import Hub
from hubq.store.command import plain
from hubq.store.embedded import EmbeddedServer

from .parts import Part, Parts
from .watches import LONGEST, Watches, wait_until_unwatched


@pytest.fixture
def parts() -> Iterator[Parts]:
    """Those of a hub in a Redis of its own."""
    with EmbeddedServer() as server, closing(Hub("watched", redis=server.url, shards=4)) as hub:
        parts = Parts(hub)
        try:
            yield parts
        finally:
            parts.close()


def put(part: Part, *args: str) -> None:
    """Write something into Redis."""
    part.redis.run(plain(*args, read=bool))


def test_a_watch_counts_when_it_stays_though_its_messages_are_done(parts: Parts) -> None:
    (part,) = parts.all
    watches, key, mailbox = Watches(part), part.keys.tries(2), part.keys.mailbox(2)
    assert watches.under_way(0.0) == set()
    put(part, "XADD", mailbox, "9-0", "kind", "cast")
    put(part, "XADD", mailbox, "10-0", "kind", "cast")
    put(part, "HSET", key, "watch", "9-0 open b#1")
    put(part, "HSET", part.keys.owners, "2", "a 3 7")
    late = 10 * LONGEST
    assert watches.under_way(1.0) == {key} == watches.under_way(late), "its message waits"
    put(part, "XDEL", mailbox, "9-0")
    assert watches.under_way(late + LONGEST) == {key} and watches.under_way(late + LONGEST + 1) == set()
    put(part, "HSET", key, "watch", "9-0 careful b#1 c#2")
    assert watches.under_way(late + LONGEST + 2) == {key}, "another crash"
    put(part, "HSET", part.keys.owners, "2", "d 4 8")
    assert watches.under_way(late + 2 * LONGEST + 3) == {key}, "another owner"
    put(part, "HSET", part.keys.owners, "2", "d 4 9")
    assert watches.under_way(late + 3 * LONGEST + 4) == set(), "the same, under another token"


def test_a_watch_that_nobody_ends_is_a_breach(parts: Parts) -> None:
    (part,) = parts.all
    assert wait_until_unwatched(parts, 0.0) == []
    put(part, "HSET", part.keys.tries(1), "watch", "9-0 open b#1")
    (found,) = wait_until_unwatched(parts, 0.0)
    assert "shard:1:tries is there 0 s after the last message" in found
