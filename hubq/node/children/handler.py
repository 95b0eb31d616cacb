"""Handles one message: runs its method, and settles its effects."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import Protocol

from hubq.config import Config
from hubq.core.child import methods_of
from hubq.core.lifecycle import Life
from hubq.errors import HubqError, NotSendable, UnknownMethod, word_for
from hubq.node.children.endings import Endings
from hubq.node.children.failures import Failures, why_of
from hubq.node.children.methods import Methods
from hubq.node.children.outcomes import Outcomes, error_payload, may_be_a_replay
from hubq.node.held.holding import HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.held.state import envelope_of, lay_state, take_state, takes_boundaries
from hubq.node.runtime.standing import Standing
from hubq.store.codec import decode, encode
from hubq.store.envelope import Envelope
from hubq.store.mailbox import Message

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
    """Runs the methods of children. ``handled`` counts messages.

    ``threads`` runs plain ``def`` methods. ``quiet``: children whose end is not logged.
    """

    def __init__(
        self, standing: Standing, config: Config, methods: Methods, threads: Executor, outcomes: Outcomes,
        endings: Endings, failures: Failures, copy_states: LaysState, quiet: set[str],
    ) -> None:  # fmt: skip
        self.handled = 0
        self._standing = standing
        self._max_state_bytes = config.max_state_bytes
        self._methods = methods
        self._threads = threads
        self._outcomes = outcomes
        self._endings = endings
        self._failures = failures
        self._copy_states = copy_states
        self._quiet = quiet

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
        if found is None:
            known = ", ".join(methods_of(hosted.kind)) or "none"
            self._failures.failed(hosted, message, "unknown-method", f"there is no such method, only: {known}")
            self._fail(hosted, in_hand, "unknown_method", _no_method(hosted, message.method, known))
            return
        method, is_async = found
        instance = hosted.instance
        eager = takes_boundaries(hosted)
        try:
            if eager and hosted.boundary is None:
                hosted.taken(take_state(hosted, self._max_state_bytes))
            args, kwargs = decode(message.payload)
            if is_async:
                result = await method(instance, *args, **kwargs)
            else:
                in_hand.threaded()
                loop = asyncio.get_running_loop()
                run = copy_context().run  # as asyncio.to_thread does: current_hub() works in the thread
                result = await loop.run_in_executor(self._threads, lambda: run(method, instance, *args, **kwargs))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                self._raised(hosted, in_hand, error)  # not ours: something that the handler waited for was cancelled
                return
            # Overdue in a handover, or the node is going away: as if the message had never been begun.
            self._roll_back(hosted)
            if in_hand.in_thread:
                hosted.abandon()
            self.unbegun(hosted, message)
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self._raised(hosted, in_hand, error)
            return
        try:
            answer = encode(result) if message.reply_to else b""
        except Exception as error:
            unsendable = NotSendable(f"the result of {message.method} cannot be pickled ({error})")
            self._raised(hosted, in_hand, unsendable)
            return
        self._succeeded(hosted, in_hand, answer, eager)

    def unbegun(self, hosted: HostedChild, message: Message) -> None:
        """A message is not handled, after all: it is the next one again. (If its child moves, its next node reads it. But
        the child may stay: its target has gone, or its state could not be taken.)
        """
        hosted.put_back(message)

    # -- before its method -----------------------------------------------------------------------------------------

    def _handle_special(self, hosted: HostedChild, in_hand: InHand) -> None:
        message = in_hand.message
        if message.kind == "state":  # a copy takes its original's state
            self._copy_states.lay(hosted, Envelope.read(message.payload))
            return
        in_hand.succeeded(encode(True))
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
                state = take_state(hosted, self._max_state_bytes)
            except HubqError as error:
                hosted.holds_until(cursor)
                self._raised(hosted, in_hand, error)
                return
            saves = hosted.saved_with_each_message and hosted.life is not Life.ENDED
            envelope = envelope_of(hosted, state) if hosted.reached(cursor, state, saves) else None
        else:
            envelope = None  # (a child whose state is saved with each message is eager)
            hosted.reached_unseen(cursor)
        in_hand.succeeded(answer, envelope)
        self._outcomes.settle(hosted, in_hand)
        if hosted.stopping:
            self._endings.end(hosted)

    def _roll_back(self, hosted: HostedChild) -> None:
        if hosted.kind.on_error == "rollback" and hosted.boundary is not None:
            lay_state(hosted, hosted.boundary)

    def _raised(self, hosted: HostedChild, in_hand: InHand, error: BaseException) -> None:
        message = in_hand.message
        self._roll_back(hosted)
        envelope: bytes | None = None
        if hosted.kind.on_error == "keep" and hosted.life is not Life.ENDED:
            try:
                envelope = self._kept(hosted, message)
            except HubqError as unsavable:
                error = unsavable
        trace = "".join(traceback.format_exception(error))
        text = str(error) if isinstance(error, HubqError) else (str(error) or repr(error))
        self._failures.failed(hosted, message, why_of(hosted, message, error), text, error, trace)
        self._fail(hosted, in_hand, word_for(error), text, type(error).__name__, trace, envelope)
        if hosted.stopping:
            self._endings.end(hosted)

    def _kept(self, hosted: HostedChild, message: Message) -> bytes | None:
        """``on_error="keep"``: the state stays as the handler has left it. The answer: the envelope, if it is saved at once."""
        hosted.is_changed()
        hosted.holds_until(message.entry.decode())
        # With durability="interval" a cast is deleted at once, with its letter: the state that it has left goes with it.
        letter = hosted.kind.durability == "interval" and not message.reply_to
        if hosted.kind.durability != "commit" and not letter and not hosted.holding.recorder.records:
            return None
        state = take_state(hosted, self._max_state_bytes)
        hosted.taken(state)
        if not hosted.saved_with_each_message and not letter:
            return None
        hosted.is_saved()
        return envelope_of(hosted, state)

    def _fail(
        self, hosted: HostedChild, in_hand: InHand, word: str, text: str, kind: str = "", trace: str = "",
        envelope: bytes | None = None,
    ) -> None:  # fmt: skip
        in_hand.failed(word, error_payload(in_hand.message, text, kind, trace), envelope)
        self._outcomes.settle(hosted, in_hand)


def _no_method(hosted: HostedChild, method: str, known: str) -> str:
    error = UnknownMethod(
        f"child {hosted.child_id!r} ({hosted.kind.__name__}) has no method {method!r}; it has: {known}"
    )
    return str(error)
