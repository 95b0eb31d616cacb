"""How a single child returns to a holding that is served here: its pin is gone, or it is parked no more."""

from __future__ import annotations

from hubq.node.arrivals.account import Account
from hubq.node.arrivals.ahead import AheadBuilt
from hubq.node.arrivals.entrance import Coming, Entrance
from hubq.node.arrivals.under_way import UnderWay
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.pausing import Pausing
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.errands import Errand
from hubq.node.held.holding import Holding
from hubq.node.held.register import Register
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.group import Group
from hubq.node.runtime.pieces import Pieces
from hubq.node.trials.starts import StartTrials
from hubq.store.envelope import Envelope
from hubq.store.pauses import read_pauses_number
from hubq.store.places import read_pin_owners, read_pins_epoch
from hubq.store.registry import read_some_specs, read_state, read_texts
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import read_tries


class Returns:
    """Children that return."""

    def __init__(
        self, group: Group, register: Register, cursors: Cursors, queue: CommitQueue, errands: Errand,
        plan_due: Bell, trials: StartTrials, under_way: UnderWay, ahead: AheadBuilt, wishes: Wishes, entrance: Entrance,
        account: Account, pieces: Pieces, pausing: Pausing,
    ) -> None:  # fmt: skip
        self._group = group
        self._register = register
        self._cursors = cursors
        self._queue = queue
        self._errands = errands
        self._plan_due = plan_due
        self._trials = trials
        self._under_way = under_way
        self._ahead = ahead
        self._wishes = wishes
        self._entrance = entrance
        self._account = account
        self._pieces = pieces
        self._pausing = pausing

    async def welcome(
        self, shard: int, child: str, closed_at: float = 0.0, source: str = "", *, stay: bool = False
    ) -> None:
        """A child whose pin is gone is built here, and its messages are read from the first one left; unless it is wanted
        elsewhere (and ``stay`` is not given).
        """
        group, holding = self._group, self._register.get(shard)
        if holding is None or child not in holding.apart:
            return  # the node that adopts the shard sees that the pin is gone
        began = group.standing.now()
        owner = holding.owner
        pins, wishes, pauses, specs, state, parked, watch = await group.redis.run_many(
            [
                read_pin_owners(group.keys, shard, [child]),
                read_pins_epoch(group.keys),
                read_pauses_number(group.keys),
                read_some_specs(group.keys, shard, [child]),
                read_state(group.keys, shard, child),
                read_texts(group.keys.parked(shard)),
                read_tries(group.keys, shard),
            ],
            retry_for=group.config.lease,
        )
        if watch is not None and not holding.gone:
            # It is of the whole shard, and the shard is served here, whatever becomes of the child: nobody else would end it.
            if holding.watch is None:
                self._trials.watch(holding)
            holding.watched(watch)
        await self._wishes.refresh(wishes)
        await self._pausing.look(pauses)
        await self._pieces.turn()
        if pins or holding.owner != owner or child in holding.departing or child in holding.unplaced:
            return  # the news is old: the child has been passed on meanwhile
        if holding.gone or child not in holding.apart:
            return
        if holding.in_motion and not holding.open:
            return  # the shard is leaving; its next owner sees that the pin is gone
        record: SpecRecord | None = specs.get(child)
        if record is not None:
            if record.place:
                holding.guide(child)
            if not stay and self._wishes.elsewhere(child, record):
                holding.wait_for_place(child, record)
                self._plan_due.ring()
                return
        holding.take_back(child)
        self._errands.arrived(shard)  # the node of its pin may have left something to do
        self._cursors.fresh(shard)
        if not self.revive(holding, child, record, state, parked.get(child, "")):
            return
        early = self._under_way.take_early(shard, child)
        if early is not None and not closed_at:
            closed_at, source = early.closed_at, early.sender
        self._account.child(holding, child, closed_at, source, began=began)
        self._account.runs_here(holding, child, "released")

    def revive(
        self, holding: Holding, child: str, record: SpecRecord | None, state: Envelope | None, parked: str = ""
    ) -> bool:
        """Build one child in a holding that is served already; its messages are read from the first one left. ``parked``:
        why it could not run where it was. False: it has ended, or it cannot run here.
        """
        if record is None:
            self._cursors.orphans(holding, child)
            return False
        states = {} if state is None else {child: state}
        # The next commit says that it is parked no more, even if Redis does not say so now: the reason may be on its way there.
        coming = Coming(states, parked={child: parked}, ahead=self._ahead.take_single(holding.shard, child))
        hosted = self._entrance.enter(holding, child, record, coming)
        if hosted is None:
            self._plan_due.ring()  # it is offered to other nodes
            return False
        self._cursors.again(hosted)
        self._queue.changed()
        return True
