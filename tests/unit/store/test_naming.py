"""A read of mailboxes travels as any other command does, however the node's shards and places change."""

from __future__ import annotations

import random

import pytest

from hubq.store.keys import Keys
from hubq.store.lane import packed
from hubq.store.mailbox import read_mailboxes
from hubq.store.naming import Naming, chunk

KEYS = Keys("größer")


@pytest.mark.parametrize("wake", ["", KEYS.control("a")])
def test_what_is_kept_from_the_last_read_is_what_would_be_packed_anew(wake: str) -> None:
    rolled = random.Random(7)
    naming, cursors, woken = Naming(KEYS, wake), dict[int, bytes](), b"0"
    for turn in range(2_000):
        match rolled.randrange(6):
            case 0:
                cursors[rolled.randrange(64)] = b"0"  # a shard comes, or is read from its beginning
            case 1:
                cursors.pop(rolled.randrange(64), None)
            case 2:
                woken = b"%d-1" % turn
            case 3:
                items = list(cursors.items())
                rolled.shuffle(items)
                cursors = dict(items)
            case _ if cursors:
                cursors[rolled.choice(list(cursors))] = b"%d-0" % turn
        count, block = rolled.choice([(100, 2_000), (2_000, 2_000), (100, None)])
        command = read_mailboxes(naming, dict(cursors), count, block, woken)
        streams = [*map(KEYS.mailbox, cursors), *([wake] if wake else [])]
        places = [*cursors.values(), *([woken] if wake else [])]
        blocks = [] if block is None else ["BLOCK", block]
        assert list(command.args) == ["XREAD", "COUNT", count, *blocks, "STREAMS", *streams, *places]
        assert command.data == packed(command.args) and command.blocks is (block is not None)


def test_an_answer_is_of_the_shards_that_were_asked_for() -> None:
    naming = Naming(KEYS, wake := KEYS.control("a"))
    command = read_mailboxes(naming, {3: b"0", 5: b"0"}, 10, None, b"0")
    read_mailboxes(naming, {7: b"0"}, 10, None, b"0")  # the next one was begun meanwhile
    entries = [[b"8-0", [b"kind", b"wake"]]]
    found, woken = command.read([[KEYS.mailbox(5).encode(), []], [wake.encode(), entries]])
    assert (found, woken) == ({5: []}, b"8-0")


def test_a_word_travels_as_hiredis_has_it() -> None:
    for word in ("", "größer", b"\x00\xff", 0, -7, 10**20):
        assert b"*1\r\n" + chunk(word) == packed((word,))
