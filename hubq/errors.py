"""Every error that hubq raises. All are :class:`HubqError`. Each says what happened, with which value, and what to do."""

from __future__ import annotations


class HubqError(Exception):
    """The base of all errors of hubq."""


class ConfigError(HubqError, ValueError):
    """A setting has a value that it cannot have, or a value other than the hub was created with."""


class RedisUnavailable(HubqError, ConnectionError):
    """Redis cannot be reached, or the connection was lost in the middle of a command."""


class RedisRefused(RedisUnavailable):
    """Redis answered with an error: out of memory, a read-only replica, no permission. Nothing was written."""


class Unreadable(HubqError, ValueError):
    """What stands in Redis is not what hubq writes there: the message names the key. Somebody else has written it."""


class StateTooNew(HubqError):
    """A saved state has a later version than the class here: newer code has written it. Its child is offered to other workers."""


class NotReplicated(HubqError):
    """Fewer replicas than ``wait_replicas`` have confirmed a write in time: a failover now may lose it.

    The write is not undone. A message is handled (or was) all the same; sending it again makes a second message.
    """


class NameTaken(HubqError):
    """Another live node of this hub has the name."""


class InvalidChildId(HubqError, ValueError):
    """A child id is empty, is over 512 bytes of UTF-8, or has a character that keys cannot show."""


class InvalidReminder(HubqError, ValueError):
    """A reminder has a time in the past, no time or two, or a name, a time or ``late`` that it cannot have."""


class InvalidTopic(HubqError, ValueError):
    """A topic of a feed is no text of 1 to 64 letters, digits or . _ : / -."""


class UnknownChild(HubqError, LookupError):
    """The hub has no child of this id: it was never started, or it has ended."""


class UnknownMethod(HubqError, AttributeError):
    """The child has no public method of this name."""


class AlreadyStarted(HubqError):
    """A child of this id exists already."""


class NoChildren(HubqError, ValueError):
    """``start_children`` or ``stop_children`` was given no children."""


class StartFailed(HubqError):
    """A child could not start: its class cannot be imported, or its ``__init__`` or ``on_start`` raised."""


class MappingError(HubqError, ValueError):
    """A guided placement does not fit: it names an unknown node, leaves a child out, or has too few nodes for it."""


class NotAlive(HubqError):
    """The node is not a live member of the hub, or the hub has no live node."""


class Partitioned(HubqError):
    """The hub has no quorum. Starts and stops are refused until it is regained; nothing was written."""


class StateNotSavable(HubqError, TypeError):
    """A child's state cannot be pickled. The message names the attribute."""


class StateTooLarge(HubqError, ValueError):
    """A child's state is over ``max_state_bytes``."""


class NotSendable(HubqError, TypeError):
    """Arguments or a result cannot be pickled."""


class HandlerOverdue(HubqError, TimeoutError):
    """A handler took longer than its ``handler_timeout``. It was undone: the child has the state that it had before."""


class HandlerKilled(HubqError):
    """A handler was ended by ``hub.kill`` or by a stop that does not wait. It was undone."""


class MessageDropped(HubqError):
    """A message was taken out of its mailbox by hand. It was not run, and is a dead letter."""


class Cancelled(HubqError):
    """A call was cancelled before its handler had ended: nothing of it was applied."""


class NotCancelled(HubqError):
    """A call was not cancelled: it runs in a thread, or nobody has said what became of it."""


class CallCycle(HubqError, RuntimeError):
    """A call would wait for itself: the called child, or one that waits for it, is the caller. The message names the chain."""


class ChildPaused(HubqError):
    """The child is paused, and the message was to be refused then (``options(if_paused="refuse")``). Nothing was sent."""


class KeyReused(HubqError, ValueError):
    """The child has had a message with this key, but with another method or other arguments. This one was not run."""


class ReadChanged(HubqError):
    """A method that is marked as ``@read`` has changed the child. The change was dropped."""


class PayloadTooLarge(HubqError, ValueError):
    """Arguments or a result are over ``max_payload_bytes``, or more than this Redis takes. Arguments were not sent. The handler of a
    result was undone.
    """


class MailboxFull(HubqError):
    """``max_backlog`` messages wait for the child, or those of its shard take ``max_mailbox_bytes``. Nothing was sent; try again later.

    ``child_id`` names the child, ``waiting`` is the number of messages that wait for it, ``most`` the number that may. If it is the
    shard that is full, these are ``unit="bytes"`` of its mailbox.
    """

    def __init__(
        self, message: str, *, child_id: str = "", waiting: int = 0, most: int = 0, unit: str = "messages"
    ) -> None:
        super().__init__(message)
        self.child_id = child_id
        self.waiting = waiting
        self.most = most
        self.unit = unit


class CallTimeout(HubqError, TimeoutError):
    """A call was not answered within its time-out.

    ``may_run`` is False when the message certainly was not run and never will be. Otherwise it is True.
    """

    def __init__(self, message: str, *, may_run: bool = True) -> None:
        super().__init__(message)
        self.may_run = may_run


class Poisoned(HubqError):
    """The message was in hand each time that several workers died. It is now a dead letter and is not tried again."""


class CallFailed(HubqError):
    """The child's method raised. ``remote_type`` is the name of the exception's class, ``remote_traceback`` its traceback."""

    def __init__(self, message: str, *, remote_type: str = "", remote_traceback: str = "") -> None:
        super().__init__(message)
        self.remote_type = remote_type
        self.remote_traceback = remote_traceback


class NoCurrentHub(HubqError, LookupError):
    """``current_hub()`` was called outside a child and outside a job."""


class NoCurrentJob(HubqError, LookupError):
    """``current_job()`` was called outside a job."""


class InvalidProgress(HubqError, ValueError):
    """What ``progress(...)`` was told is no progress."""


class OutsideHandler(HubqError, RuntimeError):
    """``self.ref(...)`` was used where no message is in hand: what it says would never leave."""


class InvalidJob(HubqError, ValueError):
    """The options of a job contradict one another, or RQ refuses them. Nothing was enqueued."""


class NotImportable(InvalidJob):
    """A worker cannot import the function of a job: it is a lambda, a local function, in ``__main__``, or missing."""


class InvalidKey(InvalidJob):
    """The key of a job is not a text of 1 to 500 bytes that can be printed."""


class NoClock(HubqError):
    """No node runs the hub's clock. Scheduled jobs, scheduled starts of children, and cron wait."""


class NoSuchJob(HubqError, LookupError):
    """No resumable job has this id: it was never enqueued, or its result has expired."""


class JobFailed(CallFailed):
    """A resumable job has no result: ``status`` is ``"failed"`` or ``"canceled"``. The rest is as in :class:`CallFailed`."""

    def __init__(self, message: str, *, status: str, remote_type: str = "", remote_traceback: str = "") -> None:
        super().__init__(message, remote_type=remote_type, remote_traceback=remote_traceback)
        self.status = status


class DuplicateJob(HubqError):
    """A job of this id exists already (``unique=True``). This is also an ``rq.exceptions.DuplicateJobError``."""


class WaitsInEventLoop(HubqError, RuntimeError):
    """A waiting operation of a hub was begun in a thread in which an event loop runs. Nothing was sent.

    Every task of that loop would have waited with it: all children of a node, all requests of a web app. ``hub.aio`` has the
    same operations, awaiting.
    """


class Fenced(HubqError):
    """This node's ownership token is not the current one: another node owns the shard now."""


class BadArguments(HubqError, TypeError):
    """Arguments that the method does not take: they cannot be read as its annotations say."""


class Unsealed(HubqError):
    """What stands in Redis is not sealed, or not for this place: it is not read."""


class Evicted(HubqError):
    """This node's lease ran out, and the other nodes removed it from the hub."""


#: The errors a node may answer with, by the word that travels on the wire.
BY_WORD: dict[str, type[HubqError]] = {
    "unknown_child": UnknownChild,
    "unknown_method": UnknownMethod,
    "already_started": AlreadyStarted,
    "start_failed": StartFailed,
    "mapping_error": MappingError,
    "not_alive": NotAlive,
    "partitioned": Partitioned,
    "state_not_savable": StateNotSavable,
    "state_too_large": StateTooLarge,
    "not_sendable": NotSendable,
    "payload_too_large": PayloadTooLarge,
    "handler_overdue": HandlerOverdue,
    "handler_killed": HandlerKilled,
    "message_dropped": MessageDropped,
    "cancelled": Cancelled,
    "call_cycle": CallCycle,
    "key_reused": KeyReused,
    "read_changed": ReadChanged,
    "mailbox_full": MailboxFull,
    "poisoned": Poisoned,
    "bad_arguments": BadArguments,
}


def word_for(error: BaseException) -> str:
    """The wire word of an error; ``"failed"`` for an error that is not hubq's.

    >>> word_for(StateTooLarge("x")), word_for(KeyError("x"))
    ('state_too_large', 'failed')
    """
    for word, kind in BY_WORD.items():
        if type(error) is kind:
            return word
    return "failed"
