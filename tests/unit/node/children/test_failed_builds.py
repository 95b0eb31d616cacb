"""Which children could not be built here, and for how long that counts."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hubq.core.readiness import FAILURE_KEPT, MOST_COUNTED
from hubq.errors import StartFailed
from hubq.node.children.failed_builds import CountedBuilder, FailedBuilds
from hubq.node.departures.stragglers import RETRY
from hubq.node.held.holding import HostedChild
from tests.unit.node.movers import Builder, a_record


class Counted:
    """A builder that is counted, and its clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.plain = Builder()
        self.failed = FailedBuilds(lambda: self.now)
        self.builder = CountedBuilder(self.plain, self.failed)

    def build(self, child: str) -> HostedChild:
        return self.builder.build(cast(Any, None), child, a_record())


def test_a_child_that_cannot_be_built_counts_until_it_is_built() -> None:
    counted = Counted()
    counted.plain.broken = {"one", "two"}
    for child in ("one", "two"):
        with pytest.raises(StartFailed):
            counted.build(child)
    assert counted.failed.lately() == {"one": "no module for one", "two": "no module for two"}
    counted.plain.broken = {"two"}
    assert counted.build("one").child_id == "one"
    assert list(counted.failed.lately()) == ["two"]


def test_a_child_that_is_not_tried_again_is_forgotten() -> None:
    counted = Counted()
    counted.plain.broken = {"one", "two"}
    for child in ("one", "two"):
        with pytest.raises(StartFailed):
            counted.build(child)
    counted.now += FAILURE_KEPT - 1
    with pytest.raises(StartFailed):
        counted.build("two")
    counted.now += 2
    assert list(counted.failed.lately()) == ["two"], "it was offered again"
    counted.now += FAILURE_KEPT
    assert counted.failed.lately() == {}


def test_a_child_that_another_node_runs_counts_no_more() -> None:
    counted = Counted()
    counted.failed.add("one", "its state has version 2, and Cart.state_version is 1 here")
    counted.failed.taken("one"), counted.failed.taken("two")
    assert counted.failed.lately() == {}


def test_a_reason_can_be_written_as_utf_8() -> None:
    counted = Counted()
    counted.failed = FailedBuilds(lambda: 0.0)

    class Odd(Builder):
        def build(self, *_: Any) -> HostedChild:
            raise StartFailed("no \ud800 module")

    with pytest.raises(StartFailed):
        CountedBuilder(Odd(), counted.failed).build(cast(Any, None), "one", a_record())
    assert counted.failed.lately() == {"one": "no ? module"}


def test_a_straggler_is_offered_again_before_it_is_forgotten() -> None:
    assert FAILURE_KEPT >= 2 * RETRY


def test_very_many_are_counted_up_to_a_bound() -> None:
    failed = FailedBuilds(lambda: 0.0)
    for number in range(MOST_COUNTED + 5):
        failed.add(f"room-{number}", "no module")
    assert len(failed.lately()) == MOST_COUNTED
