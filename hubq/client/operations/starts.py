"""Every operation of a hub, once: generators over steps, without a word of waiting or awaiting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Collect, Fetch, Operation, Reply, Send, Start, Withdraw
from hubq.client.operations.batch import Batch
from hubq.client.operations.registry import get_pids
from hubq.client.results import NodeStatus, StartResult, StopResult
from hubq.core.classes import ClassBook, as_child_class, name_of
from hubq.core.hashing import checked_child_id
from hubq.core.pid import Pid
from hubq.core.spec import ChildSpec
from hubq.core.wish import Wish
from hubq.errors import (
    BY_WORD,
    AlreadyStarted,
    CallFailed,
    CallTimeout,
    ConfigError,
    HubqError,
    MailboxFull,
    NoChildren,
    NotAlive,
    Partitioned,
    RedisUnavailable,
    StartFailed,
    UnknownChild,
)
from hubq.store.codec import decode, encode_arguments
from hubq.store.mailbox import Outgoing, StartOptions, read_started
from hubq.store.membership import drain_node, read_leases, read_nodes, redis_time_ms
from hubq.store.owners import read_owners
from hubq.store.spec_record import SpecRecord


def checked_timeout(timeout: float) -> float:
    """Seconds above 0, or :class:`ConfigError`."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not math.isfinite(timeout) or timeout <= 0:
        raise ConfigError(f"timeout={timeout!r}: give seconds above 0")
    return timeout


def send(hub: HubContext, child_id: str, method: str, payload: bytes, *, timeout: float, reply: bool) -> Operation[str]:
    """Put one message into a child's mailbox; its id."""
    draft = Outgoing("call" if reply else "cast", checked_child_id(child_id), method, payload, timeout, reply)
    ((message_id, word),) = yield Send([draft])
    _raise_refusal(hub, child_id, word)
    return str(message_id)


def call(hub: HubContext, child_id: str, method: str, payload: bytes, timeout: float) -> Operation[Any]:
    """Send a message and wait for its reply."""
    message_id = yield from send(hub, child_id, method, payload, timeout=checked_timeout(timeout), reply=True)
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
        return decode(payload)
    error = msgspec.json.decode(payload)
    message = error["message"]
    if status == "overdue":
        raise CallTimeout(f"{what} was not run: {message}", may_run=False)
    if status in BY_WORD:
        raise BY_WORD[status](message)
    raise CallFailed(
        f"{what} raised {error['type']}: {message} (on node {node})",
        remote_type=error["type"],
        remote_traceback=error.get("traceback", ""),
    )


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
        return _partitioned(hub, f"child {child_id!r} is not stopped", word)
    return HubqError(
        f"message to {child_id!r} refused ({word}): it was retried for longer than its sender is remembered"
    )


def _partitioned(hub: HubContext, what: str, word: str) -> Partitioned:
    why = word.partition(" ")[2]
    return Partitioned(f"{what}: hub {hub.keys.hub_id!r} has no quorum {why}; start workers, or see `hubq nodes`")


def _raise_refusal(hub: HubContext, child_id: str, word: str) -> None:
    error = refusal(hub, child_id, word)
    if error is not None:
        raise error


@dataclass(frozen=True, slots=True)
class StartTicket:
    """A start on its way: the children awaited by message id, what has failed already, who was there before."""

    awaited: dict[str, list[str]]
    errors: dict[str, HubqError]
    present: tuple[str, ...] = ()
    batch: Batch | None = None
    places: Mapping[str, str] = field(default_factory=dict)


def record_of(spec: ChildSpec, classes: ClassBook, place: str = "") -> SpecRecord:
    """The stored form of a spec, but for its start id."""
    kind = as_child_class(spec.target)
    module = spec.target.__module__
    try:
        msgspec.json.encode(spec.metadata)
    except Exception as error:
        raise ConfigError(f"metadata of child {spec.child_id!r} is not JSON ({error}): use plain values") from None
    return SpecRecord(
        name=name_of(spec.target),
        module=module,
        start_id="",
        restart=spec.restart or ("transient" if not _is_class(spec.target) else "permanent"),
        metadata=dict(spec.metadata),
        arguments=encode_arguments(spec.args, spec.kwargs, f"child {spec.child_id!r} ({kind.__name__})"),
        place=place,
    )


def _is_class(target: Any) -> bool:
    return isinstance(target, type)


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
    for spec in specs:
        if spec.child_id in seen:
            raise AlreadyStarted(f"child {spec.child_id!r} is twice in the list: give each child once")
        seen.add(spec.child_id)
        shards.setdefault(hub.shard_of(spec.child_id), {})[spec.child_id] = record_of(
            spec, hub.classes, _place_line(hub, places.get(spec.child_id)) if places else ""
        )
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
                errors[child] = _partitioned(hub, f"child {child!r} is not started", word)
            elif word != "ok":
                clash.append(child)
        present += clash
        if fresh and not (clash and check_existing and rollback):
            awaited[message_id] = fresh
        else:
            yield Collect([message_id], 0)  # nobody will answer it
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
    waits = getattr(hub.distribution, "when_gone", "shard") == "wait"
    return Wish(node, "guided", waits).line if node is not None else ""


def collect_start(hub: HubContext, ticket: StartTicket, timeout: float) -> Operation[StartResult]:
    """Wait for the nodes' answers to a start, and decide it if it is all or nothing."""
    checked_timeout(timeout)
    batch = ticket.batch
    started: dict[str, str] = {}
    pids: dict[str, Pid] = {}
    errors = dict(ticket.errors)
    ids = list(ticket.awaited)
    written = [child for children in ticket.awaited.values() for child in children]
    if batch is not None and errors:
        yield Collect(ids, 0)
        yield from batch.undo(written, timeout)
        return StartResult({}, errors, rollback=True)
    replies = yield from batch.collect(ids, timeout) if batch is not None else _collected(ids, timeout)
    late = [child for message_id, them in ticket.awaited.items() if message_id not in replies for child in them]
    if late:
        outcome = "they will, when a node serves them"
        if batch is not None:
            undone = yield from batch.undo(written, 2.0)
            outcome = f"all {len(written)} {'are' if undone else 'will be'} undone"
        raise CallTimeout(
            f"{len(late)} of the children (first: {late[0]!r}) did not start within {timeout:g} s; {outcome}"
        )
    for message_id, children in ticket.awaited.items():
        _status, node, payload = replies[message_id]
        line, failed = read_started(payload)
        pid = Pid.read(line)
        for child in children:
            if child in failed:
                errors[child] = StartFailed(failed[child])
            else:
                started[child], pids[child] = node, pid
    if batch is not None and (errors or not (yield from batch.seal(len(ids)))):
        yield from batch.undo(written, timeout)
        for child in started if not errors else ():
            errors[child] = CallTimeout(
                f"child {child!r} is undone: nobody asked for the result of its start within "
                f"{hub.config.batch_lease:g} s (batch_lease)"
            )
        return StartResult({}, errors, rollback=True)
    if ticket.present:
        found = yield from get_pids(hub, ticket.present)
        for child in ticket.present:
            for pid in found.get(child, ())[:1]:
                started[child], pids[child] = pid.node, pid
    return StartResult(started, errors, pids=pids)


def _collected(ids: Sequence[str], timeout: float) -> Operation[dict[str, Reply]]:
    replies: dict[str, Reply] = yield Collect(ids, timeout)
    return replies


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
                errors[child] = BY_WORD[status](msgspec.json.decode(payload)["message"])
            else:
                stopped[child] = node
        else:
            errors[child] = CallTimeout(f"child {child!r} was not stopped within {timeout:g} s; it will be")
    return StopResult(stopped, errors)


def nodes(hub: HubContext) -> Operation[list[NodeStatus]]:
    """The members, with what they own."""
    infos, leases, owners, now = yield Fetch(
        [read_nodes(hub.keys), read_leases(hub.keys), read_owners(hub.keys), redis_time_ms()]
    )
    held: dict[tuple[str, int], list[int]] = {}
    for owner in owners.shards.values():
        held.setdefault((owner.node, owner.incarnation), [0, 0])[0] += 1
    for owner in owners.pins.values():
        held.setdefault((owner.node, owner.incarnation), [0, 0])[1] += 1
    found: list[NodeStatus] = []
    for name, info in infos.items():
        shards, pins = held.get((name, info.incarnation), [0, 0])
        lease, uptime = (leases.get(name, now) - now) / 1000, (now - info.joined_at) / 1000
        found.append(
            NodeStatus(
                name,
                info.status,
                info.incarnation,
                info.host,
                info.pid,
                info.version,
                shards,
                pins,
                lease,
                uptime,
                info.tags,
            )
        )
    return found


def drain(hub: HubContext, node: str) -> Operation[None]:
    """Tell a node to hand everything over and leave."""
    (word,) = yield Fetch([drain_node(hub.keys, node, None, hub.config.events_kept)])
    if word == "gone":
        raise NotAlive(f"no node {node!r} in hub {hub.keys.hub_id!r}: see `hubq nodes`")
