"""The storeys of the commits and of the copies."""

from __future__ import annotations

from hubq.node.commits.committer import Committer
from hubq.node.commits.confirmation import Confirmation, NoConfirmation, ReplicaConfirmation
from hubq.node.commits.forfeits import Forfeits
from hubq.node.commits.held_up import HeldUp
from hubq.node.commits.under_token import UnderToken
from hubq.node.copies.followed import Followed
from hubq.node.copies.log_applier import LogApplier
from hubq.node.copies.log_reader import LogReader
from hubq.node.copies.none import NoCopies
from hubq.node.copies.protocol import Copies
from hubq.node.copies.replicas import Replicas
from hubq.node.copies.standby import Standby
from hubq.node.wiring.children import ChildrenStorey
from hubq.node.wiring.ground import Given, HeldStorey, RuntimeStorey


class CommitsStorey:
    """The one fenced act, and what follows if it is refused."""

    def __init__(self, runtime: RuntimeStorey, held: HeldStorey, children: ChildrenStorey) -> None:
        self.forfeits = Forfeits(
            held.register, children.endings, runtime.events, runtime.background, runtime.plan_due, runtime.group
        )
        waits = bool(runtime.group.config.wait_replicas)
        confirmation: Confirmation = ReplicaConfirmation(runtime.group) if waits else NoConfirmation()
        self.committer = Committer(
            runtime.group, held.queue, held.errands, self.forfeits, runtime.counters, confirmation, runtime.sizes,
            HeldUp(runtime.reports), runtime.background,
        )  # fmt: skip
        self.under_token = UnderToken(runtime.group, self.committer)


class CopiesStorey:
    """Followers, and the standby."""

    def __init__(
        self, given: Given, runtime: RuntimeStorey, held: HeldStorey, children: ChildrenStorey, commits: CommitsStorey
    ) -> None:
        hub = given.hub
        group, background = runtime.group, runtime.background
        self.applier = LogApplier(
            group, background, children.builder, children.signals, children.endings, children.pumps,
            children.copy_states, runtime.reports, runtime.pieces, active_active=held.active_active,
        )  # fmt: skip
        self.followed = Followed(group, background, self.applier)
        self.copies: Copies = NoCopies()
        if held.replicated:
            reader = LogReader(group, self.followed, self.applier, runtime.plan_due)
            standby = Standby(
                group, background, commits.committer, children.lives, children.pumps, self.followed, self.applier
            )
            self.copies = Replicas(
                group, background, held.register, held.queue, held.shard_recorder, hub.redundancy, hub.distribution,
                self.followed, self.applier, reader, standby, runtime.pieces,
            )  # fmt: skip
