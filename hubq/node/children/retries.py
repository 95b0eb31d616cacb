"""Whether a message whose handler has raised is tried again (docs/retries.md)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import NamedTuple

from hubq.core.callable_methods import retry_of
from hubq.core.retry import Retry
from hubq.node.children.failures import shown, why_of
from hubq.node.held.held_back import AnotherTry
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.raised import in_short
from hubq.node.runtime.standing import Standing
from hubq.store.message import Message

log = logging.getLogger("hubq.node")

#: After a retry was told of, further ones of the same class, method and exception are not, for so many seconds.
TOLD_EVERY = 10.0


class Waiting(NamedTuple):
    """A child whose first message waits for another try, and how long, seconds."""

    hosted: HostedChild
    another_try: AnotherTry
    seconds: float


class Retries:
    """Puts messages back that are tried again. ``waiting`` takes those that have to wait. ``chance`` is random, from 0 to 1."""

    def __init__(
        self, standing: Standing, counters: Counters, waiting: asyncio.Queue[Waiting],
        chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._standing = standing
        self._counters = counters
        self._waiting = waiting
        self._chance = chance
        self._told: dict[tuple[str, str, type[BaseException]], float] = {}

    def terms(self, hosted: HostedChild, message: Message, error: BaseException) -> Retry | None:
        """The terms on which this message is tried again, now that its handler has raised this; None: it has failed."""
        if hosted.stopping or hosted.holding.is_copy:
            return None
        terms = retry_of(hosted.kind, message.method)
        if terms is None or not terms.wants(error, self._tried(hosted, message) + 1):
            return None
        return terms if why_of(hosted, message, error) in ("raised", "overdue") else None

    def again(self, hosted: HostedChild, message: Message, error: BaseException, terms: Retry) -> bool:
        """The child is as it was before the message: put the message back, for another try. False: its caller would not wait
        for that.
        """
        tried = self._tried(hosted, message) + 1
        seconds = terms.seconds(tried, self._chance())
        if message.deadline and self._standing.redis_now_ms() + seconds * 1000 >= message.deadline:
            return False
        another_try = AnotherTry(hosted.counts_try(message.entry), in_short(error))
        self._counters.message_retried(hosted.record.name, message.method)
        self._tell(hosted, message, error, f"tried {tried} of {terms.max + 1} times, again in {seconds:.3g} s")
        hosted.put_back(message)
        if seconds > 0:
            hosted.try_again(another_try)
            self._waiting.put_nowait(Waiting(hosted, another_try, seconds))
        return True

    def given_up(self, hosted: HostedChild, message: Message) -> str:
        """How often a message was tried that has failed, for whoever is told; empty: once."""
        tried = self._tried(hosted, message)
        return f"\nIt was tried {tried + 1} times: this is the last.\n" if tried else ""

    def _tried(self, hosted: HostedChild, message: Message) -> int:
        tried = hosted.tried
        return tried.times if tried is not None and tried.entry == message.entry else 0

    def _tell(self, hosted: HostedChild, message: Message, error: BaseException, how: str) -> None:
        sort = (hosted.record.name, message.method, type(error))
        now = self._standing.now()
        if now < self._told.get(sort, now):
            return
        self._told[sort] = now + TOLD_EVERY
        log.warning(
            "child %s: %s.%s raised (%s): %s", hosted.child_id, hosted.record.name, shown(message.method), in_short(error),
            how,
        )  # fmt: skip
