"""The children of one node, put together as wiring does it, with nothing of Redis and a commit whenever a test wants."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, cast

from hubq.client.faces.jobs import Prepared
from hubq.core.child import Child
from hubq.core.classes import ClassBook
from hubq.core.middleware import Layers
from hubq.hooks import HookBook
from hubq.node.children.around import Around
from hubq.node.children.builder import Builder
from hubq.node.children.drafting import Drafting
from hubq.node.children.endings import Endings
from hubq.node.children.enqueuing import Enqueuing
from hubq.node.children.failed_starts import FailedStarts
from hubq.node.children.failures import Failures
from hubq.node.children.handler import Handle, Handler
from hubq.node.children.kept_replies import KeptReplies
from hubq.node.children.lives import Lives
from hubq.node.children.mending import Mending
from hubq.node.children.methods import Methods
from hubq.node.children.outcomes import Outcomes
from hubq.node.children.parking import Parking
from hubq.node.children.pausing import Pausing
from hubq.node.children.progress import Progresses
from hubq.node.children.pumps import Pumps
from hubq.node.children.reads import Reads
from hubq.node.children.reminders import Reminders
from hubq.node.children.retries import Retries, Waiting
from hubq.node.children.retrying import Retrying
from hubq.node.children.saver import Saver
from hubq.node.children.sayings import Sayings
from hubq.node.children.services import ChildServices
from hubq.node.children.signals import Signals
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.idleness import Idleness
from hubq.node.held.open_drafts import OpenDrafts
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.recorder import NoRecorder
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.gate import Gate
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.node.runtime.hook_runner import HookRunner
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.sizes import Sizes
from hubq.store.codec import decode, encode
from hubq.store.data_values import DataValues
from hubq.store.effects import Effects
from hubq.store.envelope import Envelope
from hubq.store.message import Message
from hubq.store.owners import Owner
from hubq.store.pickled_values import PickledValues
from hubq.store.replies import read_reply
from hubq.store.saying import SayingLimits
from hubq.store.spec_record import SpecRecord
from tests.unit.node.fakes import Clock, FakeEvents, FakeRedis, a_group

#: Far in the future, ms of Redis TIME.
LATE = 10**12


def prepared(job_id: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Prepared:
    """Every function can be a job here."""
    return Prepared(job_id, kwargs.get("key", ""), encode((function, args)))


class CopyStates:
    """Remembers what copies were told of their originals."""

    def __init__(self) -> None:
        self.laid: list[tuple[str, Envelope]] = []

    def lay(self, hosted: HostedChild, envelope: Envelope) -> None:
        self.laid.append((hosted.child_id, envelope))


class Household:
    """``async with Household(Room) as home``: ``home.shard`` is open, and its children are built from these classes."""

    def __init__(
        self, *kinds: type[Child], heard: frozenset[str] = frozenset(), all_active: bool = False, closed: bool = False,
        methods: Methods | None = None, recorder: Any = None, codec: str = "pickle", **settings: Any,
    ) -> None:  # fmt: skip
        self.clock, self.redis = Clock(), FakeRedis()
        self.group = a_group(self.redis, self.clock, **settings)
        self.standing, config = self.group.standing, self.group.config
        self.background, self.events, self.plan_due = Background(), FakeEvents(), Bell()
        self.book, self.classes = HookBook(), ClassBook()
        self.hooks = HookRunner(self.book, "h", "a", self.background)
        self.gate = Gate(self.standing, closed=closed)
        self.cursors = Cursors()
        self.register = Register(self.cursors, Outboxes())
        self.queue = CommitQueue(self.register)
        self.quiet: set[str] = set()
        self.copy_states = CopyStates()
        events = cast(Any, self.events)
        self.threads = ThreadPoolExecutor(2)
        self.pieces = Pieces(self.clock)
        self.ending = asyncio.Event()
        broken: asyncio.Queue[HostedChild] = asyncio.Queue()
        waiting: asyncio.Queue[Waiting] = asyncio.Queue()
        self.saver = Saver(config, Sizes(config), self.background, self.queue)
        self.counters = Counters()
        self.failures = Failures(config, self.counters, events)
        self.failed_starts = FailedStarts()
        self.gathered = GatheredLog()
        self.outcomes = Outcomes("a", self.queue, self.saver, self.failures, self.failed_starts)
        self.progresses = Progresses(self.group)
        self.endings = Endings(
            self.group, self.background, events, self.gathered, self.hooks, self.queue, self.cursors, self.plan_due, self.saver,
            self.outcomes, self.progresses, self.pieces, self.quiet,
        )  # fmt: skip
        self.signals = Signals(self.standing, config, heard, all_active, self.pieces)
        values = PickledValues() if codec == "pickle" else DataValues()
        self.open_drafts = OpenDrafts()
        self.drafting = Drafting(self.group, self.background, self.register, self.open_drafts)
        sayings = Sayings(self.standing, values, config, Sizes(config), self.drafting)
        enqueuing = Enqueuing("chat", self.standing, sayings, Sizes(config), prepared)
        self.services = ChildServices(
            "a",
            values,
            self.group.seal,
            self.signals,
            self.saver,
            self.endings,
            sayings,
            enqueuing,
            Reminders(self.group, self.saver, Sizes(config)),
            self.progresses,
        )
        self.builder = Builder(self.services, self.classes, self.hooks)
        self.parking = Parking(self.services, events, self.gathered, self.queue, self.quiet)
        methods = methods or Methods()
        self.idleness = Idleness(bounded=False)
        self.reads = Reads(
            self.standing, self.background, Sizes(config), methods, self.threads, self.outcomes, self.failures,
            self.idleness, self.gate.may_handle,
        )  # fmt: skip
        self.handler = Handler(
            self.standing, Sizes(config), methods, self.threads, self.outcomes, self.endings, self.failures,
            Retries(self.standing, self.counters, waiting, lambda: 0.5), self.reads, KeptReplies(self.group, self.outcomes),
            self.copy_states, self.idleness, self.quiet, self.ending, broken,
        )  # fmt: skip
        self.pumps = self.pumps_with(self.handler.handle)
        self.pausing = Pausing(self.group, self.register, self.pumps)
        self.lives = Lives(
            self.group, self.background, events, self.hooks, self.gate, self.register, self.cursors, self.queue,
            self.saver, self.signals, self.endings, self.builder, self.parking, self.pumps, self.pieces,
            Around("t", "a", Layers()), self.idleness, self.pausing,
        )  # fmt: skip
        self.mending = Mending(self.background, self.lives, broken)
        self.retrying = Retrying(self.pumps, waiting)
        for kind in kinds:
            self.classes.register(kind)
        self.shard = Holding(0, Owner("a", 7, 3), recorder or NoRecorder())
        self.shard.open_intake()
        self.register.hold(self.shard)
        self.committed: list[Effects] = []
        self._committing: asyncio.Task[None] | None = None

    def pumps_with(self, handle: Handle) -> Pumps:
        """Pumps that handle messages so."""
        config = self.group.config
        return Pumps(
            handle, self.gate.may_handle, self.threads, config, self.outcomes, self.queue, self.cursors, self.ending
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        self.mending.start()
        self.retrying.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        await self.mending.stop()
        await self.retrying.stop()
        self.pumps.stop()
        await self.pumps.stopped(1.0)
        self.failures.stop()
        for hosted in self.register.children():
            hosted.disarm()
        if self._committing is not None:
            self._committing.cancel()
        await self.background.stop()

    # -- children and their messages -------------------------------------------------------------------------------

    def record(self, kind: type[Child], *args: Any, restart: str = "") -> SpecRecord:
        """A spec of this class."""
        return SpecRecord(kind.__qualname__, kind.__module__, "s:1", restart, arguments=encode((args, {})))

    def build(
        self, kind: type[Child], *args: Any, child: str = "room-1", restart: str = "", holding: Holding | None = None
    ) -> HostedChild:
        """A child that is built, and waits for its state."""
        hosted = self.builder.build(holding or self.shard, child, self.record(kind, *args, restart=restart))
        (holding or self.shard).attach(hosted)
        return hosted

    def child(
        self, kind: type[Child], *args: Any, child: str = "room-1", restart: str = "", holding: Holding | None = None
    ) -> HostedChild:
        """A child that has begun, without a saved state."""
        hosted = self.build(kind, *args, child=child, restart=restart, holding=holding)
        self.lives.begin(hosted, None, first=True)
        return hosted

    async def handled(self, hosted: HostedChild, *messages: Message) -> None:
        """Offer these messages, and wait until the child has nothing in hand and nothing queued."""
        for message in messages:
            self.pumps.offer(hosted, message)
        async with asyncio.timeout(5):
            while hosted.queue or hosted.in_hand is not None:
                await hosted.changed()

    # -- commits ---------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Commit all there is, as the committer does."""
        for holding in self.queue.take():
            waiters = holding.take_waiters()
            self.committed.append(holding.take_effects(1000, SayingLimits()))
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def keep_committing(self) -> None:
        """Commit whenever there is something."""

        async def work() -> None:
            while True:
                await self.queue.waits()
                self.commit()

        self._committing = asyncio.create_task(work())


def call(method: str, *args: Any, entry: str = "5-0", deadline: int = 0, kind: str = "call") -> Message:
    """A call that wants a reply."""
    message_id = f"m{entry}"
    return Message(entry.encode(), kind, "room-1", method, message_id, "client", deadline, encode((args, {})))


def cast_of(method: str, *args: Any, entry: str = "5-0") -> Message:
    """A message whose sender wants no reply."""
    return Message(entry.encode(), "cast", "room-1", method, "0", "", 0, encode((args, {})))


def replies(effects: Effects) -> list[tuple[str, Any]]:
    """The replies in order: the word, and the decoded result or the error's text."""
    found = []
    for lines in effects.replies.values():
        for line in lines:
            _, word, _, payload = read_reply(line)
            found.append((word, decode(payload) if word == "ok" else payload.decode()))
    return found


def state_in(data: bytes) -> Any:
    """The state in an envelope."""
    return decode(Envelope.read(data).data)
