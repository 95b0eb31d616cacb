"""Ending children for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import by_group
from hubq.client.asking.steps import Collect, Each, Operation, Outcome, Send
from hubq.client.operations.call_options import checked_timeout
from hubq.client.operations.calls import error_of, refusal
from hubq.client.results import StopResult
from hubq.core.hashing import checked_child_id
from hubq.errors import BY_WORD, CallTimeout, HubqError, NoChildren
from hubq.store.outgoing import Outgoing, StartOptions


def stop_children(
    hub: HubContext, children: Sequence[str], timeout: float, *, disable_logging: bool = False
) -> Operation[StopResult]:
    """Stop children for good, each after the messages sent before."""
    if not children:
        raise NoChildren("no children to stop: give at least one id")
    names = [checked_child_id(child) for child in children]
    if hub.groups:
        groups, quiet = by_group(hub, names, lambda child: child), disable_logging
        outcomes: dict[int, Outcome] = yield Each(
            {group: _stopping(hub.groups[group], some, quiet) for group, some in groups.items()},
            checked_timeout(timeout),
        )
        return _joined(names, {group: (groups[group], outcome) for group, outcome in outcomes.items()})
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


def _stopping(hub: HubContext, children: Sequence[str], quiet: bool) -> Callable[[float], Operation[StopResult]]:
    return lambda left: stop_children(hub, children, left, disable_logging=quiet)


def _joined(names: Sequence[str], outcomes: Mapping[int, tuple[Sequence[str], Outcome]]) -> StopResult:
    """What became of all. If a group could not be asked, its children were not stopped, as far as is known."""
    stopped: dict[str, str] = {}
    errors: dict[str, HubqError] = {}
    for children, outcome in outcomes.values():
        if outcome.error is None:
            stopped |= outcome.value.stopped
            errors |= outcome.value.errors
        elif isinstance(outcome.error, HubqError) and len(outcomes) > 1:
            errors |= dict.fromkeys(children, outcome.error)
        else:
            raise outcome.error
    return StopResult(
        {child: stopped[child] for child in names if child in stopped},
        {child: errors[child] for child in names if child in errors},
    )
