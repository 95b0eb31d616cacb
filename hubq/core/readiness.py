"""Whether a worker is ready: a pure decision. docs/deploy.md ("A bad version is stopped") says what follows from it."""

from __future__ import annotations

from collections.abc import Mapping

from hubq.core.wording import counted, names

#: A child that could not be built for a move is counted for so long after its last try, seconds. While it cannot start here,
#: its node offers it again every 15 s.
FAILURE_KEPT = 45.0
#: Children that are counted. (They are looked at twice a second.)
MOST_COUNTED = 10_000
#: Characters of a cause: it may be anything that an ``__init__`` raises.
LONGEST = 300

NOT_SERVING = "not serving all of its shards"


def why_unready(*, serves_all: bool, failed: Mapping[str, str], tolerated: int = 0) -> str:
    """Why a worker is not ready, in one line; empty if it is ready.

    ``serves_all``: whether it serves every shard that it should, under a lease that it can trust. ``failed``: the children
    that it was to take and cannot run -> why. ``tolerated``: how many of them are no reason.

    >>> why_unready(serves_all=True, failed={})
    ''
    >>> why_unready(serves_all=True, failed={"room-1": "no module named 'new'"})
    "1 child cannot start on this worker: room-1: no module named 'new'"
    >>> why_unready(serves_all=True, failed={"room-1": "no module named 'new'"}, tolerated=1)
    ''
    """
    if len(failed) > tolerated:
        return cannot_start(failed)
    return "" if serves_all else NOT_SERVING


def cannot_start(failed: Mapping[str, str]) -> str:
    """The children that cannot start, and the cause that most of them have.

    >>> cannot_start({"a": "no network", "b": "no module", "c": "no module"})
    '3 children cannot start on this worker: b, c: no module; 1 more for another cause'
    """
    by_cause: dict[str, list[str]] = {}
    for child, cause in failed.items():
        by_cause.setdefault(cause, []).append(child)
    cause, children = max(by_cause.items(), key=lambda each: len(each[1]))
    cause = cause if len(cause) <= LONGEST else cause[:LONGEST] + "..."
    others = len(failed) - len(children)
    another = "another cause" if len(by_cause) == 2 else f"{len(by_cause) - 1} other causes"
    rest = f"; {others} more for {another}" if others else ""
    number = counted(len(failed), "child", "children")
    return " ".join(f"{number} cannot start on this worker: {names(children)}: {cause}{rest}".split())
