"""How a pin comes: a child that is passed to this node alone, apart from its shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hubq.node.arrivals.account import Account
from hubq.node.arrivals.ahead import AheadBuilt
from hubq.node.arrivals.entrance import Coming, Entrance
from hubq.node.arrivals.under_way import UnderWay
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.pausing import Pausing
from hubq.node.children.pumps import Pumps
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding, Recorder
from hubq.node.held.register import Register
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.group import Group
from hubq.node.runtime.pieces import Pieces
from hubq.store.pauses import read_pauses_number
from hubq.store.places import read_pin_owners
from hubq.store.registry import read_envelopes, read_some_specs, read_texts
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import read_tries
from hubq.strategies.migration import MigrationTraits


class LetsStraggle(Protocol):
    """Sees to pins that return to their shard as soon as they can (``hubq.node.departures.stragglers``)."""

    def follow(self, pin: Holding, retention: float, *, serving: bool) -> None:
        """Let a pinned child return: when its message is done, or, if it serves on, when it can start there."""


class PinArrivals:
    """Serves pins whose token this node has."""

    def __init__(
        self, group: Group, register: Register, cursors: Cursors, queue: CommitQueue, plan_due: Bell, recorder: Recorder,
        pumps: Pumps, traits: MigrationTraits, under_way: UnderWay, ahead: AheadBuilt, wishes: Wishes,
        entrance: Entrance, account: Account, stragglers: LetsStraggle, pieces: Pieces, pausing: Pausing,
    ) -> None:  # fmt: skip
        self._group = group
        self._register = register
        self._cursors = cursors
        self._queue = queue
        self._plan_due = plan_due
        self._recorder = recorder
        self._pumps = pumps
        self._traits = traits
        self._under_way = under_way
        self._ahead = ahead
        self._wishes = wishes
        self._entrance = entrance
        self._account = account
        self._stragglers = stragglers
        self._pieces = pieces
        self._pausing = pausing

    async def adopt(self, shard: int, children: Sequence[str], closed_at: float = 0.0, source: str = "") -> None:
        """Serve pins whose token this node has: states from ``msk``, messages from the first one left."""
        names = [
            child
            for child in children
            if self._register.get(shard, child) is None and not self._under_way.has_pin(shard, child)
        ]
        if not names:
            return
        mine = self._under_way.pins_begin(shard, names)
        try:
            if not await self._brought_in(shard, names, closed_at, source):
                return
        finally:
            self._under_way.pins_end(mine)
        await self._group.wake()
        self._queue.changed()
        self._plan_due.ring()

    async def _brought_in(self, shard: int, names: Sequence[str], closed_at: float, source: str) -> bool:
        """Serve the pins among these that are ours. False: the node was evicted meanwhile."""
        group, standing = self._group, self._group.standing
        began, incarnation = standing.now(), standing.incarnation
        pauses, owners, specs, states, parked, watch = await group.redis.run_many(
            [
                read_pauses_number(group.keys),
                read_pin_owners(group.keys, shard, names),
                read_some_specs(group.keys, shard, names),
                read_envelopes(group.keys, shard, names),
                read_texts(group.keys.parked(shard)),
                read_tries(group.keys, shard),
            ],
            retry_for=group.config.lease,
        )
        await self._pausing.look(pauses)
        if standing.incarnation != incarnation:
            return False
        for child in names:
            await self._pieces.turn()
            if standing.incarnation != incarnation:
                return False
            owner = owners.get(child)
            if owner is None or (owner.node, owner.incarnation) != (group.node_name, incarnation):
                continue
            pin = Holding(shard, owner, self._recorder, child, watch=watch)
            coming = Coming(states, parked, ahead=self._ahead.take_single(shard, child))
            if self._serves(pin, child, specs.get(child), coming):
                if child in parked and not self._wishes.here(pin.children[child]):
                    # The owner of its shard cannot run it: it is a straggler, and returns when an owner can.
                    self._stragglers.follow(pin, self._traits.retention, serving=True)
                if closed_at:
                    self._account.runs_here(pin, child, "migrated")
                    self._account.child(pin, child, closed_at, source, began=began)
        return True

    def _serves(self, pin: Holding, child: str, record: SpecRecord | None, coming: Coming) -> bool:
        """Hold the pin, with its child. False: nothing runs in it."""
        hosted = None if record is None else self._entrance.enter(pin, child, record, coming)
        if hosted is None:
            # It has ended, and the next look at the plan gives the pin back. Or it cannot run here, either.
            pin.close_intake()
            self._register.hold(pin)
            return False
        pin.open_intake()
        self._register.hold(pin)
        self._cursors.again(hosted)
        self._pumps.resume(hosted)
        return True
