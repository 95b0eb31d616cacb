"""Children that could not be started, and why: what the senders of messages behind such a start are told."""

from __future__ import annotations

#: Starts that are remembered: the latest ones.
MOST = 1_000


class FailedStarts:
    """Child -> why it could not be started.

    >>> failed = FailedStarts()
    >>> failed.add("room-1", "Room cannot be built: ValueError"); failed.why("room-1"), failed.why("room-2")
    ('Room cannot be built: ValueError', '')
    >>> failed.started("room-1"); failed.why("room-1")
    ''
    """

    def __init__(self) -> None:
        self._why: dict[str, str] = {}

    def add(self, child: str, reason: str) -> None:
        """It could not be started, just now."""
        self._why.pop(child, None)
        self._why[child] = reason
        if len(self._why) > MOST:
            del self._why[next(iter(self._why))]

    def started(self, child: str) -> None:
        """It was started, after all."""
        if self._why:
            self._why.pop(child, None)

    def why(self, child: str) -> str:
        """Why it could not be started; empty: that is not the reason why it is not there."""
        return self._why.get(child, "")
