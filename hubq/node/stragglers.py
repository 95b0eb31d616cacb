"""Children that could not move with their shard: each follows alone."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from hubq.core.lifecycle import Life
from hubq.core.messages import StartChildren
from hubq.errors import RedisUnavailable
from hubq.node.holding import Cell, Holding
from hubq.store.control import send_control
from hubq.store.owners import read_owners, release_pin

if TYPE_CHECKING:
    from hubq.node.parts import Parts

log = logging.getLogger("hubq.node")

#: How often a child that could not start elsewhere is offered again, seconds.
RETRY = 15.0


class Stragglers:
    """The pins of a node and what they wait for."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.leaving = asyncio.Event()
        self._news = asyncio.Event()
        self.offers: dict[str, asyncio.Future[str]] = {}

    def follow(self, pin: Holding, retention: float, *, serving: bool) -> None:
        """Let a pinned child return to its shard: when its message is done, or, if it serves on, when it can start there."""
        pin.follows = True
        self._parts.supervisor.event("child_pinned", shard=pin.shard, child=pin.pinned or "", serving=int(serving))
        work = self._serve_until_possible(pin, retention) if serving else self._when_done(pin, retention)
        self._parts.supervisor.background(work, f"straggler {pin.pinned}")

    def keep(self, pin: Holding) -> None:
        """A child that is wanted here stays when its shard goes: serve on."""
        self._parts.supervisor.event("child_pinned", shard=pin.shard, child=pin.pinned or "", serving=1)
        self._serve(pin)

    def _serve(self, pin: Holding) -> None:
        pin.open = True
        for cell in pin.cells.values():
            if cell.life is Life.RUNNING:
                self._parts.supervisor.runs.start(cell)
                self._parts.dispatcher.resume(cell)

    async def give_back(self, pin: Holding) -> None:
        """A pin that is wanted here no more returns to its shard, with its state."""
        pin.open = False
        await self._when_done(pin, self._parts.moves.retention)

    async def _when_done(self, pin: Holding, retention: float) -> None:
        cell = next(iter(pin.cells.values()), None)
        if cell is None:
            await self._release(pin, None)  # it has ended meanwhile
            return
        supervisor = self._parts.supervisor
        waiting = asyncio.ensure_future(supervisor.saver.boundary(cell))
        done, _ = await asyncio.wait([waiting], timeout=retention)
        if not done and cell.in_thread and not self.leaving.is_set():
            # A thread cannot be cancelled: wait for it, but not when this process is about to end.
            leaving = asyncio.ensure_future(self.leaving.wait())
            await asyncio.wait([waiting, leaving], return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
        if not waiting.done():
            if cell.busy is not None:
                log.warning(
                    "child %s is busy for longer than retention=%g s: its message is undone and moves with it",
                    cell.child_id,
                    retention,
                )
                cell.busy.cancel()
            elif cell.life is Life.STARTING:
                cell.holding.open = False
            await asyncio.wait([waiting], timeout=1.0)
            waiting.cancel()
        await self._release(pin, cell)

    async def _serve_until_possible(self, pin: Holding, retention: float) -> None:
        self._serve(pin)
        while not pin.lost and pin.cells:
            (cell,) = pin.cells.values()
            leaving = await self._left_or_news(RETRY)
            if not leaving and self._parts.places.here(cell):
                pin.follows = False  # it is wanted here by now: not a straggler any more
                return
            if not leaving and not await self._can_start(pin, cell):
                continue
            pin.open = False
            await self._when_done(pin, retention)
            return
        if not pin.lost:
            await self._release(pin, None)

    async def _left_or_news(self, within: float) -> bool:
        """Wait until this node is leaving (True), or until it is worth another try (False)."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.leaving, self._news)]
        await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return self.leaving.is_set()

    def news(self) -> None:
        """Nodes have come or gone, or somebody was moved by hand: what could not start then may start now."""
        self._news.set()
        self._news = asyncio.Event()

    async def _can_start(self, pin: Holding, cell: Cell) -> bool:
        parts = self._parts
        try:
            owner = (await parts.redis.run(read_owners(parts.keys))).shards.get(pin.shard)
            if owner is None or owner.node in ("-", parts.node_name):
                return owner is not None and owner.node == parts.node_name
            wish = parts.places.wish(cell.child_id, cell.record)
            if wish is not None and wish.node not in (owner.node, parts.node_name) and parts.places.is_up(wish.node):
                return True  # its way there is by its shard
            offer_id = f"{cell.child_id}@{parts.now()}"
            answer = self.offers[offer_id] = asyncio.get_running_loop().create_future()
            message = StartChildren(parts.node_name, pin.shard, offer_id, cell.child_id)
            try:
                await parts.redis.run(send_control(parts.keys, owner.node, message), retry_for=1.0)
                failed: str = await asyncio.wait_for(answer, RETRY)
            finally:
                self.offers.pop(offer_id, None)
        except (TimeoutError, RedisUnavailable):
            return False
        return not failed

    async def _release(self, pin: Holding, cell: Cell | None) -> None:
        parts = self._parts
        closed_at = parts.redis_now_ms()
        pin.open = False
        if pin.lost:
            return
        try:
            if cell is not None and cell.busy is None and cell.life is Life.RUNNING:
                data_wait = parts.moves.handover_data_wait
                child, envelope = await asyncio.wait_for(parts.supervisor.saver.hand_over(cell, True), data_wait)
                if envelope is not None:
                    pin.effects.states[child] = envelope
                if cell.unsaved:
                    pin.effects.done.setdefault(child, []).extend(cell.unsaved)
        except Exception as error:
            log.error("child %s moves with its last commit; its state could not be taken: %r", pin.pinned, error)
        pin.active = False
        await parts.supervisor.announce([cell] if cell is not None else [], "passive")
        pin.frozen = True
        await parts.committer.settled()
        effects = parts.committer.take(pin)
        command = release_pin(
            parts.keys, pin.shard, pin.pinned or "", pin.owner, closed_at_ms=closed_at, effects=effects,
            events_kept=parts.config.events_kept,
        )  # fmt: skip
        while not parts.lease_over() and not pin.lost:
            try:
                word = await parts.redis.run(command, retry_for=1.0)
            except RedisUnavailable as error:
                log.warning("releasing the pin of %s waits: %s", pin.pinned, error)
                await asyncio.sleep(0.2)
                continue
            log.debug("pin of %s: %s", pin.pinned, word)
            break
        parts.drop(pin)
        await parts.supervisor.endings.dispose([cell] if cell is not None else [], "migrated")
        parts.kick()
