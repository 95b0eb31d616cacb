"""A hot swap of single children: from their shard here to a pin on another node, while the shard stays and serves."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace

from hubq.core.messages import StartChildren
from hubq.errors import RedisUnavailable
from hubq.node.commits.committer import Committer
from hubq.node.departures.answers import Answer, Answers
from hubq.node.departures.boundaries import at_boundaries, in_thread, undo
from hubq.node.departures.collecting import Collected, Interrupted, NoState
from hubq.node.departures.departure import Departures, Outcome, give_back
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.pins import put_back, set_aside
from hubq.node.runtime.background import Background
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.group import Group
from hubq.store.command import Command
from hubq.store.control import send_control
from hubq.store.effects import Effects, with_handed
from hubq.store.places import pass_children
from hubq.strategies.migration import MigrationTraits

log = logging.getLogger("hubq.node")

#: How long the confirmation is taken in after the end of a passing, seconds: the start of a child may still wait for it.
CONFIRMED_WITHIN = 30.0


class ChildPassing:
    """Some children of one shard on their way to one node: a way of leaving
    (:class:`~hubq.node.departures.departure.Way`).
    """

    has_target = True

    def __init__(
        self, group: Group, background: Background, counters: Counters, cursors: Cursors, queue: CommitQueue,
        committer: Committer, traits: MigrationTraits, answers: Answers, departures: Departures, holding: Holding,
        answer: Answer, children: Sequence[str],
    ) -> None:  # fmt: skip
        self.failed: dict[str, str] = {}
        """The children that stay, and why."""
        self.passed = False
        """The others have another owner now."""
        self.target = answer.target
        self.holding = holding
        self.what = f"passing children of shard {holding.shard}"
        self._answer = answer
        self._children = list(children)
        self._group = group
        self._background = background
        self._counters = counters
        self._cursors = cursors
        self._queue = queue
        self._committer = committer
        self._traits = traits
        self._answers = answers
        self._departures = departures
        self._aside: dict[str, Holding] = {}
        self._collected = Collected()
        self._handed = Effects()
        self._leaving: list[HostedChild] = []
        self._closed_at = 0.0

    @property
    def confirmed(self) -> asyncio.Future[None]:
        """Done when the target serves the children."""
        return self._answer.confirmed

    async def run(self) -> None:
        """Pass them, or leave each of them where it is with a reason in ``failed``."""
        holding = self.holding
        holding.begin_departure(self._children)
        try:
            if await self._build():
                self._closed_at = self._group.standing.redis_now_ms()
                await self._close()
                await self._collect()
                await self._pass()
        finally:
            if holding.gone:
                self._drop()
            else:
                holding.thaw()
                for pin in self._aside.values():
                    self._back(pin)
                self._aside.clear()
            holding.end_departure(self._children)
            # Its confirmation may come after the end of the passing.
            self._answers.forget(self._answer, after=CONFIRMED_WITHIN)

    def _still_going(self) -> list[str]:
        return [child for child in self._children if child not in self.failed]

    def _fail_all(self, reason: str) -> None:
        for child in self._still_going():
            self.failed[child] = reason

    # -- build, close, collect -------------------------------------------------------------------------------------

    async def _build(self) -> bool:
        group, within = self._group, self._traits.child_migration_timeout
        names = "\n".join(self._children)
        message = StartChildren(group.node_name, self.holding.shard, self._answer.handover_id, names)
        try:
            await group.redis.run(send_control(group.keys, self.target, message), retry_for=within)
            answer = await self._answer.built(within)
        except (TimeoutError, RedisUnavailable):
            self._fail_all(f"{self.target} did not build it within {within:g} s")
            return False
        reasons = answer.reasons.split("\n")
        for number, child in enumerate(child for child in answer.failed.split("\n") if child):
            reason = reasons[number] if number < len(reasons) else ""
            self.failed[child] = f"cannot start on {self.target}: {reason}"
        going = [hosted for hosted in map(self.holding.children.get, self._still_going()) if hosted is not None]
        self.failed |= self._departures.refusals(going, self.target)
        return bool(self._still_going()) and not self.holding.gone

    async def _close(self) -> None:
        settling: list[HostedChild] = []
        for child in self._still_going():
            hosted = self.holding.children.get(child)
            if hosted is None:
                if child not in self.holding.unplaced:
                    self.failed[child] = "it has ended"
                continue
            self._aside[child] = set_aside(self._cursors, self.holding, hosted)
            if hosted.settling:
                settling.append(hosted)
        retention = self._traits.retention
        late: list[HostedChild] = []
        for hosted in await at_boundaries(settling, retention):
            if hosted.child_id not in self._aside[hosted.child_id].children:
                continue  # it has ended meanwhile
            if in_thread(hosted) or not hosted.busy:
                self._stays(hosted.child_id, f"busy for longer than retention={retention:g} s")
                continue
            log.warning(
                "child %s is busy for longer than retention=%g s: its message is undone and moves with it",
                hosted.child_id, retention,
            )  # fmt: skip
            late.append(hosted)
        await undo(late)

    async def _collect(self) -> None:
        children = [hosted for pin in self._aside.values() for hosted in pin.children.values()]
        within = self._traits.handover_data_wait
        self._collected = await self._departures.collect(children, self._traits.handover, within, self.target)
        for hosted, error in self._collected.failed.items():
            match error:
                case NoState():
                    reason = f"its state could not be handed over: nothing within {within:g} s"
                case Interrupted():
                    reason = str(error)
                case _:
                    reason = f"its state could not be handed over: {type(error).__name__}: {error}"
            self._stays(hosted.child_id, reason)

    def _stays(self, child: str, reason: str) -> None:
        self.failed[child] = reason
        if not self.holding.gone:
            self._back(self._aside.pop(child))

    def _drop(self) -> None:
        """The shard was lost before the children could be passed. They were not in it when it was dropped: end them here."""
        children = [hosted for pin in self._aside.values() for hosted in pin.children.values()]
        self._let_go()
        if children:
            self._background.run(self._departures.dispose(children, "fenced"), "dropping children")

    def _back(self, pin: Holding) -> None:
        children = list(pin.children.values())
        put_back(self.holding, pin)
        self._departures.go_on(children)
        self._cursors.catch_up(self.holding)
        self._queue.changed()

    # -- pass ------------------------------------------------------------------------------------------------------

    async def _pass(self) -> None:
        if not self._still_going() or self.holding.gone:
            return
        outcome = await self._departures.give(self)
        if outcome is Outcome.FENCED:
            self._fail_all("its shard has another owner now")

    def parts(self) -> Sequence[Holding]:
        return list(self._aside.values())

    def packed(self, effects: Effects) -> Effects:
        for pin in self._aside.values():
            effects.absorb(self._committer.take(pin))
        self._leaving = [hosted for pin in self._aside.values() for hosted in pin.children.values()]
        asked = [hosted.child_id for hosted in self._leaving if hosted.child_id in self._collected.asked]
        self._handed = self._collected.effects(self._leaving, [] if self._traits.handover else asked)
        return effects

    def command(self, effects: Effects) -> Command[str]:
        group = self._group
        return pass_children(
            group.keys, self.holding.shard, self.holding.owner, self.target, self._answer.incarnation,
            self._still_going(), handover_id=self._answer.handover_id, closed_at_ms=self._closed_at,
            effects=with_handed(effects, self._handed), events_kept=group.config.events_kept,
        )  # fmt: skip

    def given(self) -> None:
        """They are the target's; the shard goes on under the next token."""
        self.passed = True
        holding, going = self.holding, self._still_going()
        holding.owned_by(replace(holding.owner, token=holding.owner.token + 1))
        self._group.standing.learn(holding.shard, holding.owner.token)
        self._counters.went_out(len(going))
        for child in going:
            holding.placed(child)
        self._let_go()
        holding.thaw()
        self._queue.changed()
        self._background.run(self._dispose(), "ending children that have moved")

    async def _dispose(self) -> None:
        if self._traits.confirm_handover:
            await asyncio.wait([self._answer.confirmed], timeout=self._traits.child_migration_timeout)
        await self._departures.dispose(self._leaving, "migrated")

    async def stays(self, effects: Effects, refused: int) -> None:
        """The children are put back at the end of :meth:`run`."""
        self._fail_all(f"Redis does not take {refused} bytes of state" if refused else f"{self.target} has gone")
        if refused:
            self._collected.shed(refused)
            self._handed = self._collected.effects(self._leaving, self._handed.forgotten)
        await self._departures.become_active(self._leaving)
        give_back(self.holding, effects, self._handed, self._leaving)
        self.holding.thaw()
        self._queue.changed()

    def forfeited(self) -> list[HostedChild]:
        self._let_go()
        return self._leaving

    def _let_go(self) -> None:
        """The children are not here any more. Waits for their pins-to-be end."""
        for pin in self._aside.values():
            pin.lose()
        self._aside.clear()


class ChildPassings:
    """Makes passings."""

    def __init__(
        self, group: Group, background: Background, counters: Counters, cursors: Cursors, queue: CommitQueue,
        committer: Committer, traits: MigrationTraits, answers: Answers, departures: Departures,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._counters = counters
        self._cursors = cursors
        self._queue = queue
        self._committer = committer
        self._traits = traits
        self._answers = answers
        self._departures = departures

    def make(self, holding: Holding, target: str, incarnation: int, children: Sequence[str]) -> ChildPassing:
        """A passing of these children to this life of a node; it begins with :meth:`ChildPassing.run`."""
        # (Not watched: if the target leaves, its silence is waited out.)
        answer = self._answers.expect(secrets.token_hex(8), target, incarnation)
        return ChildPassing(
            self._group, self._background, self._counters, self._cursors, self._queue, self._committer, self._traits,
            self._answers, self._departures, holding, answer, children,
        )  # fmt: skip
