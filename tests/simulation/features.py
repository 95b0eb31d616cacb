"""Schedules with *features*: reminders, activation, keys, cancels, reads, retries and feeds that are read while they grow.

All of it is drawn by a chance of its own, so that a schedule without features is what it would be without this module.
"""

from __future__ import annotations

from random import Random

from tests.simulation.ledger import Ledger, Sent

#: So many schedules have features.
SHARE = 0.35


class Features:
    """What one schedule has of them. ``forced``: it has them in any case (or in none), whatever its seed says."""

    def __init__(self, seed: int, forced: bool | None = None) -> None:
        rng = self.rng = Random(f"features of {seed}")
        drawn = rng.random() < SHARE
        self.on = drawn if forced is None else forced
        self.calm = False
        self.copies_handle = False
        self.ledger = Ledger()
        self.keyed: dict[tuple[str, str], Sent] = {}
        """The message of each child and key."""
        self.passed_on: list[tuple[str, Sent, str, Sent]] = []
        """A child and the message it was to pass on, another child and what it was to get."""
        self.gadgets = [f"gadget-f{n}" for n in range(rng.randint(1, 2))] if self.on else []
        if self.on and rng.random() < 0.4:
            self.gadgets.append("interval-f9")
        if self.on and rng.random() < 0.6:
            self.gadgets.append("sleepy-f8")
        self.on_demand = [f"demand-f{n}" for n in range(rng.randint(1, 3))] if self.on else []
        self.fail_share = rng.choice([0.0, 0.3, 0.7])
        self.kinds = rng.sample(
            ["plain", "key", "cancel", "remind", "flaky", "look", "later", "pass"], rng.randint(3, 8)
        )

    def fails(self) -> bool:
        """Whether this try of a handler fails. (Where copies handle messages, too, they must do what their original does.)"""
        return not self.calm and not self.copies_handle and self.rng.random() < self.fail_share
