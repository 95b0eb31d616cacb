"""The children that this node was to take and could not build: what its readiness is judged by (``hubq.core.readiness``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hubq.core.readiness import FAILURE_KEPT, MOST_COUNTED
from hubq.errors import StartFailed
from hubq.node.held.holding import Holding, HostedChild
from hubq.store.codec import sendable
from hubq.store.envelope import Envelope
from hubq.store.spec_record import SpecRecord


class Builds(Protocol):
    """Makes a hosted child of a spec (``hubq.node.children.builder``)."""

    def build(self, holding: Holding, child: str, record: SpecRecord) -> HostedChild:
        """Import the class and run ``__init__``. Raises :class:`~hubq.errors.StartFailed`."""

    def check_state(self, hosted: HostedChild, saved: Envelope | None) -> None:
        """Raise :class:`~hubq.errors.StartFailed` if the class here does not know the saved state yet."""


class FailedBuilds:
    """Children -> why they could not be built here, and when that was tried last.

    >>> failed = FailedBuilds(now=lambda: 100.0)
    >>> failed.add("room-1", "no module named 'new'"); failed.lately()
    {'room-1': "no module named 'new'"}
    >>> failed.built("room-1"); failed.lately()
    {}
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._found: dict[str, tuple[str, float]] = {}

    def add(self, child: str, reason: str) -> None:
        """It could not be built, just now."""
        self._found.pop(child, None)  # the latest is the last one
        if len(self._found) < MOST_COUNTED:
            self._found[child] = (reason, self._now())

    def built(self, child: str) -> None:
        """It was built."""
        if self._found:
            self._found.pop(child, None)

    def taken(self, child: str) -> None:
        """Another node runs it, with the code that wrote its state: this one is as good as it was for what else there is."""
        self._found.pop(child, None)

    def lately(self) -> dict[str, str]:
        """Those of the last ``FAILURE_KEPT`` seconds; the others are forgotten."""
        before = self._now() - FAILURE_KEPT
        for child in [child for child, (_, at) in self._found.items() if at < before]:
            del self._found[child]
        return {child: reason for child, (reason, _) in self._found.items()}


class CountedBuilder:
    """Builds children that come from other nodes or from Redis. (A start that a client asked for is not counted: its
    arguments may be wrong, and its caller is told.)
    """

    def __init__(self, builder: Builds, failed: FailedBuilds) -> None:
        self._builder = builder
        self._failed = failed

    def build(self, holding: Holding, child: str, record: SpecRecord) -> HostedChild:
        """As :meth:`Builds.build`."""
        try:
            hosted = self._builder.build(holding, child, record)
        except StartFailed as error:
            self._failed.add(child, sendable(str(error)))
            raise
        self._failed.built(child)
        return hosted

    def check_state(self, hosted: HostedChild, saved: Envelope | None) -> None:
        """As :meth:`Builds.check_state`."""
        try:
            self._builder.check_state(hosted, saved)
        except StartFailed as error:
            self._failed.add(hosted.child_id, sendable(str(error)))
            raise
