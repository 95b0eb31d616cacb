"""Whose turn it is: one message at a time per child, many children at a time, no task per message.

A few *pump* tasks take children from the ready queue and run their handlers. A pump whose handler suspends stays with it;
the loop then starts another pump for the others, so there are as many pumps as suspended handlers, and one more.

Somebody waits for the answer to a call, and nobody for a cast. So a child with a call has its turn before children that have only
casts, but for every second turn, which is theirs. While calls come, a pump lets the loop turn often, so that they are read, and their
commits sent, between casts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

from hubq.config import Config
from hubq.node.children.handler import Handle
from hubq.node.children.outcomes import Outcomes
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.raised import Raised
from hubq.node.runtime.tasks import shaken_off, torn_down
from hubq.store.message import Message

log = logging.getLogger("hubq.node")

#: A pump lets the event loop turn, and what it has finished be committed, after this many seconds.
TURN = 0.004
#: While calls come it lets the loop turn after so many seconds. What it has finished is committed as soon as all calls are answered.
SLICE = 0.0005
#: In the first turn the loop hears from Redis; in the second the reader and the committer go on with what it has heard.
TURNS = 2
#: So many seconds after a call, calls come no more.
LATELY = 0.1


class Pumps:
    """The ready queues and their pumps. ``threads`` runs plain ``def`` handlers, and ends with the pumps. ``ending`` is set when
    they are stopped.
    """

    def __init__(
        self, handle: Handle, may_handle: Callable[[], bool], threads: Executor, config: Config, outcomes: Outcomes,
        queue: CommitQueue, cursors: Cursors, ending: asyncio.Event,
    ) -> None:  # fmt: skip
        self._handle = handle
        self._may_handle = may_handle
        self._threads = threads
        self._queue_half, self._bytes_half = config.queue_limit // 2, config.queue_bytes // 2
        self._outcomes = outcomes
        self._queue = queue
        self._cursors = cursors
        self._ending = ending
        self._ready: deque[HostedChild] = deque()
        self._called: deque[HostedChild] = deque()  # children that have a call; they may stand in the other queue, too
        self._calls_next = True
        self._calls_until = 0.0
        self._pumps: set[asyncio.Task[None]] = set()
        self._turning = 0  # pumps that are not suspended in a handler
        self._check_due = False

    def offer(self, hosted: HostedChild, message: Message) -> None:
        """Queue a message for a child (the reader keeps the bound)."""
        first = hosted.offer(message)
        if message.reply_to:
            self._calls_until = asyncio.get_running_loop().time() + LATELY
            if hosted.open:
                self._called.append(hosted)
                self._begin()
        elif first:
            self._ready.append(hosted)
            self._begin()

    @property
    def hurry(self) -> bool:
        """Whether calls come: casts are handled in short slices then."""
        return asyncio.get_running_loop().time() < self._calls_until

    @property
    def waiting(self) -> int:
        """How many children wait for their turn with casts alone."""
        return len(self._ready)

    def resume(self, hosted: HostedChild) -> None:
        """The child may go on: it has started, or its holding has opened again."""
        if hosted.queue and hosted.open:
            self._ready.append(hosted)
            self._begin()

    def stop(self) -> None:
        """End all pumps and threads. Handlers that run are cancelled."""
        self._ending.set()
        self._ready.clear()
        self._called.clear()
        for pump in self._pumps:
            pump.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def stopped(self, within: float) -> bool:
        """Wait until the pumps have ended. False: a handler goes on though it was cancelled."""
        if self._pumps:
            await asyncio.wait(self._pumps, timeout=within)
        return not self._pumps

    def _begin(self) -> None:
        """A child is ready: a pump begins in the next turn of the loop, with all that is ready by then."""
        if not self._turning and not self._check_due:
            self._check()

    def _ensure(self) -> None:
        """The same once the loop turns: a pump may suspend by then, or go on."""
        if not self._check_due:
            self._check_due = True
            asyncio.get_running_loop().call_soon(self._check)

    def _check(self) -> None:
        self._check_due = False
        if self._turning > 0:
            return
        self._queue.due()  # the pump is suspended: the messages that it has finished must not wait for it
        if self._ready or self._called:
            self._turning += 1
            pump = asyncio.get_running_loop().create_task(self._pump())
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    def _turn_over(self, hosted: HostedChild, seconds: float, now: float, answered: bool) -> bool:
        """Whether a pump that is at this child, turns for so many seconds, and has answered a call or not, lets the loop turn."""
        if seconds > TURN:
            return True
        if not self._ready and not hosted.queue:
            return False  # it goes on with calls, and what it has answered goes out in one commit
        return (answered and not self._called) or (seconds > SLICE and now < self._calls_until)

    def _next(self) -> HostedChild:
        """Whose turn it is, if there is a call."""
        if self._calls_next or not self._ready:
            self._calls_next = False
            return self._called.popleft()
        self._calls_next = True
        return self._ready.popleft()

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        turning = True
        handle, may_handle = self._handle, self._may_handle  # (read once: this loop turns once per message)
        try:
            turned = committed = loop.time()
            answered = False
            while self._ready or self._called:
                hosted = self._next() if self._called else self._ready.popleft()
                while hosted.queue and hosted.open:
                    if not may_handle():
                        self._ready.appendleft(hosted)  # nobody is forgotten: the next pump begins with it
                        return
                    held = hosted.queued_bytes
                    in_hand = hosted.take_in_hand(task)
                    if len(hosted.queue) == self._queue_half or hosted.queued_bytes <= self._bytes_half < held:
                        self._cursors.room(hosted)
                    # If the handler suspends, this callback finds nobody turning and starts another pump.
                    self._turning -= 1
                    turning = False
                    if not self._check_due:
                        self._ensure()
                    try:
                        await handle(hosted, in_hand)
                    except asyncio.CancelledError:
                        if in_hand.undone or self._ending.is_set() or not task.cancelling():
                            raise
                    except BaseException as error:
                        if torn_down(error):
                            raise
                        log.exception("child %s: a message could not be handled", hosted.child_id)
                        raised = Raised.of(error)
                        self._outcomes.fail(hosted, in_hand.message, "failed", raised.text, raised.kind, raised.trace)
                    finally:
                        hosted.hand_empty()
                    if task.cancelling():
                        if self._ending.is_set():
                            return
                        await shaken_off(task)  # the handler has cancelled its own task, or has not heeded us
                    self._turning += 1
                    turning = True
                    if in_hand.message.reply_to:
                        answered = True
                    now = loop.time()
                    seconds = now - turned
                    if (
                        answered or seconds > TURN or (seconds > SLICE and now < self._calls_until)
                    ) and self._turn_over(hosted, seconds, now, answered):
                        if now - committed > TURN or (answered and not self._called):
                            self._queue.due()
                            answered, committed = False, now
                        for _ in range(TURNS):
                            await asyncio.sleep(0)
                        turned = loop.time()
                        if (self._ready or self._called) and hosted.queue and hosted.open:
                            self._ready.append(hosted)  # the others first: a flooded child never comes to an end
                            break
                if not hosted.queue:
                    hosted.drop_queue()
                if self._turning > 1:
                    break  # another pump took over while this one was suspended
        except asyncio.CancelledError:
            return  # a straggler's handler was cancelled, or the node stops; the others get another pump
        finally:
            if turning:
                self._turning -= 1
            self._queue.due()
            if (
                self._ready or self._called
            ) and self._may_handle():  # if not, they are resumed when handlers may start again
                self._ensure()
