"""Whether memory, keys, connections, files and tasks are flat: samples over a run, first third against last."""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from hubq.errors import HubqError
from hubq.store.command import plain, text

from .watches import Watches

if TYPE_CHECKING:
    from .parts import Part
    from .theatre import Theatre

#: Seconds between two samples, and how much of the run counts as warming up.
EVERY, WARM_UP = 2.0, 0.2
#: What may be added from the first to the last third: a share, and something for the small numbers.
SHARE = 0.10
SLACK = {
    "node memory, MB": 4.0,
    "Redis memory, MB": 2.0,
    "keys": 20.0,
    "connections": 15.0,
    "tasks": 20.0,
    "files": 10.0,
}


class Gauges:
    """Samples of one worker that lives as long as the run, and of Redis. ``part``: the group that the hub has."""

    def __init__(self, theatre: Theatre, part: Part) -> None:
        self._theatre = theatre
        self._redis = part.redis
        self._watches = Watches(part)
        self._worker = theatre.crew.serving[0]
        self._next = 0.0
        self._samples: dict[str, list[float]] = {name: [] for name in SLACK}
        self._keys: list[Counter[str]] = []

    def sample(self, at: float) -> None:
        """Measure, if it is time."""
        if at < self._next:
            return
        self._next = at + EVERY
        pid = self._worker.pid
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            return  # the verdict says that it has ended by itself
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        self._samples["node memory, MB"].append(int(resident.split()[1]) / 1024)
        if not self._worker.frozen and "joined hub" in self._worker.log.read_text(errors="replace"):
            gauge = self._theatre.crew.gauges / str(pid)
            if gauge.exists():
                tasks, files = gauge.read_text().splitlines()[-1].split()
                self._samples["tasks"].append(float(tasks))
                self._samples["files"].append(float(files))
            self._worker.signal(signal.SIGUSR1)
        try:
            info = text(self._redis.run(plain("INFO", read=lambda answer: answer)))
            names = self._redis.run(plain("KEYS", "*", read=list))
            # The history of a node stays for an hour, longer than a run, and here each worker has a name of its own. One that
            # would stay for ever counts.
            histories = [name for name in names if _kind_of(name).endswith(":history")]
            ends = self._redis.run_many([plain("PTTL", name, read=int) for name in histories])
            passing = {name for name, left in zip(histories, ends, strict=True) if left >= 0}
            # How many shards are watched says how many workers have died lately. A watch that is not ended counts.
            passing |= {name.encode() for name in self._watches.under_way(at)}
            keys = Counter(_kind_of(name) for name in names if name not in passing)
        except HubqError:
            return  # it is away
        values = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        self._samples["Redis memory, MB"].append(int(values["used_memory"]) / 2**20)
        self._samples["connections"].append(float(values["connected_clients"]))
        self._samples["keys"].append(float(keys.total()))
        self._keys.append(keys)

    def verdict(self) -> list[tuple[str, float, float, str]]:
        """For each gauge: median of the first third after the warm-up, of the last third, and ``flat`` or ``grows``."""
        found: list[tuple[str, float, float, str]] = []
        for name, samples in self._samples.items():
            warm = samples[int(len(samples) * WARM_UP) :]
            third = len(warm) // 3
            if not third:
                continue
            first, last = median(warm[:third]), median(warm[-third:])
            allowed = first * SHARE + SLACK[name]
            word = "flat" if last <= first + allowed else "grows"
            if name == "keys" and word == "grows":
                word += f" ({self._grown()})"
            found.append((name, round(first, 1), round(last, 1), word))
        return found

    def _grown(self) -> str:
        """Of which kinds there are more keys at the end than after the warm-up."""
        grown = self._keys[-1] - self._keys[int(len(self._keys) * WARM_UP)]
        return ", ".join(f"{kind} +{count}" for kind, count in grown.most_common(5))


def _kind_of(key: bytes) -> str:
    return re.sub(r"\d+", "*", text(key).partition("}:")[2])
