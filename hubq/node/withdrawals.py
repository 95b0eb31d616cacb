"""Calls whose caller has given up: was the call begun? If it waits here, it goes, and never will be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubq.core.lifecycle import Life
from hubq.core.messages import Withdraw
from hubq.node.dispatcher import may_be_a_replay
from hubq.node.holding import Cell
from hubq.store.mailbox import Message, read_back

if TYPE_CHECKING:
    from hubq.node.parts import Parts

#: Messages taken in one read of a parked child's mailbox.
COUNT = 500


class Withdrawals:
    """What a node does about ``withdraw`` messages (docs/protocol.md, section 3)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def withdraw(self, ask: Withdraw) -> None:
        """Delete the call if it waits here, and tell its caller so. Silence says that it may have been run."""
        cell = self._cell(ask)
        if cell is None:
            return
        if cell.life is Life.PARKED:
            self._parts.supervisor.background(self._unread(ask, cell), f"withdrawing a call to {ask.child}")
            return
        if cell.life is Life.BUILT:
            return  # it begins anew this moment, and may read its messages again
        for before, message in enumerate(cell.queue or ()):
            if _is_meant(message, ask):
                if may_be_a_replay(cell, message):
                    return  # it was answered by another node, perhaps
                assert cell.queue is not None
                del cell.queue[before]
                cell.queue.bytes -= len(message.payload)
                self._parts.reader.room(cell)
                behind = before + (cell.busy is not None)
                self._refuse(cell, message, f"{behind} messages were to be handled before it")
                return

    def _cell(self, ask: Withdraw) -> Cell | None:
        holdings = self._parts.supervisor.holdings
        holding = holdings.get((ask.shard, ask.child)) or holdings.get((ask.shard, None))
        if holding is None or holding.lost or holding.frozen:
            return None
        return holding.cells.get(ask.child)

    async def _unread(self, ask: Withdraw, cell: Cell) -> None:
        """A parked child has nothing in memory: look for the call in its mailbox, the newest messages first."""
        parts, before = self._parts, b"+"
        while True:
            command = read_back(parts.keys, ask.shard, before, COUNT)
            messages = await parts.redis.run(command, retry_for=1.0)
            if self._cell(ask) is not cell or cell.life is not Life.PARKED:
                return  # it has been revived, or has moved: whoever serves it now can tell
            for message in messages:
                if _is_meant(message, ask):
                    if not may_be_a_replay(cell, message):
                        self._refuse(cell, message, f"child {ask.child!r} is parked: {cell.reason}")
                    return
            if len(messages) < COUNT:
                return
            before = b"(" + messages[-1].entry

    def _refuse(self, cell: Cell, message: Message, why: str) -> None:
        self._parts.dispatcher.fail(cell, message, "overdue", why)
        self._parts.committer.changed()


def _is_meant(message: Message, ask: Withdraw) -> bool:
    return (message.child, message.id, message.reply_to) == (ask.child, ask.message_id, ask.sender)
