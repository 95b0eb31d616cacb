"""The pulse of a node with parts in several groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import msgspec

from hubq.client.operations.joining import vitals_of
from hubq.node.vitals import Pulse
from hubq.store.vitals import Vitals


class NodePulse(Protocol):
    """What is seen of a node from outside; from another thread, too."""

    @property
    def vitals(self) -> Vitals:
        """Its account of itself."""

    @property
    def lives(self) -> Counter[str]:
        """Its children by where they stand."""

    @property
    def turned_at(self) -> float:
        """When the event loop turned last, monotonic seconds."""

    def why_unready(self) -> str:
        """Why it is not ready, in one line; empty if it is ready."""


class Pulses:
    """The pulses of the parts that have joined, as one. ``why_missing``: why others have not; empty if there are none."""

    def __init__(self, pulses: Sequence[Pulse], why_missing: str) -> None:
        self._pulses = tuple(pulses)
        self._why_missing = why_missing

    @property
    def vitals(self) -> Vitals:
        """Its account of itself."""
        joined = vitals_of([pulse.vitals for pulse in self._pulses])
        assert joined is not None
        if not self._why_missing:
            return joined
        return msgspec.structs.replace(joined, ready=False, unready=self._why_missing)

    @property
    def lives(self) -> Counter[str]:
        """Its children by where they stand."""
        return sum((pulse.lives for pulse in self._pulses), Counter())

    @property
    def turned_at(self) -> float:
        """When the event loop turned last, monotonic seconds."""
        return max(pulse.turned_at for pulse in self._pulses)

    def why_unready(self) -> str:
        """Why it is not ready, in one line; empty if it is ready."""
        return self._why_missing or next((why for pulse in self._pulses if (why := pulse.why_unready())), "")
