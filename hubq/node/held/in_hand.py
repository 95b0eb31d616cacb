"""A message in hand: one message that is being handled, and all that its handling brings about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from hubq.node.held.open_drafts import DraftsInHand
from hubq.store.header import Waiting
from hubq.store.message import Message


class InHand(msgspec.Struct, eq=False):  # (one for each message: see Command)
    """Gathers what the handler brings about. All of it goes into the next commit (``Outcomes.settle``). If the message is
    undone, nothing of it does.

    ``task`` runs the handler; cancelling it undoes the message. ``in_thread`` says that the handler is a plain ``def``,
    whose thread cannot be cancelled. ``undone``: it was cancelled by us, and not by the handler itself.
    """

    message: Message
    task: asyncio.Task[Any] | None = None
    child_class: str = ""
    in_thread: bool = False
    undone: bool = False
    stops: bool = False
    word: str = ""
    """How it ended: ``ok``, or the word of an error; empty: it has not ended."""
    payload: bytes = b""
    """The encoded reply."""
    state: bytes | None = None
    """The state to save with it; None: the saved state stays as it is."""
    killed: Exception | None = None
    drafts: DraftsInHand | None = None
    """What its handler publishes while it runs; None: nothing."""
    clock: Callable[[], float] | None = None
    """Of one with a deadline: Redis TIME, ms, as its node knows it."""
    jobs: int = 0
    """How many it enqueues."""
    mark: str = ""
    """Of a message with a key that is run: what stands for its method and arguments."""
    repeated: bool = False
    """Of one with a key: its outcome is kept already."""

    def succeeded(self, payload: bytes, state: bytes | None = None) -> None:
        """The handler has returned. ``payload`` is its encoded result, ``state`` what is to be saved with it."""
        self.word, self.payload, self.state = "ok", payload, state

    def failed(self, word: str, payload: bytes, state: bytes | None = None) -> None:
        """The handler was not begun, or has raised. What it brought about is thrown away, but for the ``state`` that
        ``on_error="keep"`` keeps.
        """
        self.word, self.payload, self.state = word, payload, state

    def runs_under(self, mark: str, repeated: bool) -> None:
        """It has a key, and is run under it."""
        self.mark, self.repeated = mark, repeated

    def begins(self, clock: Callable[[], float]) -> None:
        """Its handler begins; it has a deadline."""
        self.clock = clock

    def stop_child(self) -> None:
        """The child ends with this message, unless the message is undone."""
        self.stops = True

    def publishes_now(self, drafts: DraftsInHand) -> None:
        """Its handler publishes drafts."""
        self.drafts = drafts

    def counts_job(self) -> int:
        """The handler enqueues one more job. How many there are by now."""
        self.jobs += 1
        return self.jobs

    # -- who calls, and who logs (hubq.client.asking.calling) ---------------------------------------------------------

    @property
    def child_id(self) -> str:
        """Its child."""
        return self.message.child

    @property
    def method(self) -> str:
        """Its method."""
        return self.message.method

    @property
    def message_id(self) -> str:
        """Its id."""
        return self.message.id

    @property
    def job_id(self) -> str:
        """A message is no job."""
        return ""

    @property
    def chain(self) -> tuple[Waiting, ...]:
        """The children that wait for its answer."""
        return () if self.message.header is None else self.message.header.chain

    def time_left(self) -> float | None:
        """Seconds until its deadline; None if it has none."""
        if not self.message.deadline or self.clock is None:
            return None
        return (self.message.deadline - self.clock()) / 1000

    @property
    def over(self) -> bool:
        """It has been settled, or undone."""
        return self.undone or bool(self.word)

    # -- its end -----------------------------------------------------------------------------------------------------

    def threaded(self) -> None:
        """The handler goes on in a thread."""
        self.in_thread = True

    def kill(self, why: Exception) -> None:
        """End the message: its handler is cancelled, and has raised ``why``."""
        self.killed = why
        if self.task is not None:
            self.task.cancel()

    def cancel(self) -> None:
        """Undo the message: its handler is cancelled, and its child goes back to the state before it."""
        self.undone = True
        if self.task is not None:
            self.task.cancel()
