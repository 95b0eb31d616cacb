"""Starting children of several groups together. Each group has its own part of the start, and its own record of it.

All or nothing: every part is undecided until the nodes of all groups have answered. Then all are sealed. If one part cannot be, all
are taken back: those that are sealed already, or may be, by stopping their children.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import by_group, in_groups
from hubq.client.asking.steps import Collect, Each, Operation, Outcome, Reply
from hubq.client.operations.call_options import checked_timeout
from hubq.client.operations.starts import (
    StartTicket,
    collect_start,
    late_of,
    read_answers,
    start_children,
    too_late,
    undone,
    with_present,
    written_of,
)
from hubq.client.operations.stops import stop_children
from hubq.client.results import StartResult
from hubq.core.spec import ChildSpec
from hubq.errors import AlreadyStarted, HubqError, NoChildren


def start_in_groups(
    hub: HubContext,
    specs: Sequence[ChildSpec],
    *,
    on_failure: str,
    check_existing: bool = True,
    disable_logging: bool = False,
    places: Mapping[str, str] | None = None,
) -> Operation[StartTicket]:
    """Write the parts of a start. Raises as :func:`~hubq.client.operations.starts.start_children` does."""
    if not hub.groups:
        ticket = yield from start_children(
            hub, specs, on_failure=on_failure, check_existing=check_existing, disable_logging=disable_logging, places=places,
        )  # fmt: skip
        return ticket
    if not specs:
        raise NoChildren("no children to start: give at least one ChildSpec")
    seen: set[str] = set()
    for spec in specs:
        if spec.child_id in seen:
            raise AlreadyStarted(f"child {spec.child_id!r} is twice in the list: give each child once")
        seen.add(spec.child_id)
    parts = by_group(hub, specs, lambda spec: spec.child_id)

    def start(group: int) -> Callable[[float], Operation[StartTicket]]:
        some = parts[group]
        own = {spec.child_id: places[spec.child_id] for spec in some if spec.child_id in places} if places else None
        return lambda left: start_children(
            hub.groups[group], some, on_failure=on_failure, check_existing=check_existing, disable_logging=disable_logging,
            places=own,
        )  # fmt: skip

    outcomes: dict[int, Outcome] = yield Each({group: start(group) for group in parts})
    tickets: dict[int, StartTicket] = {}
    errors: dict[str, HubqError] = {}
    for group, outcome in outcomes.items():
        if outcome.error is None:
            tickets[group] = outcome.value
            errors |= outcome.value.errors
        elif isinstance(outcome.error, HubqError) and not isinstance(outcome.error, ValueError):
            errors |= {spec.child_id: outcome.error for spec in parts[group]}
        else:
            raise outcome.error
    if not tickets:
        raise next(iter(errors.values()))
    order = [spec.child_id for spec in specs]
    return StartTicket(
        {}, {child: errors[child] for child in order if child in errors}, places=places or {}, parts=tickets,
        rollback=on_failure == "rollback",
    )  # fmt: skip


def collect_in_groups(hub: HubContext, ticket: StartTicket, timeout: float) -> Operation[StartResult]:
    """Wait for the nodes' answers in all groups, and decide the start if it is all or nothing."""
    if not hub.groups:
        return (yield from collect_start(hub, ticket, timeout))
    if ticket.rollback:
        return (yield from _all_or_nothing(hub, ticket, timeout))
    outcomes = yield Each({group: _collecting(hub, group, part) for group, part in ticket.parts.items()}, timeout)
    return _joined(ticket, [outcome.result() for outcome in outcomes.values()])


def _all_or_nothing(hub: HubContext, ticket: StartTicket, timeout: float) -> Operation[StartResult]:
    checked_timeout(timeout)
    failed: Exception | None = None
    replies: dict[int, dict[str, Reply]] = {}
    kept: list[int] = []
    late: list[str] = []
    together = StartResult({}, dict(ticket.errors))
    if not ticket.errors:
        replies, failed = yield from _listened(hub, ticket, timeout)
        late = [child for group, part in ticket.parts.items() for child in late_of(part, replies[group])]
    if not ticket.errors and failed is None and not late:
        answers = {group: read_answers(part, replies[group]) for group, part in ticket.parts.items()}
        together = _joined(ticket, list(answers.values()))
        if not together.errors:
            sealed = yield Each({group: _sealing(hub, group, part) for group, part in ticket.parts.items()})
            if all(outcome.error is None and outcome.value for outcome in sealed.values()):
                present = yield from in_groups(
                    {g: with_present(hub.groups[g], part, answers[g]) for g, part in ticket.parts.items()}
                )
                return _joined(ticket, list(present.values()))
            failed = next((outcome.error for outcome in sealed.values() if outcome.error is not None), None)
            # (A group that has not answered may have sealed its part.)
            kept = [group for group, outcome in sealed.items() if outcome.error is not None or outcome.value]
    undoing = {group: _undoing(hub, group, part) for group, part in ticket.parts.items()}
    outcomes = yield Each(undoing, 0.0 if late else timeout)
    yield Each({group: _stopping(hub, group, ticket.parts[group]) for group in kept}, timeout)
    if failed is not None:
        raise failed
    if late:
        count = sum(len(written_of(part)) for part in ticket.parts.values())
        raise too_late(late, timeout, count, all(outcome.value is True for outcome in outcomes.values()))
    return undone(hub, together)


def _listened(
    hub: HubContext, ticket: StartTicket, timeout: float
) -> Operation[tuple[dict[int, dict[str, Reply]], Exception | None]]:
    """What the nodes of each group have answered, and what went wrong in a group. Every part is renewed until the last group has
    answered: else nodes undo those that were quick, and the start can never be all of it.
    """
    found: dict[int, dict[str, Reply]] = {group: {} for group in ticket.parts}
    left, slice_ = timeout, hub.config.batch_lease / 3
    while left > 0 and any(len(found[group]) < len(part.awaited) for group, part in ticket.parts.items()):
        again = left > slice_
        parts = {g: _listening(hub, g, part, found[g], again) for g, part in ticket.parts.items()}
        outcomes: dict[int, Outcome] = yield Each(parts, min(slice_, left))
        for group, outcome in outcomes.items():
            if outcome.error is not None:
                return found, outcome.error
            found[group] |= outcome.value
        left -= slice_
    return found, None


def _listening(
    hub: HubContext, group: int, part: StartTicket, found: Mapping[str, Reply], again: bool
) -> Callable[[float], Operation[dict[str, Reply]]]:
    assert part.batch is not None
    batch, waiting = part.batch, [message_id for message_id in part.awaited if message_id not in found]
    return lambda left: batch.listen(waiting, left, again)


def _collecting(hub: HubContext, group: int, part: StartTicket) -> Callable[[float], Operation[StartResult]]:
    return lambda left: collect_start(hub.groups[group], part, left)


def _sealing(hub: HubContext, group: int, part: StartTicket) -> Callable[[float], Operation[bool]]:
    assert part.batch is not None
    batch = part.batch
    return lambda left: batch.seal(len(part.awaited))


def _undoing(hub: HubContext, group: int, part: StartTicket) -> Callable[[float], Operation[bool]]:
    return lambda left: _undone(part, max(left, 2.0))


def _undone(part: StartTicket, seconds: float) -> Operation[bool]:
    assert part.batch is not None
    yield Collect(list(part.awaited), 0)  # nobody waits for these answers any more
    return (yield from part.batch.undo(written_of(part), seconds))


def _stopping(hub: HubContext, group: int, part: StartTicket) -> Callable[[float], Operation[object]]:
    return lambda left: stop_children(hub.groups[group], written_of(part), max(left, 2.0))


def _joined(ticket: StartTicket, answers: Sequence[StartResult]) -> StartResult:
    errors = dict(ticket.errors)
    started: dict[str, str] = {}
    result = StartResult(started, errors, pids={})
    for answer in answers:
        started.update(answer.started)
        errors.update(answer.errors)
        result.pids.update(answer.pids)
    return result
