"""Throws the plan at a hub that is under constant load, then lets everything heal."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubq import ChildSpec, Hub
from hubq.errors import HubqError
from hubq.store.codec import decode

from .clients import Book, Clients
from .crew import APPS, environment
from .leaks import Gauges
from .plan import ON_A_CLUSTER, WEIGHTS, make_plan
from .stages import CHILDREN, LEASE, a_cluster, child_ids, one_redis
from .theatre import FEWEST, Theatre
from .verdict import judge, wait_until_served


@dataclass
class Outcome:
    """What a run has shown."""

    seed: int
    seconds: float
    primaries: int = 0
    groups: int = 1
    thrown: Counter[str] = field(default_factory=Counter)
    measured: dict[str, object] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)
    leaks: list[tuple[str, float, float, str]] = field(default_factory=list)


def play(
    seed: int,
    seconds: float,
    *,
    say: Callable[[str], None],
    watch_leaks: bool = False,
    primaries: int = 0,
    groups: int = 1,
) -> Outcome:
    """One run: a Redis with AOF, workers, clients, faults; then peace, and the verdict.

    ``primaries``: on a Redis Cluster of so many, each with a replica, with a hub of so many ``groups``.
    """
    outcome = Outcome(seed, seconds, primaries, groups)
    name = f"chaos-{seed}"
    stage = a_cluster(name, primaries, groups) if primaries else one_redis(name, steady=watch_leaks)
    with stage as (theatre, directory), theatre.starved.watching(theatre.processes):
        hub, crew = theatre.hub, theatre.crew
        _begin(theatre, directory, say)
        children = _start_children(hub)
        clients = Clients(hub, children, theatre.blocks.book, seed, threads=4, tasks=12, pause=0.05)
        gauges = Gauges(theatre, theatre.parts.all[0]) if watch_leaks and not primaries else None
        clients.start()
        try:
            began = time.monotonic()
            for fault in [*make_plan(seed, seconds, LEASE, ON_A_CLUSTER if primaries else WEIGHTS), None]:
                while (at := time.monotonic() - began) < (fault.at if fault is not None else seconds):
                    theatre.tick()
                    if gauges is not None:
                        gauges.sample(at)
                    time.sleep(0.05)
                if fault is not None:
                    say(f"{at:7.1f} s  {fault.kind} {fault.lasting:.1f}")
                    theatre.throw(fault)
            theatre.tick(everything=True)
            while len(crew.serving) < FEWEST:
                crew.start()
            say("peace")
            healed = wait_until_served(hub, 60.0)
        except TimeoutError as error:
            healed = 60.0
            outcome.breaches.append(str(error))
        finally:
            clients.stop()
            theatre.blocks.end()
        theatre.tick(everything=True)
        outcome.thrown = theatre.thrown
        outcome.breaches += theatre.servers.wrong
        condemned = _send_the_dead_again(hub, clients.book)
        breaches, said = judge(theatre, clients.book, children)
        outcome.breaches += breaches
        outcome.measured = _measured(clients, theatre.parts.event_counts(), healed, len(children), seconds)
        outcome.measured["condemned by chance"] = condemned
        outcome.measured["waited for a CPU, s"] = round(theatre.starved.seconds, 1)
        outcome.measured["said by children, each once"] = said
        outcome.measured["answered beside a block"] = theatre.blocks.answered
        if gauges is not None:
            outcome.leaks = gauges.verdict()
            outcome.breaches += [f"leak: {what} {word}" for what, _, _, word in outcome.leaks if word != "flat"]
        if outcome.breaches:
            _keep(theatre, directory, say)
    return outcome


def _begin(theatre: Theatre, directory: Path, say: Callable[[str], None]) -> None:
    for _ in range(3):
        theatre.crew.start()
    try:
        wait_until_served(theatre.hub, 60.0)
    except TimeoutError:
        _keep(theatre, directory, say)
        raise


def _start_children(hub: Hub) -> list[str]:
    sys.path.insert(0, str(APPS))
    os.environ.update(environment(hub.hub_id, hub.config, child_ids()))
    try:
        import chaos_app
    finally:
        sys.path.remove(str(APPS))
    specs = [
        ChildSpec(f"{kind.lower()}-{n}", getattr(chaos_app, kind))
        for kind, count in CHILDREN.items()
        for n in range(count)
    ]
    result = hub.start_children(specs).result(timeout=30)
    if result.errors:
        raise HubqError(f"children do not start: {result.errors}")
    return [spec.child_id for spec in specs]


def _send_the_dead_again(hub: Hub, book: Book) -> int:
    """Who was being started, or handled, each time that three workers were killed is set aside (docs/poison.md). Do what an
    operator does. The messages come later than those that were sent after them.
    """
    letters = hub.dead_letters()
    for letter in letters:
        if letter.kind != "start":
            (sender, number, *_), _ = decode(letter.payload)
            book.unsure.setdefault((sender, letter.child), set()).add(number)
    return len(hub.replay_dead())


def _measured(
    clients: Clients, events: Counter[str], healed: float, children: int, seconds: float
) -> dict[str, object]:
    book = clients.book
    sends = book.counts["calls"] + book.counts["casts"]
    return {
        "children": children,
        "calls answered": book.counts["calls"],
        "casts acknowledged": book.counts["casts"],
        "messages per second": round(sends / seconds),
        "failed, certainly not run": book.counts["certainly not run"],
        "failed, may have run": book.counts["may have run"],
        "kinds of failures": dict(book.errors),
        "shards moved live": events["shard_migrated"],
        "shards taken over": events["shard_adopted"],
        "children that followed": events["pin_released"],
        "nodes evicted": events["node_evicted"],
        "fenced": events["fenced"],
        "longest call, s": round(book.worst, 2),
        "healed after, s": round(healed, 2),
    }


def _keep(theatre: Theatre, directory: Path, say: Callable[[str], None]) -> None:
    kept: Any = Path(tempfile.mkdtemp(prefix="hubq-chaos-logs-"))
    for log in directory.glob("*.log"):
        (kept / log.name).write_bytes(log.read_bytes())
    theatre.servers.keep(kept)
    say(f"the workers' logs are in {kept}")
