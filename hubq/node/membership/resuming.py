"""Going on after a time in which no handler could start."""

from __future__ import annotations

from hubq.node.children.pumps import Pumps
from hubq.node.copies.protocol import Copies
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.register import Register


class Resuming:
    """Resumes everything when the lease is trusted again, or the hub has its quorum again."""

    def __init__(self, register: Register, copies: Copies, pumps: Pumps, queue: CommitQueue) -> None:
        self._register = register
        self._copies = copies
        self._pumps = pumps
        self._queue = queue

    def resume_all(self) -> None:
        """Handlers may start again, those of the copies, too. Effects that wait are committed."""
        for hosted in [*self._register.children(), *self._copies.children()]:
            self._pumps.resume(hosted)
        self._queue.changed()
