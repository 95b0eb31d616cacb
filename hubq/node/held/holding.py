"""What a node holds: shards and pins, and the hosted children in them.

Everything here is passive: no tasks, no Redis. Each field has the methods of its own class as its only writers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

from hubq.core.child import Child, Host, new_child
from hubq.core.lifecycle import LIFE, Life, LifeEvent, RestartBudget
from hubq.core.methods import Method
from hubq.core.outgoing import Called, Target
from hubq.core.phase import Phase
from hubq.core.reminders import Reminder, Times
from hubq.node.held.changing import first_of
from hubq.node.held.in_hand import InHand
from hubq.node.held.known_children import KnownChildren
from hubq.node.held.queued import Queued
from hubq.node.held.services import Services
from hubq.node.held.uncommitted import Uncommitted
from hubq.store.message import Message
from hubq.store.owners import Owner
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import Watch


class Recorder(Protocol):
    """Tells the followers of a shard what happens to its children (``hubq.node.copies.recorder``)."""

    records: bool
    """There are followers. False: everything below does nothing."""

    def finished(self, hosted: HostedChild, message: Message, word: str) -> bool:
        """A message is done. False: Redis is not to hear of it."""

    def state(self, hosted: HostedChild) -> None:
        """The state has changed in a way that no message explains."""

    def begun(self, hosted: HostedChild) -> None:
        """A child runs here from now on."""

    def ended(self, holding: Holding, child: str, start_id: str) -> None:
        """A child is no more."""


class HostedChild(Queued):
    """One child on this node. An idle child costs this object and its instance: no task, no queue."""

    __slots__ = (
        "abandoned", "budget", "child_id", "holding", "instance", "kind", "life", "reason", "record", "run_task", "services",
        "stopping",
    )  # fmt: skip

    def __init__(
        self,
        services: Services[HostedChild],
        holding: Holding,
        child_id: str,
        record: SpecRecord,
        kind: type[Child] = Child,
    ) -> None:
        super().__init__()
        self.services = services
        self.holding = holding
        self.child_id = child_id
        self.record = record
        self.kind = kind
        self.instance: Child | None = None
        self.life = Life.BUILT
        self.abandoned = False
        """A thread of a cancelled message may still be changing the instance."""
        self.run_task: asyncio.Task[Any] | None = None
        self.budget: RestartBudget | None = None
        self.stopping = False
        """It ends when its message in hand is done."""
        self.reason = ""
        """Why it is parked."""

    # -- its life --------------------------------------------------------------------------------------------------

    def moved(self, event: LifeEvent) -> None:
        """Take a row of the life table."""
        self.life = LIFE.next(self.life, event)
        if self._changed is not None:
            self.tell()

    def made(self, instance: Child) -> None:
        """This is its instance; ``__init__`` has still to run."""
        self.instance = instance
        instance._host = self

    def copy_with(self, host: Host, state: dict[str, Any]) -> Child:
        """An object of its class that has only this state: ``__init__`` has not run, and nothing transient is there."""
        copy = new_child(self.kind, host)
        vars(copy).update(state)
        return copy

    def take_instance_of(self, fresh: HostedChild) -> None:
        """Go on with the instance that was built anew for it. What was known of the state of the earlier one is void."""
        assert fresh.instance is not None
        self.made(fresh.instance)
        self.abandoned = False
        self.begin_anew()

    def belong_to(self, holding: Holding) -> None:
        """It is a child of this holding now (``Holding.attach``)."""
        self.holding = holding
        if self._changed is not None:
            self.tell()

    def park(self, reason: str) -> None:
        """It cannot run here. Its messages stay in the mailbox."""
        self.reason = reason
        self.drop_queue()
        self.tell()

    def stop_after_message(self) -> None:
        """It ends as soon as it has nothing in hand."""
        self.stopping = True

    def may_restart(self, now: float) -> bool:
        """Count one more restart at ``now`` (monotonic seconds). False: there were too many."""
        if self.budget is None:
            self.budget = RestartBudget(self.kind.max_restarts, self.kind.restart_within)
        return self.budget.spend(now)

    def runs(self, task: asyncio.Task[Any] | None) -> None:
        """Its ``run()`` is this task; None: it has ended."""
        self.run_task = task

    # -- its messages ----------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether the next message may be handled."""
        return self.life is Life.RUNNING and self.holding.open and self.in_hand is None and self.held_back is None

    @property
    def settling(self) -> bool:
        """Whether it is not between two messages: one is in hand, or it is just starting."""
        return self.in_hand is not None or self.life is Life.STARTING

    def offer(self, message: Message) -> bool:
        """Queue a message behind the others. True: it is the first one, and may be handled."""
        queue = self.queue
        if queue is None:
            self.queue = queue = deque()
        queue.append(message)
        self.queued_bytes += len(message.payload)
        return len(queue) == 1 and self.open

    def take_in_hand(self, task: asyncio.Task[Any] | None) -> InHand:
        """The handling of the first message begins, in this task."""
        assert self.queue is not None
        message = self.queue.popleft()
        self.queued_bytes -= len(message.payload)
        self.in_hand = in_hand = InHand(message, task, self.record.name)
        return in_hand

    def abandon(self) -> None:
        """The thread of a message that was undone may still change the instance."""
        self.abandoned = True

    # -- its state -------------------------------------------------------------------------------------------------

    @property
    def saved_with_each_message(self) -> bool:
        """Whether its state goes to ``msk`` in the commit of every message: with ``durability="commit"``, and for every
        child with a pin in a hub with copies. (No follower takes a pin over, so its copies would save nothing.)
        """
        holding = self.holding
        return self.kind.durability == "commit" or (holding.pinned is not None and holding.recorder.records)

    # -- waiting for it --------------------------------------------------------------------------------------------

    async def at_boundary(self) -> None:
        """Wait until the child is between two messages (or has started)."""
        while self.settling:
            await asyncio.shield(self.changed())

    async def has_started(self) -> None:
        """Wait until the child has started. (Do not wait for a boundary instead: its first message may be in hand by then.)"""
        while self.life is Life.STARTING:
            await asyncio.shield(self.changed())

    async def has_begun(self) -> None:
        """Wait until the child has been given its state, or its holding is gone."""
        while self.life is Life.BUILT and not self.holding.gone:
            await first_of(self.changed(), self.holding.changed())

    async def has_drained(self) -> None:
        """Wait until a copy has handled all that it has, or may handle nothing more."""
        while (self.queue or self.in_hand is not None) and self.holding.open:
            await first_of(self.changed(), self.holding.changed())

    # -- what the child sees of the node (hubq.core.child.Host) ----------------------------------------------------

    @property
    def node_name(self) -> str:
        return self.services.node_name

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self.record.metadata)

    @property
    def redundancy_mode(self) -> str:
        return "active" if self.services.active(self) else "passive"

    async def commit(self) -> None:
        if not self.holding.is_copy:  # what the original commits, the copy gets
            await self.services.commit(self)

    def stop(self) -> None:
        if not self.holding.is_copy:
            self.services.stop(self)

    def says(
        self, target: Target | None, child_id: str, method: Called | None,
        args: tuple[Any, ...], kwargs: dict[str, Any],
    ) -> None:  # fmt: skip
        if not self.holding.is_copy:  # the original has said it
            self.services.says(self, target, child_id, method, args, kwargs)

    def enqueues(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        return self.services.enqueues(self, function, args, kwargs)

    def publishes(self, topic: str, data: object, now: bool) -> None:
        if not self.holding.is_copy:  # the original publishes
            self.services.publishes(self, topic, data, now)

    def reminds(self, name: str, method: Method, args: tuple[Any, ...], times: Times, late: str) -> None:
        if not self.holding.is_copy:  # the original has set it
            self.services.reminds(self, name, method, args, times, late)

    def forgets(self, name: str) -> None:
        if not self.holding.is_copy:
            self.services.forgets(self, name)

    def progresses(self, done: float, total: float | None, text: str) -> None:
        if not self.holding.is_copy:  # the original tells
            self.services.progresses(self, done, total, text)

    async def reminders(self) -> list[Reminder]:
        return await self.services.reminders(self)


class Holding(KnownChildren, Uncommitted):
    """A shard, or a pin (a shard of one), on this node."""

    def __init__(
        self,
        shard: int,
        owner: Owner,
        recorder: Recorder,
        pinned: str | None = None,
        *,
        phase: Phase = Phase.COMING,
        watch: Watch | None = None,
        is_copy: bool = False,
    ) -> None:
        super().__init__(phase)
        self.shard = shard
        self.owner = owner
        self.pinned = pinned
        self.recorder = recorder
        self.is_copy = is_copy
        """Copies of another node's children: nothing here is committed."""
        self.children: dict[str, HostedChild] = {}
        self.straggles = False
        """A pin that returns to its shard as soon as it can."""
        self.has_dormant = True
        """Children of the shard may be dormant. False: none is, for certain (only its owner puts children to rest)."""
        self.active = True
        """Its children are the active copies (``hubq.strategies.redundancy``)."""
        self.watch = watch
        """It was taken over after a crash (``hubq.node.trials``)."""
        self.handled = 0
        """Messages, and seconds in their handlers; counted where the load balancer asks for it."""
        self.spent = 0.0

    def __repr__(self) -> str:
        pin = f"/{self.pinned}" if self.pinned else ""
        return f"<Holding {self.shard}{pin} {self.owner.line!r} {self.phase.value}>"

    # -- its owner -------------------------------------------------------------------------------------------------

    def owned_by(self, owner: Owner) -> None:
        """The same node, under a new token."""
        self.owner = owner

    def straggle(self) -> None:
        """Return to the shard as soon as that is possible."""
        self.straggles = True

    def stay(self) -> None:
        """The pin is wanted where it is."""
        self.straggles = False

    def activate(self) -> None:
        """Its children are the active copies."""
        self.active = True

    def deactivate(self) -> None:
        """Its children are not the active copies any more, for all they know."""
        self.active = False

    def watched(self, watch: Watch | None) -> None:
        """What is known of the crashes that brought it here; None: nothing is to be watched."""
        self.watch = watch

    # -- its children ----------------------------------------------------------------------------------------------

    def attach(self, hosted: HostedChild) -> None:
        """This child is served here."""
        hosted.belong_to(self)
        self.children[hosted.child_id] = hosted

    def detach(self, child: str) -> HostedChild | None:
        """This child is not served here any more."""
        return self.children.pop(child, None)

    def may_have_dormant(self, there_are: bool) -> None:
        """Whether children of the shard are dormant, as far as is known."""
        self.has_dormant = there_are

    def spent_on_message(self, seconds: float) -> None:
        """A handler took so long."""
        self.handled += 1
        self.spent += seconds
