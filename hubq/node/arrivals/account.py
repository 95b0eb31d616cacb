"""Counts an arrival, writes its event and calls its hooks."""

from __future__ import annotations

import logging

from hubq.core.messages import Handover
from hubq.hooks import ChildrenMigrated, ProcessStartups
from hubq.node.held.holding import Holding
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.node.runtime.hook_runner import HookRunner
from hubq.node.runtime.standing import Standing

#: Said in the log of children that come without a handover: after a crash, after a time without workers, or for the first time.
TAKEN_IN = "taken in: no worker had its shard"


class Account:
    """Tells of arrivals. ``began`` is when the adoption began, monotonic seconds."""

    def __init__(
        self, standing: Standing, events: EventLog, gathered: GatheredLog, hooks: HookRunner, counters: Counters
    ) -> None:  # fmt: skip
        self._standing = standing
        self._events = events
        self._gathered = gathered
        self._hooks = hooks
        self._counters = counters

    def shard(
        self, holding: Holding, handover: Handover | None, *, restored: int, began: float, opened_ms: float
    ) -> None:
        """A shard is served here, since ``opened_ms`` (Redis ms). ``restored``: how many saved states it has."""
        children, shard = tuple(holding.children), holding.shard
        seconds, source = self._standing.now() - began, "" if handover is None else handover.sender
        pause_ms = 0.0 if handover is None else max(0.0, opened_ms - handover.closed_at)
        self._hooks.intake(shard, True, "adopted")
        self._gathered.add_all(logging.INFO, children, f"came from {source}" if source else TAKEN_IN)
        if children:
            if self._hooks.wants("process_startups"):
                served = ProcessStartups(self._hooks.hub_id, self._hooks.node, shard, children, restored)
                self._hooks.fire("process_startups", served)
            self._hooks.pids_updated(shard, holding.owner, children, "claimed" if handover is None else "migrated")
            if handover is not None:
                self._migrated(shard, source, children, seconds, pause_ms)
        fields: dict[str, object] = {"shard": shard, "children": len(children), "token": holding.owner.token}
        if handover is None:
            self._counters.took_over()
            self._events.add("shard_adopted", **fields)
            return
        self._counters.came_in()
        self._counters.paused(pause_ms / 1000, len(children))
        fields |= {"source": source, "seconds": f"{seconds:.4f}", "pause_ms": f"{pause_ms:.2f}"}
        self._events.add("shard_migrated", **fields)

    def child(self, holding: Holding, child: str, closed_at: float, source: str, *, began: float) -> None:
        """A single child has come from ``source``, where it was closed at ``closed_at`` (Redis ms). 0: no message has told of
        it, so its pause is not known, and it does not count as a migration.
        """
        if not closed_at:
            return
        pause_ms = self._pause_ms(closed_at)
        self._gathered.add(logging.INFO, child, f"came from {source}")
        self._counters.came_in()
        self._counters.paused(pause_ms / 1000)
        self._events.add("child_migrated", shard=holding.shard, child=child, source=source, pause_ms=f"{pause_ms:.2f}")
        self._migrated(holding.shard, source, (child,), self._standing.now() - began, pause_ms)

    def runs_here(self, holding: Holding, child: str, reason: str) -> None:
        """A single child that was there before runs here now."""
        self._hooks.pids_updated(holding.shard, holding.owner, (child,), reason)

    def _pause_ms(self, closed_at: float) -> float:
        return max(0.0, self._standing.redis_now_ms() - closed_at)

    def _migrated(
        self, shard: int, source: str, children: tuple[str, ...], seconds: float, pause_ms: float
    ) -> None:  # fmt: skip
        hooks = self._hooks
        if hooks.wants("children_migrated"):
            moved = ChildrenMigrated(
                hooks.hub_id, hooks.node, shard, source, hooks.node, children, seconds, pause_ms / 1000
            )
            hooks.fire("children_migrated", moved)
