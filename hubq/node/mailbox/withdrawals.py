"""Withdrawals: the caller of a call has given up. A call that still waits here is deleted, and will never be run."""

from __future__ import annotations

from hubq.core.lifecycle import Life
from hubq.core.messages import Withdraw
from hubq.node.children.outcomes import Outcomes, may_be_a_replay
from hubq.node.children.pumps import Pumps
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import HostedChild
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.store.mailbox import read_back
from hubq.store.message import Message

#: Messages taken in one read of a parked child's mailbox.
COUNT = 500


class Withdrawals:
    """Handles ``withdraw`` messages (docs/protocol.md, section 3)."""

    def __init__(
        self, group: Group, background: Background, register: Register, cursors: Cursors, queue: CommitQueue,
        pumps: Pumps, outcomes: Outcomes,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._register = register
        self._cursors = cursors
        self._queue = queue
        self._pumps = pumps
        self._outcomes = outcomes

    def withdraw(self, ask: Withdraw) -> None:
        """Delete the call if it waits here, and tell its caller so. Silence says that it may have been run."""
        hosted = self._asked_child(ask)
        if hosted is None:
            return
        if hosted.life is Life.PARKED:
            self._background.run(self._unread(ask, hosted), f"withdrawing a call to {ask.child}")
            return
        if hosted.life is Life.BUILT:
            return  # it begins anew this moment, and may read its messages again
        for before, message in enumerate(hosted.queue or ()):
            if _is_meant(message, ask):
                if may_be_a_replay(hosted, message, self._group.standing.hub_began_ms):
                    return  # it was answered by another node, perhaps
                why = _still_waited(hosted, message, before)
                hosted.withdraw(before)
                self._cursors.room(hosted)
                self._refuse(hosted, message, why)
                self._pumps.resume(hosted)  # it may have been held back by this very message
                return

    def _asked_child(self, ask: Withdraw) -> HostedChild | None:
        holding = self._register.of_child(ask.shard, ask.child)
        if holding is None or holding.gone or holding.frozen:
            return None
        return holding.children.get(ask.child)

    async def _unread(self, ask: Withdraw, hosted: HostedChild) -> None:
        """A parked child has nothing in memory: look for the call in its mailbox, the newest messages first."""
        group, before = self._group, b"+"
        while True:
            command = read_back(group.keys, ask.shard, before, COUNT)
            messages = await group.redis.run(command, retry_for=1.0)
            if self._asked_child(ask) is not hosted or hosted.life is not Life.PARKED:
                return  # it has been revived, or has moved
            for message in messages:
                if _is_meant(message, ask):
                    if not may_be_a_replay(hosted, message, self._group.standing.hub_began_ms):
                        self._refuse(hosted, message, f"child {ask.child!r} is parked: {hosted.reason}")
                    return
            if len(messages) < COUNT:
                return
            before = b"(" + messages[-1].entry

    def _refuse(self, hosted: HostedChild, message: Message, why: str) -> None:
        self._outcomes.fail(hosted, message, "overdue", why)
        self._queue.changed()


def _still_waited(hosted: HostedChild, message: Message, before: int) -> str:
    behind = before + hosted.busy
    held_back, tried = hosted.held_back, hosted.tried
    if tried is not None and tried.entry == message.entry:
        waits = held_back.another_try if held_back is not None else None
        last = f" ({waits.error})" if waits is not None else ""
        return f"it was tried {tried.times} times, undone each time{last}, and waited for another try"
    if hosted.paused:
        return f"it still waited: {hosted.paused}"
    if not behind:
        return "it still waited for its turn"
    return f"it still waited behind {behind} message{'' if behind == 1 else 's'}"


def _is_meant(message: Message, ask: Withdraw) -> bool:
    return (message.child, message.id, message.reply_to) == (ask.child, ask.message_id, ask.sender)
