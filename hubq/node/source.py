"""The source side of a handover: the steps that a migration strategy puts in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hubq.core.handover import SOURCE, Source, SourceEvent
from hubq.core.lifecycle import Life
from hubq.core.messages import StartChildren
from hubq.errors import RedisUnavailable
from hubq.hooks import ForwardedMigration
from hubq.node.aside import put_back, set_aside
from hubq.node.holding import Cell, Holding
from hubq.node.state import overrides
from hubq.store.control import send_control
from hubq.store.effects import Effects, with_handed
from hubq.store.owners import pass_token

if TYPE_CHECKING:
    from hubq.node.parts import Parts
    from hubq.store.membership import NodeInfo

log = logging.getLogger("hubq.node")

#: How long a shard that is ready to go waits for others that are between two owners, seconds. (One of them may have a
#: child that is slow to hand its state over.)
PATIENCE = 0.05


class SourceHandover:
    """One shard on its way from this node to another (``strategies.migration.protocol.Handover``)."""

    def __init__(self, parts: Parts, holding: Holding, target: str, incarnation: int, handover_id: str) -> None:
        self.shard = holding.shard
        self.target = target
        self.handover_id = handover_id
        self.state = SOURCE.next(Source.SERVING, SourceEvent.BEGIN)
        self.resp: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parts = parts
        self._holding = holding
        self._incarnation = incarnation
        self._closed_at = 0.0
        self._kept: set[str] = set()  # cannot start there, or could not be asked: pinned, and serving
        self._stragglers: dict[str, Holding] = {}
        self._why: dict[str, str] = {}
        self._wanted_here: set[str] = set()
        self._states: dict[str, bytes] = {}
        self._forgotten: list[str] = []
        self._ready: list[Cell] = []
        self._stopped = False
        self._asked: set[str] = set()  # whose state goes with the token
        self._turn = False

    def _moved(self, event: SourceEvent) -> None:
        self.state = SOURCE.next(self.state, event)

    def target_seen(self, nodes: Mapping[str, NodeInfo]) -> None:
        """A target that has left answers nothing more: do not wait for it. (Whether it got the token, Redis says.)"""
        info = nodes.get(self.target)
        if info is None or info.incarnation != self._incarnation:
            if not self.resp.done():
                self.resp.set_result("")
            if not self.confirmed.done():
                self.confirmed.set_result(None)

    async def build_at_target(self, timeout: float) -> bool:
        if self._holding.cells:
            message = StartChildren(self._parts.node_name, self.shard, self.handover_id)
            await self._parts.redis.run(send_control(self._parts.keys, self.target, message), retry_for=timeout)
            try:
                async with asyncio.timeout(timeout):
                    failed = await asyncio.shield(self.resp)
            except TimeoutError:
                log.warning(
                    "shard %d: %s did not build its children within %g s; it stays", self.shard, self.target, timeout
                )
                self._moved(SourceEvent.START_OVERDUE)
                self._parts.supervisor.event("handover_overdue", shard=self.shard, target=self.target)
                return False
            self._kept = {child for child in failed.split("\n") if child}
        self._moved(SourceEvent.STARTED)
        return not self._holding.lost

    async def close_intake(self, grace: float) -> None:
        if self.state is Source.STARTING:
            self._moved(SourceEvent.STARTED)  # cold swap builds nothing ahead
        # While the children of a shard are asked, its neighbours serve on: a pause is that of a few shards, not of all.
        self._turn = await self._parts.closing.take(PATIENCE)
        holding = self._holding
        if not self._parts.stragglers.leaving.is_set():
            self._wanted_here = self._parts.places.staying(holding)  # now: while it waited children may have begun
        self._closed_at = self._parts.redis_now_ms()
        holding.open = False
        self._parts.hooks.intake(self.shard, False, "migration")
        busy = [cell for cell in holding.cells.values() if cell.busy is not None or cell.life is Life.STARTING]
        if busy:
            waits = [asyncio.ensure_future(self._parts.supervisor.saver.boundary(cell)) for cell in busy]
            _, pending = await asyncio.wait(waits, timeout=grace)
            for wait in pending:
                wait.cancel()
        for cell in list(holding.cells.values()):
            if self._wanted_here and cell.child_id in self._wanted_here:
                self._pin(cell, "", serving=True)
            elif cell.busy is not None or cell.life is Life.STARTING:
                self._pin(cell, "it is busy with a message", serving=False)
            elif cell.child_id in self._kept:
                self._pin(cell, f"it cannot start on {self.target}: see `hubq events`", serving=True)
        self._moved(SourceEvent.CLOSED)

    def _pin(self, cell: Cell, why: str, serving: bool) -> None:
        holding = self._holding
        if cell.child_id not in holding.cells:
            return  # it has ended meanwhile
        if holding.recorder is not None:
            self._parts.supervisor.saver.save_boundary(cell)  # as a pin it has no standby: its state must be in msk
        pin = set_aside(self._parts, holding, cell)
        self._stragglers[cell.child_id] = pin
        self._why[cell.child_id] = why
        if serving:
            self._kept.add(cell.child_id)

    async def collect_states(self, timeout: float, handover: bool) -> None:
        supervisor = self._parts.supervisor
        asked: dict[asyncio.Task[tuple[str, bytes | None]], Cell] = {}
        cells = [cell for cell in self._holding.cells.values() if cell.life is Life.RUNNING]
        self._asked = {cell.child_id for cell in cells}
        for number, cell in enumerate(cells):
            work = supervisor.saver.hand_over(cell, handover)
            if cell.run_task is None and not overrides(cell.kind, "prepare_handover_state"):
                # Nothing to wait for: no task is needed.
                try:
                    self._take(await work)
                except Exception as error:
                    self._overdue(cell, error)
            else:
                asked[asyncio.ensure_future(work)] = cell
            if number % 64 == 63:
                await asyncio.sleep(0)
        if asked:
            await asyncio.wait(asked, timeout=timeout)
            for task, cell in asked.items():
                if not task.done():
                    task.cancel()
                    self._overdue(cell, TimeoutError(f"no state within {timeout:g} s"))
                elif task.cancelled():
                    self._overdue(cell, RuntimeError("prepare_handover_state was cancelled"))
                elif (raised := task.exception()) is not None:
                    self._overdue(cell, raised)
                else:
                    self._take(task.result())
        self._ready = list(self._holding.cells.values())
        if not handover:
            self._forgotten = [cell.child_id for cell in self._ready]
        self._moved(SourceEvent.COLLECTED)

    def _take(self, handed: tuple[str, bytes | None]) -> None:
        child, envelope = handed
        if envelope is not None:
            self._states[child] = envelope

    def _overdue(self, cell: Cell, error: BaseException) -> None:
        log.warning(
            "child %s stays on %s: its state could not be handed over: %s", cell.child_id, self._parts.node_name, error
        )
        self._pin(cell, f"its state could not be handed over: {error}", serving=True)

    async def _become_passive(self) -> None:
        if self._holding.active:
            self._holding.active = False
            await self._parts.supervisor.announce(self._ready, "passive")

    async def stop_children(self) -> None:
        await self._become_passive()
        self._stopped = True
        await self._parts.supervisor.endings.dispose(self._ready, "migrated")

    async def pass_token(self) -> bool:
        parts, holding = self._parts, self._holding
        await self._become_passive()
        holding.frozen = True
        await parts.committer.settled()
        for pin in self._stragglers.values():  # a commit that was repeated has raised the token
            pin.owner = replace(holding.owner, token=holding.owner.token + 1)
        effects = parts.committer.take(holding)
        handed = self._handed()
        try:
            word = "fenced" if holding.lost else await self._until_answered(with_handed(effects, handed))
        except Exception:
            # Nobody knows what was written. What is in memory now must never be saved without what was in hand.
            parts.given_up(holding)
            self._drop_stragglers()
            raise
        if word == "target_gone":
            # An earlier try whose answer was lost may still arrive, and find the target alive again.
            await parts.committer.renew([holding])
            word = "fenced" if holding.lost else word
        if word == "target_gone":
            self._moved(SourceEvent.TARGET_GONE)
            self._back(effects, handed)
            return False
        if word == "fenced":
            self._moved(SourceEvent.FENCED)
            parts.fenced(holding)
            self._drop_stragglers()
            return False
        self._moved(SourceEvent.PASSED)
        parts.passed(holding, list(self._stragglers.values()))
        for waiter in holding.waiters:
            waiter.cancel()
        return True

    def _drop_stragglers(self) -> None:
        supervisor = self._parts.supervisor
        for pin in self._stragglers.values():
            pin.lost = True
            for waiter in pin.waiters:
                waiter.cancel()
        left = [cell for pin in self._stragglers.values() for cell in pin.cells.values()]
        supervisor.background(supervisor.endings.dispose(left, "fenced"), "dropping stragglers")

    def _handed(self) -> Effects:
        """What the children give away: their states, and the messages that these hold."""
        handed = Effects(states=self._states, forgotten=self._forgotten)
        for cell in self._ready:
            if cell.unsaved and cell.child_id in self._asked:
                handed.done[cell.child_id] = cell.unsaved
        return handed

    async def _until_answered(self, effects: Effects) -> str:
        parts, holding = self._parts, self._holding
        command = pass_token(
            parts.keys, self.shard, holding.owner, self.target, self._incarnation, handover_id=self.handover_id,
            closed_at_ms=self._closed_at, pinned=self._why, effects=effects,
            events_kept=parts.config.events_kept,
        )  # fmt: skip
        while not parts.lease_over() and not holding.lost:
            try:
                return await parts.redis.run(command, retry_for=1.0)
            except RedisUnavailable as error:
                log.warning("shard %d: passing the token waits: %s", self.shard, error)
                await asyncio.sleep(0.2)
        return "fenced"

    def _back(self, effects: Effects, handed: Effects) -> None:
        """The target is gone: serve on, as if nothing had been begun."""
        holding = self._holding
        later, holding.effects = holding.effects, effects
        if not handed.forgotten:
            # States are saved all the same, and the messages they hold deleted: both, or neither.
            holding.effects.absorb(handed)
            for cell in self._ready:
                if cell.child_id in handed.done:
                    cell.unsaved = None
        holding.effects.absorb(later)
        for pin in self._stragglers.values():
            put_back(holding, pin)
        self._stragglers.clear()
        self._why.clear()
        holding.frozen = False
        if not holding.active:
            holding.active = True
            parts = self._parts
            parts.supervisor.background(parts.supervisor.announce(self._ready, "active"), "signals")
        if self._stopped:
            self._parts.rebuild(holding)
            return
        holding.open = True
        self._parts.hooks.intake(self.shard, True, "target gone")
        for cell in holding.cells.values():
            if cell.life is Life.RUNNING:
                self._parts.supervisor.runs.start(cell)
                self._parts.dispatcher.resume(cell)
        self._parts.reader.catch_up(holding)
        self._parts.committer.changed()

    def give_turn(self) -> None:
        """Nobody needs to wait for this shard any more."""
        if self._turn:
            self._turn = False
            self._parts.closing.give()

    def abandon(self) -> None:
        """Something went wrong before the token could pass: serve on."""
        if not self._holding.lost and not self._holding.open:
            self._back(Effects(), self._handed())

    async def await_confirmation(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(self.confirmed)
        except TimeoutError:
            return False
        finally:
            self.give_turn()
        return True

    def follow(self, retention: float) -> None:
        hooks = self._parts.hooks
        if self._stragglers and hooks.wants("forwarded_migration"):
            for child in self._stragglers:
                stays = ForwardedMigration(
                    hooks.hub_id, hooks.node, self.shard, self.target, child, serving=child in self._kept
                )
                hooks.fire("forwarded_migration", stays)
        for child, pin in self._stragglers.items():
            if child in self._wanted_here:
                self._parts.stragglers.keep(pin)
                continue
            self._parts.stragglers.follow(pin, retention, serving=child in self._kept)

    async def dispose(self) -> None:
        self.give_turn()
        if not self._stopped:
            await self._parts.supervisor.endings.dispose(self._ready, "migrated")
        self._moved(SourceEvent.DISPOSED)
