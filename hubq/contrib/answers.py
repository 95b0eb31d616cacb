"""What an error of hubq is over HTTP: the same for every framework."""

from __future__ import annotations

from dataclasses import dataclass

from hubq.errors import (
    AlreadyStarted,
    CallTimeout,
    Cancelled,
    ChildPaused,
    HandlerOverdue,
    HubqError,
    InvalidChildId,
    KeyReused,
    MailboxFull,
    Partitioned,
    PayloadTooLarge,
    RedisUnavailable,
    UnknownChild,
)

#: What is said by ``Retry-After``, seconds: a take-over is done by then.
RETRY_AFTER = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, text and headers of an answer. Nothing in it names a child, a hub or a host."""

    status: int
    error: str
    detail: str
    retry_after: int | None = None

    @property
    def body(self) -> dict[str, str]:
        """As JSON has it."""
        return {"error": self.error, "detail": self.detail}

    @property
    def headers(self) -> dict[str, str]:
        """Its own headers."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


#: Error -> (status, what is said, whether to try again later).
KNOWN: dict[type[HubqError], tuple[int, str, bool]] = {
    UnknownChild: (404, "there is no such child", False),
    InvalidChildId: (404, "there is no such child", False),
    AlreadyStarted: (409, "it is there already", False),
    KeyReused: (409, "the key was used for another request", False),
    Cancelled: (409, "it was cancelled", False),
    PayloadTooLarge: (413, "too large", False),
    MailboxFull: (429, "too many messages wait", True),
    ChildPaused: (503, "try again later", True),
    Partitioned: (503, "try again later", True),
    RedisUnavailable: (503, "try again later", True),
    CallTimeout: (504, "no answer in time", False),
    HandlerOverdue: (504, "no answer in time", False),
}


def answer_to(error: HubqError) -> Answer:
    """The answer to one of the errors in ``KNOWN``, or to one that derives from it.

    >>> answer_to(UnknownChild("no child 'room-1' in hub 'chat'"))
    Answer(status=404, error='UnknownChild', detail='there is no such child', retry_after=None)
    >>> answer_to(CallTimeout("it was not run", may_run=False)).status
    503
    """
    if isinstance(error, CallTimeout) and not error.may_run:
        return Answer(503, type(error).__name__, "try again later", RETRY_AFTER)
    status, detail, later = next(KNOWN[kind] for kind in type(error).__mro__ if kind in KNOWN)
    return Answer(status, type(error).__name__, detail, RETRY_AFTER if later else None)
