"""What must hold once the faults have stopped: the ledger, every shard served, no key that belongs to nobody."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hubq import Hub
from hubq.errors import HubqError
from hubq.store.owners import read_owners
from hubq.testing import stray_keys

from .alibis import Alibis
from .clients import Book
from .parts import Part, Parts
from .watches import wait_until_unwatched

if TYPE_CHECKING:
    from .theatre import Theatre

#: How long the last answers and the end of the workers may take, seconds.
PATIENCE = 60.0


def wait_until_served(hub: Hub, within: float) -> float:
    """Wait until every shard belongs to a member whose lease lives, and no child is away from its shard; how long it took.

    Raises :class:`TimeoutError` that says what is not as it should be.
    """
    began = time.monotonic()
    while True:
        seen: object
        try:
            nodes = hub.nodes()
            seen = [(node.name, node.shards, node.pins, round(node.lease, 2)) for node in nodes]
            if (
                sum(node.shards for node in nodes) == hub.config.shards
                and all(node.lease > 0 for node in nodes)
                and not any(node.pins for node in nodes)
            ):
                return time.monotonic() - began
        except HubqError as error:
            seen = error
        if time.monotonic() - began > within:
            raise TimeoutError(f"not every shard is served after {within:g} s: {seen}")
        time.sleep(0.05)


def judge(theatre: Theatre, book: Book, children: list[str]) -> tuple[list[str], int]:
    """Every breach, one line each, and how many messages of children to one another have arrived."""
    hub, crew, parts = theatre.hub, theatre.crew, theatre.parts
    found = _arrived(parts)
    broken, said = _ledger(hub, book, children, _condemned(parts))
    found += broken
    found += book.wrong
    found += theatre.blocks.late
    found += _evictions(parts, crew.alibis)
    found += _settled(parts)
    found += wait_until_unwatched(parts, PATIENCE)
    while crew.serving:
        crew.term(crew.serving[0])
    until = time.monotonic() + PATIENCE
    while crew.leaving and time.monotonic() < until:
        crew.look()
        time.sleep(0.02)
    found += [f"worker {worker.name} does not end" for worker in crew.leaving]
    found += crew.wrong
    found += [f"traceback in the log of {line}" for line in crew.tracebacks()]
    for part in parts.all:
        found += stray_keys(part.redis, hub.hub_id, hub.config.shards, part.group, part.groups)
        owners = part.redis.run(read_owners(part.keys))
        found += [
            f"shard {shard} is left with {owner.line!r}" for shard, owner in owners.shards.items() if owner.node != "-"
        ]
    return found, said


def _arrived(parts: Parts) -> list[str]:
    """Wait until all that was said has arrived, as long as it gets on: when no message of a client waits any more, outboxes
    get nothing more; when they are empty, mailboxes get nothing more.
    """
    found: list[str] = []
    for place in ("mailbox", "outbox", "mailbox"):
        fewest, until = None, time.monotonic() + PATIENCE
        while left := [(part, waiting) for part in parts.all if (waiting := _waiting(part, place))]:
            count = sum(sum(waiting.values()) for _, waiting in left)
            if fewest is None or count < fewest:
                fewest, until = count, time.monotonic() + PATIENCE
            if time.monotonic() > until:
                found += [f"group {part.group}: the {place} of its shards has {waiting}" for part, waiting in left]
                break
            time.sleep(0.1)
    return found


def _waiting(part: Part, place: str) -> dict[int, int]:
    return part.in_mailboxes() if place == "mailbox" else part.in_outboxes()


def _ledger(hub: Hub, book: Book, children: list[str], condemned: set[str]) -> tuple[list[str], int]:
    found: list[str] = []
    reports: dict[str, dict[str, Any]] = {}
    for child in children:
        _has_caught_up(hub, child)
        try:
            report = reports[child] = hub.ref(child).call("report", timeout=PATIENCE)
        except HubqError as error:
            found.append(f"{child} does not answer: {error}")
            continue
        found += [f"{child}: {line}" for line in report["wrong"] if not _was_unsure(book, child, line, condemned)]
        for sender, known in report["last"].items():
            book.compare(sender, child, known)
        senders = {sender for sender, of in book.last if of == child} | set(report["ranges"])
        for sender in sorted(senders):
            found += _compare(book, sender, child, report["ranges"].get(sender, []))
        versions = Counter(book.versions.get(child, ()))
        if not child.startswith("lazy"):  # its replies do not wait for its state
            found += [f"{child}: {n} calls were told version {v}" for v, n in versions.items() if n > 1]
    return found + _between_children(reports), sum(sum(report["said"].values()) for report in reports.values())


def _between_children(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a child has said to another is there once, as its state says (the order is among the things that were ``wrong``)."""
    found: list[str] = []
    for child, report in reports.items():
        for sender in sorted({*report["heard"], *(one for one, of in reports.items() if child in of["said"])}):
            if sender not in reports:
                continue
            heard = _numbers(report["heard"].get(sender, []))
            said = set(range(1, reports[sender]["said"].get(child, 0) + 1))
            name = f"{sender} -> {child}"
            found += [f"{name}: {number} was said by a child and is lost" for number in sorted(said - heard)]
            found += [f"{name}: {number} was heard, and no child has said it" for number in sorted(heard - said)]
    return found


def _numbers(ranges: list[list[int]]) -> set[int]:
    return {number for low, high in ranges for number in range(low, high + 1)}


def _has_caught_up(hub: Hub, child: str) -> None:
    """Wait while the child works off what it was sent while it could not run (one that was condemned by chance may have stood for
    most of the run), as long as it gets on.
    """
    fewest, until = None, time.monotonic() + PATIENCE
    while time.monotonic() < until and (left := hub.child_lookup(child).backlog):
        if fewest is None or left < fewest:
            fewest, until = left, time.monotonic() + PATIENCE
        time.sleep(0.1)


def _evictions(parts: Parts, alibis: Alibis) -> list[str]:
    """Only who was killed, frozen or cut off from the group may be evicted: a blocked loop is no reason."""
    return [
        f"{event['node']} was evicted from group {part.group} at {at:.3f}, and no fault explains it"
        for part in parts.all
        for at, event in part.events()
        if event["type"] == "node_evicted" and not alibis.explain(event["node"], at, part.group)
    ]


def _was_unsure(book: Book, child: str, line: str, condemned: set[str]) -> bool:
    # A message whose sender gave up may come after a later one of the same sender, and so may one that was condemned by
    # chance and is sent again (docs/poison.md); it may never come twice.
    sender, _, rest = line.partition(": ")
    number, _, what = rest.partition(" ")
    return what.startswith("after") and (child in condemned or int(number) in book.unsure.get((sender, child), set()))


def _compare(book: Book, sender: str, child: str, ranges: list[list[int]]) -> list[str]:
    applied = _numbers(ranges)
    sent, unsure = set(book.acknowledged.get((sender, child), ())), book.unsure.get((sender, child), set())
    name = f"{sender} -> {child}"
    found = [f"{name}: {number} was acknowledged and is lost" for number in sorted(sent - applied)]
    return found + [f"{name}: {number} was applied and never sent" for number in sorted(applied - sent - unsure)]


def _settled(parts: Parts) -> list[str]:
    """Nothing waits any more: every mailbox is empty."""
    until = time.monotonic() + PATIENCE
    while (left := [waiting for part in parts.all if (waiting := part.in_mailboxes())]) and time.monotonic() < until:
        time.sleep(0.05)
    return [
        f"shard {shard}: {count} messages are left in its mailbox"
        for waiting in left
        for shard, count in waiting.items()
    ]


def _condemned(parts: Parts) -> set[str]:
    """The children of which a message has been a dead letter."""
    return {
        event["child"]
        for part in parts.all
        for _, event in part.events()
        if event["type"] == "poisoned" and event["what"] == "message"
    }
