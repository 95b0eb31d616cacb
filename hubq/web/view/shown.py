"""What an error of the hub is over HTTP. People who look after the hub see it whole."""

from __future__ import annotations

from hubq.errors import (
    AlreadyStarted,
    BadArguments,
    CallFailed,
    CallTimeout,
    ConfigError,
    HubqError,
    InvalidChildId,
    MailboxFull,
    NoSuchJob,
    NotAlive,
    Partitioned,
    PayloadTooLarge,
    RedisRefused,
    RedisUnavailable,
    UnknownChild,
    UnknownMethod,
)
from hubq.web.view.records import Problem


class BadRequest(Exception):
    """A request that says nothing that can be done; the text says what is wrong with it."""


#: Error -> status. What is not here is a conflict with how the hub stands.
STATUS: tuple[tuple[type[HubqError], int], ...] = (
    (UnknownChild, 404),
    (NoSuchJob, 404),
    (InvalidChildId, 400),
    (UnknownMethod, 400),
    (BadArguments, 400),
    (AlreadyStarted, 409),
    (NotAlive, 409),
    (PayloadTooLarge, 413),
    (MailboxFull, 429),
    (CallFailed, 422),
    (Partitioned, 503),
    (RedisRefused, 503),
    (RedisUnavailable, 503),
    (CallTimeout, 504),
    (ConfigError, 400),
    (HubqError, 409),
)
#: All statuses with which a request may be refused, and what each means.
REFUSALS: dict[int, str] = {
    400: "The request says nothing that can be done.",
    401: "Nobody is logged in.",
    403: "Not allowed: the view is read-only, or the user is a viewer, or the request comes from another site.",
    404: "There is no such child, job or letter.",
    409: "The hub cannot do it as it stands.",
    413: "Too large.",
    415: "The body is not JSON.",
    422: "The method of the child has raised.",
    429: "Too many messages wait for the child.",
    503: "Redis cannot be reached, or the hub has no quorum.",
    504: "No answer in time.",
}


def problem(error: HubqError) -> tuple[int, Problem]:
    """Status and body for an error of the hub.

    >>> problem(UnknownChild("no child 'room-1' in hub 'chat'"))
    (404, Problem(error='UnknownChild', detail="no child 'room-1' in hub 'chat'"))
    """
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    return status, Problem(type(error).__name__, str(error))
