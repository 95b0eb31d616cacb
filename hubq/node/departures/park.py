"""Parking: no node is left to take the shards of this one. They are saved, and have no owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from hubq.node.departures.boundaries import at_boundaries, undo
from hubq.node.departures.departure import Departures
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.register import Register
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.group import Group
from hubq.store.command import Command
from hubq.store.effects import Effects
from hubq.store.owners import park_shard
from hubq.strategies.migration import MigrationTraits

log = logging.getLogger("hubq.node")


class ShardPark:
    """One shard that is parked: a way of leaving (:class:`~hubq.node.departures.departure.Way`)."""

    has_target = False

    def __init__(self, group: Group, register: Register, holding: Holding) -> None:
        self.holding = holding
        self.what = f"parking shard {holding.shard}"
        self._group = group
        self._register = register

    def parts(self) -> Sequence[Holding]:
        return [self.holding]

    def packed(self, effects: Effects) -> Effects:
        return effects

    def command(self, effects: Effects) -> Command[str]:
        group, holding = self._group, self.holding
        return park_shard(
            group.keys, holding.shard, holding.pinned, holding.owner, effects, group.config.events_kept
        )  # fmt: skip

    def given(self) -> None:
        self._group.standing.learn(self.holding.shard, self.holding.owner.token)
        self._register.drop(self.holding)

    async def stays(self, effects: Effects, refused: int) -> None:
        raise AssertionError("a shard that is parked has no target")

    def forfeited(self) -> list[HostedChild]:
        return []


class Park:
    """Parks shards."""

    def __init__(
        self, group: Group, register: Register, plan_due: Bell, traits: MigrationTraits, departures: Departures
    ) -> None:
        self._group = group
        self._register = register
        self._plan_due = plan_due
        self._traits = traits
        self._departures = departures

    async def park_all(self) -> None:
        """No node is left: save all shards, and own none."""
        shards = [holding for holding in self._register.all() if holding.pinned is None and not holding.in_motion]
        for holding in shards:
            holding.begin_motion()
        await asyncio.gather(*(self.park(holding) for holding in shards))

    async def park(self, holding: Holding) -> None:
        """Save a shard and own it no more. A child whose state cannot be taken is parked with its last commit."""
        if holding.held_up:
            holding.end_motion()  # it is parked once its last commit is taken
            return
        holding.close_intake()
        children = list(holding.children.values())
        # Children that are starting are not waited for: they have done nothing that is not in msk.
        late = await at_boundaries([hosted for hosted in children if hosted.busy], self._traits.retention)
        await undo(late)
        collected = await self._departures.collect(children, True, self._traits.handover_data_wait)
        for hosted, error in collected.failed.items():
            log.error(
                "child %s is parked with its last commit: its state could not be taken: %r", hosted.child_id, error
            )
        holding.effects.absorb(collected.effects(children))
        await self._departures.give(ShardPark(self._group, self._register, holding))
        await self._departures.dispose(children, "parked")
        self._plan_due.ring()
