"""What each fault does to the workers of a run, and to where the hub lives."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hubq import Hub

from .alibis import ALL
from .blocks import Blocks
from .crew import Crew, Worker
from .parts import Parts
from .plan import Fault
from .starved import Starved

FEWEST, MOST = 2, 4


class Servers(Protocol):
    """Where the hub lives, and what is done to it. ``wrong``: what they did not do as they should."""

    wrong: list[str]

    def pids(self) -> list[int]:
        """Their processes."""

    def keep(self, directory: Path) -> None:
        """Put their logs there."""

    def takes(self, kind: str) -> bool:
        """Whether this is one of their faults."""

    def throw(self, fault: Fault) -> bool:
        """Begin it, if it can begin now; whether it has."""

    def tick(self, *, everything: bool) -> None:
        """End what is due (or everything)."""


class Theatre:
    """The pieces of one run, and what each fault does to them."""

    def __init__(self, servers: Servers, crew: Crew, hub: Hub, blocks: Blocks, parts: Parts, steady: bool) -> None:
        self.blocks = blocks
        self.parts = parts
        self.servers = servers
        self.crew = crew
        self.hub = hub
        self.thrown: Counter[str] = Counter()
        self.starved = Starved(crew.alibis)
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

    def processes(self) -> list[tuple[str, int]]:
        """Who there is, and the process of each."""
        workers = [(worker.name, worker.pid) for worker in [*self.crew.serving, *self.crew.leaving]]
        return [*workers, *((ALL, pid) for pid in self.servers.pids())]

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
