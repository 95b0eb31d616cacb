"""Which shard a child belongs to, which names it may have, and points on the ring."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubq.core.hashing import MAX_CHILD_ID_BYTES, checked_child_id, ring_point, shard_of
from hubq.errors import InvalidChildId

quick = settings(
    deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.too_slow], database=None
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@quick
@given(child_id=text, shards=st.integers(1, 4096))
def test_shard_is_crc32_modulo_shards(child_id: str, shards: int) -> None:
    shard = shard_of(child_id, shards)
    assert shard == zlib.crc32(child_id.encode("utf-8")) % shards
    assert 0 <= shard < shards


@pytest.mark.parametrize(
    ("child_id", "shards", "shard"),
    # The check value of CRC-32 ("123456789"), and some that must never change: children are kept by them.
    [("123456789", 2**32, 0xCBF43926), ("room-1", 64, 6), ("room-1", 1, 0), ("Zürich", 64, 62), ("部屋", 4096, 1883)],
)
def test_known_shards(child_id: str, shards: int, shard: int) -> None:
    assert shard_of(child_id, shards) == shard


@quick
@given(child_id=text)
def test_an_id_is_returned_as_it_is_or_refused(child_id: str) -> None:
    fits = 0 < len(child_id.encode()) <= MAX_CHILD_ID_BYTES and child_id.isprintable()
    if fits:
        assert checked_child_id(child_id) is child_id
    else:
        with pytest.raises(InvalidChildId):
            checked_child_id(child_id)


@pytest.mark.parametrize("child_id", ["a", "room 1", "Zürich", "部屋", "a/b:c{d}", "x" * 512, "ü" * 256, "😀" * 128])
def test_good_ids(child_id: str) -> None:
    assert checked_child_id(child_id) is child_id


@pytest.mark.parametrize(
    ("child_id", "why"),
    [
        ("", "is empty"),
        ("x" * 513, "has 513 bytes"),
        ("ü" * 257, "has 514 bytes"),
        ("a\nb", "unprintable"),
        ("a\x00", "unprintable"),
        ("a\u202eb", "unprintable"),
        ("a\x1fb", "unprintable"),
        ("\ud800", "cannot be written as UTF-8"),
        (None, "is a NoneType"),
        (7, "is a int"),
        (b"room-1", "is a bytes"),
    ],
)
def test_bad_ids_are_refused_with_the_reason(child_id: object, why: str) -> None:
    with pytest.raises(InvalidChildId, match=why):
        checked_child_id(child_id)  # type: ignore[arg-type]


def test_a_long_id_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidChildId) as caught:
        checked_child_id("x" * 100_000)
    assert len(str(caught.value)) < 200


@quick
@given(parts=st.lists(st.one_of(text, st.integers()), max_size=4))
def test_ring_points_have_64_bits_and_do_not_change(parts: list[object]) -> None:
    assert 0 <= ring_point(*parts) < 2**64
    assert ring_point(*parts) == ring_point(*parts)


def test_where_one_part_ends_matters() -> None:
    assert len({ring_point("ab", "c"), ring_point("a", "bc"), ring_point("abc"), ring_point("a", "b", "c")}) == 4


def test_known_ring_points() -> None:
    """Every node must find the same places, whatever its machine, its Python or its hash seed."""
    assert ring_point("node", "a", 0) == 918018201972367444
    assert ring_point("shard", 7) == 1727192445842721952


def test_ring_points_spread() -> None:
    points = [ring_point("node", node, i) for node in "abcd" for i in range(250)]
    assert len(set(points)) == 1000
    eighths = [sum(point >> 61 == part for point in points) for part in range(8)]
    assert min(eighths) > 80
    assert max(eighths) < 170
