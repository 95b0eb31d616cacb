"""The end of children: for good, or only here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from hubq.core.lifecycle import Life, LifeEvent
from hubq.node.children.outcomes import Outcomes, stopped_before
from hubq.node.children.progress import Progresses
from hubq.node.children.saver import Saver
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.state import overrides
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.node.runtime.group import Group
from hubq.node.runtime.hook_runner import HookRunner
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.tasks import LETTING_GO, torn_down
from hubq.store.message import Message
from hubq.store.replies import reply_line
from hubq.store.spec_record import SpecRecord
from hubq.store.values import TRUE

log = logging.getLogger("hubq.node")


class Endings:
    """How children of a node end. ``quiet``: children whose end is not logged. ``plan_due`` is rung when a pin has no child
    any more.
    """

    def __init__(
        self, group: Group, background: Background, events: EventLog, gathered: GatheredLog, hooks: HookRunner, queue: CommitQueue,
        cursors: Cursors, plan_due: Bell, saver: Saver, outcomes: Outcomes,
        progresses: Progresses, pieces: Pieces, quiet: set[str],
    ) -> None:  # fmt: skip
        self._node_name = group.node_name
        self._stop_timeout = group.config.stop_timeout
        self._background = background
        self._events = events
        self._gathered = gathered
        self._hooks = hooks
        self._queue = queue
        self._cursors = cursors
        self._plan_due = plan_due
        self._saver = saver
        self._outcomes = outcomes
        self._progresses = progresses
        self._pieces = pieces
        self._quiet = quiet

    # -- for good --------------------------------------------------------------------------------------------------

    def forget(self, holding: Holding, child: str, record: SpecRecord) -> None:
        """The next commit deletes a child that never started, or has ended."""
        holding.effects.ended[child] = record.start_id
        holding.recorder.ended(holding, child, record.start_id)
        holding.effects.states.pop(child, None)
        holding.effects.parked.pop(child, None)
        self._queue.changed()

    def stop_requested(self, hosted: HostedChild) -> None:
        """``self.stop()`` of a child, or the undoing of its start: it ends when its message in hand is done."""
        hosted.stop_after_message()
        if hosted.in_hand is None and hosted.life is not Life.BUILT:
            self.end(hosted)

    def stop_parked(self, hosted: HostedChild, message: Message) -> None:
        """A stop message for a child that cannot run: it ends, and the messages that wait for it are refused."""
        holding = hosted.holding
        holding.effects.done.setdefault(hosted.child_id, []).append(message.entry)
        if message.reply_to:
            line = reply_line(message.id, "ok", self._node_name, TRUE)
            holding.effects.replies.setdefault(message.reply_to, []).append(line)
        self.end(hosted)
        self._cursors.orphans(holding, hosted.child_id)

    def end(self, hosted: HostedChild) -> None:
        """The child ends for good: the messages that wait for it are refused, and the next commit deletes spec and state."""
        if hosted.life is Life.ENDED:
            return
        holding, child = hosted.holding, hosted.child_id
        for message in hosted.queue or ():
            self._outcomes.fail(hosted, message, "unknown_child", stopped_before(child))
        if hosted.unsaved:
            holding.effects.done.setdefault(child, []).extend(hosted.unsaved)
            hosted.drop_unsaved()
        hosted.hold_said()
        holding.effects.said.extend(hosted.take_said())
        hosted.disarm()
        self._progresses.over(hosted)
        self.forget(holding, child, hosted.record)
        self.remove(hosted)
        self._cursors.room(hosted)  # what did not fit into its queue is refused as well: nobody else asks for it now
        if self._has_more_to_do(hosted):
            self._background.run(self._dispose(hosted, "stopped"), f"stopping child {child}")
        if child not in self._quiet:
            self._gathered.add(logging.INFO, child, "has ended")
            self._events.add("child_stopped", child=child, shard=holding.shard)
        self._hooks.ended(holding.shard, holding.owner, child)
        if holding.pinned is not None:
            self._plan_due.ring()

    def remove(self, hosted: HostedChild) -> None:
        """Take a child out of its holding."""
        if hosted.life is Life.PARKED:
            self.forget(hosted.holding, hosted.child_id, hosted.record)
        self._leave(hosted)
        hosted.holding.detach(hosted.child_id)

    def expired(self, holding: Holding, child: str) -> None:
        """A dormant child has ended, since nobody has written to it for long."""
        self._events.add("child_expired", child=child, shard=holding.shard)
        self._hooks.ended(holding.shard, holding.owner, child)

    # -- only here -------------------------------------------------------------------------------------------------

    async def dispose(self, hosteds: Iterable[HostedChild], reason: str) -> None:
        """End these children here (they live on elsewhere, or are parked), all at once."""
        work = []
        for hosted in hosteds:
            hosted.disarm()
            if hosted.in_hand is not None:
                hosted.in_hand.cancel()
            self._leave(hosted)
            if self._has_more_to_do(hosted):
                work.append(self._dispose(hosted, reason))
        if work:
            await asyncio.gather(*work, return_exceptions=True)

    def put_away(self, hosted: HostedChild) -> bool:
        """A child has gone to rest: take it out of its holding. True: :meth:`dispose_of` has more to do."""
        hosted.disarm()
        self._leave(hosted)
        hosted.holding.detach(hosted.child_id)
        return self._has_more_to_do(hosted)

    async def dispose_of(self, hosted: HostedChild, reason: str) -> None:
        """End a child that is not in its holding any more."""
        await self._dispose(hosted, reason)

    def _leave(self, hosted: HostedChild) -> None:
        hosted.drop_queue()
        if hosted.life is not Life.ENDED:
            hosted.moved(LifeEvent.END)
        hosted.tell()

    def _has_more_to_do(self, hosted: HostedChild) -> bool:
        return hosted.run_task is not None or overrides(hosted.kind, "on_stop")

    async def _dispose(self, hosted: HostedChild, reason: str) -> None:
        await self._pieces.turn()
        await self._saver.end_run(hosted)
        await self.on_stop(hosted, reason)

    async def on_stop(self, hosted: HostedChild, reason: str) -> None:
        """Ask the child to release its resources, within ``stop_timeout``."""
        if hosted.instance is None or not overrides(hosted.kind, "on_stop"):
            return
        await self._pieces.turn()
        # A task of its own: whatever it does with its cancellation, it holds up neither the move of others nor the end of the node.
        asked = self._background.run(self._asked_to_stop(hosted, reason), f"on_stop of child {hosted.child_id}")
        try:
            if not (await asyncio.wait([asked], timeout=self._stop_timeout))[1]:
                return
            log.warning("on_stop of child %s took longer than %g s", hosted.child_id, self._stop_timeout)
            asked.cancel()
            if (await asyncio.wait([asked], timeout=LETTING_GO))[1]:
                log.warning(
                    "on_stop of child %s goes on though it was cancelled: let CancelledError through", hosted.child_id
                )
        except asyncio.CancelledError:
            asked.cancel()
            raise

    async def _asked_to_stop(self, hosted: HostedChild, reason: str) -> None:
        assert hosted.instance is not None
        try:
            await hosted.instance.on_stop(reason)
        except BaseException as error:
            task = asyncio.current_task()
            if torn_down(error) or (
                isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling()
            ):
                raise
            log.warning("on_stop of child %s raised", hosted.child_id, exc_info=error)
