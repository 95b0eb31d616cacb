"""What a commit tells the followers of its shard: the primary's half of the log (docs/protocol.md, section 7)."""

from __future__ import annotations

import logging

from hubq.core.lifecycle import Life
from hubq.errors import HubqError
from hubq.node.holding import Cell, Holding
from hubq.node.state import envelope_of, overrides, take_state
from hubq.store.mailbox import Message
from hubq.store.replica_log import LogItem

log = logging.getLogger("hubq.node")

#: Words of messages that were never begun: they leave no trace whatever ``on_error`` says.
UNBEGUN = frozenset({"overdue", "unknown_method", "unknown_child"})


class Recorder:
    """Puts what happens to the children of a shard into the effects of their holding, in the order it happened."""

    def __init__(self, active_active: bool, max_state_bytes: int) -> None:
        self._active_active = active_active
        self._max_state_bytes = max_state_bytes

    def finished(self, cell: Cell, message: Message, word: str) -> bool:
        """A message is done. True: Redis is to hear of it (it is, here: this is the primary)."""
        if cell.life is Life.ENDED or message.kind not in ("call", "cast") or word in UNBEGUN:
            # (What was withdrawn is finished before what stood in front of it: its place says nothing to the followers.)
            return True
        applied = word == "ok"
        kept = not applied and cell.kind.on_error == "keep"
        if self._active_active:
            payload = message.payload if applied else b""
            item = LogItem(
                "message", cell.child_id, message.entry.decode(), message.method, "ok" if applied else "undone", payload
            )
            cell.holding.effects.log.append(item)
            if kept or (applied and hasattr(cell.kind, "run")):
                self.state(cell)  # the message alone does not explain the state
        elif applied or kept:
            self._latest(cell)
        return True

    def state(self, cell: Cell) -> None:
        """The state at the last message boundary has changed in a way that no message explains."""
        if cell.boundary is None:
            return
        envelope = envelope_of(cell, cell.boundary)
        if self._active_active:
            cell.holding.effects.log.append(LogItem("state", cell.child_id, payload=envelope))
        else:
            cell.holding.effects.latest[cell.child_id] = envelope

    def _latest(self, cell: Cell) -> None:
        if cell.kind.durability != "commit":
            self.state(cell)
        elif cell.child_id in cell.holding.effects.states:
            # The same commit writes it to msk, where the followers find it.
            cell.holding.effects.latest[cell.child_id] = b""

    def begun(self, cell: Cell) -> None:
        """A child runs here from now on. It may be new to the followers, even if it has only moved: a start whose message
        the old owner had not handled yet is seen first by the new one. And they may have an older state, or another one.
        """
        cell.holding.effects.log.append(LogItem("start", cell.child_id, word=cell.record.start_id))
        if cell.busy is None and moves_by_itself(cell):
            self.snapshot(cell)

    def snapshot(self, cell: Cell) -> None:
        """Send the state as it is now. Call at a message boundary."""
        if cell.instance is None or cell.life is not Life.RUNNING:
            cell.holding.effects.log.append(LogItem("saved", cell.child_id))
            return
        try:
            state = take_state(cell, self._max_state_bytes)
        except HubqError as error:
            log.warning("followers of child %s do not get its state: %s", cell.child_id, error)
            return
        if state != cell.boundary:
            cell.boundary, cell.saved = state, False
        self.state(cell)

    def ended(self, holding: Holding, child: str, start_id: str) -> None:
        """A child is no more."""
        holding.effects.latest.pop(child, None)
        holding.effects.log.append(LogItem("end", child, word=start_id))


class Silence(Recorder):
    """The recorder of a copy: nothing of what it does goes to Redis."""

    def __init__(self) -> None:
        super().__init__(True, 0)

    def finished(self, cell: Cell, message: Message, word: str) -> bool:
        """Nobody hears of it."""
        cell.holding.effects.states.pop(cell.child_id, None)
        cell.cursor = message.entry.decode()
        return False

    def state(self, cell: Cell) -> None:
        """Nobody hears of it."""

    def begun(self, cell: Cell) -> None:
        """Nobody hears of it."""

    def ended(self, holding: Holding, child: str, start_id: str) -> None:
        """Nobody hears of it."""


def moves_by_itself(cell: Cell) -> bool:
    """Whether the child's state may differ from what ``msk`` and its messages make of it."""
    kind = cell.kind
    return (
        kind.durability != "commit"
        or hasattr(kind, "run")
        or any(overrides(kind, name) for name in ("on_start", "prepare_handover_state", "alter_handover_state"))
    )
