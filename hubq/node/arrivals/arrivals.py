"""How shards and children come to this node: the four ways, and the control messages that announce them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from hubq.core.messages import ChildrenPassed, Handover, HandoverConfirmed, PinReleased
from hubq.node.arrivals.ahead import AheadBuilt
from hubq.node.arrivals.pins import PinArrivals
from hubq.node.arrivals.returns import Returns
from hubq.node.arrivals.shards import ShardArrivals
from hubq.node.arrivals.under_way import UnderWay
from hubq.node.held.holding import Holding
from hubq.node.held.register import Register
from hubq.node.runtime.group import Group
from hubq.store.command import Command
from hubq.store.control import send_control
from hubq.store.envelope import Envelope
from hubq.store.owners import Owner
from hubq.store.spec_record import SpecRecord


class Arrivals:
    """The one door to the four ways. Each puts children in by :class:`~hubq.node.arrivals.entrance.Entrance`."""

    def __init__(
        self, group: Group, register: Register, under_way: UnderWay, ahead: AheadBuilt, shards: ShardArrivals,
        pins: PinArrivals, returns: Returns,
    ) -> None:  # fmt: skip
        self._group = group
        self._register = register
        self._under_way = under_way
        self._ahead = ahead
        self._shards = shards
        self._pins = pins
        self._returns = returns

    def forget_all(self) -> None:
        """Drop what was built ahead, and what is being adopted (the node was evicted)."""
        self._under_way.forget_all()
        self._ahead.forget_all()

    @property
    def shards(self) -> set[int]:
        """The shards that may be ours in Redis, or children of theirs, and are not open here yet."""
        return self._under_way.shards | self._ahead.shards

    # -- shards ----------------------------------------------------------------------------------------------------

    def coming(self, shard: int) -> bool:
        """Whether the shard is being adopted right now, or its ``handover`` message can be expected any moment."""
        if self._under_way.has(shard):
            return True
        return self._ahead.announced(shard) and self._under_way.message_may_come(shard, self._group.standing.now())

    def reserve(self, holding: Holding) -> None:
        """No adoption of this shard begins until :meth:`release`. (If the node is evicted meanwhile, the holding is lost.)"""
        self._under_way.begin(holding)

    def release(self, holding: Holding) -> None:
        """It may be adopted again."""
        self._under_way.end(holding)

    def claiming(self, shards: Sequence[int]) -> AbstractContextManager[None]:
        """These shards are claimed: they may be ours before the answer has come."""
        return self._under_way.claiming(shards)

    async def adopt_shard(self, shard: int, owner: Owner, *, claimed: bool = False) -> None:
        """Serve a shard whose token this node has. ``claimed``: its owner was lost."""
        await self._shards.adopt(shard, owner, claimed=claimed)

    async def handed_over(self, message: Handover) -> None:
        """``handover``: the token is here."""
        group = self._group
        owner = Owner(group.node_name, group.standing.incarnation, message.token)
        if await self._shards.adopt(message.shard, owner, message, self._confirmation(message)):
            return
        await self._under_way.settled(message.shard)  # it may be adopted from ``owners`` at the same moment
        held = self._register.get(message.shard)
        if held is not None and held.owner.incarnation == owner.incarnation and held.owner.token >= owner.token:
            await self._confirm(message)

    # -- pins ------------------------------------------------------------------------------------------------------

    async def adopt_pins(self, shard: int, children: Sequence[str], closed_at: float = 0.0, source: str = "") -> None:
        """Serve pins whose token this node has."""
        await self._pins.adopt(shard, children, closed_at, source)

    async def children_passed(self, message: ChildrenPassed) -> None:
        """``children_passed``: these pins are ours."""
        children = message.children.split("\n")
        await self.adopt_pins(message.shard, children, message.closed_at, message.sender)
        await self._under_way.pins_settled(message.shard, children)
        await self._confirm(message)

    async def _confirm(self, message: Handover | ChildrenPassed) -> None:
        await self._group.redis.run(self._confirmation(message), retry_for=1.0)

    def _confirmation(self, message: Handover | ChildrenPassed) -> Command[str]:
        confirmed = HandoverConfirmed(self._group.node_name, message.shard, message.handover_id)
        return send_control(self._group.keys, message.sender, confirmed)

    # -- children that return --------------------------------------------------------------------------------------

    async def pin_released(self, message: PinReleased) -> None:
        """``pin_released``: a straggler returns to its shard."""
        self._under_way.pin_went(message)
        await self.welcome(message.shard, message.child, message.closed_at, message.sender)

    async def welcome(
        self, shard: int, child: str, closed_at: float = 0.0, source: str = "", *, stay: bool = False
    ) -> None:
        """A child whose pin is gone is served by its shard here again, unless it is wanted elsewhere (``stay``: even
        then).
        """
        await self._returns.welcome(shard, child, closed_at, source, stay=stay)

    def revive(self, holding: Holding, child: str, record: SpecRecord | None, state: Envelope | None) -> bool:
        """Build one child anew in a holding that is served here. False: it cannot run here, or has ended."""
        return self._returns.revive(holding, child, record, state)
