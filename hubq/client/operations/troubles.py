"""What is wrong with a node, in the words that ``top``, ``nodes``, ``ps`` and ``doctor`` share."""

from __future__ import annotations

from hubq.core.readiness import NOT_SERVING
from hubq.store.vitals import Blocked, Busy, Vitals


def blocked_by(blocked: Blocked) -> str:
    """What blocks an event loop.

    >>> blocked_by(Blocked(0, "room-7", "post")), blocked_by(Blocked(0, "", "hook post_cluster_join"))
    ('room-7.post', 'hook post_cluster_join')
    """
    return f"{blocked.child}.{blocked.method}" if blocked.child else blocked.method


def blocked_for(blocked: Blocked, now: float) -> float:
    """For how long, seconds. ``now``: Redis TIME, seconds."""
    return max(0.0, now - blocked.since / 1000)


def said_of(blocked: Blocked, now: float) -> str:
    """The same in words.

    >>> said_of(Blocked(86_000, "room-7", "post"), 100.0)
    'blocked for 14 s by room-7.post'
    """
    return f"blocked for {blocked_for(blocked, now):.0f} s by {blocked_by(blocked)}"


def busy_with(busy: Busy) -> str:
    """What a child is busy with.

    >>> busy_with(Busy("long", 41.2))
    'busy with long for 41 s'
    """
    return f"busy with {busy.method} for {busy.seconds:.0f} s"


def troubles(node: str, vitals: Vitals | None, now: float) -> list[str]:
    """A line for each thing that is wrong with a live node. ``now``: Redis TIME, seconds.

    >>> troubles("a", Vitals(1, 0.0, False, unready="1 child cannot start on this worker: x: no module"), 0.0)
    ['a is not ready: 1 child cannot start on this worker: x: no module']
    """
    if vitals is None:
        return []
    found = [f"{node}: {said_of(vitals.blocked, now)}"] if vitals.blocked is not None else []
    if vitals.unready and vitals.unready != NOT_SERVING:
        found.append(f"{node} is not ready: {vitals.unready}")
    return found
