"""The outcome of a message: with the next commit it leaves the mailbox, and its reply goes out."""

from __future__ import annotations

import msgspec

from hubq.core.lifecycle import Life
from hubq.node.children.failed_starts import FailedStarts
from hubq.node.children.failures import Failures
from hubq.node.children.saver import Saver
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.held.state import saves
from hubq.node.runtime.raised import in_short
from hubq.store.message import Message
from hubq.store.replies import reply_line

#: Words of messages that were never begun. They change no state, whatever ``on_error`` is.
UNBEGUN = frozenset({"overdue", "unknown_method", "unknown_child", "start_failed", "message_dropped"})


class Outcomes:
    """Puts the outcome of a message into the effects of its holding."""

    def __init__(
        self, node_name: str, queue: CommitQueue, saver: Saver, failures: Failures, failed_starts: FailedStarts
    ) -> None:  # fmt: skip
        self._node_name = node_name
        self._queue = queue
        self._saver = saver
        self._failures = failures
        self._failed_starts = failed_starts

    def settle(self, hosted: HostedChild, in_hand: InHand) -> None:
        """The message is done. It goes with the next commit, and all that its handling has brought about goes with it."""
        holding, child, message = hosted.holding, hosted.child_id, in_hand.message
        if in_hand.state is not None:
            # Before the recorder is asked: it tells followers another thing if this commit saves the state.
            saves(hosted, in_hand.state)
        recorder = holding.recorder
        if recorder.records and not recorder.finished(hosted, message, in_hand.word):
            return
        effects = holding.effects
        self._queue.touched(holding)
        if hosted.said is not None and self._says_now(hosted, in_hand.word):
            effects.said.extend(hosted.take_said())
        if hosted.kind.durability == "interval" and self._waits_for_save(hosted, in_hand):
            waiting = hosted.waits_for_save(message.entry)
            if hosted.said is not None and recorder.records:
                # A copy may go on from this message. What it has said would then never be saved, so it is saved now.
                self._saver.save_boundary(hosted)
            else:
                self._saver.interval_progress(hosted, waiting)
        else:
            done = effects.done.get(child)
            if done is None:
                effects.done[child] = [message.entry]
            else:
                done.append(message.entry)
        if message.reply_to:
            line = reply_line(message.id, in_hand.word, self._node_name, in_hand.payload)
            effects.replies.setdefault(message.reply_to, []).append(line)

    def _waits_for_save(self, hosted: HostedChild, in_hand: InHand) -> bool:
        if hosted.saved_with_each_message or hosted.life is Life.ENDED:
            return False
        if in_hand.word != "ok" and not in_hand.message.reply_to:
            # It goes now, together with its dead letter: a message is handled or a letter, never both.
            if in_hand.state is not None:
                self._saver.holds(hosted)
            return False
        return not leaves_no_trace(hosted, in_hand.word)

    def _says_now(self, hosted: HostedChild, word: str) -> bool:
        """Whether what the child has said leaves with this message. (With ``durability="interval"``: with the next save.)"""
        if hosted.kind.durability == "interval" and not hosted.saved_with_each_message:
            return False
        return not leaves_no_trace(hosted, word)

    def fail(
        self, hosted: HostedChild, message: Message, word: str, text: str, kind: str = "", trace: str = ""
    ) -> None:  # fmt: skip
        """A message that was not begun, or could not be handled, is done: its caller gets an error."""
        if word == "unknown_child":
            self._failures.failed(hosted, message, "ended", text)
        elif word not in UNBEGUN:
            self._failures.failed(hosted, message, "raised", text, trace=trace)
        in_hand = InHand(message)
        in_hand.failed(word, error_payload(message, text, kind, trace))
        self.settle(hosted, in_hand)

    def answer(self, hosted: HostedChild, message: Message, word: str, payload: bytes) -> None:
        """A message is done that the child was not asked for: its state stays as it is. The answer goes with the next commit."""
        # No recorder is asked, as in refuse_unknown.
        effects = hosted.holding.effects
        effects.done.setdefault(hosted.child_id, []).append(message.entry)
        if message.reply_to:
            line = reply_line(message.id, word, self._node_name, payload)
            effects.replies.setdefault(message.reply_to, []).append(line)
        self._queue.changed()

    def noted(self, holding: Holding, message: Message) -> None:
        """A message to the node itself: it is done, and nobody waits for an answer."""
        holding.effects.done.setdefault(message.child, []).append(message.entry)
        self._queue.changed()

    def refuse_unknown(self, holding: Holding, message: Message) -> None:
        """A message for a child that does not exist (any more): its sender is told."""
        # No recorder is asked: followers are told of no message that was never begun.
        effects = holding.effects
        effects.done.setdefault(message.child, []).append(message.entry)
        why = self._failed_starts.why(message.child)
        word, text = ("start_failed", why) if why else ("unknown_child", stopped_before(message.child))
        self._failures.refused(holding, message, text)
        if message.reply_to:
            line = reply_line(message.id, word, self._node_name, error_payload(message, text))
            effects.replies.setdefault(message.reply_to, []).append(line)
        self._queue.changed()


def error_payload(message: Message, text: str, kind: str = "", trace: str = "") -> bytes:
    """An error as its caller gets it (empty if there is no caller). ``kind`` is the name of the exception."""
    if not message.reply_to:
        return b""
    text, trace = (part.encode("utf-8", "replace").decode() for part in (text, trace))
    return msgspec.json.encode({"type": kind, "message": text, "traceback": trace})


def unsendable(hosted: HostedChild, method: str, error: BaseException) -> str:
    """The error for a result that cannot be encoded."""
    how = "be pickled" if hosted.services.values.codec == "pickle" else "be sent as data"
    return f"the result of {method} cannot {how} ({in_short(error)})"


def stopped_before(child: str) -> str:
    """The error for a message whose child ended before its turn."""
    return f"child {child!r} was stopped before this message's turn"


def leaves_no_trace(hosted: HostedChild, word: str) -> bool:
    """Whether the state is as if the message had never been begun. ``durability="interval"`` must not keep such a message
    until the next save: its sender has been told that it failed, and after a crash it would be run all the same.
    """
    return word in UNBEGUN or (word != "ok" and hosted.kind.on_error == "rollback")


def may_be_a_replay(hosted: HostedChild, message: Message, hub_began_ms: int) -> bool:
    """``durability="interval"``: whether the message may have been answered before a crash, and be missing in the saved state.

    It is handled even past its deadline then: its caller may have got its result. (Not if its deadline passed before
    there was any node: its caller was told that it will never be run.)
    """
    until = hosted.holding.replays.get(hosted.child_id)
    if until is None or int(message.entry.partition(b"-")[0]) >= until:
        return False
    return not message.deadline or message.deadline >= hub_began_ms
