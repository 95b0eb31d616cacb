"""The memory of this process, as all parts of a node tell it."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

#: How old a figure may be, seconds: the parts of a node in several groups look at nearly the same time.
FRESH = 0.25


class OwnMemory:
    """Looks again when its figure is old. ``now``: monotonic seconds."""

    def __init__(self, now: Callable[[], float], look: Callable[[], int] | None = None) -> None:
        self._now = now
        self._look = look or resident
        self._at = float("-inf")
        self._bytes = 0

    def used(self) -> int:
        """Resident memory, bytes."""
        now = self._now()
        if now - self._at >= FRESH:
            self._at, self._bytes = now, self._look()
        return self._bytes


def resident() -> int:
    """Resident memory of this process, bytes (where /proc does not tell: the most it ever was)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
