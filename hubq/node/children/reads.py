"""``@read`` methods: they run beside the handler in hand, on the last committed state (docs/guide-calls.md).

The state at the last message boundary may not be committed yet. But the answer to a read leaves with a commit of the same holding
that comes later, or is the same: if that state is never committed, the answer never leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import Any

from hubq.client.asking.calling import Doing, set_handling
from hubq.core.lifecycle import Life
from hubq.errors import Cancelled, NotSendable, ReadChanged, word_for
from hubq.node.children.failures import Failures, why_of
from hubq.node.children.methods import Finds, ended
from hubq.node.children.outcomes import Outcomes, error_payload, unsendable
from hubq.node.children.read_copies import ReadCopies, ReadCopy
from hubq.node.held.changing import first_of
from hubq.node.held.holding import HostedChild
from hubq.node.held.idleness import Idleness
from hubq.node.runtime.background import Background
from hubq.node.runtime.raised import Raised
from hubq.node.runtime.sizes import Sizes
from hubq.node.runtime.standing import Standing
from hubq.node.runtime.tasks import torn_down
from hubq.store.codec import checked_size
from hubq.store.message import Message

#: Most reads at the same time on one node. Those that come then wait for their turn among the other messages.
MOST_READS = 1_000


class Reads:
    """Runs the reads of a node's children. ``threads`` runs plain ``def`` methods, ``may_handle`` says whether any may start."""

    def __init__(
        self, standing: Standing, background: Background, sizes: Sizes, methods: Finds, threads: Executor,
        outcomes: Outcomes, failures: Failures, idleness: Idleness, may_handle: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._standing = standing
        self._background = background
        self._sizes = sizes
        self._methods = methods
        self._threads = threads
        self._outcomes = outcomes
        self._failures = failures
        self._idleness = idleness
        self._may_handle = may_handle
        self._copies = ReadCopies(sizes)
        self._running: dict[tuple[HostedChild, bytes], tuple[Message, asyncio.Task[Any]]] = {}

    def begin(self, hosted: HostedChild, message: Message) -> bool:
        """Run a read beside everything else. False: it must wait for its turn."""
        holding = hosted.holding
        if (
            hosted.life is not Life.RUNNING or not holding.open or not self._may_handle()
            or (holding.watch is not None and holding.watch.covers(message.entry))  # it may have taken the last node down
            or hosted.child_id in holding.departing or hosted.rests or len(self._running) >= MOST_READS
        ):  # fmt: skip
            return False
        place = hosted, message.entry
        if place not in self._running:  # (a child that was behind is given a message twice, perhaps)
            task = self._background.run(
                self.run(hosted, message, beside=True), f"{message.method} of child {hosted.child_id}"
            )
            self._running[place] = message, task
            task.add_done_callback(lambda _: self._running.pop(place, None))
        return True

    def forget(self, hosted: HostedChild) -> None:
        """The child has left: its copy is not needed."""
        self._copies.drop(hosted)

    def cancel(self, hosted: HostedChild, message_id: str, caller: str) -> bool:
        """End a read that is running. False: there is no such, or it is just moving."""
        for (child, _), (message, task) in list(self._running.items()):
            if child is hosted and (message.id, message.reply_to) == (message_id, caller) and _may_answer(hosted):
                task.cancel()
                error = Cancelled(f"{hosted.child_id}.{message.method} was cancelled while it ran: it only reads")
                self._outcomes.answer(hosted, message, word_for(error), error_payload(message, str(error), "Cancelled"))
                return True
        return False

    async def run(self, hosted: HostedChild, message: Message, beside: bool = False) -> None:
        """Run a read, and answer it. ``beside``: the child does not wait for it, and may move meanwhile."""
        set_handling(Doing(hosted.child_id, hosted.record.name, message.method, message.id))
        self._idleness.touched(hosted, self._standing.redis_now_ms())
        word, payload = await self._outcome(hosted, message)
        await self._settle(hosted, message, word, payload, beside)

    async def _outcome(self, hosted: HostedChild, message: Message) -> tuple[str, bytes]:
        if message.deadline and message.deadline < self._standing.redis_now_ms():
            why = "its deadline had passed when its turn came"
            return "overdue", error_payload(message, why)
        try:
            copy = self._copies.of(hosted)
            result = await self._result(hosted, message, copy)
            if copy.changed:
                self._copies.drop(hosted)
                raise ReadChanged(
                    f"{hosted.child_id}.{message.method} is a @read and has changed the child: the change was dropped; "
                    "take @read away, or the change"
                )
            payload = self._encoded(hosted, message, result)
        except asyncio.CancelledError:
            raise  # the node ends, or the caller has cancelled it
        except BaseException as error:
            if torn_down(error):
                raise
            raised = Raised.of(error)
            self._failures.failed(hosted, message, why_of(hosted, message, error), raised.text, error, raised.trace)
            return word_for(error), error_payload(message, raised.text, raised.kind, raised.trace)
        return "ok", payload

    async def _result(self, hosted: HostedChild, message: Message, copy: ReadCopy) -> Any:
        method, is_async = self._methods.read(hosted, message)
        checked_size(message.payload, self._sizes.payload, f"the arguments of {message.method}")
        args, kwargs = hosted.services.values.arguments(hosted.kind, message.method, message.payload)
        if is_async:
            return await method(copy.instance, *args, **kwargs)
        run = copy_context().run  # as asyncio.to_thread does: current_hub() works in the thread
        loop = asyncio.get_running_loop()
        result, raised = await loop.run_in_executor(
            self._threads, lambda: run(ended, method, copy.instance, args, kwargs)
        )
        if raised is not None:
            raise raised
        return result

    def _encoded(self, hosted: HostedChild, message: Message, result: object) -> bytes:
        if not message.reply_to:
            return b""
        try:
            payload = hosted.services.values.encode_result(hosted.kind, message.method, result)
        except Exception as error:
            raise NotSendable(unsendable(hosted, message.method, error)) from error
        return checked_size(payload, self._sizes.payload, f"the result of {message.method}")

    async def _settle(self, hosted: HostedChild, message: Message, word: str, payload: bytes, beside: bool) -> None:
        while beside and not _may_answer(hosted):
            # It is about to move. If it stays after all, it has handled nothing meanwhile, and the answer holds.
            if hosted.life is Life.ENDED or not await hosted.holding.is_open():
                break
            if not _may_answer(hosted):  # it is being passed: it goes, stays, or is taken out of its shard
                await first_of(hosted.changed(), hosted.holding.changed())
        holding = hosted.holding
        if holding.gone:
            return  # its next node reads the message
        if hosted.life is Life.ENDED:
            self._outcomes.refuse_unknown(holding, message)
        elif holding.children.get(hosted.child_id) is hosted:
            self._outcomes.answer(hosted, message, word, payload)


def _may_answer(hosted: HostedChild) -> bool:
    """Whether what it answers now goes with a commit of its owner."""
    return hosted.holding.open and hosted.child_id not in hosted.holding.departing
