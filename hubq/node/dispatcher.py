"""Runs handlers: one message at a time per child, many children at a time, no task per message.

A few *pump* tasks take children from the ready queue and run their handlers. A pump whose handler suspends stays with it;
the loop then starts another pump for the others, so there are as many pumps as suspended handlers, and one more.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

import msgspec

from hubq.core.child import callable_method, methods_of
from hubq.core.lifecycle import Life
from hubq.errors import HubqError, NotSendable, UnknownMethod, word_for
from hubq.node.counters import Seconds
from hubq.node.holding import Cell, Holding, new_queue
from hubq.node.recorder import UNBEGUN
from hubq.node.state import envelope_of, lay_state, take_state, takes_boundaries
from hubq.store.codec import decode, encode
from hubq.store.envelope import Envelope
from hubq.store.mailbox import Message, reply_line
from hubq.tracing import Tracing

log = logging.getLogger("hubq.node")

Handle = Callable[[Cell, Message], Awaitable[None]]

#: A pump lets the event loop turn after this many seconds.
TURN = 0.004


class Dispatcher:
    """The ready queue and its pumps."""

    def __init__(
        self,
        node_name: str,
        *,
        max_state_bytes: int,
        queue_limit: int,
        queue_bytes: int,
        threads: int,
        trusted: Callable[[], bool],
        redis_now_ms: Callable[[], float],
        touched: Callable[[Holding], None],
        due: Callable[[], None],
        room_again: Callable[[Cell], None],
        end_child: Callable[[Cell], None],
    ) -> None:
        self.node_name = node_name
        self.handled = 0
        self.failed = 0
        self.tracing: Tracing | None = None  # set by the node if the hub traces
        self.seconds: Seconds | None = None  # time in handlers, if somebody wants to know
        self._max_state_bytes = max_state_bytes
        self._queue_half, self._bytes_half = queue_limit // 2, queue_bytes // 2
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"hubq-{node_name}")
        self._trusted = trusted
        self._redis_now_ms = redis_now_ms
        self._touched = touched
        self._due = due
        self._room_again = room_again
        self._end_child = end_child
        self._ready: deque[Cell] = deque()
        self._pumps: set[asyncio.Task[None]] = set()
        self._turning = 0  # pumps that are not suspended in a handler
        self._check_due = False
        self.lay: Callable[[Cell, Envelope], None]  # set by the node: a copy takes a state
        self.under_watch: Callable[[Cell, Message, Handle], Awaitable[None]]  # set by the node: hubq.node.trials
        self._methods: dict[tuple[type, str], tuple[Callable[..., Any], bool] | None] = {}

    # -- the queue -------------------------------------------------------------------------------------------------

    def offer(self, cell: Cell, message: Message) -> None:
        """Queue a message for a child (the reader keeps the bound)."""
        if cell.queue is None:
            cell.queue = new_queue()
        cell.queue.add(message)
        if len(cell.queue) == 1 and cell.open:
            self._ready.append(cell)
            self._ensure()

    def resume(self, cell: Cell) -> None:
        """The child may go on: it has started, or its holding has opened again."""
        if cell.queue and cell.open:
            self._ready.append(cell)
            self._ensure()

    def stop(self) -> None:
        """End all pumps and threads. Handlers that run are cancelled."""
        self._ready.clear()
        for pump in self._pumps:
            pump.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def stopped(self, within: float) -> bool:
        """Wait until the pumps have ended. False: a handler goes on though it was cancelled."""
        if self._pumps:
            await asyncio.wait(self._pumps, timeout=within)
        return not self._pumps

    def _ensure(self) -> None:
        if not self._check_due:
            self._check_due = True
            asyncio.get_running_loop().call_soon(self._check)

    def _check(self) -> None:
        self._check_due = False
        if self._turning > 0:
            return
        self._due()  # the pump is suspended: what it finished before must not wait for it
        if self._ready:
            self._turning += 1
            pump = asyncio.get_running_loop().create_task(self._pump())
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        turning = True
        try:
            since = loop.time()
            while self._ready and self._trusted():
                cell = self._ready.popleft()
                while cell.queue and cell.open and self._trusted():
                    queue = cell.queue
                    message = queue.popleft()
                    held = queue.bytes
                    queue.bytes = held - len(message.payload)
                    if len(queue) == self._queue_half or queue.bytes <= self._bytes_half < held:
                        self._room_again(cell)
                    cell.busy = task
                    # If the handler suspends, this callback finds nobody turning and starts another pump.
                    self._turning -= 1
                    turning = False
                    self._ensure()
                    try:
                        handle = (
                            self._handle(cell, message) if cell.holding.watch is None else self._watched(cell, message)
                        )
                        if self.seconds is None:
                            await handle
                        else:
                            began = perf_counter()
                            await handle
                            seconds = perf_counter() - began
                            self.seconds.add(seconds)
                            cell.holding.handled += 1
                            cell.holding.spent += seconds
                    except Exception as error:
                        log.exception("child %s: a message could not be handled", cell.child_id)
                        self.fail(cell, message, "failed", str(error), type(error).__name__)
                    finally:
                        cell.busy, cell.in_thread = None, False
                        if cell.idle is not None and not cell.idle.done():
                            cell.idle.set_result(None)
                        cell.idle = None
                    self._turning += 1
                    turning = True
                    if loop.time() - since > TURN:
                        self._due()
                        await asyncio.sleep(0)
                        since = loop.time()
                        if self._ready and cell.queue and cell.open:
                            self._ready.append(cell)  # the others first: a flooded child never comes to an end
                            break
                if not cell.queue:
                    cell.queue = None  # an empty deque is three quarters of a kilobyte
                if self._turning > 1:
                    break  # another pump took over while this one was suspended
        except asyncio.CancelledError:
            return  # a straggler's handler was cancelled, or the node stops; the others get another pump
        finally:
            if turning:
                self._turning -= 1
            self._due()
            if self._ready and self._trusted():  # else the lease keeper resumes them
                self._ensure()

    # -- one message -----------------------------------------------------------------------------------------------

    async def _watched(self, cell: Cell, message: Message) -> None:
        await self.under_watch(cell, message, self._handle)

    def _method(self, kind: type, name: str) -> tuple[Callable[..., Any], bool] | None:
        key = (kind, name)
        if key not in self._methods:
            method = callable_method(kind, name)
            self._methods[key] = None if method is None else (method, iscoroutinefunction(method))
        return self._methods[key]

    async def _handle(self, cell: Cell, message: Message) -> None:
        self.handled += 1
        if message.kind in ("stop", "state"):
            if message.kind == "stop":
                self.finish(cell, message, "ok", encode(True))
                if message.method:
                    cell.supervisor.quiet.add(cell.child_id)  # disable_logging
                self._end_child(cell)
                cell.supervisor.quiet.discard(cell.child_id)
            else:
                self.lay(cell, Envelope.read(message.payload))  # a copy takes its original's state
            return
        if message.deadline and message.deadline < self._redis_now_ms() and not may_be_a_replay(cell, message):
            self.fail(cell, message, "overdue", "its deadline had passed when its turn came")
            return
        found = self._method(cell.kind, message.method)
        if found is None:
            known = ", ".join(methods_of(cell.kind)) or "none"
            error = UnknownMethod(
                f"child {cell.child_id!r} ({cell.kind.__name__}) has no method {message.method!r}; it has: {known}"
            )
            self.fail(cell, message, "unknown_method", str(error))
            return
        method, is_async = found
        instance = cell.instance
        eager = takes_boundaries(cell)
        try:
            if eager and cell.boundary is None:
                cell.boundary = take_state(cell, self._max_state_bytes)
            args, kwargs = decode(message.payload)
            if self.tracing is not None:
                method = self.tracing.handled(
                    method, is_async, cell.kind, cell.child_id, self.node_name, message.method, message.payload
                )
            if is_async:
                result = await method(instance, *args, **kwargs)
            else:
                cell.in_thread = True
                loop = asyncio.get_running_loop()
                run = copy_context().run  # as asyncio.to_thread does: current_hub() works in the thread
                result = await loop.run_in_executor(self._pool, lambda: run(method, instance, *args, **kwargs))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                self._raised(cell, message, error)  # the handler's own: something it waited for was cancelled
                return
            # Overdue in a handover, or the node is going away: as if the message had never been begun.
            self._roll_back(cell)
            cell.abandoned = cell.in_thread
            self.unbegun(cell, message)
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self._raised(cell, message, error)
            return
        try:
            answer = encode(result) if message.reply_to else b""
        except Exception as error:
            self._raised(cell, message, NotSendable(f"the result of {message.method} cannot be pickled ({error})"))
            return
        self._succeeded(cell, message, answer, eager)

    def _succeeded(self, cell: Cell, message: Message, answer: bytes, eager: bool) -> None:
        cell.cursor = message.entry.decode()
        if eager:
            try:
                state = take_state(cell, self._max_state_bytes)
            except HubqError as error:
                self._raised(cell, message, error)
                return
            if state != cell.boundary:
                cell.boundary = state
                cell.saved = False
        else:
            cell.saved = False
        durable = cell.saved_with_each_message and cell.life is not Life.ENDED
        if durable and not cell.saved and cell.boundary is not None:
            cell.holding.effects.states[cell.child_id] = envelope_of(cell, cell.boundary)
            cell.saved = True
        self.finish(cell, message, "ok", answer)
        if cell.stopping:
            self._end_child(cell)

    def unbegun(self, cell: Cell, message: Message) -> None:
        """A message is not handled, after all: it is the next one again. (If its child moves, it is read there; but the
        child may stay, since its target has gone or its state could not be taken.)
        """
        if cell.queue is not None:  # else it is read again from the mailbox
            cell.queue.appendleft(message)
            cell.queue.bytes += len(message.payload)

    def _roll_back(self, cell: Cell) -> None:
        if cell.kind.on_error == "rollback" and cell.boundary is not None:
            lay_state(cell, cell.boundary)

    def _raised(self, cell: Cell, message: Message, error: BaseException) -> None:
        self.failed += 1
        self._roll_back(cell)
        if cell.kind.on_error == "keep":
            cell.saved = False
            cell.cursor = message.entry.decode()
            if cell.kind.durability == "commit" or cell.holding.recorder is not None:
                try:
                    cell.boundary = take_state(cell, self._max_state_bytes)
                    if cell.saved_with_each_message:
                        cell.holding.effects.states[cell.child_id] = envelope_of(cell, cell.boundary)
                        cell.saved = True
                except HubqError as unsavable:
                    error = unsavable
        if not message.reply_to:
            log.warning("child %s: %s raised", cell.child_id, message.method, exc_info=error)
        trace = "".join(traceback.format_exception(error))
        text = str(error) if isinstance(error, HubqError) else (str(error) or repr(error))
        self.fail(cell, message, word_for(error), text, type(error).__name__, trace)
        if cell.stopping:
            self._end_child(cell)

    def fail(self, cell: Cell, message: Message, word: str, text: str, kind: str = "", trace: str = "") -> None:
        """The message is done, with an error for its caller."""
        payload = b""
        if message.reply_to:
            text, trace = (part.encode("utf-8", "replace").decode() for part in (text, trace))
            payload = msgspec.json.encode({"type": kind, "message": text, "traceback": trace})
        self.finish(cell, message, word, payload)

    def finish(self, cell: Cell, message: Message, word: str, payload: bytes) -> None:
        """The message is done: it goes, and its reply goes out, with the next commit."""
        recorder = cell.holding.recorder
        if recorder is not None and not recorder.finished(cell, message, word):
            return
        effects = cell.holding.effects
        self._touched(cell.holding)
        later = cell.kind.durability == "interval" and not cell.saved_with_each_message
        if later and cell.life is not Life.ENDED and not leaves_no_trace(cell, word):
            if cell.unsaved is None:
                cell.unsaved = []
            cell.unsaved.append(message.entry)
            cell.supervisor.saver.interval_progress(cell)
        else:
            done = effects.done.get(cell.child_id)
            if done is None:
                effects.done[cell.child_id] = [message.entry]
            else:
                done.append(message.entry)
        if message.reply_to:
            line = reply_line(message.id, word, self.node_name, payload)
            effects.replies.setdefault(message.reply_to, []).append(line)


def leaves_no_trace(cell: Cell, word: str) -> bool:
    """Whether the state is as if the message had never been begun. (So ``durability="interval"`` need not keep it until
    the next save, and must not: its sender has been told, and after a crash it could be run all the same.)
    """
    return word in UNBEGUN or (word != "ok" and cell.kind.on_error == "rollback")


def may_be_a_replay(cell: Cell, message: Message) -> bool:
    """``durability="interval"``: whether it may have been answered before a crash, and be missing in the saved state.

    Such a message is handled even past its deadline: its caller may have been told that it was. (Not one whose deadline
    passed before there was any node: its caller was told that it never will be.)
    """
    until = cell.holding.replays.get(cell.child_id)
    if until is None or int(message.entry.partition(b"-")[0]) >= until:
        return False
    return not message.deadline or message.deadline >= cell.supervisor.hub_began_ms
