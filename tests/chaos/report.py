"""The table at the end of a chaos run."""

from __future__ import annotations

from .plan import ON_A_CLUSTER, WEIGHTS
from .play import Outcome


def report(outcome: Outcome) -> str:
    """What was thrown, what was measured, what is wrong.

    >>> from .play import Outcome
    >>> print(report(Outcome(seed=7, seconds=60)).splitlines()[0])
    chaos, seed 7, 60 s
    """
    lines = [f"chaos, seed {outcome.seed}, {outcome.seconds:g} s", "", "thrown"]
    lines += [
        f"  {kind:<28}{outcome.thrown.get(kind, 0):>8}" for kind in (ON_A_CLUSTER if outcome.primaries else WEIGHTS)
    ]
    lines += ["", "measured"]
    lines += [f"  {name:<28}{value!s:>8}" for name, value in outcome.measured.items()]
    if outcome.leaks:
        lines += ["", f"{'flat?':<30}{'first third':>12}{'last third':>12}"]
        lines += [f"  {name:<28}{first:>12}{last:>12}  {word}" for name, first, last, word in outcome.leaks]
    lines += ["", f"{len(outcome.breaches)} breaches"]
    lines += [f"  {line}" for line in outcome.breaches[:50]]
    if outcome.breaches:
        where = f" PRIMARIES={outcome.primaries} GROUPS={outcome.groups}" if outcome.primaries else ""
        lines.append(f"again: make chaos SECONDS={outcome.seconds:g} SEED={outcome.seed}{where}")
    return "\n".join(lines)
