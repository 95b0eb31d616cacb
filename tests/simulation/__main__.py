"""``python -m tests.simulation``: thousands of schedules; exit 1 and the failing seed if a guarantee was broken."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.simulation.mutations import MUTATIONS, mutated
from tests.simulation.runner import HASH_SEED, Total, replay_command, run_many, run_part
from tests.simulation.schedule import run_schedule


def main() -> int:
    options = _options()
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        os.execv(sys.executable, [sys.executable, "-W", "ignore", "-m", "tests.simulation", *sys.argv[1:]])
    if options.part:
        n, of = map(int, options.part.split("/"))
        seeds = range(options.seed + n, options.seed + options.schedules, of)
        run_part(seeds, time.monotonic() + options.seconds, options.mutate, sys.stdout, options.groups)
        return 0
    if options.trace:
        return _trace(options)
    began = time.monotonic()
    total = run_many(
        options.seed, options.schedules, options.processes, options.seconds, options.mutate,
        groups=options.groups, stop_at_breach=bool(options.mutate), progress=_Progress(options.schedules),
    )  # fmt: skip
    print(f"\r{' ' * 60}\r{total.table(time.monotonic() - began)}")
    for seed, breaches in sorted(total.breaches.items())[:10]:
        print(f"\nseed {seed}: {len(breaches)} breaches, the first: {breaches[0]}")
        print(f"  replay: {replay_command(seed, options.mutate, options.groups)}")
    return 1 if total.breaches else 0


def _trace(options: argparse.Namespace) -> int:
    with mutated(options.mutate) as change:
        result = run_schedule(options.seed, print, change, options.groups)
    print(f"\nseed {result.seed}, trace {result.hash:08x}, faults {result.thrown}, {result.counts}")
    for breach in result.breaches:
        print(f"BREACH {breach}")
    return 1 if result.breaches else 0


class _Progress:
    def __init__(self, schedules: int) -> None:
        self._schedules, self._next = schedules, 0.0

    def __call__(self, total: Total) -> None:
        now = time.monotonic()
        if now > self._next and sys.stdout.isatty():
            self._next = now + 0.5
            done = f"{total.schedules} of {self._schedules} schedules, {total.counts.get('messages', 0):,} messages"
            print(f"\r{done}, {len(total.breaches)} with a breach ", end="", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=5000, help="how many (default 5000)")
    parser.add_argument("--seed", type=int, default=1, help="the first one's seed (default 1); the others follow")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="how many processes (default: all CPUs)"
    )
    parser.add_argument("--seconds", type=float, default=3600.0, help="begin no schedule after this many seconds")
    parser.add_argument("--trace", action="store_true", help="run only the first one and show every step")
    parser.add_argument(
        "--mutate", default="", choices=["", *MUTATIONS], help="break hubq on purpose; stop when noticed"
    )
    parser.add_argument(
        "--groups", type=int, default=0, help="so many groups in each (default: 1; from seed 2000000 on 2 to 4)"
    )
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
