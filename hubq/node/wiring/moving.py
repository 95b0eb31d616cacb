"""The storey of arrivals and departures: how shards and children come here, and how they go."""

from __future__ import annotations

from hubq.node.arrivals.account import Account
from hubq.node.arrivals.ahead import AheadBuilt
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.arrivals.batches import Batches
from hubq.node.arrivals.entrance import Entrance
from hubq.node.arrivals.pins import PinArrivals
from hubq.node.arrivals.returns import Returns
from hubq.node.arrivals.shards import ShardArrivals
from hubq.node.arrivals.under_way import UnderWay
from hubq.node.arrivals.wishes import Wishes
from hubq.node.departures.answers import Answers
from hubq.node.departures.child_passing import ChildPassings
from hubq.node.departures.departure import Departures
from hubq.node.departures.expiring import Expiring
from hubq.node.departures.moves import Moves
from hubq.node.departures.park import Park
from hubq.node.departures.pin_release import PinReleases
from hubq.node.departures.rebuilding import Rebuilding
from hubq.node.departures.resting import Resting
from hubq.node.departures.shard_handovers import ShardHandovers
from hubq.node.departures.stragglers import Stragglers
from hubq.node.runtime.bell import News
from hubq.node.wiring.children import ChildrenStorey
from hubq.node.wiring.commits import CommitsStorey, CopiesStorey
from hubq.node.wiring.ground import Given, HeldStorey, RuntimeStorey


class MovingStorey:
    """How shards, pins and children come, and how they go. (Each needs the other: a pin that arrives may straggle.)"""

    def __init__(
        self,
        given: Given,
        runtime: RuntimeStorey,
        held: HeldStorey,
        children: ChildrenStorey,
        commits: CommitsStorey,
        copies: CopiesStorey,
    ) -> None:
        hub = given.hub
        group, background = runtime.group, runtime.background
        self.news = News()
        self.wishes = Wishes(group, self.news)
        self.answers = Answers()
        self.departures = Departures(
            group, background, commits.committer, commits.forfeits, children.saver, children.signals, children.endings,
            children.lives, children.pumps, runtime.pieces, runtime.sizes, held.older,
        )  # fmt: skip
        releases = PinReleases(group, held.register, runtime.plan_due, runtime.traits, self.departures)
        self.stragglers = Stragglers(
            group, background, runtime.events, runtime.traits, self.wishes, self.answers, self.departures, releases
        )
        self.batches = Batches(group, background, held.register, children.endings, runtime.reports)
        self.under_way = UnderWay()
        self.ahead = AheadBuilt(
            group, runtime.events, runtime.gathered, children.arriving, hub.migration, runtime.pieces
        )
        account = Account(runtime.standing, runtime.events, runtime.gathered, runtime.hooks, runtime.counters)
        self.entrance = Entrance(
            children.arriving, children.parking, children.lives, children.start_trials, copies.copies
        )
        self.shard_arrivals = ShardArrivals(
            group, runtime.events, held.register, held.queue, runtime.plan_due, held.recorder, children.pumps,
            children.endings, children.start_trials, copies.copies, runtime.pieces, self.under_way, self.ahead,
            self.wishes, self.batches, self.entrance, account, held.expiries, children.pausing,
            held.cursors,
        )  # fmt: skip
        pins = PinArrivals(
            group, held.register, held.cursors, held.queue, runtime.plan_due, held.recorder, children.pumps,
            runtime.traits, self.under_way, self.ahead, self.wishes, self.entrance, account, self.stragglers,
            runtime.pieces, children.pausing,
        )  # fmt: skip
        returns = Returns(
            group, held.register, held.cursors, held.queue, held.errands, runtime.plan_due, children.start_trials,
            self.under_way, self.ahead, self.wishes, self.entrance, account, runtime.pieces, children.pausing,
        )  # fmt: skip
        self.arrivals = Arrivals(group, held.register, self.under_way, self.ahead, self.shard_arrivals, pins, returns)
        self.closing = given.common.closing
        self.moves = Moves(background, runtime.plan_due, given.common.in_motion)
        self.rebuilding = Rebuilding(
            runtime.standing, background, held.register, children.endings, commits.committer, self.arrivals
        )
        self.handovers = ShardHandovers(
            group, background, runtime.events, runtime.hooks, runtime.counters, runtime.plan_due, held.register,
            held.cursors, held.queue, children.saver, self.wishes, hub.migration, self.answers, self.moves,
            self.departures, self.closing, self.stragglers, self.rebuilding,
        )  # fmt: skip
        self.passings = ChildPassings(
            group, background, runtime.counters, held.cursors, held.queue, commits.committer, runtime.traits,
            self.answers, self.departures,
        )  # fmt: skip
        self.resting = Resting(
            group, background, held.register, runtime.gate, held.idleness, self.wishes, self.batches, self.moves,
            self.departures, commits.committer, commits.under_token, commits.forfeits, children.saver, children.endings,
            children.pumps, children.reads, held.cursors, held.strangers, held.expiries, runtime.counters,
            runtime.pieces, children.pausing,
        )  # fmt: skip
        self.expiring = Expiring(
            group, held.register, held.expiries, children.endings, runtime.counters, runtime.reports
        )
        self.park = Park(group, held.register, runtime.plan_due, runtime.traits, self.departures)
