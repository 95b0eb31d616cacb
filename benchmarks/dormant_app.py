"""The children of ``benchmarks.dormant``, and their hub as a worker imports it."""

from __future__ import annotations

import os

from hubq import Child, Hub

HUB = "HUBQ_BENCH_DORMANT"


class Note(Child):
    """About 200 bytes of state, written with every message. It rests, but not while it is measured."""

    idle_after = 600.0

    def __init__(self, name: str) -> None:
        self.name, self.n = name, 0
        self.padding = "x" * 150

    async def touch(self) -> None:
        """Change the state."""
        self.n += 1


class Rest(Note):
    """One that rests at once: what Redis has of it is what it has of every dormant child."""

    idle_after = 0.2


def make_hub(hub_id: str, url: str | None = None) -> Hub:
    """The hub as worker and client see it."""
    made = Hub(hub_id, redis=url, lease=2.0, lease_margin=0.5)
    made.child(Note)
    made.child(Rest)
    return made


if HUB in os.environ:
    hub = make_hub(os.environ[HUB])
