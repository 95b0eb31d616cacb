"""Messages that failed: each is counted and told of, and one that nobody waits for becomes a dead letter (docs/dead-letters.md)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from inspect import signature

from hubq.config import Config
from hubq.core.callable_methods import methods_of
from hubq.core.child import Child
from hubq.errors import BadArguments, HandlerOverdue, PayloadTooLarge
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.event_log import EventLog
from hubq.store.codec import decode, sendable
from hubq.store.dead_letters import NewLetter, Why
from hubq.store.message import Message, sender_of

log = logging.getLogger("hubq.node")

#: After a failure was told of, further ones of the same kind are told of together, after so many seconds.
TOLD_EVERY = 10.0
#: Stands for a class or a method that is not known: no sender can make up names of metrics.
UNKNOWN = "?"
#: The longest error in an event, characters.
MOST_IN_EVENT = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure. ``method`` is the word of the sender; ``label`` is that, or ``UNKNOWN`` if there is no such method."""

    child: str
    class_name: str
    method: str
    label: str
    why: Why
    is_call: bool
    kept: bool
    sender: str
    text: str
    error: BaseException | None = None

    @property
    def sort(self) -> tuple[str, str, Why, bool]:
        """What failures that are told of together have in common."""
        return self.class_name, self.label, self.why, self.is_call


@dataclass(slots=True)
class Untold:
    """How many failures of one sort came since the last was told of; the last of them; the time to tell."""

    timer: asyncio.TimerHandle
    count: int = 0
    last: Failure | None = None

    def add(self, failure: Failure) -> None:
        """One more, to be told of later."""
        self.count += 1
        self.last = failure


class Failures:
    """Counts and tells of failures, and writes the dead letters into the effects of the holding."""

    def __init__(self, config: Config, counters: Counters, events: EventLog) -> None:
        self._kept_in_shard = config.dead_kept
        self._counters = counters
        self._events = events
        self._untold: dict[tuple[str, str, Why, bool], Untold] = {}

    def failed(
        self, hosted: HostedChild, message: Message, why: Why, text: str, error: BaseException | None = None,
        trace: str = "",
    ) -> None:  # fmt: skip
        """A message of a child has failed: ``text`` says how; ``error`` is what its handler raised, ``trace`` its traceback."""
        self._failed(hosted.holding, hosted.kind, hosted.record.name, message, why, text, error, trace)

    def refused(self, holding: Holding, message: Message, text: str) -> None:
        """A message is for a child that has ended: its class is not known any more."""
        self._failed(holding, Child, "", message, "ended", text, None, "")

    def stop(self) -> None:
        """Tell of what was not told of yet."""
        for sort in list(self._untold):
            self._tell_rest(sort, last=True)

    # -- one failure -----------------------------------------------------------------------------------------------

    def _failed(
        self, holding: Holding, kind: type[Child], class_name: str, message: Message, why: Why, text: str,
        error: BaseException | None, trace: str,
    ) -> None:  # fmt: skip
        if holding.is_copy or message.kind not in ("call", "cast"):
            return  # of a copy: its original tells of it
        known = message.method in methods_of(kind)
        is_call = bool(message.reply_to)
        failure = Failure(
            message.child, class_name or UNKNOWN, message.method, message.method if known else UNKNOWN, why, is_call,
            not is_call and kind.dead_kept > 0, sender_of(message.id, message.reply_to), sendable(text), error,
        )  # fmt: skip
        self._counters.message_failed(failure.class_name, failure.label, why)
        if failure.kept:
            letter = NewLetter.of(message.entry, class_name, why, trace or text, kind.dead_kept, self._kept_in_shard)
            holding.effects.letters.append(letter)
        untold = self._untold.get(failure.sort)
        if untold is None:
            self._tell(failure, 1)
            self._untold[failure.sort] = Untold(self._later(failure.sort))
        else:
            untold.add(failure)

    # -- telling of it ---------------------------------------------------------------------------------------------

    def _later(self, sort: tuple[str, str, Why, bool]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(TOLD_EVERY, self._tell_rest, sort)

    def _tell_rest(self, sort: tuple[str, str, Why, bool], last: bool = False) -> None:
        untold = self._untold.pop(sort)
        untold.timer.cancel()
        if untold.last is None:
            return
        self._tell(untold.last, untold.count)
        if not last:
            self._untold[sort] = Untold(self._later(sort))

    def _tell(self, failure: Failure, count: int) -> None:
        sender = failure.sender or UNKNOWN
        if failure.is_call:
            level, outcome = logging.WARNING, f"its caller {sender} is told"
        else:
            kept = "now a dead letter" if failure.kept else "not kept, since dead_kept is 0"
            level, outcome = logging.ERROR, f"a cast of {sender}, {kept}"
        more = f"; {count - 1} more like it in the last {TOLD_EVERY:g} s" if count > 1 else ""
        log.log(
            level, "child %s: %s.%s failed (%s): %s; %s%s", failure.child, failure.class_name, shown(failure.method),
            failure.why, failure.text, outcome, more, exc_info=failure.error,
        )  # fmt: skip
        if not failure.is_call:
            self._events.add(
                "message_failed", child=failure.child, **{"class": failure.class_name}, method=failure.label,
                why=failure.why, count=count, sender=failure.sender, error=failure.text[:MOST_IN_EVENT],
            )  # fmt: skip


def shown(method: str) -> str:
    """A method as it may stand in a log: a sender may have put anything into it.

    >>> shown("post"), shown("x\\x1b[2J")
    ('post', "'x\\\\x1b[2J'")
    """
    return method if method.isidentifier() else repr(method)


def why_of(hosted: HostedChild, message: Message, error: BaseException) -> Why:
    """Why a message failed whose handling raised: its arguments cannot be decoded, or do not fit, or the handler raised."""
    if isinstance(error, HandlerOverdue):
        return "overdue"
    if isinstance(error, PayloadTooLarge):
        return "too-large"
    if isinstance(error, BadArguments) or _cannot_be_decoded(error):
        return "bad-arguments"
    if isinstance(error, TypeError):
        method = methods_of(hosted.kind).get(message.method)
        try:
            args, kwargs = hosted.services.values.arguments(hosted.kind, message.method, message.payload)
            if method is not None:
                signature(method).bind(hosted.instance, *args, **kwargs)
        except (TypeError, ValueError):
            return "bad-arguments"
    return "raised"


def _cannot_be_decoded(error: BaseException) -> bool:
    """Whether it was raised when the arguments were read: by the frames right below the handler."""
    trace = error.__traceback__
    for _ in range(3):
        trace = trace.tb_next if trace is not None else None
        if trace is not None and trace.tb_frame.f_code is decode.__code__:
            return True
    return False
