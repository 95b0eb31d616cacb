"""Brings children to the nodes where they are wanted: moves by hand, and children with a place of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.arrivals.wishes import Wishes
from hubq.node.departures.child_passing import ChildPassing, ChildPassings
from hubq.node.departures.moves import Moves
from hubq.node.departures.stragglers import Stragglers
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.store.owners import Owners
from hubq.store.places import say_why
from hubq.store.spec_record import SpecRecord

log = logging.getLogger("hubq.node")

#: How often a child that could not go to its place is offered there again, seconds (sooner if the node was restarted).
RETRY = 15.0


class Guide:
    """Does on this node what wishes ask for."""

    def __init__(
        self, group: Group, background: Background, register: Register, cursors: Cursors, wishes: Wishes,
         arrivals: Arrivals, moves: Moves, passings: ChildPassings, stragglers: Stragglers,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._register = register
        self._cursors = cursors
        self._wishes = wishes
        self._arrivals = arrivals
        self._moves = moves
        self._passings = passings
        self._stragglers = stragglers

    # -- once per look ---------------------------------------------------------------------------------------------

    def look(self, owners: Owners) -> None:
        """Begin all that has to be done. Costs nothing while there are neither wishes nor pins."""
        draining = self._group.standing.draining
        for holding in self._register.all():
            if holding.in_motion or holding.gone:
                continue
            if holding.pinned is not None:
                self._look_at_pin(holding, draining)
            elif not draining and holding.open and self._cursors.in_step(holding) and self._is_guided(holding):
                self._look_at_shard(holding)
        for (shard, child), owner in owners.pins.items():
            if self._group.standing.is_me(owner.node, owner.incarnation):
                shard_holding = self._register.get(shard)
                in_motion = shard_holding is not None and shard_holding.in_motion
                if self._register.get(shard, child) is None and not in_motion:
                    self._background.run(self._arrivals.adopt_pins(shard, [child]), f"adopting pin {child}")

    def _is_guided(self, holding: Holding) -> bool:
        return bool(holding.unplaced or holding.guided or self._wishes.concern(holding.shard))

    def _look_at_pin(self, pin: Holding, draining: bool) -> None:
        if pin.straggles:
            return
        if pin.children and not draining and self._wishes.here(next(iter(pin.children.values()))):
            return
        pin.begin_motion()
        pin.straggle()
        self._background.run(self._stragglers.give_back(pin), f"giving back child {pin.pinned}")

    def _look_at_shard(self, holding: Holding) -> None:
        here, ups = self._group.node_name, self._wishes.ups
        groups: dict[str, list[str]] = {}
        for child, record in list(holding.unplaced.items()):
            wish = self._wishes.wish(child, record)
            if wish is None or not wish.elsewhere(here, ups):
                holding.placed(child)
                self._background.run(self._arrivals.welcome(holding.shard, child), f"return of {child}")
            elif wish.node in ups and self._may_go(child, wish.node):
                groups.setdefault(wish.node, []).append(child)
        for child in {*holding.guided, *self._wishes.concern(holding.shard)}:
            hosted = holding.children.get(child)
            if hosted is not None:
                wish = self._wishes.wish(child, hosted.record)
                away = wish is not None and wish.node != here and wish.node in ups
                if wish is not None and away and self._may_go(child, wish.node):
                    groups.setdefault(wish.node, []).append(child)
        for target, children in groups.items():
            self.begin_passing(holding, children, target)
            return  # one at a time; the rest when the plan is looked at again at its end

    def _may_go(self, child: str, target: str) -> bool:
        """False for a while after a failure, unless the target is a new one."""
        return self._wishes.may_go(child, target, self._group.standing.now())

    # -- passing ---------------------------------------------------------------------------------------------------

    def begin_passing(
        self, holding: Holding, children: Sequence[str], target: str
    ) -> tuple[ChildPassing, asyncio.Task[dict[str, str]]]:
        """Begin to pass children of a shard to another node."""
        passing = self._passings.make(holding, target, self._wishes.ups[target], list(children))
        what = f"passing {len(children)} children of shard {holding.shard}"
        return passing, self._moves.begin(holding, self._pass(holding, passing, target), what)

    async def _pass(self, holding: Holding, passing: ChildPassing, target: str) -> dict[str, str]:
        group = self._group
        await passing.run()
        for child, reason in passing.failed.items():
            log.warning("child %s stays: %s", child, reason)
            self._wishes.put_off(child, target, group.standing.now() + RETRY)
            await group.redis.run(say_why(group.keys, child, reason), retry_for=1.0)
            record = holding.unplaced.get(child)
            wish = self._wishes.wish(child, record)
            if record is not None and wish is not None and not wish.waits and not holding.gone:
                # No node serves it: its shard does so now.
                holding.placed(child)
                self._background.run(self._arrivals.welcome(holding.shard, child, stay=True), f"return of {child}")
        return passing.failed

    async def send_away(self, holding: Holding, children: Mapping[str, SpecRecord]) -> dict[str, str]:
        """Pass new children to the nodes where they are wanted. The answer: child -> why it could not go."""
        failed: dict[str, str] = {}
        groups: dict[str, list[str]] = {}
        for child, record in children.items():
            wish = self._wishes.wish(child, record)
            if wish is not None and wish.node in self._wishes.ups:
                groups.setdefault(wish.node, []).append(child)
        for target, group in groups.items():
            await holding.is_at_rest()
            # The move that was waited for may have passed some of them already.
            group = [child for child in group if child in holding.unplaced]
            if holding.gone or not self._wishes.is_up(target) or not group:
                continue
            passing = self._passings.make(holding, target, self._wishes.ups[target], group)
            await self._moves.begin(holding, self._pass(holding, passing, target), f"starting children on {target}")
            failed |= passing.failed
            if len(passing.failed) < len(group):
                await asyncio.wait([passing.confirmed], timeout=self._group.config.lease)
        return failed
