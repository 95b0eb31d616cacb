"""Every error hubq raises. All are :class:`HubqError`; each says what is wrong, with which value, and what to do."""

from __future__ import annotations


class HubqError(Exception):
    """The base of all errors of hubq."""


class ConfigError(HubqError, ValueError):
    """A setting has a value it cannot have, or does not fit what the hub was created with."""


class RedisUnavailable(HubqError, ConnectionError):
    """Redis could not be reached, or went away in the middle of a command."""


class RedisRefused(RedisUnavailable):
    """Redis answered with an error: out of memory, a read-only replica, no permission. Nothing was written."""


class NotReplicated(HubqError):
    """Written, but fewer replicas than ``wait_replicas`` have confirmed it in time: a failover now may lose it.

    It is not undone: a message will be (or was) handled. Sending it again would be a second message.
    """


class NameTaken(HubqError):
    """A live node of this hub already has the name."""


class InvalidChildId(HubqError, ValueError):
    """A child id is empty, over 512 bytes of UTF-8, or has a character that keys cannot show."""


class UnknownChild(HubqError, LookupError):
    """No child of this id has been started in this hub (or it has ended)."""


class UnknownMethod(HubqError, AttributeError):
    """The child has no public method of this name."""


class AlreadyStarted(HubqError):
    """A child of this id exists already."""


class NoChildren(HubqError, ValueError):
    """``start_children`` or ``stop_children`` was given no children."""


class StartFailed(HubqError):
    """The child could not be built on the node: its class cannot be imported, or its ``__init__`` or ``on_start`` raised."""


class MappingError(HubqError, ValueError):
    """A guided placement does not fit: it names an unknown node, leaves a child out, or has too few nodes for it."""


class NotAlive(HubqError):
    """The node that is asked for is no live member of the hub, or the hub has none at all."""


class Partitioned(HubqError):
    """The hub has lost its quorum: starts and stops are refused until it is regained. Nothing was written."""


class StateNotSavable(HubqError, TypeError):
    """A child's state cannot be pickled. The message names the attribute."""


class StateTooLarge(HubqError, ValueError):
    """A child's state is over ``max_state_bytes``."""


class NotSendable(HubqError, TypeError):
    """Arguments or a result cannot be pickled."""


class MailboxFull(HubqError):
    """The child has too many messages waiting. Nothing was sent; try again later.

    ``child_id`` is which child, ``waiting`` how many messages wait for it, ``most`` how many may.
    """

    def __init__(self, message: str, *, child_id: str = "", waiting: int = 0, most: int = 0) -> None:
        super().__init__(message)
        self.child_id = child_id
        self.waiting = waiting
        self.most = most


class CallTimeout(HubqError, TimeoutError):
    """A call was not answered within its time-out.

    ``may_run`` is False when it is certain that the message was not run and never will be.
    """

    def __init__(self, message: str, *, may_run: bool = True) -> None:
        super().__init__(message)
        self.may_run = may_run


class Poisoned(HubqError):
    """The message was in hand each time several workers died, and is not tried again: it is a dead letter now."""


class CallFailed(HubqError):
    """The child's method raised. ``remote_type`` is the class name there, ``remote_traceback`` its traceback."""

    def __init__(self, message: str, *, remote_type: str = "", remote_traceback: str = "") -> None:
        super().__init__(message)
        self.remote_type = remote_type
        self.remote_traceback = remote_traceback


class NoCurrentHub(HubqError, LookupError):
    """``current_hub()`` was called outside of children and jobs."""


class InvalidJob(HubqError, ValueError):
    """RQ refuses the options of a job, or they contradict one another. Nothing was enqueued."""


class NotImportable(InvalidJob):
    """A worker cannot import the function of a job: it is a lambda, local, of ``__main__``, or not there."""


class InvalidKey(InvalidJob):
    """The key of a job is not a text of 1 to 500 bytes that can be printed."""


class NoClock(HubqError):
    """No node runs the hub's clock: scheduled jobs, children to be started later, and cron wait."""


class NoSuchJob(HubqError, LookupError):
    """No resumable job of this id: it never was, or its result is kept no more."""


class JobFailed(CallFailed):
    """A resumable job has no result: ``status`` is ``"failed"`` or ``"canceled"``; the rest as in :class:`CallFailed`."""

    def __init__(self, message: str, *, status: str, remote_type: str = "", remote_traceback: str = "") -> None:
        super().__init__(message, remote_type=remote_type, remote_traceback=remote_traceback)
        self.status = status


class DuplicateJob(HubqError):
    """A job of this id exists already (``unique=True``). It is an ``rq.exceptions.DuplicateJobError``, too."""


class Fenced(HubqError):
    """This node's ownership token is no longer valid: another node owns the shard now."""


class Evicted(HubqError):
    """This node's lease ran out and the others went on without it."""


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
    "mailbox_full": MailboxFull,
    "poisoned": Poisoned,
}


def word_for(error: BaseException) -> str:
    """The wire word of an error; ``"failed"`` for everything that is not hubq's own.

    >>> word_for(StateTooLarge("x")), word_for(KeyError("x"))
    ('state_too_large', 'failed')
    """
    for word, kind in BY_WORD.items():
        if type(error) is kind:
            return word
    return "failed"
