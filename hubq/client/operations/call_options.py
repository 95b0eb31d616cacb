"""How a call is made, apart from the method and its arguments: ``ref.options(...)``."""

from __future__ import annotations

from dataclasses import dataclass

from hubq.config import CALL_TIMEOUT
from hubq.errors import ConfigError

#: The longest time-out, seconds: a year.
MOST_TIMEOUT = 365 * 86_400


def checked_timeout(timeout: float, what: str = "timeout") -> float:
    """Seconds above 0, at most a year, or :class:`ConfigError`.

    >>> checked_timeout(1e17)
    Traceback (most recent call last):
    hubq.errors.ConfigError: timeout=1e+17: give seconds above 0, at most 31536000 (a year)
    """
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not number or not 0 < timeout <= MOST_TIMEOUT:  # NaN is not
        raise ConfigError(f"{what}={timeout!r}: give seconds above 0, at most {MOST_TIMEOUT} (a year)")
    return timeout


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The options of a call. ``timeout`` in seconds.

    >>> CallOptions().changed(timeout=2)
    CallOptions(timeout=2)
    """

    timeout: float = CALL_TIMEOUT

    def changed(self, timeout: float | None = None) -> CallOptions:
        """These options, but for those that are given. Raises :class:`~hubq.errors.ConfigError`."""
        return CallOptions(self.timeout if timeout is None else checked_timeout(timeout))


PLAIN = CallOptions()
