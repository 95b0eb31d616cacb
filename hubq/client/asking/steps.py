"""The steps of which every operation of a hub is made. An operation is a generator that yields steps and is driven by a
session that waits (``hub``) or awaits (``hub.aio``): each is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from hubq.store.command import Command
from hubq.store.outgoing import PLAIN, Outgoing, StartOptions
from hubq.store.reminders import Later
from hubq.store.spec_record import SpecRecord

# (They are structs of msgspec: a frozen dataclass takes twenty times as long to be made, and its class longer to be imported.)

T = TypeVar("T")

#: What came back for a message: status, node, payload.
Reply = tuple[str, str, bytes]


class Send(msgspec.Struct, frozen=True):
    """Put messages into mailboxes. The answer: (message id, status word) for each, in order. ``collected``: the reply to the only one is
    collected next.
    """

    messages: Sequence[Outgoing]
    collected: bool = False


class Scatter(msgspec.Struct, frozen=True):
    """Put messages into mailboxes in these groups of the hub: side by side if the session awaits, else one group after the other. The
    answer: group -> :class:`Outcome`, of :class:`Send`.
    """

    groups: Mapping[int, Sequence[Outgoing]]


class Remind(msgspec.Struct, frozen=True):
    """Have a message sent later, or take one back that was to be sent. The answer: a status word."""

    later: Later


class Start(msgspec.Struct, frozen=True):
    """Write specs (child -> spec without its start id) by shard. The answer: shard -> (message id, word per child)."""

    shards: Mapping[int, Mapping[str, SpecRecord]]
    all_or_nothing: bool
    options: StartOptions = PLAIN


class Pause(msgspec.Struct, frozen=True):
    """Let some seconds pass. No answer."""

    seconds: float


class Collect(msgspec.Struct, frozen=True):
    """Wait for replies. The answer: id -> (status, node, payload) for those that came within ``timeout`` seconds. ``again``: those
    that did not come are asked for again later.
    """

    ids: Sequence[str]
    timeout: float
    again: bool = False


class Withdraw(msgspec.Struct, frozen=True):
    """Withdraw a call that has timed out. The answer: (the child's node, "-" for none now, "" for none ever; its reply, if
    one came meanwhile: its result, or that it was not run).
    """

    shard: int
    child: str
    message_id: str


class Cancel(msgspec.Struct, frozen=True):
    """Ask the owner of a child to cancel a call of ``caller`` (empty: of this session). The answer: (its node, "-" for none now, ""
    for none ever; the node's word, None if there was none within ``timeout`` seconds). The call's own reply is never behind it.
    """

    shard: int
    child: str
    caller: str
    message_id: str
    timeout: float


class Intervene(msgspec.Struct, frozen=True):
    """Ask the owner of a child to kill it, to stop it now, or to drop a message of it. The answer: (its node, "-" for none now, ""
    if there is no such child; the node's reply, None if there was none within ``timeout`` seconds).
    """

    shard: int
    child: str
    what: str
    entry: str
    timeout: float


class Fetch(msgspec.Struct, frozen=True):
    """Read from Redis. The answer: the answers, in order."""

    commands: Sequence[Command[Any]]


class Each(msgspec.Struct, frozen=True):
    """Run an operation in each of these groups of the hub: side by side if the session awaits or it is a question, else one after the
    other. Each is made with the seconds that are left of ``timeout``. The answer: group -> :class:`Outcome`.

    ``question``: it is one to the whole hub, which some groups can answer without the others (:mod:`hubq.client.asking.reachable`).
    """

    operations: Mapping[int, Callable[[float], Operation[Any]]]
    timeout: float = 0.0
    question: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What an operation in a group has come to."""

    value: Any = None
    error: Exception | None = None

    def result(self) -> Any:
        """The value. Raises the error."""
        if self.error is not None:
            raise self.error
        return self.value


Step = Send | Remind | Start | Collect | Withdraw | Cancel | Intervene | Fetch | Pause | Each | Scatter
Operation = Generator["Step", Any, T]
