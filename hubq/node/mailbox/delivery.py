"""Brings one message to its child, or leaves it in the mailbox for later."""

from __future__ import annotations

from hubq.client.asking.calling import cycle
from hubq.config import Config
from hubq.core.lifecycle import Life
from hubq.errors import word_for
from hubq.node.children.endings import Endings
from hubq.node.children.outcomes import Outcomes, error_payload
from hubq.node.children.pumps import Pumps
from hubq.node.children.reads import Reads
from hubq.node.held.cursors import Cursors
from hubq.node.held.due_times import DueTimes
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.strangers import Strangers
from hubq.node.mailbox.burials import Burials
from hubq.node.mailbox.starts import Starts
from hubq.store.message import HEADED, MALFORMED, UNSEALED, Message

#: Kinds of messages that are not for a child that runs.
APART = frozenset({"start", UNSEALED, HEADED})


class Delivery:
    """Delivers the messages that have been read for a holding."""

    def __init__(
        self,
        config: Config,
        cursors: Cursors,
        pumps: Pumps,
        starts: Starts,
        burials: Burials,
        outcomes: Outcomes,
        endings: Endings,
        reads: Reads,
        times: DueTimes,
        strangers: Strangers,
    ) -> None:
        self._queue_limit = config.queue_limit
        self._queue_bytes = config.queue_bytes
        self._cursors = cursors
        self._pumps = pumps
        self._starts = starts
        self._burials = burials
        self._outcomes = outcomes
        self._endings = endings
        self._reads = reads
        self._times = times
        self._strangers = strangers

    def deliver(self, holding: Holding, message: Message) -> None:
        """Queue it for its child if the child is here and has room."""
        child = message.child
        if holding.pinned is not None and child != holding.pinned:
            return
        if message.kind in APART:
            if message.kind == "start":
                if holding.pinned is None:
                    self._starts.message(holding, message)
            elif child not in holding.apart:
                self._burials.bury(holding, message, _why(message), "unsealed")
            return
        if child in holding.apart or child in holding.behind:
            return
        hosted = holding.children.get(child)
        if hosted is None:
            if holding.pinned is None:
                self._for_nobody(holding, message)
            return
        if hosted.life is Life.PARKED:
            if message.kind == "stop":
                self._endings.stop_parked(hosted, message)
            return
        reads = hosted.kind._reads
        if reads is not None and message.method in reads and self._reads.begin(hosted, message):
            return
        if message.header is not None and self._closes_cycle(hosted, message):
            return
        queue = hosted.queue
        if queue and (len(queue) >= self._queue_limit or hosted.queued_bytes >= self._queue_bytes):
            self._cursors.set_behind(holding, child, queue[-1].entry)
            return
        self._pumps.offer(hosted, message)

    def _for_nobody(self, holding: Holding, message: Message) -> None:
        """A message of which no child is here: for the owner of the shard itself, for a dormant child, or for nobody."""
        if message.kind == "remind":
            self._times.told(holding.shard, message.deadline)
            self._outcomes.noted(holding, message)
        elif message.kind == MALFORMED:
            self._burials.bury(holding, message, message.method)
        elif holding.has_dormant:
            self._strangers.add(holding, message)
        else:
            self._outcomes.refuse_unknown(holding, message)

    def _closes_cycle(self, hosted: HostedChild, message: Message) -> bool:
        """Whether the child waits for this very call: then its caller is told. (One that knows the class is told before it sends.)"""
        assert message.header is not None
        error = cycle(message.header.chain, hosted.child_id, message.method)
        if error is None or message.method in (hosted.kind._reads or ()):
            return False
        payload = error_payload(message, str(error), type(error).__name__)
        self._outcomes.answer(hosted, message, word_for(error), payload)
        return True


def _why(message: Message) -> str:
    if message.kind == HEADED:
        return "it is sealed, and this node has no keys: set HUBQ_KEYS or HUBQ_KEYS_FILE"
    return message.method
