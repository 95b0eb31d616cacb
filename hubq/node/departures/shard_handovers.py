"""Handovers of shards: each is begun here, and put in order by the migration strategy."""

from __future__ import annotations

import asyncio
import secrets

from hubq.hooks import ChildrenRedistribution
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.saver import Saver
from hubq.node.departures.answers import Answers
from hubq.node.departures.departure import Departures
from hubq.node.departures.moves import Moves
from hubq.node.departures.rebuilding import Rebuilding
from hubq.node.departures.shard_handover import ShardHandover
from hubq.node.departures.stragglers import Stragglers
from hubq.node.departures.turns import Turns
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.group import Group
from hubq.node.runtime.hook_runner import HookRunner
from hubq.strategies.migration import Migration


class ShardHandovers:
    """Begins handovers of shards."""

    def __init__(
        self, group: Group, background: Background, events: EventLog, hooks: HookRunner, counters: Counters,
        plan_due: Bell, register: Register, cursors: Cursors, queue: CommitQueue, saver: Saver, wishes: Wishes,
        migration: Migration, answers: Answers, moves: Moves, departures: Departures, closing: Turns,
        stragglers: Stragglers, rebuilding: Rebuilding,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._events = events
        self._hooks = hooks
        self._counters = counters
        self._plan_due = plan_due
        self._register = register
        self._cursors = cursors
        self._queue = queue
        self._saver = saver
        self._wishes = wishes
        self._migration = migration
        self._answers = answers
        self._moves = moves
        self._departures = departures
        self._closing = closing
        self._stragglers = stragglers
        self._rebuilding = rebuilding

    def begin(self, holding: Holding, target: str, incarnation: int) -> asyncio.Task[None]:
        """Hand a shard over to this life of a node, in the background."""
        answer = self._answers.expect(secrets.token_hex(8), target, incarnation, watched=True)
        handover = ShardHandover(
            self._group, self._background, self._events, self._hooks, self._counters, self._plan_due, self._register,
            self._cursors, self._queue, self._saver, self._wishes, self._departures, self._closing, self._stragglers,
            self._rebuilding, holding, answer,
        )  # fmt: skip
        task = self._moves.begin(holding, self._hand_over(handover), f"handing over shard {holding.shard}")

        def over(_: asyncio.Task[None]) -> None:
            handover.give_turn()
            self._answers.forget(answer)

        task.add_done_callback(over)
        return task

    async def _hand_over(self, handover: ShardHandover) -> None:
        hooks, draining = self._hooks, self._group.standing.draining
        if hooks.wants("pre_children_redistribution"):
            payload = ChildrenRedistribution(
                hooks.hub_id, hooks.node, handover.shard, tuple(handover.holding.children), handover.target, draining
            )
            await hooks.before("pre_children_redistribution", payload)
        try:
            if self._group.standing.draining:
                await self._migration.handle_shutdown(handover)
            else:
                await self._migration.handle_migration(handover)
        except Exception:
            handover.abandon()
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the node ends
            handover.abandon()
            raise RuntimeError(
                "the migration strategy has let a CancelledError through that was not meant for it"
            ) from error
