"""Messages for children that are not on this node: they may be dormant. Delivery puts them here, waking takes them."""

from __future__ import annotations

from hubq.node.held.holding import Holding
from hubq.node.runtime.bell import Bell
from hubq.store.message import Message


class Stranger:
    """A child that is not here, and its messages that have been read, in their order. ``left``: those past this entry are in the mailbox
    only, since there were too many.
    """

    __slots__ = ("left", "messages")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.left: bytes | None = None

    def keep(self, message: Message, limit: int) -> None:
        """One more message; only ``limit`` of them are kept in memory."""
        if self.left is not None:
            return
        if len(self.messages) < limit:
            self.messages.append(message)
        else:
            self.left = self.messages[-1].entry

    def leave(self, after: bytes) -> None:
        """Those past this entry are left in the mailbox."""
        if self.left is None:
            self.left = after

    def give_left(self) -> bytes | None:
        """Those that are left are another one's concern from here on."""
        left, self.left = self.left, None
        return left


class Strangers:
    """The children that are to be asked for, by holding. ``limit``: most messages of one child in memory."""

    def __init__(self, limit: int) -> None:
        self.bell = Bell()
        self._limit = limit
        self._waiting: dict[Holding, dict[str, Stranger]] = {}
        self._not_yet: dict[Holding, set[str]] = {}

    def add(self, holding: Holding, message: Message) -> None:
        """Keep a message until it is known whether its child is dormant."""
        self._of(holding, message.child).keep(message, self._limit)
        self.bell.ring()

    def leave(self, holding: Holding, child: str, after: bytes) -> None:
        """Its messages past this entry are read again when it is here."""
        self._of(holding, child).leave(after)
        self.bell.ring()

    def starts(self, holding: Holding, child: str) -> bytes | None:
        """A start of this child has been read. The answer: the entry past which messages of an earlier child of its name were left in the
        mailbox; they are the caller's from here on (None: none were left).
        """
        stranger = self._waiting.get(holding, {}).get(child)
        if stranger is None:
            return None
        return stranger.give_left()

    def _of(self, holding: Holding, child: str) -> Stranger:
        here = self._waiting.setdefault(holding, {})
        if child not in here:
            here[child] = Stranger()
        return here[child]

    def has(self, holding: Holding, child: str) -> bool:
        """Whether messages of this child wait here."""
        return child in self._waiting.get(holding, ())

    def not_yet(self, holding: Holding, child: str) -> None:
        """Do not ask for this child: what was left of it here is being put away."""
        self._not_yet.setdefault(holding, set()).add(child)

    def may_come(self, holding: Holding, child: str) -> None:
        """It may be asked for again."""
        there = self._not_yet.get(holding)
        if there is not None:
            there.discard(child)
            if not there:
                del self._not_yet[holding]
        self.bell.ring()

    # -- those who wake them ---------------------------------------------------------------------------------------

    def holdings(self) -> list[Holding]:
        """The holdings of which there are some."""
        return list(self._waiting)

    def wanted(self, holding: Holding, most: int) -> list[str]:
        """Children to ask for, at most so many."""
        here = self._waiting.get(holding, {})
        not_yet = self._not_yet.get(holding, ())
        found = []
        for child in here:
            if child not in not_yet:
                found.append(child)
                if len(found) == most:
                    break
        return found

    def take(self, holding: Holding, child: str) -> Stranger:
        """It is known now what it is: its messages, which are the caller's from here on."""
        here = self._waiting.get(holding, {})
        stranger = here.pop(child, None)
        if not here:
            self._waiting.pop(holding, None)
        return stranger if stranger is not None else Stranger()

    def drop(self, holding: Holding) -> None:
        """The holding is gone: its next owner reads the messages."""
        self._waiting.pop(holding, None)
        self._not_yet.pop(holding, None)
