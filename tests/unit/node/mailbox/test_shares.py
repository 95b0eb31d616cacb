"""The shards of a node are read in shares: which, and when one read names them all."""

from __future__ import annotations

import asyncio
import random

import pytest

from hubq.node.mailbox.shares import BATCH, CALM, MOST, SHARE, Shares


def named(shares: Shares) -> list[tuple[int, ...]]:
    return [shares.of(number) for number in range(MOST)]


async def read(shares: Shares, *numbers: int) -> None:
    """The reads of these shares begin."""
    for number in numbers:
        await asyncio.wait_for(shares.due(number), 5)


def divided(shards: int) -> Shares:
    """All that have shards are read."""
    shares = Shares()
    shares.divide({*range(shards)}, (), 0)
    asyncio.run(read(shares, *(number for number in range(MOST) if shares.reads(number))))
    return shares


def calm(shares: Shares) -> list[tuple[int, ...]]:
    """What the shares name when nothing has come for a while."""
    (collector,) = [number for number in range(MOST) if shares.listens(number)]
    for _ in range(CALM):
        shares.found(collector, 0, now=0.0)
    return named(shares)


@pytest.mark.parametrize(
    ("shards", "used", "largest"), [(0, 0, 0), (1, 1, 1), (8, 1, 8), (9, 2, 8), (64, 8, 8), (256, 8, 32)]
)
def test_each_shard_is_in_one_share(shards: int, used: int, largest: int) -> None:
    parts = named(divided(shards))
    assert sorted(shard for part in parts for shard in part) == list(range(shards))
    assert sum(map(bool, parts)) == used and max(map(len, parts)) == largest


def test_while_shards_come_or_go_one_read_names_all() -> None:
    shares = divided(20)
    for shards, come in (({*range(1, 20)}, ()), ({*range(20)}, {0}), ({*range(20)}, {19})):
        before = named(shares)
        shares.divide(shards, come, 1)
        assert set(shares.of(1)) == shards and sum(map(bool, named(shares))) == 1 and shares.listens(1)
        for _ in range(CALM - 1):
            shares.found(1, 1, now=0.0)
        shares.divide(shards, (), 1)
        assert set(shares.of(1)) == shards, "it is not calm yet"
        shares.found(1, 1, now=0.0)
        assert not shares.listens(1) and len(shares.of(1)) == len(before[1])


def test_a_shard_stays_in_its_share_while_others_come_and_go() -> None:
    shares = divided(20)
    shares.divide({*range(4, 20), 30}, (), 0)
    assert calm(shares)[:3] == [(4, 5, 6, 7, 30), (*range(8, 16),), (16, 17, 18, 19)]


def test_a_shard_that_comes_goes_to_the_share_whose_read_begins_or_to_one_that_waits() -> None:
    shares = divided(20)
    shares.divide({*range(21)}, (), 2)
    assert calm(shares)[2] == (16, 17, 18, 19, 20)
    shares.divide({*range(22)}, (), 0)
    assert calm(shares)[:4] == [(*range(8),), (*range(8, 16),), (16, 17, 18, 19, 20), (21,)], (
        "the third one is under way"
    )


def test_a_shard_that_went_and_came_again_is_read_by_the_read_that_begins_next() -> None:
    shares = divided(20)
    shares.divide({*range(20)}, {9, 17, 99}, 2)
    calm(shares)
    shares.divide({*range(20)}, (), 2)
    assert named(shares)[1:3] == [(8, 10, 11, 12, 13, 14, 15), (16, 17, 18, 19, 9)]


def test_one_has_too_many_until_the_reads_of_others_begin() -> None:
    shares = divided(64)
    shares.divide({*range(128)}, (), 0)
    assert [len(part) for part in calm(shares)] == [72, *[8] * 7], "the others name what they name"
    for number in range(1, MOST):
        shares.divide({*range(128)}, (), number)
    assert [len(part) for part in named(shares)] == [16] * MOST


def test_what_is_left_of_many_shares_is_put_together_when_a_read_begins() -> None:
    shares = divided(64)
    shares.divide({*range(0, 64, 2)}, (), 3)
    assert [len(part) for part in calm(shares)] == [4] * MOST, "twice as many as are needed: not yet"
    shares.divide({0, 8, 16, 24}, (), 3)
    assert calm(shares)[:4] == [(), (8,), (16,), (24, 0)]
    shares.divide({0, 8, 16, 24}, (), 3)
    assert named(shares)[:4] == [(), (), (16,), (24, 0, 8)]
    shares.divide({0, 8, 16, 24}, (), 2)
    assert named(shares)[:4] == [(), (), (16,), (24, 0, 8)], "two are not too many"


def test_a_batch_has_one_read_name_all_shards_until_it_is_calm() -> None:
    shares = divided(20)
    shares.found(1, BATCH - 1, now=0.0)
    assert shares.of(0) and shares.of(1) == (*range(8, 16),) and shares.listens(0)
    shares.found(1, BATCH, now=0.0)
    assert named(shares) == [(), (*range(20),), *[()] * (MOST - 2)] and shares.listens(1) and not shares.listens(0)
    shares.found(0, 1, now=0.0)  # its read was under way still
    for _ in range(CALM - 1):
        shares.found(1, 0, now=0.0)
    shares.found(1, BATCH, now=0.0)
    for _ in range(CALM - 1):
        shares.found(1, 1, now=0.0)
    assert not shares.of(0), "the batch in between has begun the count anew"
    shares.found(1, 0, now=0.0)
    assert [len(part) for part in named(shares)[:3]] == [SHARE, SHARE, 4]


def test_a_batch_changes_nothing_where_one_share_has_all() -> None:
    shares = divided(SHARE)
    shares.found(0, 10 * BATCH, now=0.0)
    assert named(shares)[0] == (*range(SHARE),)
    shares.divide({*range(SHARE), 50}, (), 0)
    assert named(shares)[1] == (50,)


def test_a_shard_that_comes_during_a_batch_is_named_with_the_others() -> None:
    shares = divided(20)
    shares.found(2, BATCH, now=0.0)
    shares.divide({*range(21)}, {20}, 2)
    assert shares.of(2) == (*range(21),)


def test_a_share_without_shards_waits_until_it_has_some() -> None:
    async def scenario() -> None:
        shares = Shares()
        shares.divide({*range(SHARE)}, (), 0)
        await read(shares, 0)
        waits = asyncio.create_task(shares.due(1))
        await asyncio.sleep(0)
        assert not waits.done()
        shares.divide({*range(SHARE + 1)}, (), 0)
        await asyncio.wait_for(waits, 5)

    asyncio.run(scenario())


def test_messages_to_several_shares_at_once_are_a_batch() -> None:
    shares = Shares()
    shares.divide({*range(32)}, (), 0)
    for number in range(4):
        shares.found(number, BATCH // 2, now=float(number))
    assert not shares.listens(3), "one after the other"
    for number in range(3):
        shares.found(number, BATCH // 2, now=9.0 + number / 10_000)
    assert len(shares.of(2)) == 32 and shares.listens(2)


def test_a_shard_that_came_while_one_read_named_all_is_in_the_next_read_when_they_are_read_apart() -> None:
    async def scenario() -> None:
        shares = Shares()
        for number in range(3):
            await shares.due(number)
            shares.divide({*range(24)}, (), number)
        shares.found(1, BATCH, now=0.0)
        await shares.due(1)
        shares.divide({*range(24)}, {0}, 1)  # it is of share 0, whose read is under way since before
        for turn in range(CALM):
            shares.found(1, 0, now=1.0 + turn)
        assert not shares.listens(1)
        shares.divide({*range(24)}, (), 1)
        assert 0 in (*shares.of(1), *shares.of(3)), (
            "a read that begins now: its own, or that of a share that has waited"
        )

    asyncio.run(scenario())


def test_a_node_without_shards_waits_in_one_read_for_the_wake() -> None:
    shares = Shares()
    assert [shares.reads(number) for number in range(3)] == [True, False, False]


@pytest.mark.parametrize("seed", range(150))
def test_each_shard_is_named_by_a_read_that_was_begun_since_it_came(seed: int) -> None:
    """Whatever comes, goes, and comes again: when the share that listens has begun its next read, every shard is in a read that was begun
    after it came, or in a share that begins one without having to be told.
    """
    rolled = random.Random(seed)
    shares, shards, come = Shares(), set[int](), set[int]()
    under_way: dict[int, set[int]] = {}  # share -> what its read names that it was begun late enough for

    async def begin(number: int) -> None:
        """What the reader does before a read: see ``Reader._asked``."""
        under_way.pop(number, None)
        while shares.reads(number):
            await shares.due(number)
            shares.divide(shards, frozenset(come), number)
            come.clear()
            if shares.reads(number):
                under_way[number] = set(shares.of(number))
                return
        await given_up(number)

    async def given_up(number: int) -> None:
        waits = asyncio.create_task(shares.due(number))
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)

    async def scenario() -> None:
        for number in range(MOST):
            await begin(number)
        for step in range(300):
            for _ in range(rolled.randrange(6)):
                shard = rolled.randrange(100)
                if shard in shards and rolled.random() < 0.6:
                    shards.discard(shard)
                    if rolled.random() < 0.5:
                        continue
                shards.add(shard)
                come.add(shard)
                for names in under_way.values():
                    names.discard(shard)  # begun too early
            number = rolled.choice(sorted(under_way))
            shares.found(number, rolled.choice([0, 0, 1, 2 * BATCH]), now=step * rolled.random())
            await begin(number)
            await begin(next(number for number in range(MOST) if shares.listens(number)))  # (the wake)
            for number in range(MOST):
                if number not in under_way and shares.reads(number):
                    await begin(number)  # it waited, and is due
            assert shards <= set().union(*under_way.values())

    asyncio.run(scenario())
