"""The terms on which a message whose handler raised is tried again (docs/retries.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

from hubq.errors import ConfigError

M = TypeVar("M", bound=Callable[..., object])

#: The attribute of a function that was decorated with a ``Retry``.
MARK = "hubq_retry"
#: The most tries after the first, and the longest wait between two tries, seconds (a day).
MOST_TRIES, MOST_WAIT = 1_000_000, 86_400.0


@dataclass(frozen=True, slots=True)
class Retry:
    """How a message is tried again whose handler has raised: in its place, so the order is kept; the child waits meanwhile.

    ``max``: how often it is tried again. ``wait``: seconds before the first of these tries; each further wait is ``backoff``
    times the one before, at most ``longest`` seconds, and longer by up to the share ``jitter`` at random. ``retry_on``: the
    exceptions that are worth another try, but for those in ``give_up_on``.

    It is a setting of a class (``@hub.child(retry=Retry(max=3))``) and a decorator of a method, whose terms it then is:

    >>> class Order:
    ...     @Retry(max=2, wait=0.5, backoff=3.0)
    ...     async def charge(self, card): ...
    >>> [Order.charge.hubq_retry.seconds(tried, chance=0.0) for tried in (1, 2)]
    [0.5, 1.5]

    Raises :class:`~hubq.errors.ConfigError` for values that it cannot have.
    """

    max: int = 3
    wait: float = 1.0
    backoff: float = 1.0
    longest: float = 300.0
    jitter: float = 0.0
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.max, bool) or not isinstance(self.max, int) or not 0 <= self.max <= MOST_TRIES:
            raise ConfigError(f"Retry(max={self.max!r}): give how often a message is tried again, 0 to {MOST_TRIES}")
        _check("wait", self.wait, 0, MOST_WAIT, "seconds")
        _check("backoff", self.backoff, 1, 1000, "a factor")
        _check("longest", self.longest, 0, MOST_WAIT, "seconds")
        if self.wait > self.longest:
            raise ConfigError(
                f"Retry(wait={self.wait!r}, longest={self.longest!r}): the first wait is over the longest one"
            )
        _check("jitter", self.jitter, 0, 1, "a share")
        for name in ("retry_on", "give_up_on"):
            object.__setattr__(self, name, _checked_errors(name, getattr(self, name)))

    def __call__(self, method: M) -> M:
        """Give a method these terms, whatever its class says."""
        if not callable(method) or isinstance(method, type):
            raise ConfigError(
                f"@Retry(...) is for a method, not for {method!r}: a class has @hub.child(retry=Retry(...))"
            )
        method.__dict__[MARK] = self
        return method

    def wants(self, error: BaseException, tried: int) -> bool:
        """Whether a message that was ``tried`` so often, and has raised this error at last, is tried again.

        >>> terms = Retry(max=1, retry_on=(OSError,), give_up_on=(FileNotFoundError,))
        >>> terms.wants(OSError(), 1), terms.wants(OSError(), 2), terms.wants(FileNotFoundError(), 1), terms.wants(KeyError(), 1)
        (True, False, False, False)
        """
        return tried <= self.max and isinstance(error, self.retry_on) and not isinstance(error, self.give_up_on)

    def seconds(self, tried: int, chance: float) -> float:
        """How long to wait after so many tries. ``chance`` is a random number from 0 to 1.

        >>> [Retry(wait=1, backoff=2, longest=5, jitter=0.5).seconds(tried, chance=1.0) for tried in (1, 2, 3, 4, 10_000)]
        [1.5, 3.0, 6.0, 7.5, 7.5]
        """
        wait = self.wait
        for _ in range(tried - 1):
            if wait >= self.longest or self.backoff == 1 or not wait:
                break
            wait *= self.backoff
        return float(min(wait, self.longest) * (1 + self.jitter * chance))


def _check(name: str, value: object, least: float, most: float, what: str) -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not (fits and isfinite(value) and least <= value <= most):  # type: ignore[arg-type,operator]
        raise ConfigError(f"Retry({name}={value!r}): give {what}, {least:g} to {most:g}")


def _checked_errors(name: str, value: object) -> tuple[type[BaseException], ...]:
    kinds = value if isinstance(value, tuple | list) else (value,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ConfigError(f"Retry({name}={value!r}): give classes of exceptions, as in (OSError, TimeoutError)")
    return tuple(kinds)
