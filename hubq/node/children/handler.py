"""Handles one message: runs its method, and settles its effects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import Protocol

from hubq.client.asking.calling import set_handling
from hubq.core.callable_methods import methods_of
from hubq.core.lifecycle import Life, LifeEvent
from hubq.errors import Cancelled, NotSendable, PayloadTooLarge, UnknownMethod, word_for
from hubq.node.children.endings import Endings
from hubq.node.children.failures import Failures, why_of
from hubq.node.children.kept_replies import KeptReplies
from hubq.node.children.methods import Finds, ended
from hubq.node.children.outcomes import Outcomes, error_payload, may_be_a_replay, unsendable
from hubq.node.children.reads import Reads
from hubq.node.children.retries import Retries
from hubq.node.held.holding import HostedChild
from hubq.node.held.idleness import Idleness
from hubq.node.held.in_hand import InHand
from hubq.node.held.state import lay_state, take_state, takes_boundaries
from hubq.node.runtime.raised import Raised, in_short
from hubq.node.runtime.sizes import Sizes
from hubq.node.runtime.standing import Standing
from hubq.node.runtime.tasks import torn_down
from hubq.store.codec import checked_size
from hubq.store.envelope import Envelope
from hubq.store.message import Message
from hubq.store.values import TRUE

log = logging.getLogger("hubq.node")

#: Handles a message in hand. A handler that is not begun, or is undone, ends with CancelledError.
Handle = Callable[[HostedChild, InHand], Awaitable[None]]


class LaysState(Protocol):
    """Lays an original's state over its copy (``hubq.node.copies.laying``)."""

    def lay(self, hosted: HostedChild, envelope: Envelope) -> None:
        """Make the copy what the envelope says."""


class NoCopyStates:
    """In a hub without copies no copy takes a state."""

    def lay(self, hosted: HostedChild, envelope: Envelope) -> None:
        """Nothing to do."""


class Handler:
    """Runs the methods of children. ``handled`` and ``raised`` count messages.

    ``threads`` runs plain ``def`` methods. ``quiet``: children whose end is not logged. ``ending`` is set when the node ends:
    the handlers are cancelled then. ``broken`` takes children whose state could not be put back.
    """

    def __init__(
        self, standing: Standing, sizes: Sizes, methods: Finds, threads: Executor, outcomes: Outcomes,
        endings: Endings, failures: Failures, retries: Retries, reads: Reads, kept_replies: KeptReplies,
        copy_states: LaysState, idleness: Idleness, quiet: set[str],
        ending: asyncio.Event, broken: asyncio.Queue[HostedChild],
    ) -> None:  # fmt: skip
        self.handled = 0
        self.raised = 0
        self._standing = standing
        self._redis_now_ms = standing.redis_now_ms  # bound once: a message in hand is given it
        self._sizes = sizes
        self._methods = methods
        self._threads = threads
        self._outcomes = outcomes
        self._endings = endings
        self._failures = failures
        self._retries = retries
        self._reads = reads
        self._kept_replies = kept_replies
        self._copy_states = copy_states
        self._idleness = idleness
        self._quiet = quiet
        self._ending = ending
        self._broken = broken

    async def handle(self, hosted: HostedChild, in_hand: InHand) -> None:
        """Handle the message in hand. If its task is cancelled, it is as if the message had never been begun."""
        self.handled += 1
        message = in_hand.message
        if message.kind in ("stop", "state"):
            self._handle_special(hosted, in_hand)
            return
        if message.deadline and self._is_overdue(hosted, message):
            self._fail(hosted, in_hand, "overdue", "its deadline had passed when its turn came")
            return
        found = self._methods.find(hosted, message)
        if found is None and message.method in (hosted.kind._reads or ()):
            await self._read(hosted, in_hand)
            return
        if found is None:
            known = ", ".join(sorted(methods_of(hosted.kind))) or "none"
            self._failures.failed(hosted, message, "unknown-method", f"there is no such method, only: {known}")
            self._fail(hosted, in_hand, "unknown_method", _no_method(hosted, message.method, known))
            return
        method, is_async = found
        instance = hosted.instance
        eager = takes_boundaries(hosted)
        try:
            if eager and hosted.boundary is None:
                hosted.taken(take_state(hosted, self._sizes.state))
            if len(message.payload) > self._sizes.payload:
                checked_size(message.payload, self._sizes.payload, f"the arguments of {message.method}")
            args, kwargs = hosted.services.values.arguments(hosted.kind, message.method, message.payload)
            set_handling(in_hand)
            if message.deadline:
                in_hand.begins(self._redis_now_ms)
            if message.header is not None and await self._kept_replies.answered(hosted, in_hand, args, kwargs):
                self._idleness.touched(hosted, self._standing.redis_now_ms())
                if hosted.stopping:
                    self._endings.end(hosted)
                return
            if is_async:
                result = await method(instance, *args, **kwargs)
            else:
                in_hand.threaded()
                loop = asyncio.get_running_loop()
                run = copy_context().run  # as asyncio.to_thread does: current_hub() works in the thread
                work = lambda: run(ended, method, instance, args, kwargs)  # noqa: E731
                result, raised = await loop.run_in_executor(self._threads, work)
                if raised is not None:
                    raise raised
            if in_hand.drafts is not None:
                await in_hand.drafts.flushed()
        except asyncio.CancelledError as error:
            if not in_hand.undone and not self._ending.is_set():
                if in_hand.in_thread:
                    hosted.abandon()  # it was killed, and its thread goes on
                # Not ours: the handler has cancelled its own task, or something that it waited for was cancelled.
                self._raised(hosted, in_hand, in_hand.killed or error)
                return
            # Overdue in a handover, or the node is going away: as if the message had never been begun.
            self._roll_back(hosted)
            if in_hand.in_thread:
                hosted.abandon()
            self.unbegun(hosted, message)
            raise
        except BaseException as error:
            if torn_down(error):
                raise
            if in_hand.drafts is not None and hosted.kind.on_error == "keep":
                await in_hand.drafts.flushed()
            terms = self._retries.terms(hosted, message, error)
            if terms is not None:
                self._roll_back(hosted)
                if self._retries.again(hosted, message, error, terms):
                    self.raised += 1
                    return
            self._raised(hosted, in_hand, error)
            return
        try:
            answer = b""
            if message.reply_to or message.header is not None:
                answer = hosted.services.values.encode_result(hosted.kind, message.method, result)
                if len(answer) > self._sizes.payload:
                    checked_size(answer, self._sizes.payload, f"the result of {message.method}")
        except PayloadTooLarge as error:
            self._raised(hosted, in_hand, error)
            return
        except BaseException as error:
            self._raised(hosted, in_hand, NotSendable(unsendable(hosted, message.method, error)))
            return
        self._succeeded(hosted, in_hand, answer, eager)

    def unbegun(self, hosted: HostedChild, message: Message) -> None:
        """A message is not handled, after all: it is the next one again. (If its child moves, its next node reads it. But
        the child may stay: its target has gone, or its state could not be taken.)
        """
        hosted.put_back(message)

    async def _read(self, hosted: HostedChild, in_hand: InHand) -> None:
        """A read whose turn has come among the other messages."""
        if self._reads.begin(hosted, in_hand.message):
            return
        try:
            await self._reads.run(hosted, in_hand.message)
        except asyncio.CancelledError:
            self.unbegun(hosted, in_hand.message)
            raise

    # -- before its method -----------------------------------------------------------------------------------------

    def _handle_special(self, hosted: HostedChild, in_hand: InHand) -> None:
        message = in_hand.message
        if message.kind == "state":  # a copy takes its original's state
            self._copy_states.lay(hosted, Envelope.read(message.payload))
            return
        in_hand.succeeded(TRUE)
        self._outcomes.settle(hosted, in_hand)
        if message.method:
            self._quiet.add(hosted.child_id)  # disable_logging
        self._endings.end(hosted)
        self._quiet.discard(hosted.child_id)

    def _is_overdue(self, hosted: HostedChild, message: Message) -> bool:
        if message.deadline >= self._standing.redis_now_ms():
            return False
        return not may_be_a_replay(hosted, message, self._standing.hub_began_ms)

    # -- after its method ------------------------------------------------------------------------------------------

    def _succeeded(self, hosted: HostedChild, in_hand: InHand, answer: bytes, eager: bool) -> None:
        cursor = in_hand.message.entry.decode()
        if eager:
            try:
                state = take_state(hosted, self._sizes.state)
            except BaseException as error:
                if torn_down(error):
                    raise
                hosted.holds_until(cursor)
                self._raised(hosted, in_hand, error)
                return
            saves = hosted.saved_with_each_message and hosted.life is not Life.ENDED
            saved = state if hosted.reached(cursor, state, saves) else None
        else:
            saved = None  # (a child whose state is saved with each message is eager)
            hosted.reached_unseen(cursor)
        in_hand.succeeded(answer, saved)
        self._outcomes.settle(hosted, in_hand)
        if in_hand.message.header is not None:
            self._kept_replies.keep(hosted, in_hand)
        if hosted.stopping or in_hand.stops:
            self._endings.end(hosted)

    def _roll_back(self, hosted: HostedChild) -> None:
        if hosted.kind.on_error != "rollback" or hosted.boundary is None:
            return
        hosted.unsay()
        try:
            lay_state(hosted, hosted.boundary)
        except BaseException as error:
            if torn_down(error):
                raise
            self._broke(hosted, error)

    def _broke(self, hosted: HostedChild, error: BaseException) -> None:
        child = hosted.child_id
        log.error(
            "child %s: the state before its message does not come back (%s): it is built anew from what is saved", child,
            in_short(error),
        )  # fmt: skip
        hosted.abandon()  # what the handler has changed must not move with it
        if hosted.holding.is_copy:
            hosted.holding.detach(child)
        elif hosted.life is Life.RUNNING:
            hosted.moved(LifeEvent.RESTART)  # its next message waits until it has begun anew
            self._broken.put_nowait(hosted)

    def _raised(self, hosted: HostedChild, in_hand: InHand, error: BaseException) -> None:
        message, wanted = in_hand.message, not isinstance(error, Cancelled) or error is not in_hand.killed
        self._roll_back(hosted)
        saved: bytes | None = None
        if hosted.kind.on_error == "keep" and hosted.life is not Life.ENDED:
            try:
                saved = self._kept(hosted, message)
            except BaseException as unsavable:
                if torn_down(unsavable):
                    raise
                error = unsavable
        raised = Raised.of(error)
        trace = raised.trace + self._retries.given_up(hosted, message)
        if wanted:
            self.raised += 1
            self._failures.failed(hosted, message, why_of(hosted, message, error), raised.text, error, trace)
        self._fail(hosted, in_hand, word_for(error), raised.text, raised.kind, trace, saved)
        if message.header is not None and hosted.kind.on_error == "keep":
            self._kept_replies.keep(hosted, in_hand)  # it has changed the child: it must not be run again
        if hosted.stopping or (in_hand.stops and hosted.kind.on_error == "keep"):
            self._endings.end(hosted)

    def _kept(self, hosted: HostedChild, message: Message) -> bytes | None:
        """``on_error="keep"``: the state stays as the handler has left it. The answer: the state, if it is saved at once."""
        hosted.is_changed()
        hosted.holds_until(message.entry.decode())
        # With durability="interval" a cast is deleted at once, with its letter: the state that it has left goes with it.
        letter = hosted.kind.durability == "interval" and not message.reply_to
        if hosted.kind.durability != "commit" and not letter and not hosted.holding.recorder.records:
            return None
        state = take_state(hosted, self._sizes.state)
        hosted.taken(state)
        if not hosted.saved_with_each_message and not letter:
            return None
        hosted.is_saved()
        return state

    def _fail(
        self, hosted: HostedChild, in_hand: InHand, word: str, text: str, kind: str = "", trace: str = "",
        saved: bytes | None = None,
    ) -> None:  # fmt: skip
        self._idleness.touched(hosted, self._standing.redis_now_ms())
        in_hand.failed(word, error_payload(in_hand.message, text, kind, trace), saved)
        self._outcomes.settle(hosted, in_hand)


def _no_method(hosted: HostedChild, method: str, known: str) -> str:
    error = UnknownMethod(
        f"child {hosted.child_id!r} ({hosted.kind.__name__}) has no method {method!r}; it has: {known}"
    )
    return str(error)
