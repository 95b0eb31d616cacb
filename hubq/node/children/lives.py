"""The lives of children: they get their state, start, have their own loop ``run()``, and are restarted by their policy."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from hubq.core.child import FunctionChild
from hubq.core.lifecycle import Life, LifeEvent, restarts
from hubq.errors import RedisUnavailable, StartFailed
from hubq.node.children.around import Around
from hubq.node.children.builder import Builder
from hubq.node.children.endings import Endings
from hubq.node.children.parking import Parking
from hubq.node.children.pausing import Pausing
from hubq.node.children.pumps import Pumps
from hubq.node.children.saver import Saver
from hubq.node.children.signals import Signals
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import HostedChild
from hubq.node.held.idleness import Idleness
from hubq.node.held.register import Register
from hubq.node.held.state import overrides, restore
from hubq.node.runtime.background import Background
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.gate import Gate
from hubq.node.runtime.group import Group
from hubq.node.runtime.hook_runner import HookRunner
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.raised import in_short
from hubq.node.runtime.tasks import LETTING_GO, shaken_off, torn_down
from hubq.store.envelope import Envelope
from hubq.store.registry import read_state

log = logging.getLogger("hubq.node")

#: A message of an earlier owner may be this much later than Redis TIME as this node knows it, ms: more than clocks differ.
CLOCKS_DIFFER = 1000
#: How long on_start may take before the log says so, seconds.
PATIENCE = 30.0


class Lives:
    """Begins children, and runs their loops."""

    def __init__(
        self, group: Group, background: Background, events: EventLog, hooks: HookRunner, gate: Gate, register: Register,
        cursors: Cursors, queue: CommitQueue, saver: Saver, signals: Signals, endings: Endings, builder: Builder,
        parking: Parking, pumps: Pumps, pieces: Pieces, around: Around, idleness: Idleness, pausing: Pausing,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._events = events
        self._hooks = hooks
        self._gate = gate
        self._register = register
        self._cursors = cursors
        self._queue = queue
        self._saver = saver
        self._signals = signals
        self._endings = endings
        self._builder = builder
        self._parking = parking
        self._pumps = pumps
        self._pieces = pieces
        self._around = around
        self._idleness = idleness
        self._pausing = pausing
        self._starting: dict[HostedChild, asyncio.Task[Any]] = {}  # whose on_start has not ended
        self._held_back: dict[HostedChild, None] = {}  # children whose run() waits for the gate

    # -- its begin -------------------------------------------------------------------------------------------------

    def begin(self, hosted: HostedChild, envelope: Envelope | None, *, first: bool = False) -> None:
        """Give a built child its state and start it; its intake opens when ``on_start`` is done. ``first``: no node has
        ever had it.
        """
        if not first:
            self.goes_on(hosted)
        try:
            if envelope is not None:
                restore(hosted, envelope)
        except BaseException as error:
            if torn_down(error):
                raise
            hosted.moved(LifeEvent.FAILED)
            self._parking.park(hosted, f"its state cannot be restored: {in_short(error)}", error)
            return
        hosted.moved(LifeEvent.RESTORED)
        if overrides(hosted.kind, "on_start") or self._signals.hears(hosted):
            task = self._background.run(self._on_start(hosted), f"on_start of child {hosted.child_id}")
            self._starting[hosted] = task
            task.add_done_callback(lambda _: self._starting.pop(hosted, None))
        else:
            self._started(hosted)

    async def end_start(self, hosted: HostedChild) -> None:
        """End ``on_start`` of a child that has ended."""
        task = self._starting.get(hosted)
        if task is not None:
            task.cancel()
            if (await asyncio.wait([task], timeout=LETTING_GO))[1]:
                log.warning("%s goes on though it was cancelled: let CancelledError through", task.get_name())

    def goes_on(self, hosted: HostedChild) -> None:
        """Another node had the child before. With ``durability="interval"``, messages that it has answered since its last save
        come again.
        """
        if hosted.kind.durability == "interval":
            now_ms = self._group.standing.redis_now_ms()
            hosted.holding.replays_before(hosted.child_id, now_ms + CLOCKS_DIFFER)

    async def _on_start(self, hosted: HostedChild) -> None:
        assert hosted.instance is not None
        patience = asyncio.get_running_loop().call_later(PATIENCE, _not_started, hosted.child_id)
        try:
            await self._pieces.turn()
            await self._around.on_start(hosted)
            await self._signals.announce([hosted], "active")
        except BaseException as error:
            if torn_down(error) or (isinstance(error, asyncio.CancelledError) and self._background.ended):
                raise
            if hosted.life is Life.STARTING:
                hosted.moved(LifeEvent.FAILED)
                self._parking.park(hosted, f"on_start raised {in_short(error)}", error)
            return
        finally:
            patience.cancel()
        if hosted.life is Life.STARTING:
            self._started(hosted)

    def _started(self, hosted: HostedChild) -> None:
        hosted.moved(LifeEvent.STARTED)
        if hosted.stopping:
            self._endings.end(hosted)
            return
        self.began(hosted)

    def began(self, hosted: HostedChild) -> None:
        """A child runs here now; its loop and its messages may begin (once its holding is open)."""
        if self._idleness.concerns(hosted.kind):
            self._idleness.began(hosted, self._group.standing.redis_now_ms())
        recorder = hosted.holding.recorder
        if recorder.records:
            recorder.begun(hosted)
            self._queue.changed()
        if hosted.kind._reads is not None and hosted.boundary is None:
            self._saver.take_first(hosted)  # before run() changes anything
        self._pausing.heed(hosted)
        self.start_run(hosted)
        self._pumps.resume(hosted)

    # -- its run() -------------------------------------------------------------------------------------------------

    def start_run(self, hosted: HostedChild) -> None:
        """Start the child's own loop, if it has one. A child never has two: a loop that was cancelled and has not ended yet
        is waited for.
        """
        if not hasattr(hosted.kind, "run") or hosted.life is not Life.RUNNING:
            return
        if self._gate.closed:
            self._held_back[hosted] = None
        elif hosted.run_task is None or hosted.run_task.done():
            hosted.runs(self._background.run(self._run(hosted), f"run() of child {hosted.child_id}"))
        elif hosted.run_task.cancelling():
            hosted.run_task.add_done_callback(partial(self._run_has_ended, hosted))

    def _run_has_ended(self, hosted: HostedChild, _: asyncio.Task[Any]) -> None:
        if hosted.holding.open:
            self.start_run(hosted)

    def hold_back(self) -> None:
        """The hub has no quorum: every ``run()`` is cancelled, as in a handover, and none begins."""
        self._gate.close()
        running = [h for h in self._register.children() if h.run_task is not None and not h.run_task.done()]
        for hosted in running:
            self._held_back[hosted] = None
            self._background.run(self._saver.end_run(hosted), f"ending run() of child {hosted.child_id}")

    def go_on(self) -> None:
        """The hub has its quorum again: ``run()`` begins anew, with the state as it was left."""
        self._gate.open()
        waiting, self._held_back = self._held_back, {}
        for hosted in waiting:
            if hosted.holding.open:  # else it begins when the shard opens
                self.start_run(hosted)

    async def _run(self, hosted: HostedChild) -> None:
        failed = False
        try:
            await self._pieces.turn()
            await self._around.run(hosted)
        except BaseException as error:
            task = asyncio.current_task()
            ends = self._background.ended or self._saver.ends_run(task)
            if torn_down(error) or (isinstance(error, asyncio.CancelledError) and ends):
                raise
            failed = True
            log.warning("run() of child %s raised", hosted.child_id, exc_info=error)
            if task is not None and task.cancelling() and not ends:
                await shaken_off(task)
        hosted.runs(None)
        if hosted.life is not Life.RUNNING or not hosted.holding.open:
            return
        kind = hosted.kind
        if not failed and not issubclass(kind, FunctionChild):
            return  # its loop is done; the child lives on and answers
        if not restarts(hosted.record.restart or "permanent", failed):
            self._endings.stop_requested(hosted)
            return
        if not hosted.may_restart(asyncio.get_running_loop().time()):
            hosted.moved(LifeEvent.FAILED)
            often = f"run() ended more than {kind.max_restarts} times in {kind.restart_within:g} s"
            self._parking.park(hosted, often)
            return
        await self.restart(hosted)

    # -- its restart -----------------------------------------------------------------------------------------------

    async def restart(self, hosted: HostedChild) -> None:
        """Build the child anew from its last commit."""
        if hosted.life is not Life.RUNNING or hosted.holding.gone:
            return
        hosted.moved(LifeEvent.RESTART)  # no handler starts from here on, and no other run()
        await self.rebuild(hosted)

    async def rebuild(self, hosted: HostedChild) -> None:
        """Build a child that handles nothing any more from its last commit."""
        await self._saver.end_run(hosted)
        await hosted.at_boundary()
        if not _still_restarting(hosted):
            return
        # A commit that is under way must be in Redis before the state is read: wait for the next one, even if it is empty.
        await self._saver.committed(hosted.holding)
        group = self._group
        command = read_state(group.keys, hosted.holding.shard, hosted.child_id)
        while _still_restarting(hosted):
            try:
                envelope = await group.redis.run(command, retry_for=group.config.lease)
                break
            except RedisUnavailable as error:  # no reason to park it: it goes on when Redis is back
                log.warning("the restart of child %s waits: %s", hosted.child_id, error)
                await asyncio.sleep(0.2)
        else:
            return
        # A task of its own: if it cancels that, the restart goes on.
        await asyncio.gather(self._endings.on_stop(hosted, "restart"), return_exceptions=True)
        await self._pieces.turn()
        if _still_restarting(hosted):
            self._begin_anew(hosted, envelope)

    def _begin_anew(self, hosted: HostedChild, envelope: Envelope | None) -> None:
        holding, child = hosted.holding, hosted.child_id
        try:
            fresh = self._builder.build(holding, child, hosted.record)
        except StartFailed as error:
            hosted.moved(LifeEvent.FAILED)
            self._parking.park(hosted, str(error))
            return
        hosted.take_instance_of(fresh)
        self._events.add("child_restarted", child=child, shard=holding.shard)
        if hosted.unsaved:
            # durability="interval": the messages since its last save are undone, and come again.
            hosted.drop_unsaved()
            hosted.drop_queue()
            self._cursors.again(hosted)
        self.begin(hosted, envelope)
        self._hooks.pids_updated(holding.shard, holding.owner, (child,), "restarted")


def _not_started(child_id: str) -> None:
    log.warning(
        "on_start of child %s has not ended after %g s: its messages wait until it has. What has no end belongs into run()", child_id,
        PATIENCE,
    )  # fmt: skip


def _still_restarting(hosted: HostedChild) -> bool:
    return hosted.life is Life.BUILT and not hosted.holding.gone
