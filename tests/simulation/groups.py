"""Schedules with several *groups*: how many, on how many primaries, and what happens to one primary while the others go on.

All of it is drawn by a chance of its own, so that a schedule with one group is what it would be without this module.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from random import Random
from typing import Any

from hubq.core.hashing import shard_of
from hubq.core.layout import group_of, primary_of
from hubq.store import far
from hubq.testing.moments import pages_between_groups
from tests.simulation.faults import Plan

#: In schedules with these seeds the hub has several groups.
GROUPED = 2_000_000
#: Faults of one primary.
OF_PRIMARIES = ("primary away", "primary frozen", "primary slow", "primary restart")
#: One more: a replica takes over that did not have the last writes.
WENT_BACK = "primary went back"


class Groups:
    """What one schedule has of them. ``forced``: so many groups, whatever its seed says (0: as it says)."""

    def __init__(self, seed: int, forced: int = 0) -> None:
        rng = self.rng = Random(f"groups of {seed}")
        drawn = rng.choice([2, 2, 3, 4])
        self.number = forced or (drawn if seed >= GROUPED else 1)
        self.primaries = min(self.number, rng.choice([64, 64, 2, 1]))
        self.any = self.number > 1
        self.loses = self.any and rng.random() < 0.25
        """A primary goes back by a moment now and then: what it then does not have is not missed."""
        self.rests = self.any and not self.loses and rng.random() < 0.25
        self.starts = self.any and not self.loses and rng.random() < 0.6
        """Children of several groups are started together, all or none."""
        self.shards_each = rng.choice([1, 1, 2])
        self.at_once, self.ahead = rng.choice([(far.AT_ONCE, far.AHEAD), (3, 6)])
        self.lag = rng.choice([0.3, 1.0, 2.0])
        self.most_sent = 80 if self.loses else 40
        """So many messages each sender sends."""
        self.went_back: dict[int, int] = {}
        """How often each group has."""

    def lay(self, settings: dict[str, Any]) -> None:
        """Give the hub its groups."""
        if self.any:
            settings |= {"groups": self.number, "shards": self.number * self.shards_each, "batch_lease": 4.0}

    def change(self, plan: Plan) -> None:
        """Add faults of primaries."""
        if not self.any:
            return
        kinds = [*OF_PRIMARIES, *([WENT_BACK] * 2 if self.loses else [])]
        plan.timed = [*plan.timed, *self.rng.choices(kinds, k=self.rng.randint(1, 4))]
        plan.seconds += self.rng.uniform(0.0, 4.0)
        if self.loses:
            plan.timed, plan.moves = [*(each for each in plan.timed if each != "client crash"), WENT_BACK], 0.0

    def any_shard(self) -> int:
        """One in any of the groups."""
        return self.rng.randrange(self.number) if self.any else 0

    def of_child(self, child: str) -> int:
        """The group of a child."""
        if not self.any:
            return 0
        return group_of(shard_of(child, self.number * self.shards_each), self.number)

    def primary_of_child(self, child: str) -> int:
        """The primary that has a child."""
        return primary_of(self.of_child(child), self.primaries)

    def exact(self, child: str) -> bool:
        """Whether nothing of a child may be missing."""
        return not self.any or self.of_child(child) not in self.went_back

    def pages(self) -> AbstractContextManager[None]:
        """Pages of messages between groups are small, and so is the distance that they may be apart."""
        return pages_between_groups(self.at_once, self.ahead) if self.any else nullcontext()
