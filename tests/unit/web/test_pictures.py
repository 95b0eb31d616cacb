"""What is drawn: the ring, and the charts of the last hour."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from hubq.store.history import EVERY, Point
from hubq.web.view.metrics import DRAWN, LINES, charts, metrics_view
from hubq.web.view.ring import SIDE, ring


@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=300),
    st.sets(st.text(min_size=1), max_size=30),
)
def test_every_shard_is_drawn_once_and_within_the_picture(owners: list[str | None], nodes: set[str]) -> None:
    picture = ring(owners, nodes, {0})
    assert [dot.shard for dot in picture.dots] == list(range(len(owners)))
    assert [dot.node or None for dot in picture.dots] == owners
    assert all(0 <= dot.x <= SIDE and 0 <= dot.y <= SIDE for dot in picture.dots)
    assert {island.name for island in picture.islands} == nodes | {owner for owner in owners if owner}
    assert sum(island.shards for island in picture.islands) + owners.count(None) == len(owners)


def test_a_shard_that_stays_is_not_drawn_elsewhere_when_another_moves() -> None:
    before, after = (ring(owners, ["a", "b"], ()) for owners in (["a"] * 8, ["a"] * 7 + ["b"]))
    assert before.dots[:7] == after.dots[:7] and before.dots[7] != after.dots[7]


def test_shards_of_different_nodes_do_not_lie_upon_each_other() -> None:
    for count in (1, 2, 3, 8, 20):
        names = [f"n{n}" for n in range(count)]
        islands = ring([names[n % count] for n in range(128)], names, ()).islands
        for one in islands:
            for other in islands:
                apart = ((one.x - other.x) ** 2 + (one.y - other.y) ** 2) ** 0.5
                assert one is other or apart >= one.radius + other.radius - 0.5, (count, one, other)


def at(moment: float, handled: int, incarnation: int = 1) -> Point:
    return Point(incarnation, handled, 0, 0, 0.0, 0, 0, 0, 0.0, moment)


def drawn(points: dict[str, list[Point]], now: float = 3_600.0) -> list[tuple[str, list[str]]]:
    messages = charts(metrics_view(points, now))[0]
    return [(line.node, line.parts) for line in messages.lines]


def test_a_line_is_broken_where_the_worker_was_away_and_where_it_began_anew() -> None:
    away = [at(n * EVERY, n) for n in range(20)] + [at(1_000 + n * EVERY, 100 + n) for n in range(20)]
    ((_, parts),) = drawn({"a": away})
    assert len(parts) == 2
    ((_, parts),) = drawn({"a": [at(0, 5_000), at(10, 5_010), at(20, 3, 2), at(30, 13, 2)]})
    assert not re.search(r",-", " ".join(parts))  # no rate below 0: what it had counted is gone


def test_a_peak_is_drawn_though_points_are_left_out() -> None:
    points = [at(n * EVERY, 0 if n < 200 else 10_000) for n in range(360)]
    ((_, (line,)),) = drawn({"a": points})
    heights = [float(point.split(",")[1]) for point in line.split()]
    assert min(heights) == 2.0 and len(heights) <= DRAWN + 1


def test_of_many_workers_those_with_most_are_drawn() -> None:
    points = {f"n{n:02}": [at(0, 0), at(10, n)] for n in range(30)}
    (messages, *_) = charts(metrics_view(points, 100.0))
    assert [line.node for line in messages.lines] == [f"n{n}" for n in range(20, 30)]
    assert messages.hidden == 30 - LINES and messages.most == "2.9"
