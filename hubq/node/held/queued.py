"""The messages of a hosted child: those in memory, the one in hand, and why none is begun for now."""

from __future__ import annotations

from collections import deque

from hubq.node.held.held_back import RESTS, AnotherTry, HeldBack, Tried
from hubq.node.held.in_hand import InHand
from hubq.node.held.kept_state import KeptState
from hubq.store.message import Message


class Queued(KeptState):
    """What waits for a child, and what is in its hand."""

    __slots__ = ("held_back", "in_hand", "queue", "queued_bytes", "tried")

    def __init__(self) -> None:
        super().__init__()
        self.queue: deque[Message] | None = None
        """The messages that are in memory, in the order of the mailbox. (An empty queue is half a kilobyte: None.)"""
        self.queued_bytes = 0
        """The size of their payloads."""
        self.in_hand: InHand | None = None
        self.held_back: HeldBack | None = None
        """Why no message is handled for now, though it runs."""
        self.tried: Tried | None = None
        """How often a message was tried that has raised, and is tried again."""

    @property
    def busy(self) -> bool:
        """Whether a message is in hand."""
        return self.in_hand is not None

    def put_back(self, message: Message) -> None:
        """A message that was in hand is the first one again."""
        if self.queue is not None:  # else it is read again from the mailbox
            self.queue.appendleft(message)
            self.queued_bytes += len(message.payload)

    def withdraw(self, place: int) -> None:
        """Take out the message at a place, counted from the first one."""
        assert self.queue is not None
        message = self.queue[place]
        self.queued_bytes -= len(message.payload)
        del self.queue[place]
        another_try = None if self.held_back is None else self.held_back.another_try
        if another_try is not None and another_try.tried.entry == message.entry:
            self.waited(another_try)

    def drop_queue(self) -> None:
        """Drop the queued messages: they are read again, or not needed."""
        self.queue = None
        self.queued_bytes = 0

    def hand_empty(self) -> None:
        """A message's handling is over."""
        self.in_hand = None
        if self._changed is not None:
            self.tell()

    def try_again(self, another_try: AnotherTry) -> None:
        """Its first message has failed, and waits for another try. The others wait behind it."""
        self.held_back = HeldBack(another_try, self.paused)

    def waited(self, another_try: AnotherTry) -> None:
        """The wait for this try is over. (It may have ended before: the message was withdrawn.)"""
        if self.held_back is not None and self.held_back.another_try is another_try:
            self.held_back = HeldBack(None, self.paused) if self.paused else None

    @property
    def paused(self) -> str:
        """What is paused, in words; empty: it is not."""
        return "" if self.held_back is None else self.held_back.paused

    def pause(self, what: str) -> bool:
        """It begins no further message, since this is paused. With an empty ``what`` it may go on. False: so it was before."""
        if what == self.paused or self.rests:  # (one that rests is shown the pauses again if it stays active)
            return False
        another_try = None if self.held_back is None else self.held_back.another_try
        self.held_back = HeldBack(another_try, what) if what or another_try is not None else None
        return True

    def rest(self) -> None:
        """It goes to rest: no message of it is handled. (It runs, and has nothing in hand.)"""
        self.held_back = RESTS

    def stay_active(self) -> None:
        """It does not rest, after all."""
        if self.held_back is RESTS:
            self.held_back = None
            self.tell()

    @property
    def rests(self) -> bool:
        """Whether it goes to rest, or has gone."""
        return self.held_back is RESTS

    def counts_try(self, entry: bytes) -> Tried:
        """This message was tried once more. The answer: how often by now."""
        before = self.tried.times if self.tried is not None and self.tried.entry == entry else 0
        self.tried = Tried(entry, before + 1)
        return self.tried
