"""The messages of one child that are in memory."""

from __future__ import annotations

from collections import deque

from hubq.store.mailbox import Message


class Queue(deque[Message]):
    """In the order of the mailbox; ``bytes`` is the size of all payloads."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0  # (an empty deque needs no more)

    def add(self, message: Message) -> None:
        """Behind all others."""
        self.append(message)
        self.bytes += len(message.payload)

    def take(self) -> Message:
        """The first one."""
        message = self.popleft()
        self.bytes -= len(message.payload)
        return message

    def put_back(self, message: Message) -> None:
        """It is the first one again."""
        self.appendleft(message)
        self.bytes += len(message.payload)

    def withdraw(self, place: int) -> Message:
        """Take out the message at a place, counted from the first one."""
        message = self[place]
        del self[place]
        self.bytes -= len(message.payload)
        return message
