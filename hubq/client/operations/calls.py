"""Messages to children: calls and casts, and what a reply or a refusal says."""

from __future__ import annotations

from typing import Any

import msgspec

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Collect, Operation, Send, Withdraw
from hubq.client.operations.call_options import CallOptions
from hubq.core.child import MOST_METHOD, is_method_name
from hubq.core.hashing import checked_child_id
from hubq.errors import (
    BY_WORD,
    CallFailed,
    CallTimeout,
    HubqError,
    MailboxFull,
    Partitioned,
    RedisUnavailable,
    UnknownChild,
    UnknownMethod,
    Unreadable,
)
from hubq.store.codec import checked_size, decode
from hubq.store.mailbox import Outgoing


def checked_method(child_id: str, method: str) -> str:
    """The name of a method, or :class:`~hubq.errors.UnknownMethod` for what no method can be called."""
    if not is_method_name(method):
        shown = repr(method) if len(repr(method)) < 100 else f"{repr(method)[:80]}..."
        raise UnknownMethod(
            f"child {child_id!r} has no method {shown}: give a name of 1 to {MOST_METHOD} letters, digits and underscores"
        )
    return method


def send(hub: HubContext, child_id: str, method: str, payload: bytes, *, timeout: float, reply: bool) -> Operation[str]:
    """Put one message into a child's mailbox; its id."""
    method = checked_method(checked_child_id(child_id), method)
    checked_size(payload, hub.config.max_payload_bytes, f"the arguments of {child_id}.{method}")
    draft = Outgoing("call" if reply else "cast", child_id, method, payload, timeout, reply)
    ((message_id, word),) = yield Send([draft])
    _raise_refusal(hub, child_id, word)
    return str(message_id)


def call(hub: HubContext, child_id: str, method: str, payload: bytes, options: CallOptions) -> Operation[Any]:
    """Send a message and wait for its reply."""
    timeout = options.timeout
    message_id = yield from send(hub, child_id, method, payload, timeout=timeout, reply=True)
    replies = yield Collect([message_id], timeout)
    if message_id in replies:
        return answer_of(*replies[message_id], what=f"{child_id}.{method}")
    what = f"{child_id}.{method} did not answer within {timeout:g} s"
    try:
        node, late = yield Withdraw(hub.shard_of(child_id), child_id, message_id)
    except RedisUnavailable as error:
        raise CallTimeout(f"{what}; it may have been run, or be running still ({error})") from error
    if late is not None:
        return answer_of(*late, what=f"{child_id}.{method}")
    if not node:
        raise CallTimeout(f"{what}; it was not run, and will not be: no node serves it, start a worker", may_run=False)
    place = f"its node is {node!r}" if node != "-" else "no node serves it: start a worker"
    raise CallTimeout(f"{what}; it may have been run, or be running still ({place})")


def answer_of(status: str, node: str, payload: bytes, *, what: str) -> Any:
    """The value of a reply, or the error it carries."""
    if status == "ok":
        try:
            return decode(payload)
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
    raise CallFailed(
        f"{what} raised {error.type} on node {node}: {message}",
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
        return UnknownChild(f"no child {child_id!r} in hub {hub.keys.hub_id!r}: start it first, or see `hubq ps`")
    if word.startswith("full"):
        waiting, most = int(word.partition(" ")[2]), hub.config.max_backlog
        return MailboxFull(
            f"child {child_id!r} has {waiting} messages waiting, the most is {most} (max_backlog): send less, or later",
            child_id=child_id,
            waiting=waiting,
            most=most,
        )
    if word.startswith("partitioned"):
        return no_quorum(hub, f"child {child_id!r} is not stopped", word)
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
