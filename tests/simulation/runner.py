"""Runs many schedules in several processes, and counts what happened in them."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from tests.simulation.mutations import mutated
from tests.simulation.schedule import Result, run_schedule

#: Dicts and sets of text must have the same order every time.
HASH_SEED = "0"


@dataclass
class Total:
    """The sum of many schedules."""

    schedules: int = 0
    thrown: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    breaches: dict[int, list[str]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Take in one schedule."""
        self.schedules += 1
        for sums, found in ((self.thrown, result.thrown), (self.counts, result.counts)):
            for name, number in found.items():
                sums[name] = sums.get(name, 0) + number
        if result.breaches:
            self.breaches[result.seed] = result.breaches

    def table(self, seconds: float) -> str:
        """What a run ends with."""
        rows = [("schedules", self.schedules), *sorted(self.counts.items(), key=lambda row: -row[1])]
        rows += [(f"fault: {name}", number) for name, number in sorted(self.thrown.items())]
        rows += [("schedules with a breach", len(self.breaches))]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {number:>12,}" for name, number in rows]
        return "\n".join([*lines, f"{'seconds':<{width}}  {seconds:>12.1f}"])


def replay_command(seed: int, mutation: str = "", groups: int = 0) -> str:
    """What shows a schedule again, step by step."""
    more = (f" --mutate {mutation}" if mutation else "") + (f" --groups {groups}" if groups else "")
    return f"python -m tests.simulation --seed {seed} --schedules 1 --trace{more}"


def run_part(seeds: range, until: float, mutation: str, out: IO[str], groups: int = 0) -> None:
    """Run some schedules in this process, a line of JSON for each."""
    gc.collect()
    gc.freeze()  # the modules: nobody needs to look through them after each schedule
    with mutated(mutation) as change:
        for n, seed in enumerate(seeds):
            if time.monotonic() > until:
                return
            result = run_schedule(seed, mutate=change, groups=groups)
            print(json.dumps(asdict(result)), file=out, flush=True)
            if n % 20 == 19:
                gc.collect()


def run_many(
    first: int,
    schedules: int,
    processes: int,
    seconds: float,
    mutation: str = "",
    *,
    groups: int = 0,
    stop_at_breach: bool = False,
    progress: Callable[[Total], None] = lambda total: None,
) -> Total:
    """Run schedules with the seeds from ``first`` on, in so many processes, for at most so many seconds."""
    parts = []
    for n in range(processes):
        words = ["--part", f"{n}/{processes}", "--seed", first, "--schedules", schedules, "--seconds", seconds]
        words += ["--mutate", mutation] if mutation else []
        words += ["--groups", groups] if groups else []
        command = [sys.executable, "-W", "ignore", "-m", "tests.simulation", *map(str, words)]
        environment = {**os.environ, "PYTHONHASHSEED": HASH_SEED}
        parts.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    total = Total()
    try:
        for line in _lines(parts):
            total.add(Result(**json.loads(line)))
            progress(total)
            if stop_at_breach and total.breaches:
                break
    finally:
        for part in parts:
            part.kill()
            part.wait()
            assert part.stdout is not None
            part.stdout.close()
    return total


def _lines(parts: list[subprocess.Popen[str]]) -> Iterator[str]:
    import selectors

    with selectors.DefaultSelector() as selector:
        for part in parts:
            assert part.stdout is not None
            selector.register(part.stdout, selectors.EVENT_READ, part)
        while selector.get_map():
            for key, _ in selector.select():
                stream: Any = key.fileobj
                line = stream.readline()
                if line:
                    yield line
                    continue
                selector.unregister(stream)
                if key.data.wait() != 0:
                    raise RuntimeError("a part of the simulation failed: see above")
