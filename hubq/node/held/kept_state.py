"""The state of a hosted child, as the node knows it: at the last message boundary, and what of it is saved.

What the child says to others belongs to its state (docs/effects.md): it is undone and saved with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from hubq.node.held.changing import Changing
from hubq.store.drafts import Closing
from hubq.store.saying import Saying


class KeptState(Changing):
    """What is known of a child's state, and which messages wait for it to be saved."""

    __slots__ = ("boundary", "cursor", "holds_said", "said", "save_timer", "saved", "unsaved")

    def __init__(self) -> None:
        super().__init__()
        self.boundary: bytes | None = None
        """The state at the last message boundary, encoded."""
        self.saved = False
        """That state is in ``msk``, or will be with the next commit."""
        self.cursor = "0"
        """The entry of the last message that the state holds."""
        self.unsaved: list[bytes] | None = None
        """``durability="interval"``: messages that are done and wait for the next save."""
        self.save_timer: asyncio.TimerHandle | None = None
        self.said: list[Saying] | None = None
        """What it has said and no save has taken yet, in order."""
        self.holds_said = 0
        """How much of that the state at the last message boundary holds."""

    def begin_anew(self) -> None:
        """There is another instance: nothing is known of its state."""
        self.boundary, self.saved = None, False
        _never_said(self.said or ())
        self.said, self.holds_said = None, 0

    def taken(self, state: bytes) -> bool:
        """This is the state at the message boundary. True: it has changed, and is not saved yet."""
        self.hold_said()
        if state == self.boundary:
            return False
        self.boundary, self.saved = state, False
        return True

    def laid(self, state: bytes, cursor: str | None = None) -> None:
        """The state of ``msk`` has been laid over the instance; it holds the messages up to ``cursor``."""
        self.boundary, self.saved = state, True
        if cursor is not None:
            self.cursor = cursor

    def reached(self, cursor: str, state: bytes, saves: bool) -> bool:
        """The state at a message boundary: it holds the messages up to ``cursor``. True: it goes into the next commit
        (``saves``), because it is not saved yet.
        """
        if self.said is not None:
            self.hold_said()
        self.cursor = cursor
        if state != self.boundary:
            self.boundary, self.saved = state, saves
            return saves
        if self.saved or not saves:
            return False
        self.saved = True
        return True

    def reached_unseen(self, cursor: str) -> None:
        """A message boundary at which the state was not taken."""
        if self.said is not None:
            self.hold_said()
        self.cursor = cursor
        self.saved = False

    def holds_until(self, cursor: str) -> None:
        """The state holds the messages up to this entry."""
        self.cursor = cursor

    def is_saved(self) -> None:
        """The state at the last boundary is in ``msk``, or goes there with the next commit."""
        self.saved = True

    def is_changed(self) -> None:
        """The instance is not what is saved."""
        self.saved = False

    def waits_for_save(self, entry: bytes) -> int:
        """``durability="interval"``: a message is done that no saved state holds. How many there are now."""
        if self.unsaved is None:
            self.unsaved = []
        self.unsaved.append(entry)
        return len(self.unsaved)

    def drop_unsaved(self) -> None:
        """No message waits for a save any more: a saved state holds them, or they are read again."""
        self.unsaved = None

    # -- what it says to others -----------------------------------------------------------------------------------

    def say(self, saying: Saying) -> None:
        """It says something, to another child for example. That is a change of its state."""
        if self.said is None:
            self.said = []
        self.said.append(saying)

    def hold_said(self) -> None:
        """The state as it is now holds all that was said."""
        if self.said is not None:
            self.holds_said = len(self.said)

    def unsay(self) -> None:
        """The state goes back to the last message boundary: what was said since was never said."""
        if self.said is not None:
            dropped = self.said[self.holds_said :]
            del self.said[self.holds_said :]
            _never_said(dropped)

    def take_said(self) -> list[Saying]:
        """What the state at the last message boundary holds of it: that is saved now, and leaves with the save."""
        if self.said is None:
            return []
        taken, left = self.said[: self.holds_said], self.said[self.holds_said :]
        self.said, self.holds_said = left or None, 0
        return taken

    # -- its saves -------------------------------------------------------------------------------------------------

    def arm(self, timer: asyncio.TimerHandle) -> None:
        """The next save is due when this timer ends."""
        self.save_timer = timer

    def disarm(self) -> None:
        """No save is due."""
        if self.save_timer is not None:
            self.save_timer.cancel()
            self.save_timer = None


def _never_said(sayings: Iterable[Saying]) -> None:
    for saying in sayings:
        if isinstance(saying, Closing):
            saying.unsaid(saying.handling)
