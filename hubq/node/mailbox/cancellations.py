"""Cancelling: the caller of a call does not want it any more. It is undone, or it is not begun, or it is done already."""

from __future__ import annotations

import asyncio

from hubq.core.lifecycle import Life
from hubq.core.messages import Cancel
from hubq.errors import Cancelled, word_for
from hubq.node.children.outcomes import Outcomes, error_payload, may_be_a_replay
from hubq.node.children.reads import Reads
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.held.register import Register
from hubq.node.held.strangers import Strangers
from hubq.node.runtime.group import Group
from hubq.store.mailbox import read_back
from hubq.store.message import Message
from hubq.store.replies import reply_line
from hubq.store.values import NOTHING

#: Messages taken in one read of a mailbox.
COUNT = 500
#: A call that is in the mailbox and not in memory yet is looked for again after so many seconds, at first and at last.
FIRST_LOOK, LAST_LOOK = 0.005, 0.1
#: The caller that asks has gone after so many seconds.
PATIENCE = 10.0


class Cancellations:
    """Handles ``cancel`` messages (docs/protocol.md, section 3). Each is answered by the commit that holds what was done."""

    def __init__(
        self, group: Group, register: Register, cursors: Cursors, queue: CommitQueue, outcomes: Outcomes, reads: Reads,
        strangers: Strangers,
    ) -> None:  # fmt: skip
        self._group = group
        self._register = register
        self._cursors = cursors
        self._queue = queue
        self._outcomes = outcomes
        self._reads = reads
        self._strangers = strangers

    async def cancel(self, ask: Cancel) -> None:
        """Undo the call, or see that it is not begun. Silence: the child is not here (any more)."""
        until, pause = self._group.standing.now() + PATIENCE, FIRST_LOOK
        while self._group.standing.now() < until:
            hosted = self._asked_child(ask)
            if hosted is None and not self._wakes(ask):
                return
            word = "" if hosted is None else await self._cancelled(hosted, ask)
            if hosted is not None and word:
                self._answer(hosted, ask, word)
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_LOOK)

    def _asked_child(self, ask: Cancel) -> HostedChild | None:
        holding = self._register.of_child(ask.shard, ask.child)
        return None if holding is None or holding.gone else holding.children.get(ask.child)

    def _wakes(self, ask: Cancel) -> bool:
        """Whether the child is dormant, and messages for it have come: it will be here in a moment."""
        holding = self._register.get(ask.shard)
        return holding is not None and not holding.gone and self._strangers.has(holding, ask.child)

    async def _cancelled(self, hosted: HostedChild, ask: Cancel) -> str:
        """What became of the call. Empty: it is not here yet, or is just being moved."""
        in_hand = hosted.in_hand
        if in_hand is not None and _is_meant(in_hand.message, ask):
            return await self._undone(hosted, in_hand)
        if self._reads.cancel(hosted, ask.message_id, ask.caller):
            return "cancelled"
        for place, message in enumerate(hosted.queue or ()):
            if _is_meant(message, ask):
                if self._may_be_done(hosted, message):
                    return "done"
                hosted.withdraw(place)
                self._cursors.room(hosted)
                self._refuse(hosted, message)
                return "cancelled"
        return await self._elsewhere(hosted, ask)

    async def _undone(self, hosted: HostedChild, in_hand: InHand) -> str:
        if in_hand.in_thread:
            return "in_thread"
        if self._may_be_done(hosted, in_hand.message):
            return "done"
        what, kept = f"{hosted.child_id}.{in_hand.message.method}", hosted.kind.on_error == "keep"
        left = "what it had changed stays (on_error='keep')" if kept else "nothing of it was applied"
        in_hand.kill(Cancelled(f"{what} was cancelled while it ran: {left}"))
        await hosted.at_boundary()
        if not in_hand.word:
            return ""  # it was put back, since its child moves
        return "cancelled" if in_hand.word == "cancelled" else "done"

    def _may_be_done(self, hosted: HostedChild, message: Message) -> bool:
        """Its caller may have been answered, by another node before a crash."""
        return may_be_a_replay(hosted, message, self._group.standing.hub_began_ms)

    async def _elsewhere(self, hosted: HostedChild, ask: Cancel) -> str:
        """It is not in memory: it is done, or waits in the mailbox only."""
        message = await self._in_mailbox(ask)
        if self._asked_child(ask) is not hosted:
            return ""
        if message is None or message.entry in (hosted.unsaved or ()):
            return "done"
        if hosted.life is not Life.PARKED:
            return ""  # it has not been read, or its commit is under way
        if self._may_be_done(hosted, message):
            return "done"
        self._refuse(hosted, message)
        return "cancelled"

    async def _in_mailbox(self, ask: Cancel) -> Message | None:
        group, before = self._group, b"+"
        while True:
            messages = await group.redis.run(read_back(group.keys, ask.shard, before, COUNT), retry_for=1.0)
            for message in messages:
                if _is_meant(message, ask):
                    return message
            if len(messages) < COUNT:
                return None
            before = b"(" + messages[-1].entry

    def _refuse(self, hosted: HostedChild, message: Message) -> None:
        error = Cancelled(f"{hosted.child_id}.{message.method} was cancelled before its turn")
        payload = error_payload(message, str(error), type(error).__name__)
        self._outcomes.answer(hosted, message, word_for(error), payload)

    def _answer(self, hosted: HostedChild, ask: Cancel, word: str) -> None:
        line = reply_line(ask.answer_id, word, self._group.node_name, NOTHING)
        hosted.holding.effects.replies.setdefault(ask.sender, []).append(line)
        self._queue.changed()


def _is_meant(message: Message, ask: Cancel) -> bool:
    return (message.child, message.id, message.reply_to) == (ask.child, ask.message_id, ask.caller)
