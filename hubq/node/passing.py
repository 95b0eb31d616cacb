"""A hot swap of single children: from their shard here to a pin on another node, while the shard stays and serves."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING

from hubq.core.lifecycle import Life
from hubq.core.messages import ChildStartResp, StartChildren
from hubq.errors import RedisUnavailable
from hubq.node.aside import put_back, set_aside
from hubq.node.holding import Cell, Holding
from hubq.store.control import send_control
from hubq.store.effects import Effects, with_handed
from hubq.store.owners import Owner
from hubq.store.places import pass_children

if TYPE_CHECKING:
    from hubq.node.parts import Parts

log = logging.getLogger("hubq.node")


class Passing:
    """Some children of one shard on their way to one node. ``resp`` and ``confirmed`` are set by control messages."""

    def __init__(self, parts: Parts, holding: Holding, target: str, incarnation: int, children: list[str]) -> None:
        loop = asyncio.get_running_loop()
        self.handover_id = secrets.token_hex(8)
        self.resp: asyncio.Future[ChildStartResp] = loop.create_future()
        self.confirmed: asyncio.Future[None] = loop.create_future()
        self.failed: dict[str, str] = {}
        """The children that stay, and why."""
        self.passed = False
        """The others have another owner now."""
        self.target = target
        self._parts = parts
        self._holding = holding
        self._incarnation = incarnation
        self._children = children
        self._aside: dict[str, Holding] = {}
        self._states: dict[str, bytes] = {}
        self._asked: set[str] = set()
        self._retention = parts.moves.retention
        self._data_wait = parts.moves.handover_data_wait
        self._build_wait = parts.moves.child_migration_timeout
        self._with_state = parts.moves.handover

    async def run(self) -> None:
        """Pass them, or leave each of them where it is with a reason in ``failed``."""
        holding = self._holding
        holding.leaving.update(self._children)
        try:
            if await self._build():
                closed_at = self._parts.redis_now_ms()
                await self._close()
                await self._collect()
                await self._pass(closed_at)
        finally:
            if not holding.lost:
                holding.frozen = False
                self._all_back()
            holding.leaving.difference_update(self._children)

    def _still_going(self) -> list[str]:
        return [child for child in self._children if child not in self.failed]

    async def _build(self) -> bool:
        parts = self._parts
        message = StartChildren(parts.node_name, self._holding.shard, self.handover_id, "\n".join(self._children))
        try:
            async with asyncio.timeout(self._build_wait):
                await parts.redis.run(send_control(parts.keys, self.target, message), retry_for=self._build_wait)
                answer = await self.resp
        except (TimeoutError, RedisUnavailable):
            self._fail_all(f"{self.target} did not build it within {self._build_wait:g} s")
            return False
        reasons = answer.reasons.split("\n")
        for number, child in enumerate(child for child in answer.failed.split("\n") if child):
            reason = reasons[number] if number < len(reasons) else ""
            self.failed[child] = f"cannot start on {self.target}: {reason}"
        return bool(self._still_going()) and not self._holding.lost

    def _fail_all(self, reason: str) -> None:
        for child in self._still_going():
            self.failed[child] = reason

    async def _close(self) -> None:
        waits: dict[str, asyncio.Future[None]] = {}
        for child in self._still_going():
            cell = self._holding.cells.get(child)
            if cell is None:
                if child not in self._holding.unplaced:
                    self.failed[child] = "it has ended"
                continue
            self._aside[child] = set_aside(self._parts, self._holding, cell)
            if cell.busy is not None or cell.life is Life.STARTING:
                waits[child] = asyncio.ensure_future(self._parts.supervisor.saver.boundary(cell))
        if not waits:
            return
        await asyncio.wait(waits.values(), timeout=self._retention)
        for child, wait in waits.items():
            (cell,) = self._aside[child].cells.values() or (None,)
            if wait.done() or cell is None:
                continue
            if cell.in_thread or cell.busy is None:
                wait.cancel()
                self._stays(child, f"busy for longer than retention={self._retention:g} s")
                continue
            log.warning("child %s is busy for too long: its message is undone and moves with it", child)
            cell.busy.cancel()
            await asyncio.wait([wait], timeout=1.0)
            wait.cancel()

    async def _collect(self) -> None:
        saver = self._parts.supervisor.saver
        asked: dict[asyncio.Task[tuple[str, bytes | None]], str] = {}
        for child, pin in list(self._aside.items()):
            for cell in pin.cells.values():
                if cell.life is Life.RUNNING and cell.busy is None:
                    asked[asyncio.ensure_future(saver.hand_over(cell, self._with_state))] = child
        if not asked:
            return
        await asyncio.wait(asked, timeout=self._data_wait)
        for task, child in asked.items():
            if not task.done():
                task.cancel()
                self._stays(child, f"its state could not be handed over: nothing within {self._data_wait:g} s")
            elif task.cancelled():
                self._stays(child, "prepare_handover_state was cancelled")
            elif (raised := task.exception()) is not None:
                self._stays(child, f"its state could not be handed over: {type(raised).__name__}: {raised}")
            else:
                self._asked.add(child)
                envelope = task.result()[1]
                if envelope is not None:
                    self._states[child] = envelope

    def _stays(self, child: str, reason: str) -> None:
        self.failed[child] = reason
        self._back(self._aside.pop(child))

    async def _pass(self, closed_at: float) -> None:
        parts, holding, going = self._parts, self._holding, self._still_going()
        if not going or holding.lost:
            return
        leaving = [cell for pin in self._aside.values() for cell in pin.cells.values()]
        for pin in self._aside.values():
            pin.active = False
        await parts.supervisor.announce(leaving, "passive")
        holding.frozen = True
        await parts.committer.settled()
        effects = parts.committer.take(holding)
        gone: list[Cell] = []
        handed = Effects(states=self._states)
        for pin in self._aside.values():
            effects.absorb(pin.effects)
            pin.effects = Effects()
            for child, cell in pin.cells.items():
                gone.append(cell)
                if child in self._asked:
                    if cell.unsaved:
                        handed.done[child] = cell.unsaved
                    if not self._with_state:
                        handed.forgotten.append(child)
        try:
            both = with_handed(effects, handed)
            word = "fenced" if holding.lost else await self._until_answered(going, closed_at, both)
        except Exception:
            # Nobody knows what was written. What is in memory now must never be saved without what was in hand.
            self._let_go()
            parts.given_up(holding)
            parts.supervisor.background(parts.supervisor.endings.dispose(gone, "fenced"), "dropping children")
            raise
        if word == "target_gone":
            # An earlier try whose answer was lost may still arrive, and find the target alive again.
            await parts.committer.renew([holding])
            word = "fenced" if holding.lost else word
        if word == "passed":
            self.passed = True
            own = holding.owner
            holding.owner = Owner(own.node, own.incarnation, own.token + 1)
            parts.tokens[holding.shard] = holding.owner.token
            parts.counters.moved_out += len(going)
            for child in going:
                holding.unplaced.pop(child, None)
            self._let_go()
            holding.frozen = False
            parts.committer.changed()
            parts.supervisor.background(self._dispose(gone), "ending children that have moved")
        elif word == "target_gone":
            self._fail_all(f"{self.target} has gone")
            await parts.supervisor.announce(leaving, "active")
            later, holding.effects = holding.effects, effects
            if not handed.forgotten:
                # States are saved all the same, and the messages they hold deleted: both, or neither.
                holding.effects.absorb(handed)
                for cell in gone:
                    if cell.child_id in handed.done:
                        cell.unsaved = None
            holding.effects.absorb(later)
            holding.frozen = False
            parts.committer.changed()
        else:
            self._fail_all("its shard has another owner now")
            self._let_go()
            parts.fenced(holding)
            parts.supervisor.background(parts.supervisor.endings.dispose(gone, "fenced"), "dropping children")

    def _let_go(self) -> None:
        """The children are here no more, and what still waits for them here must know."""
        for pin in self._aside.values():
            pin.lost = True
            for waiter in pin.waiters:
                waiter.cancel()
        self._aside.clear()

    async def _dispose(self, gone: list[Cell]) -> None:
        if self._parts.moves.confirm_handover:
            await asyncio.wait([self.confirmed], timeout=self._build_wait)
        await self._parts.supervisor.endings.dispose(gone, "migrated")

    async def _until_answered(self, going: list[str], closed_at: float, effects: Effects) -> str:
        parts, holding = self._parts, self._holding
        command = pass_children(
            parts.keys, holding.shard, holding.owner, self.target, self._incarnation, going,
            handover_id=self.handover_id, closed_at_ms=closed_at, effects=effects, events_kept=parts.config.events_kept,
        )  # fmt: skip
        while not parts.lease_over():
            try:
                return await parts.redis.run(command, retry_for=1.0)
            except RedisUnavailable as error:
                log.warning("shard %d: passing children waits: %s", holding.shard, error)
                await asyncio.sleep(0.2)
        return "fenced"

    def _all_back(self) -> None:
        for pin in self._aside.values():
            self._back(pin)
        self._aside.clear()

    def _back(self, pin: Holding) -> None:
        holding, parts = self._holding, self._parts
        put_back(holding, pin)
        for cell in pin.cells.values():
            if cell.life is Life.RUNNING:
                parts.supervisor.runs.start(cell)
                parts.dispatcher.resume(cell)
        parts.reader.catch_up(holding)
        parts.committer.changed()
