"""Throws the plan at a hub that is under constant load, then lets everything heal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hubq import ChildSpec, Hub
from hubq.errors import HubqError
from hubq.store.codec import decode
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.store.embedded_cluster import EmbeddedCluster
from hubq.store.slots import slot_of

from .alibis import Alibis
from .blocks import Blocks
from .clients import Book, Clients
from .cluster_faults import ClusterFaults
from .crew import APPS, Crew, Worker
from .leaks import Gauges
from .one_redis import OneRedis
from .plan import ON_A_CLUSTER, WEIGHTS, Fault, make_plan
from .proxy import Links, Network
from .verdict import events_of, judge, wait_until_served

#: How many children of each class take part.
CHILDREN = {"Tally": 40, "Slow": 8, "Ticker": 6, "Lazy": 8, "Threaded": 6, "Blocker": 4}
LEASE, HEARTBEAT = 2.0, 0.2
#: How long after a fault the lease that it had cost may be found to be over, seconds: a lease, and time to notice.
NOTICED = LEASE + HEARTBEAT + 1.0
FEWEST, MOST = 2, 4


@dataclass
class Outcome:
    """What a run has shown."""

    seed: int
    seconds: float
    thrown: Counter[str] = field(default_factory=Counter)
    measured: dict[str, object] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)
    leaks: list[tuple[str, float, float, str]] = field(default_factory=list)


class Servers(Protocol):
    """Where the hub lives, and what is done to it. ``wrong``: what they did not do as they should."""

    wrong: list[str]

    def takes(self, kind: str) -> bool:
        """Whether this is one of their faults."""

    def throw(self, fault: Fault) -> bool:
        """Begin it, if it can begin now; whether it has."""

    def tick(self, *, everything: bool) -> None:
        """End what is due (or everything)."""


class Theatre:
    """The pieces of one run, and what each fault does to them."""

    def __init__(self, servers: Servers, crew: Crew, hub: Hub, blocks: Blocks, steady: bool) -> None:
        self.blocks = blocks
        self.servers = servers
        self.crew = crew
        self.hub = hub
        self.thrown: Counter[str] = Counter()
        self._steady = steady  # the first worker is never ended: its memory is watched
        self._later: list[tuple[float, Callable[[], None]]] = []

    def throw(self, fault: Fault) -> None:
        """Let it happen; what ends it is done by :meth:`tick`."""
        crew = self.crew
        able = [worker for worker in crew.serving if not worker.frozen]
        mortal = able[1:] if self._steady and able and able[0] is crew.serving[0] else able
        if fault.kind in ("term", "kill"):
            if not mortal:
                return
            worker = mortal[fault.pick % len(mortal)]
            (crew.term if fault.kind == "term" else crew.kill)(worker)
            crew.start()
        elif fault.kind == "join":
            if len(crew.serving) >= MOST and mortal:
                crew.term(mortal[fault.pick % len(mortal)])
            crew.start()
        elif self.servers.takes(fault.kind):
            if not self.servers.throw(fault):
                return
        elif fault.kind == "block":
            self.blocks.begin(fault.pick, fault.lasting)
        else:
            if not able:
                return
            victims = mortal if fault.kind == "sever" else able
            if not victims:
                return
            self._hurt(victims[fault.pick % len(victims)], fault)
        self.thrown[fault.kind] += 1

    def _hurt(self, worker: Worker, fault: Fault) -> None:
        until = time.monotonic() + fault.lasting
        alibi = self.crew.alibis.begin(worker.name)
        match fault.kind:
            case "freeze":
                worker.signal(signal.SIGSTOP)
                self._later.append((until, lambda: self._thaw(worker)))
            case "snip":
                worker.proxy.snip()
            case "cut" | "stall":
                getattr(worker.proxy, fault.kind)()
                self._later.append((until, worker.proxy.heal))
            case "sever":
                worker.proxy.sever()
                return  # until it is killed
            case "ghost":
                worker.proxy.stall(one_way=True)
                self._later.append((until, lambda: self._appear(worker)))
            case "delay":
                worker.proxy.delay(0.01 + (fault.pick % 10) / 100)
                self._later.append((until, worker.proxy.heal))
        self._later.append((until, alibi.over))

    def _appear(self, worker: Worker) -> None:
        """What was held back arrives; then those who have gone on without it die, and what Redis has must be right."""
        worker.proxy.heal()
        first = 1 if self._steady else 0
        others = [other for other in self.crew.serving[first:] if other is not worker and not other.frozen]
        time.sleep(0.02)
        for other in others:
            self.crew.kill(other)
            self.crew.start()

    def _thaw(self, worker: Worker) -> None:
        if worker.process.poll() is None:
            worker.signal(signal.SIGCONT)

    def tick(self, *, everything: bool = False) -> None:
        """End what is due (or everything)."""
        now = time.monotonic()
        self.servers.tick(everything=everything)
        due = [entry for entry in self._later if everything or now >= entry[0]]
        for entry in due:
            self._later.remove(entry)
            entry[1]()
        for worker in [worker for worker in self.crew.serving if worker.proxy.severed]:
            self.crew.kill(worker)
            self.crew.start()
        if everything:
            self.crew.heal()
        self.crew.look()


def play(
    seed: int, seconds: float, *, say: Callable[[str], None], watch_leaks: bool = False, primaries: int = 0
) -> Outcome:
    """One run: a Redis with AOF, workers, clients, faults; then peace, and the verdict.

    ``primaries``: on a Redis Cluster of so many, each with a replica. What is answered is on both then (``wait_replicas``).
    """
    outcome = Outcome(seed, seconds)
    stage = _on_a_cluster(f"chaos-{seed}", primaries) if primaries else _stage(f"chaos-{seed}", steady=watch_leaks)
    with stage as (theatre, redis, directory):
        hub, crew = theatre.hub, theatre.crew
        _begin(crew, hub, directory, say)
        children = _start_children(hub)
        clients = Clients(hub, children, theatre.blocks.book, seed, threads=4, tasks=12, pause=0.05)
        gauges = Gauges(theatre, redis) if watch_leaks and not primaries else None
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
        outcome.breaches += judge(theatre, redis, clients.book, children)
        outcome.measured = _measured(clients, events_of(redis, hub), healed, len(children), seconds)
        outcome.measured["condemned by chance"] = condemned
        outcome.measured["answered beside a block"] = theatre.blocks.answered
        if gauges is not None:
            outcome.leaks = gauges.verdict()
            outcome.breaches += [f"leak: {what} {word}" for what, _, _, word in outcome.leaks if word != "flat"]
        if outcome.breaches:
            _keep(directory, say)
    return outcome


@contextlib.contextmanager
def _stage(hub_id: str, *, steady: bool) -> Iterator[tuple[Theatre, SyncRedis, Path]]:
    with (
        EmbeddedServer(appendonly=True, appendfsync="always") as server,
        tempfile.TemporaryDirectory(prefix="hubq-chaos-") as name,
    ):
        network = Network(server.port)
        alibis = Alibis(NOTICED)
        crew = Crew(network, hub_id, LEASE, Path(name), alibis)
        hub = Hub(hub_id, redis=server.url, lease=LEASE, lease_margin=0.5, heartbeat=HEARTBEAT)
        blocks = Blocks(hub, Book(), [f"blocker-{n}" for n in range(CHILDREN["Blocker"])], alibis)
        redis = SyncRedis(RedisServer(server.url))
        try:
            yield Theatre(OneRedis(server, alibis), crew, hub, blocks, steady), redis, Path(name)
        finally:
            crew.end()
            network.close()
            hub.close()
            redis.close()


@contextlib.contextmanager
def _on_a_cluster(hub_id: str, primaries: int) -> Iterator[tuple[Theatre, SyncRedis, Path]]:
    with (
        EmbeddedCluster(primaries, replicas=1) as cluster,
        tempfile.TemporaryDirectory(prefix="hubq-chaos-") as name,
    ):
        alibis = Alibis(NOTICED)
        links = Links(cluster.url)
        crew = Crew(links, hub_id, LEASE, Path(name), alibis, replicas=1)
        hub = Hub(hub_id, redis=cluster.url, lease=LEASE, lease_margin=0.5, heartbeat=HEARTBEAT, wait_replicas=1)
        blocks = Blocks(hub, Book(), [f"blocker-{n}" for n in range(CHILDREN["Blocker"])], alibis)
        redis = SyncRedis(hub.server)
        faults = ClusterFaults(cluster, [slot_of(hub_id)], alibis)
        try:
            yield Theatre(faults, crew, hub, blocks, steady=False), redis, Path(name)
        finally:
            faults.close()
            crew.end()
            hub.close()
            redis.close()


def _begin(crew: Crew, hub: Hub, directory: Path, say: Callable[[str], None]) -> None:
    for _ in range(3):
        crew.start()
    try:
        wait_until_served(hub, 60.0)
    except TimeoutError:
        _keep(directory, say)
        raise


def _start_children(hub: Hub) -> list[str]:
    sys.path.insert(0, str(APPS))
    os.environ.update(CHAOS_HUB=hub.hub_id, CHAOS_LEASE=str(LEASE))
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


def _keep(directory: Path, say: Callable[[str], None]) -> None:
    kept: Any = Path(tempfile.mkdtemp(prefix="hubq-chaos-logs-"))
    for log in directory.glob("*.log"):
        (kept / log.name).write_bytes(log.read_bytes())
    say(f"the workers' logs are in {kept}")
