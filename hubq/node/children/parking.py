"""Parks children that cannot run here: their messages stay in the mailbox, and the reason is shown to users."""

from __future__ import annotations

import logging

from hubq.core.lifecycle import LifeEvent
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.services import Services
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.store.codec import sendable
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import TOOK_DOWN


class Parking:
    """Writes down which children are parked, and why. ``quiet``: children that are not logged."""

    def __init__(
        self, services: Services[HostedChild], events: EventLog, gathered: GatheredLog, queue: CommitQueue, quiet: set[str]
    ) -> None:  # fmt: skip
        self._services = services
        self._events = events
        self._gathered = gathered
        self._queue = queue
        self._quiet = quiet

    def park(self, hosted: HostedChild, reason: str, error: BaseException | None = None) -> None:
        """Write down why a child is parked. (Its life is PARKED by now.) The log has the traceback of ``error``."""
        reason = sendable(reason)
        child, shard = hosted.child_id, hosted.holding.shard
        quiet = child in self._quiet
        if not quiet:
            self._gathered.add(logging.ERROR, child, "is parked", reason, error)
        hosted.holding.effects.parked[child] = reason
        hosted.park(reason)
        self._queue.changed()
        if not quiet:
            self._events.add("child_parked", child=child, shard=shard, reason=reason)

    def placeholder(
        self, holding: Holding, child: str, record: SpecRecord, reason: str, error: BaseException | None = None
    ) -> HostedChild:
        """A child that cannot be built here: its placeholder keeps its messages in the mailbox. The caller attaches it. The log has the
        traceback of ``error``.
        """
        hosted = HostedChild(self._services, holding, child, record)
        hosted.moved(LifeEvent.FAILED)
        self.park(hosted, reason, error)
        if reason.startswith(TOOK_DOWN):
            # The reason is in Redis, and is taken back there (`hubq dead replay`): it must not be written again.
            del holding.effects.parked[child]
            holding.condemn(child)
        else:
            holding.cannot_build(child)
        return hosted
