"""How a call is made, apart from the method and its arguments: ``ref.options(...)``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hubq.config import CALL_TIMEOUT
from hubq.errors import ConfigError
from hubq.store.spec_record import SpecRecord

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


#: What becomes of a message whose child is paused when it is sent.
IF_PAUSED = ("wait", "refuse")
#: The longest key of a call, characters.
MOST_KEY = 200


def checked_key(key: str) -> str:
    """A text of 1 to 200 characters that can be printed, or :class:`ConfigError`.

    >>> checked_key("")
    Traceback (most recent call last):
    hubq.errors.ConfigError: key='': give a text of 1 to 200 characters that can be printed
    """
    if not isinstance(key, str) or not 0 < len(key) <= MOST_KEY or not key.isprintable():
        raise ConfigError(f"key={key!r:.300}: give a text of 1 to {MOST_KEY} characters that can be printed")
    return key


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The options of a call. ``timeout`` and ``keep`` in seconds. An empty ``key``: there is none.

    >>> CallOptions().changed(timeout=2).changed(key="order-7")
    CallOptions(timeout=2, key='order-7', keep=86400, cancel_on_timeout=False, if_paused='wait', activation=None)
    """

    timeout: float = CALL_TIMEOUT
    key: str = ""
    keep: float = 86_400
    cancel_on_timeout: bool = False
    if_paused: str = "wait"
    activation: SpecRecord | None = None
    """The child is started by it if it is not there."""

    def changed(
        self,
        timeout: float | None = None,
        key: str | None = None,
        keep: float | None = None,
        cancel_on_timeout: bool | None = None,
        if_paused: str | None = None,
    ) -> CallOptions:
        """These options, but for those that are given. Raises :class:`~hubq.errors.ConfigError`."""
        if keep is not None and not (key or self.key):
            raise ConfigError(f"keep={keep!r} without a key: it says how long the outcome is kept under the key")
        if cancel_on_timeout is not None and not isinstance(cancel_on_timeout, bool):
            raise ConfigError(f"cancel_on_timeout={cancel_on_timeout!r}: give True or False")
        if if_paused is not None and if_paused not in IF_PAUSED:
            raise ConfigError(f"if_paused={if_paused!r:.100}: give one of {', '.join(map(repr, IF_PAUSED))}")
        return CallOptions(
            self.timeout if timeout is None else checked_timeout(timeout),
            self.key if key is None else checked_key(key),
            self.keep if keep is None else checked_timeout(keep, "keep"),
            self.cancel_on_timeout if cancel_on_timeout is None else cancel_on_timeout,
            self.if_paused if if_paused is None else if_paused,
            self.activation,
        )

    def within(self, seconds: float) -> CallOptions:
        """The same, with so many seconds for the call."""
        return self if seconds == self.timeout else replace(self, timeout=seconds)

    def activating(self, spec: SpecRecord | None) -> CallOptions:
        """The same for a reference whose messages start the child by this spec if it is not there (None: they do not)."""
        return self if spec is None else replace(self, activation=spec)


PLAIN = CallOptions()
