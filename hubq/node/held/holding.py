"""What a node holds: shards and pins, and the hosted children in them.

Everything here is passive: no tasks, no Redis. Each field has the methods of its own class as its only writers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from hubq.core.child import Child
from hubq.core.lifecycle import LIFE, Life, LifeEvent, RestartBudget
from hubq.core.phase import PHASES, Phase, PhaseEvent
from hubq.node.held.in_hand import InHand
from hubq.node.held.queue import Queue
from hubq.store.effects import Effects
from hubq.store.mailbox import Message
from hubq.store.owners import Owner
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import Watch


class Services(Protocol):
    """What a node does for its hosted children (``hubq.node.children.services``)."""

    node_name: str

    def active(self, hosted: HostedChild) -> bool:
        """Whether this copy is the active one right now."""

    async def commit(self, hosted: HostedChild) -> None:
        """``await self.commit()`` of a child."""

    def stop(self, hosted: HostedChild) -> None:
        """``self.stop()`` of a child."""


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


class HostedChild:
    """One child on this node. An idle child costs this object and its instance: no task, no queue."""

    __slots__ = (
        "_changed", "abandoned", "boundary", "budget", "child_id", "cursor", "holding", "in_hand", "instance", "kind",
        "life", "queue", "reason", "record", "run_task", "save_timer", "saved", "services", "stopping", "unsaved",
    )  # fmt: skip

    def __init__(
        self, services: Services, holding: Holding, child_id: str, record: SpecRecord, kind: type[Child] = Child
    ) -> None:
        self.services = services
        self.holding = holding
        self.child_id = child_id
        self.record = record
        self.kind = kind
        self.instance: Child | None = None
        self.life = Life.BUILT
        self.queue: Queue | None = None
        self.in_hand: InHand | None = None
        self.abandoned = False
        """A thread of a cancelled message may still be changing the instance."""
        self.run_task: asyncio.Task[Any] | None = None
        self.boundary: bytes | None = None
        """The state at the last message boundary, encoded."""
        self.saved = False
        """That state is in ``msk``, or will be with the next commit."""
        self.cursor = "0"
        """The entry of the last message that the state holds."""
        self.unsaved: list[bytes] | None = None
        """``durability="interval"``: messages that are done and wait for the next save."""
        self.save_timer: asyncio.TimerHandle | None = None
        self.budget: RestartBudget | None = None
        self.stopping = False
        """It ends when its message in hand is done."""
        self.reason = ""
        """Why it is parked."""
        self._changed: asyncio.Future[None] | None = None

    # -- its life --------------------------------------------------------------------------------------------------

    def moved(self, event: LifeEvent) -> None:
        """Take a row of the life table."""
        self.life = LIFE.next(self.life, event)
        self.tell()

    def made(self, instance: Child) -> None:
        """This is its instance; ``__init__`` has still to run. What was known of an earlier one's state is void."""
        self.instance = instance
        instance._host = self
        self.boundary, self.saved = None, False

    def take_instance_of(self, fresh: HostedChild) -> None:
        """Go on with the instance that was built anew for it."""
        assert fresh.instance is not None
        self.made(fresh.instance)

    def belong_to(self, holding: Holding) -> None:
        """It is a child of this holding now (``Holding.attach``)."""
        self.holding = holding
        self.tell()

    def park(self, reason: str) -> None:
        """It cannot run here. Its messages stay in the mailbox."""
        self.reason = reason
        self.queue = None
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
        return self.life is Life.RUNNING and self.holding.open and self.in_hand is None

    @property
    def busy(self) -> bool:
        """Whether a message is in hand."""
        return self.in_hand is not None

    @property
    def settling(self) -> bool:
        """Whether it is not between two messages: one is in hand, or it is just starting."""
        return self.in_hand is not None or self.life is Life.STARTING

    def offer(self, message: Message) -> Queue:
        """Queue a message behind the others."""
        queue = self.queue
        if queue is None:
            queue = self.queue = Queue()
        queue.add(message)
        return queue

    def drop_queue(self) -> None:
        """What is queued is read again, or not needed. (An empty queue is three quarters of a kilobyte.)"""
        self.queue = None

    def take_in_hand(self, in_hand: InHand) -> None:
        """A message's handling begins."""
        self.in_hand = in_hand

    def hand_empty(self) -> None:
        """A message's handling is over."""
        self.in_hand = None
        if self._changed is not None:  # (once per message: no call for nobody)
            self.tell()

    def abandon(self) -> None:
        """The thread of a message that was undone may still change the instance."""
        self.abandoned = True

    # -- its state -------------------------------------------------------------------------------------------------

    @property
    def saved_with_each_message(self) -> bool:
        """Whether its state goes to ``msk`` in the commit of every message. With ``durability="commit"``; and while it has a
        pin in a hub with copies: no follower takes a pin over, so the copies there save nothing.
        """
        holding = self.holding
        return self.kind.durability == "commit" or (holding.pinned is not None and holding.recorder.records)

    def taken(self, state: bytes) -> bool:
        """The state at this message boundary. True: it is another one than before, and not saved yet."""
        if state == self.boundary:
            return False
        self.boundary, self.saved = state, False
        return True

    def laid(self, state: bytes, cursor: str | None = None) -> None:
        """The state of ``msk`` has been laid over the instance; it holds the messages up to ``cursor``."""
        self.boundary, self.saved = state, True
        if cursor is not None:
            self.cursor = cursor

    def holds_until(self, cursor: str) -> None:
        """The state holds the messages up to this entry."""
        self.cursor = cursor

    def is_saved(self) -> None:
        """The state at the last boundary is in ``msk``, or goes there with the next commit."""
        self.saved = True

    def is_changed(self) -> None:
        """The instance is not what is saved."""
        self.saved = False

    def waits_for_save(self, entry: bytes) -> int:
        """``durability="interval"``: a message is done that no saved state holds. How many there are now."""
        if self.unsaved is None:
            self.unsaved = []
        self.unsaved.append(entry)
        return len(self.unsaved)

    def drop_unsaved(self) -> None:
        """A saved state holds these messages now, or they are read again."""
        self.unsaved = None

    def arm(self, timer: asyncio.TimerHandle) -> None:
        """The next save is due when this timer ends."""
        self.save_timer = timer

    def disarm(self) -> None:
        """No save is due."""
        if self.save_timer is not None:
            self.save_timer.cancel()
            self.save_timer = None

    # -- waiting for it --------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """Tell those who wait for a change of this child."""
        if self._changed is not None:
            if not self._changed.done():
                self._changed.set_result(None)
            self._changed = None

    def changed(self) -> asyncio.Future[None]:
        """Done at the next change: a message's end, another life, another holding. Several wait for the same one."""
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    async def at_boundary(self) -> None:
        """Wait until the child is between two messages (or has started)."""
        while self.settling:
            await asyncio.shield(self.changed())

    async def has_started(self) -> None:
        """Wait until the child has started. (Not for a boundary: its first message may be in hand by then, and wait.)"""
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


class Holding:
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
        self.shard = shard
        self.owner = owner
        self.pinned = pinned
        self.recorder = recorder
        self.is_copy = is_copy
        """Copies of another node's children: nothing here is committed."""
        self.children: dict[str, HostedChild] = {}
        self.apart: set[str] = set()
        """Children of the shard that are not served here: each has a pin, or waits for its node."""
        self.unplaced: dict[str, SpecRecord] = {}
        """Those of them that are pinned nowhere: they wait for their node."""
        self.guided: set[str] = set()
        """Children that were started with a place of their own."""
        self.departing: set[str] = set()
        """Children that are being passed to other nodes."""
        self.unbuilt: dict[str, set[tuple[str, int]]] = {}
        """Children that cannot be built here: the nodes (name, incarnation) that were asked to take them."""
        self.condemned: set[str] = set()
        """Children that are parked since their start took nodes down."""
        self.behind: dict[str, bytes] = {}
        """Child -> the entry after which its messages must be read again (``Cursors`` and the reader write it)."""
        self.replays: dict[str, float] = {}
        """``durability="interval"``: child -> Redis ms before which another node may have answered its messages."""
        self.straggles = False
        """A pin that returns to its shard as soon as it can."""
        self.active = True
        """Its children are the active copies (``hubq.strategies.redundancy``)."""
        self.in_motion = False
        """It is being moved, wholly or in part; nothing else is begun with it."""
        self.watch = watch
        """It was taken over after a crash (``hubq.node.trials``)."""
        self.effects = Effects()
        self.handled = 0
        """Messages, and seconds in their handlers; counted where the load balancer asks for it."""
        self.spent = 0.0
        self._waiters: list[asyncio.Future[None]] = []
        self._changed: asyncio.Future[None] | None = None
        self._enter(phase)

    def __repr__(self) -> str:
        pin = f"/{self.pinned}" if self.pinned else ""
        return f"<Holding {self.shard}{pin} {self.owner.line!r} {self.phase.value}>"

    # -- its phase -------------------------------------------------------------------------------------------------

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        # Read with every message: attributes, not properties.
        self.open = phase is Phase.OPEN or phase is Phase.SPLITTING
        self.frozen = phase is Phase.PASSING or phase is Phase.SPLITTING
        self.gone = phase is Phase.GONE

    def moved(self, event: PhaseEvent) -> None:
        """Take a row of the phase table."""
        self._enter(PHASES.next(self.phase, event))
        self._tell()

    def open_intake(self) -> None:
        """Handlers may start."""
        self.moved(PhaseEvent.OPENED)

    def close_intake(self) -> None:
        """No handler starts from now on."""
        self.moved(PhaseEvent.CLOSED)

    def freeze(self) -> None:
        """Nothing is committed until it is thawed."""
        self.moved(PhaseEvent.FROZEN)

    def thaw(self) -> None:
        """Commits go on, if they were waiting."""
        if self.frozen:
            self.moved(PhaseEvent.THAWED)

    def lose(self) -> None:
        """It is not ours any more: nothing of it is handled or committed here. Whoever waits for its commit is told."""
        if self.gone:
            return
        self.moved(PhaseEvent.LOST)
        for waiter in self.take_waiters():
            waiter.cancel()

    def begin_motion(self) -> None:
        """It is being moved: nothing else is begun with it."""
        self.in_motion = True

    def end_motion(self) -> None:
        """The move has come to an end, whichever."""
        self.in_motion = False
        self._tell()

    def _tell(self) -> None:
        if self._changed is not None:
            if not self._changed.done():
                self._changed.set_result(None)
            self._changed = None

    def changed(self) -> asyncio.Future[None]:
        """Done when it enters its next phase, or a motion ends. Several wait for the same one."""
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    async def is_open(self) -> bool:
        """Wait out a move. True: it is (still, or again) open here; False: it is gone."""
        while not self.open and not self.gone:
            await asyncio.shield(self.changed())
        return not self.gone

    async def is_at_rest(self) -> bool:
        """Wait until it is not in motion. False: it is gone."""
        while self.in_motion and not self.gone:
            await asyncio.shield(self.changed())
        return not self.gone

    async def has_opened_once(self) -> bool:
        """Wait until it is not coming any more: whether it is here."""
        while self.phase is Phase.COMING:
            await asyncio.shield(self.changed())
        return not self.gone

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

    def set_apart(self, children: Iterable[str]) -> None:
        """These children of the shard are not served here."""
        self.apart.update(children)

    def take_back(self, child: str) -> None:
        """This child is served here again."""
        self.apart.discard(child)

    def wait_for_place(self, child: str, record: SpecRecord) -> None:
        """It is wanted on another node, and is pinned nowhere yet."""
        self.apart.add(child)
        self.unplaced[child] = record

    def placed(self, child: str) -> bool:
        """It waits for its node no more. False: it did not."""
        return self.unplaced.pop(child, None) is not None

    def guide(self, child: str) -> None:
        """It was started with a place of its own."""
        self.guided.add(child)

    def begin_departure(self, children: Iterable[str]) -> None:
        """These children are being passed to another node."""
        self.departing.update(children)

    def end_departure(self, children: Iterable[str]) -> None:
        """They have gone, or stay."""
        self.departing.difference_update(children)

    def cannot_build(self, child: str) -> None:
        """It is to be offered to the other nodes."""
        self.unbuilt[child] = set()

    def offered(self, child: str, node: str, incarnation: int) -> None:
        """It has been offered to this node."""
        self.unbuilt[child].add((node, incarnation))

    def can_build(self, child: str) -> None:
        """It need not be offered any more."""
        self.unbuilt.pop(child, None)

    def condemn(self, child: str) -> None:
        """Its start took nodes down: it is parked until somebody replays its dead letter."""
        self.condemned.add(child)

    def pardon(self, child: str) -> None:
        """It may be started again."""
        self.condemned.discard(child)

    def replays_before(self, child: str, redis_ms: float) -> None:
        """Messages of this child from before this time may have been answered by another node."""
        self.replays[child] = redis_ms

    # -- its commits -----------------------------------------------------------------------------------------------

    def take_effects(self, reply_ttl_ms: int) -> Effects:
        """What has been collected so far; it begins to collect anew."""
        effects, self.effects = self.effects, Effects()
        effects.reply_ttl_ms = reply_ttl_ms
        return effects

    def give_back_effects(self, effects: Effects) -> None:
        """They were not committed: they come before what has been collected since."""
        later, self.effects = self.effects, effects
        self.effects.absorb(later)

    @property
    def is_due(self) -> bool:
        """Whether there is something to commit, and it may be."""
        return not self.frozen and not self.gone and bool(self.effects or self._waiters)

    def next_commit(self) -> asyncio.Future[None]:
        """Done with the next commit; cancelled if the holding goes before."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def take_waiters(self) -> list[asyncio.Future[None]]:
        """Those who wait for the next commit."""
        waiters, self._waiters = self._waiters, []
        return waiters

    def add_waiters(self, waiters: Iterable[asyncio.Future[None]]) -> None:
        """These wait for this holding's next commit (a pin that never came to be had them)."""
        self._waiters += waiters

    def spent_on_message(self, seconds: float) -> None:
        """A handler took so long."""
        self.handled += 1
        self.spent += seconds


async def first_of(*changes: asyncio.Future[None]) -> None:
    """Wait for whichever comes first; none of them is cancelled, as others wait for them too."""
    await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
