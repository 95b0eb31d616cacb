"""Builds children, starts and restarts them, and disposes of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import isawaitable
from typing import Any

import msgspec
from msgspec.structs import replace

from hubq.client.classes import ClassBook
from hubq.config import Config
from hubq.core.child import FunctionChild
from hubq.core.lifecycle import Life, LifeEvent, RestartBudget, restarts
from hubq.core.messages import Withdraw
from hubq.errors import RedisUnavailable, StartFailed
from hubq.hooks import ChildrenStart
from hubq.hooks.book import ALTER
from hubq.node.holding import Cell, Holding
from hubq.node.hook_runner import HookRunner
from hubq.node.saver import Saver
from hubq.node.state import ATTRIBUTES, overrides, restore
from hubq.node.tasks import end_tasks
from hubq.store.batches import read_batch
from hubq.store.codec import decode, encode
from hubq.store.command import Command
from hubq.store.connection import AsyncRedis
from hubq.store.control import add_event
from hubq.store.envelope import Envelope
from hubq.store.keys import Keys
from hubq.store.mailbox import PLAIN, Message, StartOptions, reply_line, started_payload
from hubq.store.registry import read_some_specs, read_state, read_texts
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
        self._redis = redis
        self._keys = keys
        self._classes = classes
        self.hooks = hooks
        self._config = config
        self._tasks: set[asyncio.Task[Any]] = set()
        self._events: list[Command[None]] = []
        self.saver = Saver(config, self.background)
        self.trusted: Callable[[], bool] = lambda: True  # set by the node
        self.signals: frozenset[str] = frozenset()  # which changes ``on_redundancy_signal`` hears of
        self.all_active = False  # every copy is active (replication_model="active_active")

    # -- small things ----------------------------------------------------------------------------------------------

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

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)

        def done(_: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if asyncio.iscoroutine(work):
                work.close()  # it was never begun, if the task was cancelled before its first step

        task.add_done_callback(done)
        return task

    async def stop(self) -> None:
        """Cancel what runs beside the loop."""
        await end_tasks(list(self._tasks))

    def event(self, kind: str, **fields: object) -> None:
        """Write an event, without waiting for it."""
        self._events.append(add_event(self._keys, self._config.events_kept, kind, {"node": self.node_name, **fields}))
        if len(self._events) == 1:
            self.background(self._write_events(), "writing events")

    async def _write_events(self) -> None:
        # One pipeline for all that has happened at once: thousands of children may stop in the same moment.
        await asyncio.sleep(0)
        while self._events:
            some = self._events[:EVENTS_AT_ONCE]
            try:
                await self._redis.run_many(some, retry_for=5.0)
            except Exception as error:
                log.warning("%d events are not written: %s", len(some), error)
            del self._events[: len(some)]

    def children(self) -> Iterable[Cell]:
        """Every child on this node."""
        for holding in self.holdings.values():
            yield from holding.cells.values()

    # -- active and passive ----------------------------------------------------------------------------------------

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
            async with asyncio.timeout(self._config.stop_timeout):
                answer = cell.instance.on_redundancy_signal(mode)
                if isawaitable(answer):
                    await answer
        except Exception as error:
            log.warning("on_redundancy_signal(%r) of child %s raised", mode, cell.child_id, exc_info=error)

    # -- building --------------------------------------------------------------------------------------------------

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
        self._park(cell, reason)
        return cell

    def _park(self, cell: Cell, reason: str) -> None:
        reason = sendable(reason)
        quiet = cell.child_id in self.quiet
        if not quiet:
            log.error("child %s is parked: %s", cell.child_id, reason)
        cell.reason = reason
        cell.holding.effects.parked[cell.child_id] = reason
        cell.queue = None
        self._wake(cell)
        self.changed()
        if not quiet:
            self.event("child_parked", child=cell.child_id, shard=cell.holding.shard, reason=reason)

    def _wake(self, cell: Cell) -> None:
        """Tell those who wait for the child's boundary."""
        if cell.idle is not None and not cell.idle.done():
            cell.idle.set_result(None)
        cell.idle = None

    def begin(self, cell: Cell, envelope: Envelope | None) -> None:
        """Give a built child its state and start it; its intake opens when ``on_start`` is done."""
        if cell.kind.durability == "interval":
            # What was answered since its last save comes again. (A second more than any clock can be wrong.)
            cell.holding.replays[cell.child_id] = self.redis_now_ms() + 1000
        try:
            if envelope is not None:
                restore(cell, envelope)
                if envelope.form == ATTRIBUTES:
                    cell.boundary, cell.saved = envelope.data, True
        except Exception as error:
            cell.moved(LifeEvent.FAILED)
            self._park(cell, f"its state cannot be restored: {type(error).__name__}: {error}")
            return
        cell.moved(LifeEvent.RESTORED)
        if overrides(cell.kind, "on_start") or self.hears(cell):
            self.background(self._on_start(cell), f"starting child {cell.child_id}")
        else:
            self._started(cell)

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
                self._park(cell, f"on_start raised {type(error).__name__}: {error}")
            return
        if cell.life is Life.STARTING:
            self._started(cell)

    def _started(self, cell: Cell) -> None:
        cell.moved(LifeEvent.STARTED)
        self._wake(cell)
        if cell.stopping:
            self.end(cell)
            return
        self.began(cell)

    def began(self, cell: Cell) -> None:
        """A child runs here now; its loop and its messages may begin (once its holding is open)."""
        if cell.holding.recorder is not None:
            cell.holding.recorder.begun(cell)
            self.changed()
        self.start_run(cell)
        self.resume(cell)

    # -- the start message -----------------------------------------------------------------------------------------

    def start_message(self, holding: Holding, message: Message) -> None:
        """A ``start`` message: build the children it names. Their messages queue up meanwhile."""
        names: list[str] = msgspec.json.decode(message.payload)
        missing = [name for name in names if name not in holding.cells and name not in holding.excluded]
        # Until their specs are read, the messages behind this one must wait in the mailbox.
        for name in missing:
            holding.behind[name] = message.entry
        self.background(self._start_message(holding, message, names, missing), "starting children")

    async def _start_message(self, holding: Holding, message: Message, names: list[str], missing: list[str]) -> None:
        failed: dict[str, str] = {}
        records: dict[str, SpecRecord] = {}
        options = StartOptions.read(message.method) if message.method else PLAIN
        if missing:
            commands: list[Command[Any]] = [read_some_specs(self._keys, holding.shard, missing)]
            if options.batch:
                commands += [read_texts(self._keys.batches(holding.shard)), read_batch(self._keys, options.batch)]
            records, *marks = await self._redis.run_many(commands, retry_for=self._config.lease)
            if not await self._open_again(holding):
                return  # whoever owns the shard next reads the message again
            if marks and options.batch in marks[0].values():
                self.marked(holding.shard, marks[0])
                if not marks[1]:
                    # It is undone already: nothing of it begins, and its specs are seen to by those who watch batches.
                    records, failed = {}, dict.fromkeys(missing, "the all-or-nothing start it belongs to was undone")
        if options.quiet:
            self.quiet.update(names)
        try:
            await self._start_named(holding, message, names, missing, records, failed)
        finally:
            self.quiet.difference_update(names)

    async def _start_named(
        self,
        holding: Holding,
        message: Message,
        names: list[str],
        missing: list[str],
        records: dict[str, SpecRecord],
        failed: dict[str, str],
    ) -> None:
        if missing:
            if self.hooks.wants("pre_children_start"):
                payload = ChildrenStart(self.hooks.hub_id, self.node_name, holding.shard, tuple(missing))
                await self.hooks.before("pre_children_start", payload)
                if not await self._open_again(holding):
                    return
            away = {name: record for name, record in records.items() if record.place and self.elsewhere(name, record)}
            if away:
                failed |= await self._start_elsewhere(holding, away)
                if not await self._open_again(holding):
                    return
            for name in missing:
                if name in records and name not in holding.cells and name not in away:
                    if records[name].place:
                        holding.guided.add(name)
                    try:
                        cell = self.build(holding, name, records[name])
                    except StartFailed as error:
                        failed[name] = sendable(str(error))
                        self.forget(holding, name, records[name])
                        continue
                    holding.cells[name] = cell
                    self.begin(cell, None)
        for name in names:
            cell_or_none = holding.cells.get(name)
            if cell_or_none is None:
                continue  # it cannot be built (see above), or it has run and ended already
            cell = cell_or_none
            if cell.budget is not None:
                continue  # it has started, and its run() has been started again since: that is no failed start
            while cell.life is Life.BUILT and not holding.lost:  # noqa: ASYNC110  (it waits for its trial: rare)
                await asyncio.sleep(0.02)
            if cell.life is Life.STARTING:
                await self.saver.boundary(cell)
            if cell.life is Life.PARKED and name not in failed:
                failed[name] = f"child {name!r} cannot start: {cell.reason}"
                if not cell.reason.startswith(TOOK_DOWN):  # that one is kept: `hubq dead replay` tries it again
                    self._remove(cell)
        if not await self._open_again(holding):
            return
        holding.effects.done.setdefault(message.child, []).append(message.entry)
        if message.reply_to:
            line = reply_line(message.id, "ok", self.node_name, started_payload(holding.owner.line, failed))
            holding.effects.replies.setdefault(message.reply_to, []).append(line)
        self.changed()
        self.hooks.started(holding, tuple(names), failed)
        for name in missing:
            cell_or_none = holding.cells.get(name)
            if name in holding.excluded:
                continue
            if cell_or_none is not None:
                self.read_again(cell_or_none, message.entry)
            else:
                holding.behind.pop(name, None)
                self.read_orphans(holding, name)

    async def _start_elsewhere(self, holding: Holding, away: Mapping[str, SpecRecord]) -> dict[str, str]:
        """Children with a place of their own are not started here; one that cannot start there either is forgotten."""
        for name, record in away.items():
            holding.excluded.add(name)
            holding.unplaced[name] = record
            holding.behind.pop(name, None)
        failed = await self.send_away(holding, away)
        for name in failed:
            if holding.unplaced.pop(name, None) is not None:
                holding.excluded.discard(name)
                self.forget(holding, name, away[name])
        return failed

    async def _open_again(self, holding: Holding) -> bool:
        """Wait out a handover of the shard. False: it has gone; True: it is (still, or again) open here."""
        while not holding.open and not holding.lost:  # noqa: ASYNC110  (rare, and short)
            await asyncio.sleep(0.02)
        return not holding.lost

    elsewhere: Callable[[str, SpecRecord], bool]
    send_away: Callable[[Holding, Mapping[str, SpecRecord]], Awaitable[dict[str, str]]]
    read_again: Callable[[Cell, bytes], None]
    read_orphans: Callable[[Holding, str], None]

    def forget(self, holding: Holding, child_id: str, record: SpecRecord) -> None:
        """A child that never started, or has ended, goes with the next commit."""
        holding.effects.ended[child_id] = record.start_id
        if holding.recorder is not None:
            holding.recorder.ended(holding, child_id, record.start_id)
        holding.effects.states.pop(child_id, None)
        holding.effects.parked.pop(child_id, None)
        self.changed()

    # -- run() -----------------------------------------------------------------------------------------------------

    def start_run(self, cell: Cell) -> None:
        """Start the child's own loop, if it has one. One that is slow to end after a cancellation is waited for: a child
        never has two.
        """
        if not hasattr(cell.kind, "run") or cell.life is not Life.RUNNING:
            return
        if cell.run_task is None or cell.run_task.done():
            cell.run_task = self.background(self._run(cell), f"run() of child {cell.child_id}")
        elif cell.run_task.cancelling():
            cell.run_task.add_done_callback(lambda _: self.start_run(cell) if cell.holding.open else None)

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
            self.stop_requested(cell)
            return
        if cell.budget is None:
            cell.budget = RestartBudget(cell.kind.max_restarts, cell.kind.restart_within)
        if not cell.budget.spend(asyncio.get_running_loop().time()):
            cell.moved(LifeEvent.FAILED)
            self._park(
                cell,
                f"run() ended more than {cell.kind.max_restarts} times in {cell.kind.restart_within:g} s",
            )
            return
        await self.restart(cell)

    def _still_restarting(self, cell: Cell) -> bool:
        return cell.life is Life.BUILT

    async def restart(self, cell: Cell) -> None:
        """Build the child anew from its last commit."""
        await self.saver.boundary(cell)
        if cell.life is not Life.RUNNING or cell.holding.lost:
            return
        cell.moved(LifeEvent.RESTART)  # no handler starts from here on
        # Not only what is to be committed: a commit that is under way must be in Redis before its state is read.
        await self.saver.committed(cell.holding)
        command = read_state(self._keys, cell.holding.shard, cell.child_id)
        while not cell.holding.lost and self._still_restarting(cell):
            try:
                envelope = await self._redis.run(command, retry_for=self._config.lease)
                break
            except RedisUnavailable as error:  # no reason to park it: it may go on when Redis does
                log.warning("the restart of child %s waits: %s", cell.child_id, error)
                await asyncio.sleep(0.2)
        else:
            return
        await self._on_stop(cell, "restart")
        if cell.holding.lost or not self._still_restarting(cell):
            return
        try:
            fresh = self.build(cell.holding, cell.child_id, cell.record)
        except StartFailed as error:
            cell.moved(LifeEvent.FAILED)
            self._park(cell, str(error))
            return
        cell.instance, cell.boundary, cell.saved = fresh.instance, None, False
        assert cell.instance is not None
        cell.instance._host = cell
        self.event("child_restarted", child=cell.child_id, shard=cell.holding.shard)
        if cell.unsaved:
            # durability="interval": what it did since its last save is undone, and its messages come again.
            cell.unsaved, cell.queue = None, None
            self.read_again(cell, b"0")
        self.begin(cell, envelope)
        self.hooks.pids_updated(cell.holding, (cell.child_id,), "restarted")

    # -- calls whose time is over ---------------------------------------------------------------------------------

    def withdraw(self, ask: Withdraw) -> None:
        """A caller has given up. If its call waits here, it goes, and the caller is told that it was not run."""
        holding = self.holdings.get((ask.shard, ask.child)) or self.holdings.get((ask.shard, None))
        cell = holding.cells.get(ask.child) if holding is not None else None
        if holding is None or cell is None or holding.lost or holding.frozen:
            return
        if cell.life is Life.PARKED:
            # Nothing of it is in hand. What waits in the mailbox is past its deadline, whoever reads it.
            text = f"child {ask.child!r} is parked: {cell.reason}"
            payload = msgspec.json.encode({"type": "", "message": text, "traceback": ""})
            line = reply_line(ask.message_id, "overdue", self.node_name, payload)
            holding.effects.replies.setdefault(ask.sender, []).append(line)
            self.changed()
            return
        for before, message in enumerate(cell.queue or ()):
            if (message.id, message.reply_to) == (ask.message_id, ask.sender):
                assert cell.queue is not None
                del cell.queue[before]
                behind = before + (cell.busy is not None)
                self.reject(cell, message, "overdue", f"{behind} messages were to be handled before it")
                self.changed()
                return

    # -- ending ----------------------------------------------------------------------------------------------------

    def stop_requested(self, cell: Cell) -> None:
        """``self.stop()`` of a child, or a stop message."""
        cell.stopping = True
        if cell.busy is None and cell.life is not Life.BUILT:
            self.end(cell)

    def stop_requested_now(self, cell: Cell) -> None:
        """A stop message's turn has come, or ``stop()`` was called in the handler that has just ended."""
        self.end(cell)

    def nobody(self, holding: Holding, message: Message) -> None:
        """A message for a child that does not exist (any more): its sender is told."""
        ghost = Cell(self, holding, message.child, SpecRecord("", "", ""))
        text = f"child {message.child!r} was stopped before this message's turn"
        self.reject(ghost, message, "unknown_child", text)
        self.changed()

    def stop_parked(self, cell: Cell, message: Message) -> None:
        """A stop message for a child that cannot run: it ends, and what waits for it is refused."""
        holding = cell.holding
        holding.effects.done.setdefault(cell.child_id, []).append(message.entry)
        if message.reply_to:
            line = reply_line(message.id, "ok", self.node_name, encode(True))
            holding.effects.replies.setdefault(message.reply_to, []).append(line)
        self.end(cell)
        self.read_orphans(holding, cell.child_id)

    def end(self, cell: Cell) -> None:
        """The child ends for good: what waits for it is refused, spec and state go with the next commit."""
        if cell.life is Life.ENDED:
            return
        holding = cell.holding
        for message in cell.queue or ():
            self.reject(
                cell, message, "unknown_child", f"child {cell.child_id!r} was stopped before this message's turn"
            )
        if cell.unsaved:
            holding.effects.done.setdefault(cell.child_id, []).extend(cell.unsaved)
            cell.unsaved = None
        if cell.save_timer is not None:
            cell.save_timer.cancel()
            cell.save_timer = None
        self.forget(holding, cell.child_id, cell.record)
        self._remove(cell)
        if cell.run_task is not None or overrides(cell.kind, "on_stop"):
            self.background(self._dispose(cell, "stopped"), f"stopping child {cell.child_id}")
        if cell.child_id not in self.quiet:
            self.event("child_stopped", child=cell.child_id, shard=holding.shard)
        self.hooks.ended(holding, cell.child_id)
        if holding.pinned is not None:
            self.pin_empty()

    def _remove(self, cell: Cell) -> None:
        if cell.life is Life.PARKED:
            self.forget(cell.holding, cell.child_id, cell.record)
        if cell.life is not Life.ENDED:
            cell.moved(LifeEvent.END)
        self._wake(cell)
        cell.queue = None
        cell.holding.cells.pop(cell.child_id, None)

    async def _dispose(self, cell: Cell, reason: str) -> None:
        await self.saver.end_run(cell)
        await self._on_stop(cell, reason)

    async def _on_stop(self, cell: Cell, reason: str) -> None:
        if cell.instance is None or not overrides(cell.kind, "on_stop"):
            return
        try:
            async with asyncio.timeout(self._config.stop_timeout):
                await cell.instance.on_stop(reason)
        except TimeoutError:
            log.warning("on_stop of child %s took longer than %g s", cell.child_id, self._config.stop_timeout)
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
            self._wake(cell)
            cell.queue = None
            if cell.run_task is not None or overrides(cell.kind, "on_stop"):
                work.append(self._dispose(cell, reason))
        if work:
            await asyncio.gather(*work, return_exceptions=True)


def sendable(text: str) -> str:
    """Text that can be written as UTF-8, whatever a user's exception had in it."""
    return text.encode("utf-8", "replace").decode("utf-8")
