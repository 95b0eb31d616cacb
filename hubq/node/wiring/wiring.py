"""The parts of one node, storey by storey, and the order in which their loops begin and end."""

from __future__ import annotations

from hubq.node.planning.control import ControlLoop
from hubq.node.vitals import Pulse
from hubq.node.wiring.children import ChildrenStorey
from hubq.node.wiring.commits import CommitsStorey, CopiesStorey
from hubq.node.wiring.ground import Given, HeldStorey, RuntimeStorey
from hubq.node.wiring.inflow import MailboxStorey, PlanningStorey
from hubq.node.wiring.membership import LeaseStorey, MembershipStorey
from hubq.node.wiring.moving import MovingStorey


class Wiring:
    """All parts of one node. Only :class:`~hubq.node.node.Node` and :mod:`hubq.testing` hold it; no part does.

    There may be several in one process: they share what they are given, and nothing else.
    """

    def __init__(self, given: Given) -> None:
        self.runtime = runtime = RuntimeStorey(given)
        self.held = held = HeldStorey(given, runtime)
        self.children = children = ChildrenStorey(given, runtime, held)
        self.commits = commits = CommitsStorey(runtime, held, children)
        self.copies = copies = CopiesStorey(given, runtime, held, children, commits)
        self.moving = moving = MovingStorey(given, runtime, held, children, commits, copies)
        self.membership = membership = MembershipStorey(given, runtime, held, children, copies, moving)
        self.planning = planning = PlanningStorey(given, runtime, held, children, commits, copies, moving, membership)
        self.mailbox = mailbox = MailboxStorey(given, runtime, held, children, commits, moving, planning)
        self.control = ControlLoop(
            runtime.group, runtime.background, runtime.plan_due, given.hub.synchronization, moving.ahead, moving.arrivals,
            moving.answers, copies.copies, mailbox.withdrawals, mailbox.cancellations, mailbox.interventions,
            planning.parked, runtime.reports, children.pausing,
        )  # fmt: skip
        self.pulse = Pulse(
            runtime.group, held.register, children.handler, commits.committer, runtime.counters, planning.planner,
            children.failed_builds, given.ready_failures, runtime.beat, mailbox.job_forwarder,
            given.common.memory,
        )  # fmt: skip
        self.lease = LeaseStorey(given, runtime, membership, self.pulse)

    def start(self) -> None:
        """Begin all loops but the pulse."""
        # Commits first, so that nothing that is read waits for them; the plan last, since it fills all others.
        children, moving, mailbox = self.children, self.moving, self.mailbox
        self.commits.committer.start()
        mailbox.reader.start()
        mailbox.first_look.start()
        mailbox.forwarder.start()
        mailbox.far_forwarder.start()
        mailbox.waking.start()
        mailbox.job_forwarder.start()
        children.drafting.start()
        mailbox.reminding.start()
        moving.expiring.start()
        moving.resting.start()
        children.progresses.start()
        self.copies.copies.start()
        self.planning.balancer.start()
        self.lease.keeper.start()
        children.activity.start()
        children.mending.start()
        children.retrying.start()
        self.control.start()
        self.planning.planner.start()

    async def stop_taking(self) -> None:
        """End all loops by which something comes here, or begins by itself. Handlers, commits and the lease go on."""
        # The plan first, so that nothing new comes; then reading.
        children, moving, mailbox = self.children, self.moving, self.mailbox
        await self.control.stop()
        await self.planning.planner.stop()
        await children.activity.stop()
        await moving.resting.stop()
        await children.mending.stop()
        await children.retrying.stop()
        await self.planning.balancer.stop()
        await mailbox.reader.stop()
        await mailbox.first_look.stop()
        await mailbox.forwarder.stop()
        await mailbox.far_forwarder.stop()
        await mailbox.waking.stop()
        await mailbox.job_forwarder.stop()
        await children.drafting.stop()
        await mailbox.reminding.stop()
        await moving.expiring.stop()
        await self.copies.copies.stop()
