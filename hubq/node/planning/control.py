"""The control loop: messages of other nodes and of clients to this node, and the events."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import assert_never

from hubq.core.malformed import Malformed
from hubq.core.messages import (
    Cancel,
    ChildrenPassed,
    ChildStartProgress,
    ChildStartResp,
    ControlMessage,
    Handover,
    HandoverConfirmed,
    Intervene,
    PinReleased,
    ReplicaJoined,
    Revive,
    StartChildren,
    Wake,
    Withdraw,
)
from hubq.errors import Unsealed
from hubq.node.arrivals.ahead import AheadBuilt
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.children.pausing import Pausing
from hubq.node.copies.protocol import Copies
from hubq.node.departures.answers import Answers
from hubq.node.mailbox.cancellations import Cancellations
from hubq.node.mailbox.interventions import Interventions
from hubq.node.mailbox.withdrawals import Withdrawals
from hubq.node.planning.parked import Parked
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.node.runtime.malformed import MalformedReports
from hubq.store.control import Places, read_control
from hubq.store.events import last_event_id
from hubq.strategies.synchronization import Synchronization

log = logging.getLogger("hubq.node")

BLOCK_MS = 2000


class ControlLoop(Loop):
    """Reads this node's control mailbox, what clients ask and the events, and brings each message to the part that it is for."""

    def __init__(
        self, group: Group, background: Background, plan_due: Bell, synchronization: Synchronization,
        ahead: AheadBuilt, arrivals: Arrivals, answers: Answers, copies: Copies, withdrawals: Withdrawals,
        cancellations: Cancellations, interventions: Interventions, parked: Parked, reports: MalformedReports,
        pausing: Pausing,
    ) -> None:  # fmt: skip
        super().__init__("reading control messages", away=0.1, failed=0.5)
        self._group = group
        self._background = background
        self._plan_due = plan_due
        self._synchronization = synchronization
        self._ahead = ahead
        self._arrivals = arrivals
        self._answers = answers
        self._copies = copies
        self._withdrawals = withdrawals
        self._cancellations = cancellations
        self._interventions = interventions
        self._parked = parked
        self._reports = reports
        self._pausing = pausing
        self._after = Places()  # up to where it has read

    async def _turn(self) -> None:
        group = self._group
        if not self._after.events:
            self._after = self._after._replace(events=await group.redis.run(last_event_id(group.keys)))
        self._after, messages, events = await group.redis.run(
            read_control(group.keys, group.node_name, self._after, BLOCK_MS)
        )
        for message in messages:
            self._take(message)
        if any(self._synchronization.propagate(event.get("type", "")) for event in events):
            self._plan_due.ring()
        if any(event.get("type") in ("paused", "resumed") for event in events):
            self._background.run(self._pausing.refresh(), "reading the pauses")

    def _take(self, message: ControlMessage | Malformed) -> None:
        if isinstance(message, Malformed):
            self._reports.report(message)
        elif not isinstance(message, Wake) and message.shard not in self._group.shards:
            place = f"a message {type(message).__name__} from {message.sender}"
            self._reports.report(Malformed(place, f"the hub has no shard {message.shard}"))
        else:
            try:
                self._receive(message)
            except Exception:  # the messages behind it are read all the same
                log.exception("a control message failed: %r", message)

    def _receive(self, message: ControlMessage) -> None:
        work: Awaitable[None] | None = None
        if isinstance(message, Withdraw | Cancel | Intervene) and self._group.seal is not None:
            try:
                self._group.seal.proves(message)
            except Unsealed as error:
                self._reports.unsealed(f"{type(message).__name__} of {message.child} from {message.sender}", str(error))
                return
        match message:
            case StartChildren():
                work = self._ahead.start_children(message)
            case Handover():
                work = self._arrivals.handed_over(message)
            case ChildrenPassed():
                work = self._arrivals.children_passed(message)
            case PinReleased():
                work = self._arrivals.pin_released(message)
            case ChildStartProgress():
                self._answers.goes_on(message)
            case ChildStartResp():
                self._answers.started(message)
            case HandoverConfirmed():
                self._answers.confirmed(message)
            case Revive():
                work = self._parked.revive(message.shard, message.child)
            case Withdraw():
                self._withdrawals.withdraw(message)
            case Cancel():
                work = self._cancellations.cancel(message)
            case Intervene():
                self._interventions.intervene(message)
            case ReplicaJoined():
                work = self._copies.snapshots(message.shard)
            case Wake():
                pass  # it only had to end the blocking read
            case _:
                assert_never(message)
        if work is not None:
            self._background.run(work, type(message).__name__)
