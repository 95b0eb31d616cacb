"""The worker processes of a chaos run, each behind a proxy of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hubq.config import Config

from .alibis import Alibis
from .proxy import Links, Network, Proxy

APPS = Path(__file__).parent / "apps"


class Worker:
    """One ``hubq worker`` process."""

    def __init__(self, name: str, proxy: Proxy | Links, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.proxy = proxy
        self.process = process
        self.log = log
        self.frozen = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)
        self.frozen = number is signal.SIGSTOP or (self.frozen and number is not signal.SIGCONT)


def environment(hub_id: str, config: Config, children: Sequence[str]) -> dict[str, str]:
    """What apps/chaos_app.py is told. ``children``: those who say something to one another."""
    return {
        "CHAOS_HUB": hub_id, "CHAOS_LEASE": str(config.lease), "CHAOS_REPLICAS": str(config.wait_replicas),
        "CHAOS_GROUPS": str(config.groups), "CHAOS_SHARDS": str(config.shards), "CHAOS_CHILDREN": " ".join(children),
    }  # fmt: skip


class Crew:
    """All workers of the run: those that serve, those that are leaving, and what the ended ones said."""

    def __init__(
        self, network: Network | Links, config: Config, hub_id: str, children: Sequence[str], directory: Path, alibis: Alibis
    ) -> None:  # fmt: skip
        self.serving: list[Worker] = []
        self.leaving: list[Worker] = []
        self.wrong: list[str] = []
        self.alibis = alibis
        self.gauges = directory / "gauges"
        self.gauges.mkdir()
        self._network = network
        self._directory = directory
        self._count = 0
        told = environment(hub_id, config, children)
        handled = str(directory / "handled-{pid}.log")
        self._environment = {**os.environ, **told, "CHAOS_GAUGES": str(self.gauges), "CHAOS_HANDLED": handled}

    def start(self) -> Worker:
        """A new worker."""
        self._count += 1
        name = f"w{self._count}"
        proxy = self._network.proxy()
        log = self._directory / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "hubq", "worker", "chaos_app:hub", "--name", name, "--redis", proxy.url],
                cwd=APPS, env=self._environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        worker = Worker(name, proxy, process, log)
        self.serving.append(worker)
        return worker

    def term(self, worker: Worker) -> None:
        """SIGTERM: it drains, in its own time."""
        self.serving.remove(worker)
        worker.proxy.heal()
        if worker.frozen:
            worker.signal(signal.SIGCONT)
        worker.signal(signal.SIGTERM)
        self.leaving.append(worker)

    def kill(self, worker: Worker) -> None:
        """SIGKILL."""
        self.serving.remove(worker)
        self.alibis.begin(worker.name)
        worker.signal(signal.SIGKILL)
        worker.process.wait(10.0)
        self._network.drop(worker.proxy)

    def look(self) -> None:
        """Note workers that have ended: those that were asked to, and those that were not."""
        for worker in [w for w in self.leaving if w.process.poll() is not None]:
            self.leaving.remove(worker)
            self._network.drop(worker.proxy)
            fine = {0, 1}  # 1: not everything was handed over in time; nothing is lost
            told = worker.log.read_text(errors="replace")
            if "joined hub" not in told:
                fine.add(-signal.SIGTERM)  # it was still importing
                if "cannot reach Redis" in told:
                    fine.add(3)  # Redis was away when it came to join
            if worker.process.returncode not in fine:
                self.wrong.append(f"worker {worker.name} ended with {worker.process.returncode}: {_last(worker.log)}")
        for worker in [w for w in self.serving if w.process.poll() is not None]:
            self.serving.remove(worker)
            self.alibis.begin(worker.name)
            self._network.drop(worker.proxy)
            if worker.process.returncode == 3 and "joined hub" not in worker.log.read_text(errors="replace"):
                self.start()  # Redis was away when it began: it says so and ends, and its supervisor starts it again
                continue
            self.wrong.append(
                f"worker {worker.name} ended by itself ({worker.process.returncode}): {_last(worker.log)}"
            )

    def tracebacks(self) -> list[str]:
        """Exceptions in the logs of all workers, the last line of each."""
        found: list[str] = []
        for log in sorted(self._directory.glob("*.log")):
            inside = False
            for line in log.read_text(errors="replace").splitlines():
                if line.startswith("Traceback"):
                    inside = True
                elif inside and line and not line.startswith((" ", "\t")):
                    found.append(f"{log.stem}: {line}")
                    inside = False
        return found

    def heal(self) -> None:
        """End every fault."""
        for worker in [*self.serving, *self.leaving]:
            worker.proxy.heal()
            if worker.frozen:
                worker.signal(signal.SIGCONT)

    def end(self) -> None:
        """Make sure that nobody is left."""
        for worker in [*self.serving, *self.leaving]:
            if worker.process.poll() is None:
                worker.process.kill()
            worker.process.wait()
        self.serving.clear()
        self.leaving.clear()


def _last(log: Path) -> str:
    return "; ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
