"""The source side of a handover: the steps that a migration strategy puts in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from hubq.core.handover import SOURCE, Source, SourceEvent
from hubq.core.messages import StartChildren
from hubq.hooks import ForwardedMigration
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.saver import Saver
from hubq.node.departures.answers import Answer
from hubq.node.departures.boundaries import at_boundaries
from hubq.node.departures.collecting import Collected
from hubq.node.departures.departure import Departures, Outcome, give_back
from hubq.node.departures.kept_behind import KeptBehind
from hubq.node.departures.rebuilding import Rebuilding
from hubq.node.departures.stragglers import Stragglers
from hubq.node.departures.turns import Turns
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.group import Group
from hubq.node.runtime.hook_runner import HookRunner
from hubq.store.command import Command
from hubq.store.control import send_control
from hubq.store.effects import Effects, with_handed
from hubq.store.owners import pass_token

log = logging.getLogger("hubq.node")

#: A shard that is ready to go does not wait for a turn that is not given back for so long, seconds. (The shard that has it may have a
#: child that is slow to hand its state over.)
PATIENCE = 0.05
#: How long it waits at most, seconds. (Shards that each take a little less than that would keep the others waiting for long.)
MOST_PATIENCE = 0.25


class ShardHandover:
    """One shard on its way from this node to another (``strategies.migration.protocol.Handover``), and a way of leaving
    (:class:`~hubq.node.departures.departure.Way`).
    """

    has_target = True

    def __init__(
        self, group: Group, background: Background, events: EventLog, hooks: HookRunner, counters: Counters,
        plan_due: Bell, register: Register, cursors: Cursors, queue: CommitQueue, saver: Saver, wishes: Wishes,
        departures: Departures, closing: Turns, stragglers: Stragglers, rebuilding: Rebuilding, holding: Holding,
        answer: Answer,
    ) -> None:  # fmt: skip
        self.shard = holding.shard
        self.target = answer.target
        self.holding = holding
        self.what = f"passing the token of shard {holding.shard}"
        self.state = SOURCE.next(Source.SERVING, SourceEvent.BEGIN)
        self._answer = answer
        self._group = group
        self._background = background
        self._events = events
        self._hooks = hooks
        self._counters = counters
        self._plan_due = plan_due
        self._register = register
        self._cursors = cursors
        self._queue = queue
        self._wishes = wishes
        self._departures = departures
        self._closing = closing
        self._stragglers = stragglers
        self._rebuilding = rebuilding
        self._closed_at = 0.0
        self._kept = KeptBehind(holding, cursors, saver)
        self._cannot_start: dict[str, str] = {}  # child -> why
        self._wanted_here: set[str] = set()
        self._collected = Collected()
        self._forgotten: list[str] = []
        self._ready: list[HostedChild] = []
        self._stopped = False
        self._turn = False

    def _moved(self, event: SourceEvent) -> None:
        self.state = SOURCE.next(self.state, event)

    # -- the steps of a strategy -----------------------------------------------------------------------------------

    async def build_at_target(self, timeout: float) -> bool:
        group, answer = self._group, self._answer
        if self.holding.children:
            message = StartChildren(group.node_name, self.shard, answer.handover_id)
            await group.redis.run(send_control(group.keys, self.target, message), retry_for=timeout)
            try:
                built = await answer.built(timeout)
            except TimeoutError:
                log.warning("shard %d: %s has built no child for %g s; it stays", self.shard, self.target, timeout)
                self._moved(SourceEvent.START_OVERDUE)
                self._events.add("handover_overdue", shard=self.shard, target=self.target)
                return False
            why = f"it cannot start on {self.target}: see `hubq events`"
            self._cannot_start = {child: why for child in built.failed.split("\n") if child}
        self._moved(SourceEvent.STARTED)
        return not self.holding.gone

    async def close_intake(self, grace: float) -> None:
        if self.state is Source.STARTING:
            self._moved(SourceEvent.STARTED)  # cold swap builds nothing ahead
        # While one shard is closed, the others serve on: a child pauses for one shard, not for all.
        self._turn = await self._closing.take(PATIENCE, MOST_PATIENCE)
        holding = self.holding
        if not self._group.standing.draining:
            self._wanted_here = self._wishes.staying(
                holding
            )  # asked now: children may have begun while it waited for its turn
            self._cannot_start |= self._departures.refusals(holding.children.values(), self.target)
        self._closed_at = self._group.standing.redis_now_ms()
        holding.close_intake()
        self._hooks.intake(self.shard, False, "migration")
        await at_boundaries([hosted for hosted in holding.children.values() if hosted.settling], grace)
        for hosted in list(holding.children.values()):
            if hosted.child_id in self._wanted_here:
                self._kept.keep(hosted, "", serving=True)
            elif hosted.child_id in self._cannot_start:
                self._kept.keep(hosted, self._cannot_start[hosted.child_id], serving=True)
            elif hosted.settling:
                self._kept.keep(hosted, "it is busy with a message", serving=False)
        self._moved(SourceEvent.CLOSED)

    async def collect_states(self, timeout: float, handover: bool) -> None:
        children = list(self.holding.children.values())
        self._collected = await self._departures.collect(children, handover, timeout, self.target)
        for hosted, error in self._collected.failed.items():
            log.warning(
                "child %s stays on %s: its state could not be handed over: %s",
                hosted.child_id, self._group.node_name, error,
            )  # fmt: skip
            self._kept.keep(hosted, f"its state could not be handed over: {error}", serving=True)
        self._ready = list(self.holding.children.values())
        if not handover:
            self._forgotten = [hosted.child_id for hosted in self._ready]
        self._moved(SourceEvent.COLLECTED)

    async def stop_children(self) -> None:
        await self._departures.become_passive([self.holding])
        self._stopped = True
        await self._departures.dispose(self._ready, "migrated")

    async def pass_token(self) -> bool:
        outcome = await self._departures.give(self)
        if outcome is Outcome.FENCED:
            self._moved(SourceEvent.FENCED)
        return outcome is Outcome.GIVEN

    async def await_confirmation(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                if self._turn:
                    await self._closing.nearly(self._answer.confirmed, len(self._ready))
                    self.give_turn()
                await asyncio.shield(self._answer.confirmed)
        except TimeoutError:
            return False
        finally:
            self.give_turn()
        return True

    def follow(self, retention: float) -> None:
        hooks = self._hooks
        if hooks.wants("forwarded_migration"):
            for child in self._kept.pins:
                stays = ForwardedMigration(
                    hooks.hub_id, hooks.node, self.shard, self.target, child, serving=child in self._kept.serving
                )
                hooks.fire("forwarded_migration", stays)
        for child, pin in self._kept.pins.items():
            if child in self._wanted_here:
                self._stragglers.keep(pin)
            else:
                self._stragglers.follow(pin, retention, serving=child in self._kept.serving)

    async def dispose(self) -> None:
        self.give_turn()
        if not self._stopped:
            await self._departures.dispose(self._ready, "migrated")
        self._moved(SourceEvent.DISPOSED)

    # -- around the steps ------------------------------------------------------------------------------------------

    def give_turn(self) -> None:
        """The next shard may have its turn."""
        if self._turn:
            self._turn = False
            self._closing.give()

    def abandon(self) -> None:
        """The strategy has raised. If the token has not passed: serve on."""
        if self.holding.gone:
            if self.state is not Source.DISPOSING:
                self._drop_kept()
        elif not self.holding.open:
            self._serve_on(Effects())

    # -- the way it leaves -----------------------------------------------------------------------------------------

    def parts(self) -> Sequence[Holding]:
        return [self.holding]

    def packed(self, effects: Effects) -> Effects:
        self._kept.follow_token()
        return effects

    def _handed(self) -> Effects:
        return self._collected.effects(self._ready, self._forgotten)

    def command(self, effects: Effects) -> Command[str]:
        group = self._group
        return pass_token(
            group.keys, self.shard, self.holding.owner, self.target, self._answer.incarnation,
            handover_id=self._answer.handover_id, closed_at_ms=self._closed_at, pinned=self._kept.why,
            apart=[child for child in self.holding.apart if child not in self.holding.unplaced and child not in self._kept.why],
            effects=with_handed(effects, self._handed()), events_kept=group.config.events_kept,
        )  # fmt: skip

    def given(self) -> None:
        """The token has passed; the pins stay."""
        self._moved(SourceEvent.PASSED)
        holding = self.holding
        self._group.standing.learn(holding.shard, holding.owner.token + 1)
        self._counters.went_out()
        if holding.gone:
            self._drop_kept()  # the node was evicted before the answer came: its pins are void, too
        else:
            self._kept.hold(self._register)
        self._register.drop(holding)
        self._queue.changed()
        self._plan_due.ring()

    async def stays(self, effects: Effects, refused: int) -> None:
        self._moved(SourceEvent.TARGET_GONE)
        self._collected.shed(refused)
        self._serve_on(effects)

    def _serve_on(self, effects: Effects) -> None:
        """As if nothing had been begun."""
        holding = self.holding
        give_back(holding, effects, self._handed(), self._ready)
        self._kept.put_back()
        holding.thaw()
        if not holding.active:
            holding.activate()
            self._background.run(self._departures.become_active(self._ready), "signals")
        if self._stopped:
            self._rebuilding.rebuild(holding)
            return
        holding.open_intake()
        self._hooks.intake(self.shard, True, "target gone")
        self._departures.go_on(holding.children.values())
        self._cursors.catch_up(holding)
        self._queue.changed()

    def forfeited(self) -> list[HostedChild]:
        return self._kept.lose()

    def _drop_kept(self) -> None:
        """These children were not in the shard when it was dropped: end them here."""
        children = self._kept.lose()
        if children:
            self._background.run(self._departures.dispose(children, "fenced"), "dropping children")
