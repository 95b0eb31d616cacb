"""The life of one child on one node, as a table, and how often it may be restarted."""

from __future__ import annotations

from collections import deque

from hubq.core.state_machine import Named, Table


class Life(Named):
    """Where a child stands on this node."""

    BUILT = "built"  # __init__ has run; closed for intake
    STARTING = "starting"  # its state is there, on_start runs
    RUNNING = "running"
    PARKED = "parked"  # it cannot run here; its state and messages are kept
    ENDED = "ended"  # gone from this node


class LifeEvent(Named):
    """What happens to a child on this node."""

    RESTORED = "restored"
    STARTED = "started"
    FAILED = "failed"
    RESTART = "restart"
    END = "end"


LIFE = Table(
    "child",
    {
        (Life.BUILT, LifeEvent.RESTORED): Life.STARTING,
        (Life.BUILT, LifeEvent.FAILED): Life.PARKED,
        (Life.BUILT, LifeEvent.END): Life.ENDED,
        (Life.STARTING, LifeEvent.STARTED): Life.RUNNING,
        (Life.STARTING, LifeEvent.FAILED): Life.PARKED,
        (Life.STARTING, LifeEvent.END): Life.ENDED,
        (Life.RUNNING, LifeEvent.RESTART): Life.BUILT,
        (Life.RUNNING, LifeEvent.FAILED): Life.PARKED,
        (Life.RUNNING, LifeEvent.END): Life.ENDED,
        (Life.PARKED, LifeEvent.END): Life.ENDED,
    },
)


class RestartBudget:
    """At most ``most`` restarts within ``within`` seconds (as in OTP's supervisors).

    >>> budget = RestartBudget(most=2, within=4.0)
    >>> [budget.spend(at) for at in (0.0, 1.0, 2.0, 6.5)]
    [True, True, False, True]
    """

    __slots__ = ("_spent", "most", "within")

    def __init__(self, most: int, within: float) -> None:
        self.most = most
        self.within = within
        self._spent: deque[float] = deque()

    def spend(self, now: float) -> bool:
        """Whether one more restart is allowed at ``now`` (seconds); if so it is counted."""
        while self._spent and now - self._spent[0] > self.within:
            self._spent.popleft()
        if len(self._spent) >= self.most:
            return False
        self._spent.append(now)
        return True


def restarts(policy: str, failed: bool) -> bool:
    """Whether a child whose ``run()`` ended is started again.

    >>> [restarts(p, failed=True) for p in ("permanent", "transient", "temporary")]
    [True, True, False]
    >>> [restarts(p, failed=False) for p in ("permanent", "transient", "temporary")]
    [True, False, False]
    """
    return policy == "permanent" or (policy == "transient" and failed)
