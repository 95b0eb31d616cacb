"""The end of children: for good, or only here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hubq.core.lifecycle import Life, LifeEvent
from hubq.node.holding import Cell, Holding
from hubq.node.state import overrides
from hubq.store.codec import encode
from hubq.store.mailbox import Message, reply_line
from hubq.store.spec_record import SpecRecord

if TYPE_CHECKING:
    from hubq.node.supervisor import Supervisor

log = logging.getLogger("hubq.node")


class Endings:
    """How children of a node end."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def forget(self, holding: Holding, child_id: str, record: SpecRecord) -> None:
        """A child that never started, or has ended, goes with the next commit."""
        holding.effects.ended[child_id] = record.start_id
        if holding.recorder is not None:
            holding.recorder.ended(holding, child_id, record.start_id)
        holding.effects.states.pop(child_id, None)
        holding.effects.parked.pop(child_id, None)
        self._supervisor.changed()

    def stop_requested(self, cell: Cell) -> None:
        """``self.stop()`` of a child, or a stop message."""
        cell.stopping = True
        if cell.busy is None and cell.life is not Life.BUILT:
            self.end(cell)

    def stop_requested_now(self, cell: Cell) -> None:
        """A stop message's turn has come, or ``stop()`` was called in the handler that has just ended."""
        self.end(cell)

    def stop_parked(self, cell: Cell, message: Message) -> None:
        """A stop message for a child that cannot run: it ends, and what waits for it is refused."""
        holding = cell.holding
        holding.effects.done.setdefault(cell.child_id, []).append(message.entry)
        if message.reply_to:
            line = reply_line(message.id, "ok", self._supervisor.node_name, encode(True))
            holding.effects.replies.setdefault(message.reply_to, []).append(line)
        self.end(cell)
        self._supervisor.read_orphans(holding, cell.child_id)

    def end(self, cell: Cell) -> None:
        """The child ends for good: what waits for it is refused, spec and state go with the next commit."""
        supervisor = self._supervisor
        if cell.life is Life.ENDED:
            return
        holding = cell.holding
        for message in cell.queue or ():
            supervisor.reject(
                cell, message, "unknown_child", f"child {cell.child_id!r} was stopped before this message's turn"
            )
        if cell.unsaved:
            holding.effects.done.setdefault(cell.child_id, []).extend(cell.unsaved)
            cell.unsaved = None
        if cell.save_timer is not None:
            cell.save_timer.cancel()
            cell.save_timer = None
        self.forget(holding, cell.child_id, cell.record)
        self.remove(cell)
        if cell.run_task is not None or overrides(cell.kind, "on_stop"):
            supervisor.background(self._dispose(cell, "stopped"), f"stopping child {cell.child_id}")
        if cell.child_id not in supervisor.quiet:
            supervisor.event("child_stopped", child=cell.child_id, shard=holding.shard)
        supervisor.hooks.ended(holding, cell.child_id)
        if holding.pinned is not None:
            supervisor.pin_empty()

    def remove(self, cell: Cell) -> None:
        """Take a child out of its holding."""
        if cell.life is Life.PARKED:
            self.forget(cell.holding, cell.child_id, cell.record)
        if cell.life is not Life.ENDED:
            cell.moved(LifeEvent.END)
        self._supervisor.wake(cell)
        cell.queue = None
        cell.holding.cells.pop(cell.child_id, None)

    async def _dispose(self, cell: Cell, reason: str) -> None:
        await self._supervisor.saver.end_run(cell)
        await self.on_stop(cell, reason)

    async def on_stop(self, cell: Cell, reason: str) -> None:
        """Ask the child to let go of what it holds, within ``stop_timeout``."""
        if cell.instance is None or not overrides(cell.kind, "on_stop"):
            return
        try:
            async with asyncio.timeout(self._supervisor.config.stop_timeout):
                await cell.instance.on_stop(reason)
        except TimeoutError:
            log.warning(
                "on_stop of child %s took longer than %g s", cell.child_id, self._supervisor.config.stop_timeout
            )
        except Exception as error:
            log.warning("on_stop of child %s raised", cell.child_id, exc_info=error)

    async def dispose(self, cells: Iterable[Cell], reason: str) -> None:
        """End these children here (they live on elsewhere, or are parked), all at once."""
        work = []
        for cell in cells:
            if cell.save_timer is not None:
                cell.save_timer.cancel()
                cell.save_timer = None
            if cell.busy is not None:
                cell.busy.cancel()
            if cell.life is not Life.ENDED:
                cell.moved(LifeEvent.END)
            self._supervisor.wake(cell)
            cell.queue = None
            if cell.run_task is not None or overrides(cell.kind, "on_stop"):
                work.append(self._dispose(cell, reason))
        if work:
            await asyncio.gather(*work, return_exceptions=True)
