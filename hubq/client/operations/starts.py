"""Starting children: their specs are written, and the answers of the nodes are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Collect, Operation, Reply, Start
from hubq.client.operations.batch import Batch
from hubq.client.operations.call_options import checked_timeout
from hubq.client.operations.calls import no_quorum
from hubq.client.operations.pids import get_pids, homes_of_dormant
from hubq.client.results import StartResult
from hubq.core.child import Child
from hubq.core.classes import as_child_class, name_of
from hubq.core.pid import Pid
from hubq.core.spec import ChildSpec
from hubq.core.wish import Wish
from hubq.errors import AlreadyStarted, CallTimeout, ConfigError, HubqError, NoChildren, StartFailed
from hubq.store.codec import checked_size
from hubq.store.outgoing import StartOptions
from hubq.store.replies import read_started
from hubq.store.spec_record import SpecRecord
from hubq.store.values import Values

#: The most bytes of a child's metadata, as JSON.
MOST_METADATA = 64 * 1024


@dataclass(frozen=True, slots=True)
class StartTicket:
    """A start on its way: the children awaited by message id, what has failed already, who was there before."""

    awaited: dict[str, list[str]]
    errors: dict[str, HubqError]
    present: tuple[str, ...] = ()
    batch: Batch | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[int, StartTicket] = field(default_factory=dict)
    """Of a hub with several groups: what was started in each."""
    rollback: bool = False
    """All of it or nothing, over all groups."""


def record_of(spec: ChildSpec, values: Values, place: str = "", kind: type[Child] | None = None) -> SpecRecord:
    """The stored form of a spec, but for its start id. ``kind``: the class of its target, if that is known already."""
    if kind is None:
        kind = as_child_class(spec.target)
    if spec.metadata:
        _check_metadata(spec)
    return SpecRecord(
        name=name_of(spec.target),
        module=spec.target.__module__,
        start_id="",
        restart=spec.restart or ("permanent" if isinstance(spec.target, type) else "transient"),
        metadata=dict(spec.metadata),
        arguments=values.encode_start(kind, spec.args, spec.kwargs, f"child {spec.child_id!r} ({kind.__name__})"),
        place=place,
    )


def _check_metadata(spec: ChildSpec) -> None:
    try:
        size = len(msgspec.json.encode(spec.metadata))
    except Exception as error:
        raise ConfigError(f"metadata of child {spec.child_id!r} is not JSON ({error}): use plain values") from None
    if size > MOST_METADATA:
        raise ConfigError(
            f"metadata of child {spec.child_id!r}: {size} bytes, the most is {MOST_METADATA}: keep less there (all of it is read by "
            "everybody who lists children)"
        )


def start_children(
    hub: HubContext,
    specs: Sequence[ChildSpec],
    *,
    on_failure: str,
    check_existing: bool = True,
    disable_logging: bool = False,
    places: Mapping[str, str] | None = None,
) -> Operation[StartTicket]:
    """Write specs and start messages; does not wait for the nodes. ``places``: child -> node, for those with a place of
    their own.
    """
    if on_failure not in ("continue", "rollback"):
        raise ConfigError(f"on_failure={on_failure!r}: give 'continue' or 'rollback'")
    if not specs:
        raise NoChildren("no children to start: give at least one ChildSpec")
    shards: dict[int, dict[str, SpecRecord]] = {}
    seen: set[str] = set()
    # Target -> its class: many children have the same one, and to check it takes longer than the rest.
    kinds: dict[Any, type[Child]] = {}
    for spec in specs:
        if spec.child_id in seen:
            raise AlreadyStarted(f"child {spec.child_id!r} is twice in the list: give each child once")
        seen.add(spec.child_id)
        kind = kinds.get(spec.target)
        if kind is None:
            kind = kinds[spec.target] = as_child_class(spec.target)
        record = record_of(spec, hub.values, _place_line(hub, places.get(spec.child_id)) if places else "", kind)
        checked_size(record.arguments, hub.config.max_payload_bytes, f"the arguments of child {spec.child_id!r}")
        shards.setdefault(hub.shard_of(spec.child_id), {})[spec.child_id] = record
    rollback = on_failure == "rollback"
    batch = (yield from Batch.begin(hub)) if rollback else None
    options = StartOptions(disable_logging, batch.name if batch is not None else "")
    answers = yield Start(shards, rollback and check_existing, options)
    awaited: dict[str, list[str]] = {}
    present: list[str] = []
    errors: dict[str, HubqError] = {}
    for shard, (message_id, words) in answers.items():
        fresh = [child for child, word in zip(shards[shard], words, strict=False) if word == "ok"]
        clash = []
        for child, word in zip(shards[shard], words, strict=False):
            if word.startswith("partitioned"):
                errors[child] = no_quorum(hub, f"child {child!r} is not started", word)
            elif word != "ok":
                clash.append(child)
        present += clash
        if fresh and not (clash and check_existing and rollback):
            awaited[message_id] = fresh
        else:
            yield Collect([message_id], 0)  # no node will answer it
    if len(errors) == len(specs):
        if batch is not None:
            yield from batch.undo([], 0)
        raise next(iter(errors.values()))
    if not present or not check_existing:
        return StartTicket(awaited, errors, tuple(present), batch, places or {})
    errors |= {
        child: AlreadyStarted(
            f"child {child!r} exists already in hub {hub.keys.hub_id!r}: use another name, or stop it first"
        )
        for child in present
    }
    return StartTicket(awaited, errors, (), batch, places or {})


def _place_line(hub: HubContext, node: str | None) -> str:
    return Wish(node, "guided", hub.traits.when_gone == "wait").line if node is not None else ""


def collect_start(hub: HubContext, ticket: StartTicket, timeout: float) -> Operation[StartResult]:
    """Wait for the nodes' answers to a start, and decide it if it is all or nothing."""
    batch, written = ticket.batch, written_of(ticket)
    answered = yield from _gathered(hub, ticket, timeout)
    if batch is not None and (answered.errors or not (yield from batch.seal(len(ticket.awaited)))):
        yield from batch.undo(written, timeout)
        return undone(hub, answered)
    return (yield from with_present(hub, ticket, answered))


def written_of(ticket: StartTicket) -> list[str]:
    """The children whose start was written."""
    return [child for children in ticket.awaited.values() for child in children]


def _gathered(hub: HubContext, ticket: StartTicket, timeout: float) -> Operation[StartResult]:
    """The nodes' answers to a start, which is not decided yet if it is all or nothing."""
    checked_timeout(timeout)
    batch, written = ticket.batch, written_of(ticket)
    ids = list(ticket.awaited)
    if batch is not None and ticket.errors:
        yield Collect(ids, 0)
        return StartResult({}, dict(ticket.errors))
    replies = yield from batch.collect(ids, timeout) if batch is not None else _collected(ids, timeout)
    if late := late_of(ticket, replies):
        undone = (yield from batch.undo(written, 2.0)) if batch is not None else None
        raise too_late(late, timeout, len(written), undone)
    return read_answers(ticket, replies)


def late_of(ticket: StartTicket, replies: Mapping[str, Reply]) -> list[str]:
    """The children of whose start no node has told."""
    return [child for message_id, them in ticket.awaited.items() if message_id not in replies for child in them]


def too_late(late: Sequence[str], timeout: float, written: int, undone: bool | None) -> CallTimeout:
    """The error of a start that was not answered in time. ``undone``: whether the nodes have undone it; None: it is not undone."""
    outcome = "they start when a node serves them"
    if undone is not None:
        outcome = f"all {written} {'are' if undone else 'will be'} undone"
    return CallTimeout(
        f"{len(late)} of the children (first: {late[0]!r}) did not start within {timeout:g} s; {outcome}"
    )


def read_answers(ticket: StartTicket, replies: Mapping[str, Reply]) -> StartResult:
    """What the nodes have answered, if all have."""
    started: dict[str, str] = {}
    pids: dict[str, Pid] = {}
    errors = dict(ticket.errors)
    for message_id, children in ticket.awaited.items():
        _status, node, payload = replies[message_id]
        try:
            line, failed = read_started(payload, children)
            pid = Pid.read(line)
        except ValueError as error:
            errors |= {
                child: StartFailed(f"the answer to the start of {child!r} is malformed: {error}") for child in children
            }
            continue
        for child in children:
            if child in failed:
                errors[child] = StartFailed(failed[child])
            else:
                started[child], pids[child] = node, pid
    return StartResult(started, errors, pids=pids)


def undone(hub: HubContext, answered: StartResult) -> StartResult:
    """What is said of a start that was taken back: why, or that it was too late to decide it."""
    errors = dict(answered.errors)
    for child in answered.started if not errors else ():
        errors[child] = CallTimeout(
            f"child {child!r} is undone: the result of its start was not asked for within "
            f"{hub.config.batch_lease:g} s (batch_lease)"
        )
    return StartResult({}, errors, rollback=True)


def with_present(hub: HubContext, ticket: StartTicket, answered: StartResult) -> Operation[StartResult]:
    """The same with the children that were there already, and may be."""
    if not ticket.present:
        return answered
    started, pids = dict(answered.started), dict(answered.pids)
    found = yield from get_pids(hub, ticket.present)
    found |= yield from homes_of_dormant(hub, [child for child in ticket.present if not found.get(child)])
    for child in ticket.present:
        for pid in found.get(child, ())[:1]:
            started[child], pids[child] = pid.node, pid
    return StartResult(started, dict(answered.errors), pids=pids)


def _collected(ids: Sequence[str], timeout: float) -> Operation[dict[str, Reply]]:
    replies: dict[str, Reply] = yield Collect(ids, timeout)
    return replies
