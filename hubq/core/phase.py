"""The phases of a holding (a shard or a pin on a node), as a table."""

from __future__ import annotations

from hubq.core.state_machine import Named, Table


class Phase(Named):
    """Where a holding stands on this node: whether handlers may start (intake), and whether commits may be sent."""

    COMING = "coming"  # its children are being built; nothing is handled or committed
    OPEN = "open"  # handlers start, commits are sent
    SPLITTING = "splitting"  # handlers start; commits wait while the token of some of its children passes
    CLOSED = "closed"  # no handler starts; commits are sent
    PASSING = "passing"  # no handler starts, commits wait: the token passes
    GONE = "gone"  # another node owns it, or it never came to be


class PhaseEvent(Named):
    """What happens to a holding on this node."""

    OPENED = "intake opened"
    CLOSED = "intake closed"
    FROZEN = "commits wait"
    THAWED = "commits go on"
    LOST = "lost"


PHASES = Table(
    "holding",
    {
        (Phase.COMING, PhaseEvent.OPENED): Phase.OPEN,
        (Phase.COMING, PhaseEvent.CLOSED): Phase.CLOSED,
        (Phase.COMING, PhaseEvent.LOST): Phase.GONE,
        (Phase.OPEN, PhaseEvent.OPENED): Phase.OPEN,
        (Phase.OPEN, PhaseEvent.CLOSED): Phase.CLOSED,
        (Phase.OPEN, PhaseEvent.FROZEN): Phase.SPLITTING,
        (Phase.OPEN, PhaseEvent.LOST): Phase.GONE,
        (Phase.SPLITTING, PhaseEvent.THAWED): Phase.OPEN,
        (Phase.SPLITTING, PhaseEvent.LOST): Phase.GONE,
        (Phase.CLOSED, PhaseEvent.OPENED): Phase.OPEN,
        (Phase.CLOSED, PhaseEvent.CLOSED): Phase.CLOSED,
        (Phase.CLOSED, PhaseEvent.FROZEN): Phase.PASSING,
        (Phase.CLOSED, PhaseEvent.LOST): Phase.GONE,
        (Phase.PASSING, PhaseEvent.THAWED): Phase.CLOSED,
        (Phase.PASSING, PhaseEvent.LOST): Phase.GONE,
        (Phase.GONE, PhaseEvent.CLOSED): Phase.GONE,
        (Phase.GONE, PhaseEvent.FROZEN): Phase.GONE,
        (Phase.GONE, PhaseEvent.THAWED): Phase.GONE,
        (Phase.GONE, PhaseEvent.LOST): Phase.GONE,
    },
)
