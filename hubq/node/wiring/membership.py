"""The storeys of the membership and of the lease."""

from __future__ import annotations

import threading
import time

from hubq.core.lease import renewed_every
from hubq.node.membership.doing import LoopFrames
from hubq.node.membership.lease_keeper import LeaseKeeper
from hubq.node.membership.lease_thread import Driver
from hubq.node.membership.member import Member
from hubq.node.membership.quorum import NoQuorum, Quorum, Quorums
from hubq.node.membership.resuming import Resuming
from hubq.node.membership.rounds import Rounds, Tells
from hubq.node.membership.voiding import Voiding
from hubq.node.membership.watchdog import Watchdog
from hubq.node.vitals import Pulse
from hubq.node.wiring.children import ChildrenStorey
from hubq.node.wiring.commits import CopiesStorey
from hubq.node.wiring.ground import Given, HeldStorey, RuntimeStorey
from hubq.node.wiring.moving import MovingStorey


class MembershipStorey:
    """Joining, leaving, the quorum, and the only part that voids a life."""

    def __init__(
        self,
        given: Given,
        runtime: RuntimeStorey,
        held: HeldStorey,
        children: ChildrenStorey,
        copies: CopiesStorey,
        moving: MovingStorey,
    ) -> None:
        hub = given.hub
        self.voiding = Voiding(
            runtime.standing, runtime.background, runtime.events, runtime.counters, held.register, children.endings,
            copies.copies, moving.wishes, moving.arrivals, given.watch,
        )  # fmt: skip
        self.member = Member(
            runtime.group, runtime.background, runtime.events, runtime.hooks, runtime.plan_due, children.start_trials,
            self.voiding, runtime.emptied, tags=given.tags, app_version=given.app_version, classes=hub.classes,
            address=given.server.address,
        )  # fmt: skip
        self.resuming = Resuming(held.register, copies.copies, children.pumps, held.queue)
        self.quorum: Quorums = NoQuorum(runtime.group)
        if runtime.needs_quorum:
            self.quorum = Quorum(
                runtime.group, runtime.gate, runtime.hooks, runtime.plan_due, held.register, children.lives,
                self.resuming, hub.partition_tolerance,
            )  # fmt: skip


class LeaseStorey:
    """What keeps the lease, and notices a blocked event loop. It is the last one: it watches the pulse."""

    def __init__(self, given: Given, runtime: RuntimeStorey, membership: MembershipStorey, pulse: Pulse) -> None:
        looks = LoopFrames(threading.get_ident())

        hub = given.hub
        config, apart = hub.config, hub.config.heartbeat
        if hub.synchronization.follows_events():  # else renewals alone tell that members have come or gone
            apart = renewed_every(config.heartbeat, config.lease, config.lease_margin, config.groups)
        # (A heartbeat is less than what else makes a process that has just not run for so long lose its lease, or not.)
        fatal = config.lease + config.heartbeat - apart
        self.watchdog = Watchdog(
            runtime.group, runtime.counters, runtime.beat, looks, pulse, given.ends, given.common.speaker, fatal
        )

        def driver(tells: Tells) -> Driver:
            rounds = Rounds(runtime.group, self.watchdog, tells, time.process_time, apart)
            return given.drive(rounds, given.server, runtime.group.node_name)

        self.keeper = LeaseKeeper(
            runtime.group,
            runtime.plan_due,
            membership.member,
            membership.voiding,
            membership.resuming,
            runtime.beat,
            driver,
        )
