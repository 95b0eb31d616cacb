"""Who goes on with which history, as INFO says it: who may lack writes, and who is not believed."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from hubq.store.primary import DOUBT, PrimaryWatch


def test_a_primary_that_was_frozen_is_not_believed_until_it_is_clear_that_it_goes_on() -> None:
    """As with Sentinel, where nobody asks the one before: who was told of the failover later leads to the former primary for a moment."""
    now = 100.0
    watch = PrimaryWatch(now=lambda: now)
    info = b"run_id:%s\r\nrole:master\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"
    frozen, new = info % (b"frozen", b"11", b"00"), info % (b"new", b"22", b"11")
    watch.seen(frozen)
    for again in (False, True):
        with pytest.raises(RedisConnectionError, match="another Redis answers now"):
            watch.seen(new)
        for _ in range(2):
            with pytest.raises(RedisConnectionError, match="another one has taken over from"):
                watch.seen(frozen)
            now += DOUBT / 2 - 1
        watch.seen(new)
        assert watch.changes == 1 + 2 * again
        for passed in (0, DOUBT - 1):
            now += passed
            with pytest.raises(RedisConnectionError, match="another one has taken over from"):
                watch.seen(frozen)
        now += 1
        with pytest.raises(RedisConnectionError, match="another Redis answers now"):
            watch.seen(frozen)
        watch.seen(frozen)
        assert watch.changes == 2 + 2 * again


def test_who_goes_on_with_any_history_that_memory_is_of_may_lack_writes() -> None:
    """Whatever has been said of the slot meanwhile."""
    watch = PrimaryWatch()
    info = b"run_id:%s\r\nrole:master\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"
    watch.seen(info % (b"a", b"11", b"00"))
    for run_id, history in ((b"b", b"22"), (b"c", b"33")):
        watch.slot_moved(("c1", 7001))
        watch.seen(info % (run_id, history, b"00"))
    watch.slot_moved(("c1", 7001))
    with pytest.raises(RedisConnectionError, match="another Redis answers now"):
        watch.seen(info % (b"d", b"44", b"22"))
    watch.slot_moved(("c1", 7001))
    watch.seen(info % (b"e", b"55", b"33"))
    assert (watch.known, watch.changes) == ("e 55", 1), "nothing in memory is of that one any more"


def test_each_that_was_taken_over_from_is_doubted_for_a_time_of_its_own() -> None:
    now = 100.0
    watch = PrimaryWatch(now=lambda: now)
    info = b"run_id:%s\r\nrole:master\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"
    first, second, third = info % (b"a", b"11", b"00"), info % (b"b", b"22", b"11"), info % (b"c", b"33", b"22")
    watch.seen(first)
    for taken_over in (second, third):
        with pytest.raises(RedisConnectionError, match="another Redis answers now"):
            watch.seen(taken_over)
    for passed, former in ((0, first), (DOUBT - 1, second), (2, second), (DOUBT - 3, second)):
        now += passed
        with pytest.raises(RedisConnectionError, match="another one has taken over from"):
            watch.seen(former)
    now += 2
    with pytest.raises(RedisConnectionError, match="another Redis answers now"):
        watch.seen(second)


def test_one_that_was_taken_over_from_is_not_believed_whatever_has_come_since() -> None:
    watch = PrimaryWatch()
    info = b"run_id:%s\r\nrole:master\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"
    frozen, new, target = (
        info % (b"frozen", b"11", b"00"),
        info % (b"new", b"22", b"11"),
        info % (b"target", b"33", b"00"),
    )
    watch.seen(frozen)
    with pytest.raises(RedisConnectionError, match="another Redis answers now"):
        watch.seen(new)
    watch.seen(new)
    watch.slot_moved(("c1", 7001))
    watch.seen(target)
    assert (watch.known, watch.changes) == ("target 33", 1)
    with pytest.raises(RedisConnectionError, match="another one has taken over from"):
        watch.seen(frozen)
    newest = info % (b"newest", b"44", b"33")
    with pytest.raises(RedisConnectionError, match="another Redis answers now"):
        watch.seen(newest)
    for former in (frozen, target):
        with pytest.raises(RedisConnectionError, match="another one has taken over from"):
            watch.seen(former)
    assert (watch.known, watch.changes) == ("newest 44", 2)
