"""What must hold once the faults have stopped: the ledger, every shard served, no key that belongs to nobody."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hubq import Hub
from hubq.errors import HubqError
from hubq.store.command import plain
from hubq.store.connection import SyncRedis
from hubq.store.control import read_events
from hubq.store.owners import read_owners
from hubq.testing import stray_keys

from .alibis import Alibis
from .clients import Book

if TYPE_CHECKING:
    from .play import Theatre

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


def judge(theatre: Theatre, redis: SyncRedis, book: Book, children: list[str]) -> list[str]:
    """Every breach, one line each."""
    hub, crew = theatre.hub, theatre.crew
    found = _ledger(hub, book, children, _condemned(redis, hub))
    found += book.wrong
    found += theatre.blocks.late
    found += _evictions(redis, hub, crew.alibis)
    found += _settled(redis, hub)
    while crew.serving:
        crew.term(crew.serving[0])
    until = time.monotonic() + PATIENCE
    while crew.leaving and time.monotonic() < until:
        crew.look()
        time.sleep(0.02)
    found += [f"worker {worker.name} does not end" for worker in crew.leaving]
    found += crew.wrong
    found += [f"traceback in the log of {line}" for line in crew.tracebacks()]
    found += stray_keys(redis, hub.hub_id, hub.config.shards)
    owners = redis.run(read_owners(hub.keys))
    found += [
        f"shard {shard} is left with {owner.line!r}" for shard, owner in owners.shards.items() if owner.node != "-"
    ]
    return found


def _ledger(hub: Hub, book: Book, children: list[str], condemned: set[str]) -> list[str]:
    found: list[str] = []
    for child in children:
        _has_caught_up(hub, child)
        try:
            report = hub.ref(child).call("report", timeout=PATIENCE)
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
    return found


def _has_caught_up(hub: Hub, child: str) -> None:
    """Wait while the child works off what it was sent while it could not run (one that was condemned by chance may have stood for
    most of the run), as long as it gets on.
    """
    fewest, until = None, time.monotonic() + PATIENCE
    while time.monotonic() < until and (left := hub.child_lookup(child).backlog):
        if fewest is None or left < fewest:
            fewest, until = left, time.monotonic() + PATIENCE
        time.sleep(0.1)


def _evictions(redis: SyncRedis, hub: Hub, alibis: Alibis) -> list[str]:
    """Only who was killed, frozen or cut off may be evicted: a blocked loop is no reason."""
    return [
        f"{event['node']} was evicted at {at:.3f}, and no fault explains it"
        for at, event in _timed_events(redis, hub)
        if event["type"] == "node_evicted" and not alibis.explain(event["node"], at)
    ]


def _was_unsure(book: Book, child: str, line: str, condemned: set[str]) -> bool:
    # A message whose sender gave up may come after a later one of the same sender, and so may one that was condemned by
    # chance and is sent again (docs/poison.md); it may never come twice.
    sender, _, rest = line.partition(": ")
    number, _, what = rest.partition(" ")
    return what.startswith("after") and (child in condemned or int(number) in book.unsure.get((sender, child), set()))


def _compare(book: Book, sender: str, child: str, ranges: list[list[int]]) -> list[str]:
    applied = {number for low, high in ranges for number in range(low, high + 1)}
    sent, unsure = set(book.acknowledged.get((sender, child), ())), book.unsure.get((sender, child), set())
    name = f"{sender} -> {child}"
    found = [f"{name}: {number} was acknowledged and is lost" for number in sorted(sent - applied)]
    return found + [f"{name}: {number} was applied and never sent" for number in sorted(applied - sent - unsure)]


def _settled(redis: SyncRedis, hub: Hub) -> list[str]:
    """Nothing waits any more: every mailbox is empty, every backlog nothing."""
    found: list[str] = []
    until = time.monotonic() + PATIENCE
    for shard in range(hub.config.shards):
        while (left := redis.run(plain("XLEN", hub.keys.mailbox(shard), read=int))) and time.monotonic() < until:
            time.sleep(0.05)
        if left:
            found.append(f"shard {shard}: {left} messages are left in its mailbox")
    return found


def events_of(redis: SyncRedis, hub: Hub) -> Counter[str]:
    """How many events of each type there are (the stream is capped)."""
    return Counter(fields["type"] for fields in _events(redis, hub))


def _condemned(redis: SyncRedis, hub: Hub) -> set[str]:
    """The children of which a message has been a dead letter."""
    return {
        event["child"] for event in _events(redis, hub) if event["type"] == "poisoned" and event["what"] == "message"
    }


def _events(redis: SyncRedis, hub: Hub) -> Iterator[dict[str, str]]:
    return (fields for _, fields in _timed_events(redis, hub))


def _timed_events(redis: SyncRedis, hub: Hub) -> Iterator[tuple[float, dict[str, str]]]:
    """With when they were written, seconds since the epoch (Redis is on this machine)."""
    after = "0"
    while events := redis.run(read_events(hub.keys, after, 1000)):
        yield from ((int(entry.partition("-")[0]) / 1000, fields) for entry, fields in events)
        after = events[-1][0]
