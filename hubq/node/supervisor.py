"""Builds children and begins them, or parks them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Any

from msgspec.structs import replace

from hubq.config import Config
from hubq.core.classes import ClassBook
from hubq.core.lifecycle import Life, LifeEvent
from hubq.errors import RedisUnavailable, StartFailed
from hubq.hooks.book import ALTER
from hubq.node.endings import Endings
from hubq.node.holding import Cell, Holding
from hubq.node.hook_runner import HookRunner
from hubq.node.runs import Runs
from hubq.node.saver import Saver
from hubq.node.starts import Starts
from hubq.node.state import ATTRIBUTES, overrides, restore
from hubq.node.tasks import LETTING_GO, end_tasks
from hubq.store.codec import decode, sendable
from hubq.store.command import Command
from hubq.store.connection import AsyncRedis
from hubq.store.control import add_event
from hubq.store.envelope import Envelope
from hubq.store.keys import Keys
from hubq.store.mailbox import Message
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import TOOK_DOWN

log = logging.getLogger("hubq.node")

#: Most events in one pipeline.
EVENTS_AT_ONCE = 200


class Supervisor:
    """All children of a node."""

    def __init__(
        self, redis: AsyncRedis, keys: Keys, node_name: str, classes: ClassBook, config: Config, hooks: HookRunner
    ) -> None:
        self.node_name = node_name
        self.holdings: dict[tuple[int, str | None], Holding] = {}
        self.changed: Callable[[], None] = lambda: None  # set by the node: something to commit
        self.pin_empty: Callable[[], None] = lambda: None  # set by the node: a pin has no child any more
        self.resume: Callable[[Cell], None] = lambda cell: None  # set by the node: a child may go on
        self.marked: Callable[[int, dict[str, str]], None] = lambda shard, marks: None  # set by the node
        self.quiet: set[str] = set()  # children of whose start or stop nothing is to be logged
        self.reject: Callable[[Cell, Message, str, str], None]
        self.redis_now_ms: Callable[[], float]
        self.read_again: Callable[[Cell, bytes], None]
        self.read_orphans: Callable[[Holding, str], None]
        self.redis = redis
        self.keys = keys
        self._classes = classes
        self.hooks = hooks
        self.config = config
        self._tasks: set[asyncio.Task[Any]] = set()
        self._events: list[Command[None]] = []
        self.saver = Saver(config, self.background)
        self.starts, self.runs, self.endings = Starts(self), Runs(self), Endings(self)
        self.trusted: Callable[[], bool] = lambda: True  # set by the node
        self.hub_began_ms = 0  # when the hub's first node joined, Redis ms
        self.signals: frozenset[str] = frozenset()  # which changes ``on_redundancy_signal`` hears of
        self.all_active = False  # every copy is active (replication_model="active_active")

    # -- small things ------------------------------------------------------------------------------------------------

    def background(self, work: Awaitable[Any], what: str) -> asyncio.Task[Any]:
        """Run something beside the loop; what it raises is logged."""

        async def guarded() -> Any:
            try:
                return await work
            except asyncio.CancelledError:
                raise
            except RedisUnavailable as error:
                log.warning("%s failed: %s", what, error)
            except Exception:
                log.exception("%s failed", what)

        task = asyncio.get_running_loop().create_task(guarded(), name=what)
        self._tasks.add(task)

        def done(_: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if asyncio.iscoroutine(work):
                work.close()  # it was never begun, if the task was cancelled before its first step

        task.add_done_callback(done)
        return task

    async def stop(self) -> None:
        """Cancel what runs beside the loop. A child's code that does not end is left behind: its node does not wait for it."""
        left = await end_tasks(list(self._tasks), LETTING_GO)
        for task in left:
            log.warning("%s goes on though it was cancelled: let CancelledError through", task.get_name())
        self._tasks -= left

    def event(self, kind: str, **fields: object) -> None:
        """Write an event, without waiting for it."""
        self._events.append(add_event(self.keys, self.config.events_kept, kind, {"node": self.node_name, **fields}))
        if len(self._events) == 1:
            self.background(self._write_events(), "writing events")

    async def _write_events(self) -> None:
        # One pipeline for all that has happened at once: thousands of children may stop in the same moment.
        await asyncio.sleep(0)
        while self._events:
            some = self._events[:EVENTS_AT_ONCE]
            try:
                await self.redis.run_many(some, retry_for=5.0)
            except Exception as error:
                log.warning("%d events are not written: %s", len(some), error)
            del self._events[: len(some)]

    def children(self) -> Iterable[Cell]:
        """Every child on this node."""
        for holding in self.holdings.values():
            yield from holding.cells.values()

    # -- active and passive ------------------------------------------------------------------------------------------

    def active(self, cell: Cell) -> bool:
        """Whether this copy is active right now."""
        holding = cell.holding
        return self.all_active or (holding.active and not holding.lost and not holding.replica and self.trusted())

    def hears(self, cell: Cell) -> bool:
        """Whether the child wants to be told when it becomes active or passive."""
        return bool(self.signals) and overrides(cell.kind, "on_redundancy_signal")

    async def announce(self, cells: Iterable[Cell], mode: str) -> None:
        """Tell these copies that they are active, or passive, now; all at once."""
        told = [cell for cell in cells if mode in self.signals and cell.instance is not None and self.hears(cell)]
        await asyncio.gather(*(self._signal(cell, mode) for cell in told))

    async def _signal(self, cell: Cell, mode: str) -> None:
        assert cell.instance is not None
        try:
            async with asyncio.timeout(self.config.stop_timeout):
                answer = cell.instance.on_redundancy_signal(mode)
                if isawaitable(answer):
                    await answer
        except Exception as error:
            log.warning("on_redundancy_signal(%r) of child %s raised", mode, cell.child_id, exc_info=error)

    # -- building ----------------------------------------------------------------------------------------------------

    def build(self, holding: Holding, child_id: str, record: SpecRecord) -> Cell:
        """Import the class and run ``__init__``. The cell's life is PARKED, with the error raised, if that fails."""
        cell = Cell(self, holding, child_id, record)
        try:
            cell.kind = self._classes.resolve(record.name, record.module)
            args, kwargs = decode(record.arguments)
            if self.hooks.wants(ALTER):
                data = self.hooks.altered(child_id, record.name, args, kwargs, record.metadata)
                args, kwargs = data.args, data.kwargs
                cell.record = replace(record, metadata=data.metadata)
            instance = cell.kind.__new__(cell.kind)
            instance._host = cell
            instance.__init__(*args, **kwargs)  # type: ignore[misc]
            cell.instance = instance
        except Exception as error:
            if isinstance(error, StartFailed):
                raise
            raise StartFailed(
                f"child {child_id!r} ({record.name}) cannot be built: {type(error).__name__}: {error}"
            ) from error
        return cell

    def build_parked(self, holding: Holding, child_id: str, record: SpecRecord, reason: str) -> Cell:
        """A child that cannot run here: a place holder that keeps its messages in the mailbox."""
        cell = Cell(self, holding, child_id, record)
        cell.moved(LifeEvent.FAILED)
        self.park(cell, reason)
        if reason.startswith(TOOK_DOWN):
            # It stands in Redis, and is taken back there (`hubq dead replay`): not to be written again.
            del holding.effects.parked[child_id]
            holding.condemned.add(child_id)
        else:
            holding.unbuilt[child_id] = set()
        return cell

    def park(self, cell: Cell, reason: str) -> None:
        """It cannot run here: its messages stay in the mailbox, and whoever asks is told why."""
        reason = sendable(reason)
        quiet = cell.child_id in self.quiet
        if not quiet:
            log.error("child %s is parked: %s", cell.child_id, reason)
        cell.reason = reason
        cell.holding.effects.parked[cell.child_id] = reason
        cell.queue = None
        self.wake(cell)
        self.changed()
        if not quiet:
            self.event("child_parked", child=cell.child_id, shard=cell.holding.shard, reason=reason)

    def wake(self, cell: Cell) -> None:
        """Tell those who wait for the child's boundary."""
        if cell.idle is not None and not cell.idle.done():
            cell.idle.set_result(None)
        cell.idle = None

    def begin(self, cell: Cell, envelope: Envelope | None, *, first: bool = False) -> None:
        """Give a built child its state and start it; its intake opens when ``on_start`` is done. ``first``: no node has
        ever had it.
        """
        if not first:
            self.goes_on(cell)
        try:
            if envelope is not None:
                restore(cell, envelope)
                if envelope.form == ATTRIBUTES:
                    cell.boundary, cell.saved = envelope.data, True
        except Exception as error:
            cell.moved(LifeEvent.FAILED)
            self.park(cell, f"its state cannot be restored: {type(error).__name__}: {error}")
            return
        cell.moved(LifeEvent.RESTORED)
        if overrides(cell.kind, "on_start") or self.hears(cell):
            self.background(self._on_start(cell), f"starting child {cell.child_id}")
        else:
            self._started(cell)

    def goes_on(self, cell: Cell) -> None:
        """Another node had it before: of an interval child, what that one answered since its last save comes again."""
        if cell.kind.durability == "interval":
            cell.holding.replays[cell.child_id] = self.redis_now_ms() + 1000  # more than any clock can be wrong

    async def _on_start(self, cell: Cell) -> None:
        assert cell.instance is not None
        try:
            await cell.instance.on_start()
            await self.announce([cell], "active")
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            if cell.life is Life.STARTING:
                cell.moved(LifeEvent.FAILED)
                self.park(cell, f"on_start raised {type(error).__name__}: {error}")
            return
        if cell.life is Life.STARTING:
            self._started(cell)

    def _started(self, cell: Cell) -> None:
        cell.moved(LifeEvent.STARTED)
        self.wake(cell)
        if cell.stopping:
            self.endings.end(cell)
            return
        self.began(cell)

    def began(self, cell: Cell) -> None:
        """A child runs here now; its loop and its messages may begin (once its holding is open)."""
        if cell.holding.recorder is not None:
            cell.holding.recorder.begun(cell)
            self.changed()
        self.runs.start(cell)
        self.resume(cell)

    # -- messages that are not handled -------------------------------------------------------------------------------

    def nobody(self, holding: Holding, message: Message) -> None:
        """A message for a child that does not exist (any more): its sender is told."""
        ghost = Cell(self, holding, message.child, SpecRecord("", "", ""))
        text = f"child {message.child!r} was stopped before this message's turn"
        self.reject(ghost, message, "unknown_child", text)
        self.changed()
