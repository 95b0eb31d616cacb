"""A message in hand: one message that is being handled, and all that its handling brings about."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq.store.mailbox import Message


class InHand:
    """Gathers what the handler brings about. All of it goes into the next commit (``Outcomes.settle``), or, if the
    message is undone, nothing of it does.

    ``task`` runs the handler; cancelling it undoes the message. ``in_thread`` says that the handler is a plain ``def``,
    whose thread cannot be cancelled.
    """

    __slots__ = ("in_thread", "message", "payload", "state", "task", "word")

    def __init__(self, message: Message, task: asyncio.Task[Any] | None = None) -> None:
        self.message = message
        self.task = task
        self.in_thread = False
        self.word = ""
        """How it ended: ``ok``, or the word of an error. Empty: not yet."""
        self.payload = b""
        """The encoded reply."""
        self.state: bytes | None = None
        """The envelope to save with it; None: the saved state stays as it is."""

    def succeeded(self, payload: bytes) -> None:
        """The handler has returned; ``payload`` is its encoded result."""
        self.word, self.payload = "ok", payload

    def failed(self, word: str, payload: bytes) -> None:
        """The handler was not begun, or has raised. What it brought about is thrown away."""
        self.state = None
        self.word, self.payload = word, payload

    def saves(self, envelope: bytes) -> None:
        """The state that its handling has left goes into the same commit."""
        self.state = envelope

    def threaded(self) -> None:
        """The handler goes on in a thread."""
        self.in_thread = True

    def cancel(self) -> None:
        """Undo the message: its handler is cancelled, and its child goes back to the state before it."""
        if self.task is not None:
            self.task.cancel()
