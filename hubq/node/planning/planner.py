"""Looks at members and owners, gives away what belongs elsewhere, takes what belongs here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from hubq.core.placement import plan
from hubq.core.rollout import Ramp, in_rollout, rolling
from hubq.core.view import NodeView, View, settled
from hubq.errors import RedisRefused
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.pausing import Pausing
from hubq.node.copies.protocol import Copies
from hubq.node.departures.answers import Answers
from hubq.node.departures.moves import Moves
from hubq.node.departures.park import Park
from hubq.node.departures.shard_handovers import ShardHandovers
from hubq.node.held.cursors import Cursors
from hubq.node.held.elsewhere import Elsewhere
from hubq.node.held.older_code import OlderCode
from hubq.node.held.register import Register
from hubq.node.membership.quorum import Quorums
from hubq.node.membership.voiding import Voiding
from hubq.node.planning.balancer import Balancers
from hubq.node.planning.guide import Guide
from hubq.node.planning.parked import Parked
from hubq.node.planning.reconciler import Reconciler, is_alive
from hubq.node.planning.view_hooks import ViewHooks
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.store.membership import NodeInfo, read_nodes
from hubq.store.owners import Owners, read_owners
from hubq.store.pauses import read_pauses_number
from hubq.store.places import read_pins_epoch
from hubq.store.rollout import read_ramp
from hubq.strategies.distribution import Distribution
from hubq.strategies.synchronization import Synchronization

log = logging.getLogger("hubq.node")

#: Between two looks, seconds. While shards move there is news of each of them, and a look takes longer than a move's share of the loop.
APART = 0.01


class Planner(Loop):
    """The plan loop of a node."""

    def __init__(
        self, group: Group, events: EventLog, plan_due: Bell, emptied: asyncio.Event, register: Register,
        cursors: Cursors, distribution: Distribution, synchronization: Synchronization, view_hooks: ViewHooks,
        quorum: Quorums, balancer: Balancers, wishes: Wishes, copies: Copies, answers: Answers, moves: Moves,
        handovers: ShardHandovers, park: Park, guide: Guide, parked: Parked, reconciler: Reconciler, voiding: Voiding,
        pausing: Pausing, elsewhere: Elsewhere, older: OlderCode,
    ) -> None:  # fmt: skip
        super().__init__("looking at the plan")
        self._elsewhere = elsewhere
        self._older = older
        self._serves_desired = False  # as of the last look
        self._group = group
        self._events = events
        self._plan_due = plan_due
        self._emptied = emptied
        self._register = register
        self._cursors = cursors
        self._distribution = distribution
        self._synchronization = synchronization
        self._view_hooks = view_hooks
        self._quorum = quorum
        self._balancer = balancer
        self._wishes = wishes
        self._copies = copies
        self._answers = answers
        self._moves = moves
        self._handovers = handovers
        self._park = park
        self._guide = guide
        self._parked = parked
        self._reconciler = reconciler
        self._voiding = voiding
        self._pausing = pausing
        self._members: set[tuple[str, int, bool]] = set()
        self._targets: dict[int, str] = {}  # of the moves that it has begun last
        self._rests_until = 0.0

    def start(self) -> None:
        """Begin: the first look is due at once."""
        self._plan_due.ring()
        super().start()

    @property
    def serves_all(self) -> bool:
        """Whether the node serves every shard that it should, under a lease that it can trust."""
        standing = self._group.standing
        return bool(standing.incarnation) and self._serves_desired and not standing.draining and standing.trusted()

    async def _turn(self) -> None:
        await self._plan_due.heard(self._synchronization.init_sync())
        loop = asyncio.get_running_loop()
        while (left := self._rests_until - loop.time()) > 0 and not self._may_be_empty():
            await self._plan_due.heard(left)
        await self._look()

    def _may_be_empty(self) -> bool:
        return self._group.standing.draining and not self._moves.moving

    async def _look(self) -> None:
        group, standing = self._group, self._group.standing
        if not standing.incarnation or not standing.trusted():
            return
        await self._quorum.look()
        known = standing.tokens()
        nodes, owners, wishes, pauses, *published = await group.redis.run_many(
            [
                read_nodes(group.keys), read_owners(group.keys), read_pins_epoch(group.keys), read_pauses_number(group.keys),
                *self._balancer.asks(),
            ]
        )  # fmt: skip
        await self._pausing.look(pauses)
        me = nodes.get(group.node_name)
        if me is None or me.incarnation != standing.incarnation:
            return  # the next renewal says "evicted"
        if not self._remembers(owners, known):
            return
        self._draining_seen(me)
        if await self._wishes.refresh(wishes):
            self._plan_due.ring()  # the owners that were read may be old by now
            return
        self._wishes.seen(nodes)
        self._older.seen(nodes)
        await self._members_seen(nodes)
        if await self._view_hooks.seen(nodes):
            self._plan_due.ring()  # handlers of hooks were waited for: the owners that were read may be old by now
            return
        self._reconciler.reconcile(nodes, owners)
        self._guide.look(owners)
        self._offer_unbuilt()
        self._parked.look()
        self._answers.members_seen(nodes)
        await self._carry_out(nodes, owners, published[0].valid(nodes) if published else {})

    def _remembers(self, owners: Owners, known: Mapping[int, int]) -> bool:
        """Whether Redis has all writes that it has confirmed to this node. If not, all is void here."""
        standing = self._group.standing
        former = standing.take_former_tokens()
        if any(_token(owners, shard) < token for shard, token in former.items()):
            log.error(
                "Redis has lost writes that it had confirmed: node %s goes on with what Redis has", standing.node_name
            )
            self._events.add("redis_went_back", epoch=standing.epoch)
        if any(_token(owners, shard) < token for shard, token in known.items()):
            self._voiding.void("tokens are lower in Redis than they were")
            return False
        return True

    def _draining_seen(self, me: NodeInfo) -> None:
        if not me.up and self._group.standing.drain():
            log.info("node %s%s is draining", self._group.node_name, self._group.standing.place)
            self._serves_desired = False

    async def _members_seen(self, nodes: dict[str, NodeInfo]) -> None:
        members = {(name, info.incarnation, info.up) for name, info in nodes.items()}
        if members != self._members:
            self._members = members
            self._wishes.news.ring()
            await self._quorum.members_changed()
            self._balancer.view_changed(nodes)

    def _offer_unbuilt(self) -> None:
        if self._group.standing.draining:
            return
        for holding in self._register.all():
            served = holding.pinned is None and holding.open and not holding.in_motion
            if served and holding.unbuilt and self._cursors.in_step(holding):
                self._parked.offer(holding)

    async def _carry_out(self, nodes: dict[str, NodeInfo], owners: Owners, assignment: Mapping[int, str]) -> None:
        group, standing = self._group, self._group.standing
        shards = group.config.shards
        current: dict[int, str | None] = {
            shard: owner.node if is_alive(nodes, owner) else None for shard, owner in owners.shards.items()
        }
        ups = {
            name: NodeView(name, info.incarnation, info.tags, info.host, info.app_version)
            for name, info in nodes.items()
            if info.up
        }
        self._elsewhere.seen(group.number, current)
        # Over all shards of the hub, so that they lie evenly whatever group they are in; what is done is done in this one.
        view = View(ups, self._elsewhere.with_others(group.number, current, ups), shards, assignment)
        desired = settled(self._distribution.belongs_to(view), view) if ups else {}
        if rolling(view):
            desired = in_rollout(
                desired, replace(view, owners={**view.owners, **self._under_way()}), await self._ramp()
            )
        desired = {shard: node for shard, node in desired.items() if shard in group.shards}
        if ups:
            desired |= self._copies.heirs(desired, replace(view, owners=current), owners.shards)
        ownerless = [shard for shard in group.shards if current.get(shard) is None]
        mine = [shard for shard in ownerless if desired.get(shard) == group.node_name]
        here = {shard: node for shard, node in current.items() if node == group.node_name}
        moves = plan(here, desired, self._moves.moving, self._moves.limit(group.config.moves_at_once))
        if await self._view_hooks.planned(ups, {move.shard: move.target for move in moves}, mine):
            self._plan_due.ring()
            return
        if mine:
            await self._reconciler.claim(mine, nodes, owners)
        if not desired:
            await self._park.park_all()
        for move in moves:
            self._move(move.shard, move.target, nodes[move.target].incarnation)
        self._view_hooks.looked(ups, quiet=not (mine or moves or self._moves.moving))
        self._serves_desired = bool(desired) and not standing.draining and self._serves(desired)
        self._copies.look(replace(view, owners=current), owners)
        owns = any(standing.is_me(owner.node, owner.incarnation) for owner in owners.shards.values())
        if standing.draining and not owns and not len(self._register) and not self._moves.moving:
            self._emptied.set()
        self._rests_until = asyncio.get_running_loop().time() + APART

    def _under_way(self) -> dict[int, str]:
        """Where the shards go that are on their way."""
        self._targets = {shard: node for shard, node in self._targets.items() if shard in self._moves.moving}
        return self._targets

    async def _ramp(self) -> Ramp | None:
        try:
            return await self._group.redis.run(read_ramp(self._group.keys))
        except RedisRefused as error:  # somebody else has written there
            log.warning("the share of a rollout cannot be read, and counts for nothing: %s", error)
            return None

    def _move(self, shard: int, target: str, incarnation: int) -> None:
        holding = self._register.get(shard)
        if holding is None or holding.in_motion or holding.gone or not self._cursors.in_step(holding):
            return
        self._targets[shard] = target
        self._handovers.begin(holding, target, incarnation)

    def _serves(self, desired: Mapping[int, str]) -> bool:
        """Whether this node serves every shard that should be here."""
        wanted = (self._register.get(shard) for shard, node in desired.items() if node == self._group.node_name)
        return all(holding is not None and holding.open for holding in wanted)


def _token(owners: Owners, shard: int) -> int:
    owner = owners.shards.get(shard)
    return owner.token if owner is not None else 0
