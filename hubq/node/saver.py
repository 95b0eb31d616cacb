"""Takes and saves children's states: at message boundaries, when a child asks, now and then, and when it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from hubq.config import Config
from hubq.core.lifecycle import Life
from hubq.node.holding import Cell, Holding
from hubq.node.state import HANDED, envelope_of, overrides, take_state, takes_boundaries
from hubq.store.codec import encode_state


class Saver:
    """Puts states into the effects of holdings, for the next commit."""

    def __init__(self, config: Config, background: Callable[[Awaitable[Any], str], object]) -> None:
        self.changed: Callable[[], None] = lambda: None  # set by the node: something to commit
        self._config = config
        self._background = background

    async def boundary(self, cell: Cell) -> None:
        """Wait until the child is between two messages (or has started)."""
        while cell.busy is not None or cell.life is Life.STARTING:
            if cell.idle is None:
                cell.idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(cell.idle)

    async def started(self, cell: Cell) -> None:
        """Wait until the child has started. (Not for a boundary: its first message may be in hand by then, and wait.)"""
        while cell.life is Life.STARTING:
            if cell.idle is None:
                cell.idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(cell.idle)

    async def drained(self, cell: Cell) -> None:
        """Wait until a copy has handled all that it has."""
        while (cell.queue or cell.busy is not None) and cell.holding.open:
            if cell.busy is None:
                await asyncio.sleep(0.001)  # its turn comes
            else:
                await self.boundary(cell)

    async def committed(self, holding: Holding) -> None:
        """Wait for the holding's next commit."""
        waiter = asyncio.get_running_loop().create_future()
        holding.waiters.append(waiter)
        self.changed()
        await waiter

    async def commit_child(self, cell: Cell) -> None:
        """``await self.commit()`` of a child."""
        if cell.busy is asyncio.current_task():
            return  # inside a handler: the commit that ends its message holds everything
        if cell.life is not Life.STARTING:  # on_start may commit, too
            await self.boundary(cell)
        self.save(cell)
        await self.committed(cell.holding)

    def save(self, cell: Cell) -> None:
        """Put the child's state into the next commit, and with it the messages it holds. Call at a boundary."""
        state = take_state(cell, self._config.max_state_bytes)
        unexplained = state != cell.boundary  # no message has made it so
        if unexplained or not cell.saved:
            cell.boundary, cell.saved = state, True
            cell.holding.effects.states[cell.child_id] = envelope_of(cell, state)
            if unexplained and cell.holding.recorder is not None:
                cell.holding.recorder.state(cell)
        self._holds(cell)

    def save_boundary(self, cell: Cell) -> None:
        """Put the state of the last message boundary into the next commit, and the messages it holds. At any time."""
        if cell.boundary is not None and not cell.saved:
            cell.saved = True
            cell.holding.effects.states[cell.child_id] = envelope_of(cell, cell.boundary)
        self._holds(cell)

    def _holds(self, cell: Cell) -> None:
        """The saved state holds every message that is done: they go with the commit that saves it."""
        if cell.unsaved:
            cell.holding.effects.done.setdefault(cell.child_id, []).extend(cell.unsaved)
            cell.unsaved = None
        if cell.save_timer is not None:
            cell.save_timer.cancel()
            cell.save_timer = None
        self.changed()

    def interval_progress(self, cell: Cell) -> None:
        """``durability="interval"``: another message is done and waits for the next save."""
        assert cell.unsaved is not None
        if len(cell.unsaved) >= cell.kind.save_after:
            self._background(self._save_soon(cell), "saving")
        elif cell.save_timer is None:
            self._arm(cell)

    def _arm(self, cell: Cell) -> None:
        cell.save_timer = asyncio.get_running_loop().call_later(cell.kind.save_every, self._due, cell)

    def _due(self, cell: Cell) -> None:
        cell.save_timer = None  # the next message sets another, whatever becomes of this one
        self._background(self._save_soon(cell), "saving")

    async def _save_soon(self, cell: Cell) -> None:
        await self.boundary(cell)
        if cell.holding.lost or cell.life is not Life.RUNNING:
            return
        if not cell.holding.frozen:
            self.save(cell)
        elif cell.save_timer is None:
            self._arm(cell)  # it is about to move, and may stay after all

    async def hand_over(self, cell: Cell, with_state: bool) -> tuple[str, bytes | None]:
        """End ``run()`` and take what the child hands over: (child, envelope or None if msk has it already).

        Raises what ``prepare_handover_state`` raises, or that its result cannot be saved.
        """
        await self.end_run(cell)
        if not with_state:
            return cell.child_id, None
        assert cell.instance is not None
        if cell.abandoned and takes_boundaries(cell):
            # Its thread still runs and may change the instance: the last message boundary is what moves.
            return cell.child_id, envelope_of(cell, cell.boundary) if cell.boundary is not None else None
        if overrides(cell.kind, "prepare_handover_state"):
            handed = cell.instance.prepare_handover_state()
            if isawaitable(handed):
                handed = await handed
            data = encode_state(handed, self._config.max_state_bytes, cell.child_id)
            return cell.child_id, envelope_of(cell, data, HANDED)
        data = take_state(cell, self._config.max_state_bytes)
        if cell.saved and data == cell.boundary and cell.child_id not in cell.holding.effects.states:
            return cell.child_id, None
        return cell.child_id, envelope_of(cell, data)

    async def end_run(self, cell: Cell) -> None:
        """Cancel the child's loop and wait until it has ended."""
        task = cell.run_task
        if task is not None and task is not asyncio.current_task() and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=self._config.stop_timeout)
        if cell.run_task is task and (task is None or task.done()):
            cell.run_task = None
