"""Messages to children: calls and casts, and what a reply or a refusal says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from hubq.client.asking.calling import cycle, waiting_behind
from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Cancel, Collect, Operation, Reply, Send, Withdraw
from hubq.client.operations.call_options import CallOptions, checked_timeout
from hubq.client.operations.unless_paused import not_paused
from hubq.core.callable_methods import MOST_METHOD, is_method_name
from hubq.core.hashing import checked_child_id
from hubq.core.method_marks import is_read
from hubq.errors import (
    BY_WORD,
    CallFailed,
    CallTimeout,
    HubqError,
    MailboxFull,
    NotCancelled,
    Partitioned,
    RedisRefused,
    RedisUnavailable,
    UnknownChild,
    UnknownMethod,
    Unreadable,
)
from hubq.store.codec import checked_size
from hubq.store.header import Header
from hubq.store.message import HEADED
from hubq.store.outgoing import Outgoing
from hubq.store.spec_record import SpecRecord

#: A method was given what only the call itself takes.
_OPTION_AS_ARGUMENT = re.compile(r"unexpected keyword argument '(timeout|key|keep|cancel_on_timeout|if_paused)'$")


def checked_method(child_id: str, method: str) -> str:
    """The name of a method, or :class:`~hubq.errors.UnknownMethod` for what no method can be called."""
    if not is_method_name(method):
        shown = repr(method) if len(repr(method)) < 100 else f"{repr(method)[:80]}..."
        raise UnknownMethod(
            f"child {child_id!r} has no method {shown}: give a name of 1 to {MOST_METHOD} letters, digits and underscores"
        )
    return method


#: How long a call with ``cancel_on_timeout`` waits to hear that it was cancelled, seconds.
CANCEL_WAIT = 2.0
#: How long the result of a call that is done may be on its way, seconds.
REPLY_WAIT = 0.5


def send(
    hub: HubContext, child_id: str, method: str, payload: bytes, *, timeout: float, reply: bool,
    header: Header | None = None, spec: SpecRecord | None = None, collected: bool = False,
) -> Operation[str]:  # fmt: skip
    """Put one message into a child's mailbox; its id. ``spec``: the child is started by it if it is not there. ``collected``: its reply
    is collected next.
    """
    method = checked_method(checked_child_id(child_id), method)
    if len(payload) > hub.config.max_payload_bytes:
        checked_size(payload, hub.config.max_payload_bytes, f"the arguments of {child_id}.{method}")
    kind = "call" if reply else "cast"
    if header is not None:
        kind, payload = HEADED, header.before(payload)
    draft = Outgoing(kind, child_id, method, payload, timeout, reply, spec)
    ((message_id, word),) = yield Send([draft], collected)
    _raise_refusal(hub, child_id, word)
    return str(message_id)


def header_of(
    child_id: str, method: str, options: CallOptions, known: Callable[..., Any] | None = None, waits: bool = True
) -> Header | None:
    """What a message carries besides its arguments; None for nearly all. ``known``: the method itself, if it is known; ``waits``:
    its sender waits for the answer.

    Raises :class:`~hubq.errors.CallCycle` if it would wait for itself. (If the method is not known, its node says so.)
    """
    chain = waiting_behind(options.timeout) if waits else ()
    if chain and known is not None and not is_read(known):
        error = cycle(chain, child_id, method)
        if error is not None:
            raise error
    if not chain and not options.key:
        return None
    return Header(chain, options.key, int(options.keep * 1000) if options.key else 0)


def call(
    hub: HubContext, child_id: str, method: str, payload: bytes, options: CallOptions,
    known: Callable[..., Any] | None = None,
) -> Operation[Any]:  # fmt: skip
    """Send a message and wait for its reply. ``known``: the method itself, if it is known."""
    if options.if_paused == "refuse":
        yield from not_paused(hub, child_id, options)
    header = header_of(child_id, method, options, known)
    message_id = yield from send(
        hub, child_id, method, payload, timeout=options.timeout, reply=True, header=header, spec=options.activation,
        collected=True,
    )  # fmt: skip
    replies = yield Collect([message_id], options.timeout)
    if message_id in replies:
        return answer_of(hub, *replies[message_id], what=f"{child_id}.{method}", known=known)
    return (yield from _overdue(hub, Begun(child_id, method, message_id, options, known)))


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that has been sent."""

    child_id: str
    method: str
    message_id: str
    options: CallOptions
    known: Callable[..., Any] | None = None
    """The method itself, if it is known."""

    @property
    def what(self) -> str:
        """How errors name it."""
        return f"{self.child_id}.{self.method}"


def begin(
    hub: HubContext, child_id: str, method: str, payload: bytes, options: CallOptions,
    known: Callable[..., Any] | None = None,
) -> Operation[Begun]:  # fmt: skip
    """Send a call whose reply is asked for later. (So nobody can say whether its caller waits: it has no chain.)"""
    if options.if_paused == "refuse":
        yield from not_paused(hub, child_id, options)
    header = header_of(child_id, method, options, known, waits=False)
    message_id = yield from send(
        hub, child_id, method, payload, timeout=options.timeout, reply=True, header=header, spec=options.activation
    )
    return Begun(child_id, method, message_id, options, known)


def outcome(hub: HubContext, begun: Begun, timeout: float) -> Operation[Any]:
    """The result of a call, which has so many seconds left."""
    replies = yield Collect([begun.message_id], timeout)
    if begun.message_id in replies:
        return answer_of(hub, *replies[begun.message_id], what=begun.what, known=begun.known)
    return (yield from _overdue(hub, begun))


def _overdue(hub: HubContext, begun: Begun) -> Operation[Any]:
    """The time of a call is over: see to it that it is not run any more, if it was not."""
    child_id, message_id = begun.child_id, begun.message_id
    what = f"{begun.what} did not answer within {begun.options.timeout:.4g} s"
    if begun.options.cancel_on_timeout:
        return (yield from _cancelled_late(hub, begun, what))
    try:
        node, late = yield Withdraw(hub.shard_of(child_id), child_id, message_id)
    except RedisUnavailable as error:
        raise CallTimeout(f"{what}; it may have been run, or be running still ({error})") from error
    if late is not None:
        return answer_of(hub, *late, what=begun.what, known=begun.known)
    if not node:
        raise CallTimeout(f"{what}; it was not run, and will not be: no node serves it, start a worker", may_run=False)
    place = f"its node is {node!r}" if node != "-" else "no node serves it: start a worker"
    raise CallTimeout(f"{what}; it may have been run, or be running still ({place})")


def arrived(begun: Begun, timeout: float) -> Operation[Reply | None]:
    """The reply to a call, if it comes within so many seconds; else it may be asked for again."""
    replies = yield Collect([begun.message_id], timeout, again=True)
    found: Reply | None = replies.get(begun.message_id)
    return found


def _cancelled_late(hub: HubContext, begun: Begun, what: str) -> Operation[Any]:
    """``cancel_on_timeout``: the time of a call is over."""
    try:
        cancelled = yield from cancel(hub, begun, "", CANCEL_WAIT)
    except (NotCancelled, RedisUnavailable) as error:
        raise CallTimeout(f"{what}; it may have been run, or be running still ({error})") from error
    if cancelled:
        raise CallTimeout(f"{what}, and was cancelled: nothing of it was applied", may_run=False)
    late = yield Collect([begun.message_id], REPLY_WAIT)
    if begun.message_id in late:
        return answer_of(hub, *late[begun.message_id], what=begun.what, known=begun.known)
    raise CallTimeout(f"{what}; it was run, but its result did not come")


def cancel(hub: HubContext, begun: Begun, caller: str, timeout: float) -> Operation[bool]:
    """Cancel a call of a caller (empty: of this session). True: nothing of it was applied. False: it is done.

    Raises :class:`~hubq.errors.NotCancelled`.
    """
    shard = hub.shard_of(begun.child_id)
    node, word = yield Cancel(shard, begun.child_id, caller, begun.message_id, checked_timeout(timeout))
    if word in ("cancelled", "done"):
        return bool(word == "cancelled")
    if word == "in_thread":
        raise NotCancelled(f"{begun.what} is a plain `def` and runs in a thread, which cannot be cancelled: it goes on")
    if node in ("", "-"):
        raise NotCancelled(f"{begun.what} was not cancelled: no node serves it, start a worker")
    raise NotCancelled(
        f"{begun.what}: node {node!r} has not said within {timeout:g} s whether it was cancelled; ask again, or see `hubq doctor`"
    )


def cast(hub: HubContext, child_id: str, method: str, payload: bytes, options: CallOptions) -> Operation[str]:
    """Send a message that nobody waits for; its id."""
    header = header_of(child_id, method, options, waits=False) if options.key else None
    sent = send(hub, child_id, method, payload, timeout=0, reply=False, header=header, spec=options.activation)
    return sent if options.if_paused == "wait" else _unless_paused(hub, child_id, options, sent)


def _unless_paused(hub: HubContext, child_id: str, options: CallOptions, sent: Operation[str]) -> Operation[str]:
    yield from not_paused(hub, child_id, options)
    return (yield from sent)


def answer_of(
    hub: HubContext, status: str, node: str, payload: bytes, *, what: str, known: Callable[..., Any] | None = None
) -> Any:
    """The value of a reply, or the error it carries. ``known``: the method itself, if it is known."""
    if status == "ok":
        try:
            return hub.values.decode(payload, known)
        except Exception as unknown:
            raise Unreadable(
                f"the result of {what} cannot be read here ({type(unknown).__name__}: {unknown}); it was run: "
                "have its classes importable here, or return plain values"
            ) from unknown
    error = error_of(payload)
    message = error.message
    if status == "overdue":
        raise CallTimeout(f"{what} was not run: {message}", may_run=False)
    if status in BY_WORD:
        raise BY_WORD[status](message)
    option = _OPTION_AS_ARGUMENT.search(message)
    hint = f"; an option of the call goes by ref.options({option[1]}=...)" if option is not None else ""
    raise CallFailed(
        f"{what} raised {error.type} on node {node}: {message}{hint}",
        remote_type=error.type,
        remote_traceback=error.traceback,
    )


class ErrorReply(msgspec.Struct):
    """An error as it stands in a reply."""

    message: str
    type: str = ""
    traceback: str = ""


def error_of(payload: bytes) -> ErrorReply:
    """The error that a reply carries.

    >>> error_of(b"garbage").message
    'its reply is malformed'
    """
    try:
        return msgspec.json.decode(payload, type=ErrorReply)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ErrorReply("its reply is malformed", "Malformed")


def refusal(hub: HubContext, child_id: str, word: str) -> HubqError | None:
    """The error for what the send script says of a message; None if it was accepted."""
    if word in ("ok", "duplicate"):
        return None
    if word == "unknown":
        return UnknownChild(
            f"no child {child_id!r} in hub {hub.keys.hub_id!r}: start it first, or see `hubq ps`. (A message starts it if its "
            f"class has activate=True and is given: hub.ref(Class, {child_id!r}, ...); a name alone does not say what to build)"
        )
    if word.startswith("full"):
        waiting, most = int(word.partition(" ")[2]), hub.config.max_backlog
        return MailboxFull(
            f"child {child_id!r} has {waiting} messages waiting, the most is {most} (max_backlog): send less, or later",
            child_id=child_id,
            waiting=waiting,
            most=most,
        )
    if word.startswith("heavy"):
        waiting, most = int(word.partition(" ")[2]), hub.config.max_mailbox_bytes
        return MailboxFull(
            f"the messages in the mailbox of shard {hub.shard_of(child_id)} (that of child {child_id!r}) take {waiting} bytes, the most is "
            f"{most} (max_mailbox_bytes): send less, or later",
            child_id=child_id,
            waiting=waiting,
            most=most,
            unit="bytes",
        )
    if word.startswith("partitioned"):
        return no_quorum(hub, f"child {child_id!r} is neither started nor stopped", word)
    if word.startswith("refused"):
        shard, said = hub.shard_of(child_id), word.partition(" ")[2]
        keys = ", ".join(hub.keys.send_keys(shard))
        return RedisRefused(
            f"message to {child_id!r} refused ({said}): one of {keys} is not what hubq writes there: see TYPE and GET in redis-cli; the "
            "hub may have been moved (docs/guide-cluster.md). If it was not, rename or delete the key"
        )
    return HubqError(
        f"message to {child_id!r} refused ({word}): it was retried for longer than its sender is remembered"
    )


def no_quorum(hub: HubContext, what: str, word: str) -> Partitioned:
    """The error for what the scripts refuse while the hub has no quorum."""
    why = word.partition(" ")[2]
    return Partitioned(f"{what}: hub {hub.keys.hub_id!r} has no quorum {why}; start workers, or see `hubq nodes`")


def _raise_refusal(hub: HubContext, child_id: str, word: str) -> None:
    error = refusal(hub, child_id, word)
    if error is not None:
        raise error
