"""Ending children for good."""

from __future__ import annotations

from collections.abc import Sequence

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Collect, Operation, Send
from hubq.client.operations.call_options import checked_timeout
from hubq.client.operations.calls import error_of, refusal
from hubq.client.results import StopResult
from hubq.core.hashing import checked_child_id
from hubq.errors import BY_WORD, CallTimeout, HubqError, NoChildren
from hubq.store.mailbox import Outgoing, StartOptions


def stop_children(
    hub: HubContext, children: Sequence[str], timeout: float, *, disable_logging: bool = False
) -> Operation[StopResult]:
    """Stop children for good, each after the messages sent before."""
    if not children:
        raise NoChildren("no children to stop: give at least one id")
    names = [checked_child_id(child) for child in children]
    words = StartOptions(disable_logging).words()
    answers = yield Send([Outgoing("stop", child, words, b"", 0, True) for child in names])
    errors: dict[str, HubqError] = {}
    waiting: dict[str, str] = {}
    for child, (message_id, word) in zip(names, answers, strict=True):
        error = refusal(hub, child, word)
        if error is None:
            waiting[message_id] = child
        else:
            errors[child] = error
    replies = yield Collect(list(waiting), checked_timeout(timeout))
    stopped: dict[str, str] = {}
    for message_id, child in waiting.items():
        if message_id in replies:
            status, node, payload = replies[message_id]
            if status in BY_WORD:
                errors[child] = BY_WORD[status](error_of(payload).message)
            elif status != "ok":
                errors[child] = HubqError(f"child {child!r} was not stopped: {error_of(payload).message}")
            else:
                stopped[child] = node
        else:
            errors[child] = CallTimeout(
                f"child {child!r} was not stopped within {timeout:g} s: it stops when the messages sent before are done"
            )
    return StopResult(stopped, errors)
