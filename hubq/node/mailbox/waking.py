"""Dormant children wake when a message has come for them (docs/dormant.md)."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from hubq.node.arrivals.entrance import Coming, Entrance
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.outcomes import Outcomes
from hubq.node.commits.under_token import UnderToken
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding
from hubq.node.held.strangers import Strangers
from hubq.node.mailbox.delivery import Delivery
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.gate import Gate
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.node.runtime.pieces import Pieces
from hubq.store.command import Command
from hubq.store.dormant import AT_ONCE, Found, wake_children

log = logging.getLogger("hubq.node")

#: How soon children are asked for again of a shard that is under a token which this node does not know, seconds.
AGAIN = 0.2


class Waking(Loop):
    """Asks for the children that are not here, one request of each shard at a time. When it stops, the next owner of each
    shard reads the messages of the others.
    """

    def __init__(
        self, group: Group, background: Background, gate: Gate, cursors: Cursors, plan_due: Bell, under_token: UnderToken,
        strangers: Strangers, delivery: Delivery, entrance: Entrance, wishes: Wishes, outcomes: Outcomes, counters: Counters,
        pieces: Pieces,
    ) -> None:  # fmt: skip
        super().__init__("waking children")
        self._keys = group.keys
        self._background = background
        self._gate = gate
        self._cursors = cursors
        self._plan_due = plan_due
        self._under_token = under_token
        self._strangers = strangers
        self._delivery = delivery
        self._entrance = entrance
        self._wishes = wishes
        self._outcomes = outcomes
        self._counters = counters
        self._pieces = pieces
        self._asking: set[Holding] = set()

    async def _turn(self) -> None:
        strangers = self._strangers
        await strangers.bell.heard()
        for holding in strangers.holdings():
            if holding.gone:
                strangers.drop(holding)
            elif holding not in self._asking and (wanted := strangers.wanted(holding, AT_ONCE)):
                self._asking.add(holding)
                work = self._background.run(self._wake(holding, wanted), f"waking children of shard {holding.shard}")
                work.add_done_callback(partial(self._asked, holding))

    def _asked(self, holding: Holding, _: asyncio.Task[None]) -> None:
        self._asking.discard(holding)
        self._strangers.bell.ring()  # more may have come meanwhile

    async def _wake(self, holding: Holding, wanted: list[str]) -> None:
        await self._gate.opened()  # without a quorum nothing begins
        if not await holding.is_open():
            return
        keys, asked = self._keys, wanted

        def ask(again: bool) -> Command[dict[str, Found] | None]:
            nonlocal asked
            if again:  # a child that has ended meanwhile stands among the active ones until the next commit
                asked = [child for child in wanted if child not in holding.effects.ended]
            return wake_children(keys, holding.shard, holding.owner, asked, again=again)

        found = await self._under_token.answered(holding, "waking children", ask)
        if found is None:
            await asyncio.sleep(AGAIN)  # the planner sees whose it is
            return
        for child in wanted:
            await self._pieces.turn()
            # If it is being given away: a child that is active now goes with its shard.
            if not await holding.is_open():
                return
            self._known(holding, child, found.get(child))

    def _known(self, holding: Holding, child: str, found: Found | None) -> None:
        """It is known now whether a child was dormant: it is built, or the senders of its messages are told that it is no more."""
        stranger = self._strangers.take(holding, child)
        if found is None:
            for message in stranger.messages:
                self._outcomes.refuse_unknown(holding, message)
        elif child not in holding.children and child not in holding.behind and not self._comes(holding, child, found):
            return  # its messages wait in the mailbox for its node
        else:
            for message in stranger.messages:
                self._delivery.deliver(holding, message)
        # At once: what the reader brings from now on stands behind these. (It is behind already if its queue had not room for all.)
        if stranger.left is not None and child not in holding.behind:
            self._cursors.send_back(holding, child, stranger.left)

    def _comes(self, holding: Holding, child: str, found: Found) -> bool:
        """Build it, as any child that comes. False: it is wanted on another node."""
        self._counters.woke()
        record = found.record
        if record.place:
            holding.guide(child)
        if self._wishes.elsewhere(child, record):
            holding.wait_for_place(child, record)
            self._plan_due.ring()
            return False
        states = {} if found.state is None else {child: found.state}
        # (first: when it went to rest, no message was left that another node may have answered.)
        if self._entrance.enter(holding, child, record, Coming(states, {}, first=True)) is None:
            self._plan_due.ring()  # it cannot run here, and is offered to other nodes
        return True
