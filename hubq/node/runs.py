"""A child's own loop, ``run()``: begun, ended, and the child restarted by its policy."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from hubq.core.child import FunctionChild
from hubq.core.lifecycle import Life, LifeEvent, RestartBudget, restarts
from hubq.errors import RedisUnavailable, StartFailed
from hubq.node.holding import Cell
from hubq.store.registry import read_state

if TYPE_CHECKING:
    from hubq.node.supervisor import Supervisor

log = logging.getLogger("hubq.node")


class Runs:
    """The ``run()`` of the children of a node."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.intake = asyncio.Event()  # cleared while the hub has no quorum
        self.intake.set()
        self._held_back: dict[Cell, None] = {}  # children whose run() waits for it

    def start(self, cell: Cell) -> None:
        """Start the child's own loop, if it has one. One that is slow to end after a cancellation is waited for: a child
        never has two.
        """
        if not hasattr(cell.kind, "run") or cell.life is not Life.RUNNING:
            return
        if not self.intake.is_set():
            self._held_back[cell] = None
        elif cell.run_task is None or cell.run_task.done():
            cell.run_task = self._supervisor.background(self._run(cell), f"run() of child {cell.child_id}")
        elif cell.run_task.cancelling():
            cell.run_task.add_done_callback(lambda _: self.start(cell) if cell.holding.open else None)

    def hold_back(self) -> None:
        """The hub has no quorum: every ``run()`` is cancelled, as for a handover, and none begins."""
        supervisor = self._supervisor
        self.intake.clear()
        for cell in [cell for cell in supervisor.children() if cell.run_task is not None and not cell.run_task.done()]:
            self._held_back[cell] = None
            supervisor.background(supervisor.saver.end_run(cell), f"ending run() of child {cell.child_id}")

    def go_on(self) -> None:
        """The hub has its quorum again: ``run()`` begins anew, with the state as it was left."""
        self.intake.set()
        waiting, self._held_back = self._held_back, {}
        for cell in waiting:
            if cell.holding.open and not cell.holding.lost:  # else it begins when the shard opens
                self.start(cell)

    async def _run(self, cell: Cell) -> None:
        instance: Any = cell.instance
        failed = False
        try:
            await instance.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failed = True
            log.warning("run() of child %s raised", cell.child_id, exc_info=error)
        cell.run_task = None
        if cell.life is not Life.RUNNING or not cell.holding.open:
            return
        restart = cell.record.restart or "permanent"
        is_function = issubclass(cell.kind, FunctionChild)
        if not failed and not is_function:
            return  # its loop is done; the child lives on and answers
        if not restarts(restart, failed):
            self._supervisor.endings.stop_requested(cell)
            return
        if cell.budget is None:
            cell.budget = RestartBudget(cell.kind.max_restarts, cell.kind.restart_within)
        if not cell.budget.spend(asyncio.get_running_loop().time()):
            cell.moved(LifeEvent.FAILED)
            self._supervisor.park(
                cell,
                f"run() ended more than {cell.kind.max_restarts} times in {cell.kind.restart_within:g} s",
            )
            return
        await self.restart(cell)

    def _still_restarting(self, cell: Cell) -> bool:
        return cell.life is Life.BUILT

    async def restart(self, cell: Cell) -> None:
        """Build the child anew from its last commit."""
        supervisor = self._supervisor
        if cell.life is not Life.RUNNING or cell.holding.lost:
            return
        cell.moved(LifeEvent.RESTART)  # no handler starts from here on, and no other run()
        await supervisor.saver.boundary(cell)
        if cell.holding.lost or not self._still_restarting(cell):
            return
        # Not only what is to be committed: a commit that is under way must be in Redis before its state is read.
        await supervisor.saver.committed(cell.holding)
        command = read_state(supervisor.keys, cell.holding.shard, cell.child_id)
        while not cell.holding.lost and self._still_restarting(cell):
            try:
                envelope = await supervisor.redis.run(command, retry_for=supervisor.config.lease)
                break
            except RedisUnavailable as error:  # no reason to park it: it may go on when Redis does
                log.warning("the restart of child %s waits: %s", cell.child_id, error)
                await asyncio.sleep(0.2)
        else:
            return
        await supervisor.endings.on_stop(cell, "restart")
        if cell.holding.lost or not self._still_restarting(cell):
            return
        try:
            fresh = supervisor.build(cell.holding, cell.child_id, cell.record)
        except StartFailed as error:
            cell.moved(LifeEvent.FAILED)
            supervisor.park(cell, str(error))
            return
        cell.instance, cell.boundary, cell.saved = fresh.instance, None, False
        assert cell.instance is not None
        cell.instance._host = cell
        supervisor.event("child_restarted", child=cell.child_id, shard=cell.holding.shard)
        if cell.unsaved:
            # durability="interval": what it did since its last save is undone, and its messages come again.
            cell.unsaved, cell.queue = None, None
            supervisor.read_again(cell, b"0")
        supervisor.begin(cell, envelope)
        supervisor.hooks.pids_updated(cell.holding, (cell.child_id,), "restarted")
