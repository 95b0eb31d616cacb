"""Compares what this node serves with Redis, since control messages may have been lost."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from hubq.core.malformed import Malformed
from hubq.errors import RedisRefused
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.commits.forfeits import Forfeits
from hubq.node.commits.held_up import is_of_one_key
from hubq.node.departures.moves import Moves
from hubq.node.held.holding import Holding
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.node.runtime.hook_runner import pid_of
from hubq.node.runtime.malformed import MalformedReports
from hubq.store.membership import NodeInfo
from hubq.store.owners import Kept, Owner, Owners, claim_shards, dissolve_pins
from hubq.strategies.synchronization import Synchronization

log = logging.getLogger("hubq.node")


class Reconciler:
    """Adopts the shards that Redis says are here, drops those that it says are not, and claims those without an owner."""

    def __init__(
        self, group: Group, background: Background, register: Register, synchronization: Synchronization,
        arrivals: Arrivals, forfeits: Forfeits, moves: Moves, reports: MalformedReports,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._register = register
        self._synchronization = synchronization
        self._arrivals = arrivals
        self._forfeits = forfeits
        self._moves = moves
        self._reports = reports

    def reconcile(self, nodes: Mapping[str, NodeInfo], owners: Owners) -> None:
        """Begin all that makes this node serve what Redis says."""
        standing = self._group.standing
        served = {h.shard: pid_of(h.owner) for h in self._register.all() if h.pinned is None}
        truth = {shard: pid_of(owner) for shard, owner in owners.shards.items()}
        differing = set(self._synchronization.handle_synchronization(served, truth))
        for shard, owner in owners.shards.items():
            holding = self._register.get(shard)
            if holding is not None and owner == holding.owner:
                self._reconcile_pins(holding, nodes, owners.pinned(shard))
            elif shard not in differing:
                continue  # the strategy leaves it as it is
            elif holding is None:
                is_mine = standing.is_me(owner.node, owner.incarnation)
                if is_mine and owner.token > standing.token(shard) and not self._arrivals.coming(shard):
                    self._background.run(self._arrivals.adopt_shard(shard, owner), f"adopting shard {shard}")
            elif owner.token > holding.owner.token and shard not in self._moves.moving:
                self._forfeits.fenced(holding)

    def _reconcile_pins(self, holding: Holding, nodes: Mapping[str, NodeInfo], pins: Mapping[str, Owner]) -> None:
        for child in list(holding.apart):
            if child not in pins and child not in holding.unplaced and child not in holding.departing:
                self._background.run(self._arrivals.welcome(holding.shard, child), f"return of {child}")
        dead = [child for child, owner in pins.items() if not is_alive(nodes, owner)]
        if dead:
            self._background.run(self._dissolve(holding, dead), "dissolving pins")

    async def _dissolve(self, holding: Holding, dead: list[str]) -> None:
        group = self._group
        command = dissolve_pins(group.keys, holding.shard, holding.owner, dead, Kept.of(group.config))
        for child in await group.redis.run(command, retry_for=1.0) or ():
            await self._arrivals.welcome(holding.shard, child)

    async def claim(self, shards: list[int], nodes: Mapping[str, NodeInfo], owners: Owners) -> None:
        """Claim these shards, which have no owner, and dissolve their pins of dead nodes."""
        group, standing = self._group, self._group.standing
        wanted = set(shards)
        dead = [pin for pin, owner in owners.pins.items() if pin[0] in wanted and not is_alive(nodes, owner)]
        with self._arrivals.claiming(shards):
            try:
                taken = await self._claimed(shards, dead)
            except RedisRefused as error:
                if not is_of_one_key(error):
                    raise
                taken = await self._claimed_one_by_one(shards, dead)
        if taken:
            log.info("node %s%s has claimed shards: %d", group.node_name, standing.place, len(taken))
        for shard, token in taken.items():
            owner = Owner(group.node_name, standing.incarnation, token)
            work = self._arrivals.adopt_shard(shard, owner, claimed=True)
            self._background.run(work, f"adopting shard {shard}")

    async def _claimed(self, shards: Sequence[int], dead: Sequence[tuple[int, str]]) -> dict[int, int]:
        group, kept = self._group, Kept.of(self._group.config)
        command = claim_shards(group.keys, group.node_name, group.standing.incarnation, shards, dead, kept)
        return await group.redis.run(command) or {}

    async def _claimed_one_by_one(self, shards: Sequence[int], dead: Sequence[tuple[int, str]]) -> dict[int, int]:
        """A key of one of them is of another type, or holds garbage. It is told, and the others are claimed."""
        taken: dict[int, int] = {}
        for shard in shards:
            try:
                taken |= await self._claimed([shard], [pin for pin in dead if pin[0] == shard])
            except RedisRefused as error:
                if not is_of_one_key(error):
                    raise
                self._reports.report(Malformed(f"shard {shard}", f"nobody can claim it: {error}"))
        return taken


def is_alive(nodes: Mapping[str, NodeInfo], owner: Owner) -> bool:
    """Whether an owner is a member still."""
    info = nodes.get(owner.node)
    return info is not None and info.incarnation == owner.incarnation
