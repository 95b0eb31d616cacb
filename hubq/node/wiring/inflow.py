"""The two highest storeys: the plan, and what flows in from mailboxes."""

from __future__ import annotations

from hubq.node.mailbox.burials import Burials
from hubq.node.mailbox.cancellations import Cancellations
from hubq.node.mailbox.catching_up import CatchingUp
from hubq.node.mailbox.delivery import Delivery
from hubq.node.mailbox.far_forwarder import FarForwarder
from hubq.node.mailbox.first_look import FirstLook
from hubq.node.mailbox.forwarder import Forwarder
from hubq.node.mailbox.interventions import Interventions
from hubq.node.mailbox.job_forwarder import JobForwarder
from hubq.node.mailbox.reader import Reader
from hubq.node.mailbox.reminding import Reminding
from hubq.node.mailbox.spoilt import SpoiltMailboxes
from hubq.node.mailbox.starts import Starts
from hubq.node.mailbox.waking import Waking
from hubq.node.mailbox.withdrawals import Withdrawals
from hubq.node.planning.balancer import Balancer, Balancers, NoBalancer
from hubq.node.planning.guide import Guide
from hubq.node.planning.parked import Parked
from hubq.node.planning.planner import Planner
from hubq.node.planning.reconciler import Reconciler
from hubq.node.planning.view_hooks import ViewHooks
from hubq.node.wiring.children import ChildrenStorey
from hubq.node.wiring.commits import CommitsStorey, CopiesStorey
from hubq.node.wiring.ground import Given, HeldStorey, RuntimeStorey
from hubq.node.wiring.membership import MembershipStorey
from hubq.node.wiring.moving import MovingStorey


class PlanningStorey:
    """The plan, and who carries it out."""

    def __init__(
        self,
        given: Given,
        runtime: RuntimeStorey,
        held: HeldStorey,
        children: ChildrenStorey,
        commits: CommitsStorey,
        copies: CopiesStorey,
        moving: MovingStorey,
        membership: MembershipStorey,
    ) -> None:
        hub = given.hub
        group, background = runtime.group, runtime.background
        self.guide = Guide(
            group, background, held.register, held.cursors, moving.wishes, moving.arrivals, moving.moves,
            moving.passings, moving.stragglers,
        )  # fmt: skip
        self.parked = Parked(
            group, background, runtime.events, runtime.gathered, held.register, held.queue, moving.wishes,
            moving.arrivals, self.guide, held.older, children.failed_builds,
        )  # fmt: skip
        self.balancer: Balancers = NoBalancer()
        if children.balancing is not None:
            self.balancer = Balancer(group, held.register, runtime.plan_due, children.balancing, given.common.elsewhere)
        reconciler = Reconciler(
            group,
            background,
            held.register,
            hub.synchronization,
            moving.arrivals,
            commits.forfeits,
            moving.moves,
            runtime.reports,
        )
        self.planner = Planner(
            group, runtime.events, runtime.plan_due, runtime.emptied, held.register, held.cursors, hub.distribution,
            hub.synchronization, ViewHooks(runtime.hooks), membership.quorum, self.balancer, moving.wishes,
            copies.copies, moving.answers, moving.moves, moving.handovers, moving.park, self.guide, self.parked,
            reconciler, membership.voiding, children.pausing, given.common.elsewhere,
            held.older,
        )  # fmt: skip


class MailboxStorey:
    """What flows in, and what waits in Redis until it may go on."""

    def __init__(
        self,
        given: Given,
        runtime: RuntimeStorey,
        held: HeldStorey,
        children: ChildrenStorey,
        commits: CommitsStorey,
        moving: MovingStorey,
        planning: PlanningStorey,
    ) -> None:
        hub = given.hub
        group, background = runtime.group, runtime.background
        burials = Burials(group.node_name, group.config, held.queue, runtime.reports)
        self.starts = Starts(
            group, background, runtime.gathered, runtime.hooks, runtime.gate, held.queue, held.cursors,
            held.strangers, children.builder, burials, children.endings, children.lives, moving.batches, moving.wishes, planning.guide,
            runtime.pieces, children.failed_starts, children.outcomes, runtime.quiet,
        )  # fmt: skip
        self.delivery = Delivery(
            group.config,
            held.cursors,
            children.pumps,
            self.starts,
            burials,
            children.outcomes,
            children.endings,
            children.reads,
            held.reminder_times,
            held.strangers,
        )
        self.catching_up = CatchingUp(group, held.cursors, children.pumps, children.outcomes, self.delivery)
        spoilt = SpoiltMailboxes(group, held.cursors, runtime.reports)
        self.reader = Reader(
            group, held.cursors, children.pumps, self.delivery, self.catching_up, runtime.reports, spoilt
        )
        self.waking = Waking(
            group, background, runtime.gate, held.cursors, runtime.plan_due, commits.under_token, held.strangers,
            self.delivery, moving.entrance, moving.wishes, children.outcomes, runtime.counters, runtime.pieces,
        )  # fmt: skip
        self.first_look = FirstLook(
            group, held.register, held.newcomers, held.outboxes, held.far_outboxes, held.reminder_times,
            held.waiting_jobs, held.open_drafts,
        )  # fmt: skip
        self.forwarder = Forwarder(group, held.register, held.outboxes, runtime.reports)
        self.far_forwarder = FarForwarder(
            group, held.register, held.far_outboxes, given.common.neighbours, runtime.reports
        )
        self.job_forwarder = JobForwarder(
            group,
            held.register,
            held.waiting_jobs,
            (held.outboxes, held.far_outboxes),
            runtime.reports,
            lambda shard: hub.jobs.put(shard),
        )
        self.reminding = Reminding(group, held.register, held.reminder_times, runtime.reports)
        self.withdrawals = Withdrawals(
            group, background, held.register, held.cursors, held.queue, children.pumps, children.outcomes
        )
        self.cancellations = Cancellations(
            group, held.register, held.cursors, held.queue, children.outcomes, children.reads, held.strangers
        )
        self.interventions = Interventions(
            group, background, runtime.events, held.register, held.cursors, held.queue, children.pumps,
            children.outcomes, children.endings, children.lives,
        )  # fmt: skip
