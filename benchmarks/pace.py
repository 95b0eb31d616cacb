"""How much is due now, at a steady rate: for load that is offered whether or not the answers keep up."""

from __future__ import annotations


class Pace:
    """``rate`` per second, at most ``largest`` at once. What could not be sent in its time is not made up for.

    If it were made up for, on a machine that cannot keep the rate up, each batch would be larger than the one before.
    """

    def __init__(self, rate: float, largest: int, now: float) -> None:
        self.total = 0
        self._rate = rate
        self._largest = largest
        self._began = self._since = now
        self._sent = 0  # since then

    def due(self, now: float) -> int:
        """How many to send now."""
        count = int((now - self._since) * self._rate) - self._sent
        if count > self._largest:
            count, self._since, self._sent = self._largest, now, 0
        else:
            self._sent += count
        self.total += count
        return count

    def achieved(self, now: float) -> float:
        """Per second, since the beginning."""
        return self.total / (now - self._began)
