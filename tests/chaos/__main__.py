"""``python -m tests.chaos``: a chaos run from the command line. Exit code 1 on any breach."""

from __future__ import annotations

import argparse
import secrets
import sys

from .play import play
from .report import report


def main() -> int:
    """Run, print the table, say whether it held."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults are thrown")
    parser.add_argument("--seed", type=int, default=None, help="which plan of faults; default: a new one")
    parser.add_argument("--leaks", action="store_true", help="watch for leaks (always, from 300 s on)")
    parser.add_argument("--primaries", type=int, default=0, help="on a Redis Cluster of so many, each with a replica")
    parser.add_argument("--groups", type=int, default=1, help="a hub of so many groups (with --primaries)")
    arguments = parser.parse_args()
    if arguments.groups > 1 and not arguments.primaries:
        parser.error("--groups needs --primaries: proxies stand before one Redis")
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    print(f"chaos, seed {seed}", flush=True)
    watch = arguments.leaks or arguments.seconds >= 300
    outcome = play(
        seed,
        arguments.seconds,
        say=lambda line: print(line, flush=True),
        watch_leaks=watch,
        primaries=arguments.primaries,
        groups=arguments.groups,
    )
    print("\n" + report(outcome))
    return 1 if outcome.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
