"""When a worker freezes its children for the garbage collector, and when it looks at all of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from hubq.cli.heap import CALM, LONGEST_PAUSE, MORE, REVIEW, Heap, review


class Acts:
    """What a heap did."""

    def __init__(self, pause: float = 0.01) -> None:
        self.done: list[str] = []
        self.pause = pause
        self.heap = Heap(lambda: self.done.append("freeze"), self._review)

    def _review(self) -> float:
        self.done.append("review")
        return self.pause

    def look(self, children: int, now: float) -> list[str]:
        """What it does now."""
        self.done.clear()
        self.heap.look(children, now)
        return list(self.done)


def test_it_freezes_once_many_have_come() -> None:
    acts = Acts()
    assert acts.look(MORE, 1.0) == []
    assert acts.look(MORE + 1, 2.0) == ["freeze"]
    assert acts.look(MORE + 1, 3.0) == []
    assert acts.look(100_000, 4.0) == ["freeze"]
    assert acts.look(101_000, 5.0) == []  # one in a hundred
    assert acts.look(103_000, 6.0) == ["freeze"]


def test_it_reviews_once_many_have_left_and_it_is_calm() -> None:
    acts = Acts()
    acts.look(1000, 1.0)
    for now, children in enumerate(range(990, 490, -10), 2):
        assert acts.look(children, float(now)) == []
    assert acts.look(500, 51.0 + CALM - 1) == []
    assert acts.look(500, 51.0 + CALM) == ["review"]
    assert acts.look(500, 52.0 + CALM) == []


def test_those_that_come_and_go_are_counted() -> None:
    acts = Acts()
    acts.look(1000, 1.0)
    for now in range(2, 14):
        acts.look(1000 - 60 * (now % 2), float(now))
    assert acts.look(940, 13.0 + CALM) == ["review"]  # about as many as before, but others


def test_now_and_then_it_reviews_unless_that_takes_long() -> None:
    acts = Acts(pause=LONGEST_PAUSE)
    acts.look(10, 1.0)
    assert acts.look(10, 2.0 + REVIEW) == ["review"]
    assert acts.look(10, 3.0 + 2 * REVIEW) == []


@pytest.fixture
def thawed() -> Iterator[None]:
    """Leave the collector of the test process as tests/conftest.py has set it: it passes over what was there before."""
    yield
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def test_a_review_frees_frozen_children_that_have_left(thawed: None) -> None:
    class Room:
        pass

    room = Room()
    room.itself = room  # type: ignore[attr-defined]
    left = weakref.ref(room)
    gc.collect()
    gc.freeze()
    del room
    gc.collect()
    assert left() is not None  # the collector passes over it
    assert review() > 0.0
    assert left() is None
    assert gc.get_freeze_count() > 0
