"""The recorder of a hub without copies: nobody follows, nobody is told."""

from __future__ import annotations

from hubq.node.held.holding import Holding, HostedChild
from hubq.store.message import Message


class NoRecorder:
    """Does nothing (:class:`~hubq.node.held.holding.Recorder`)."""

    records = False

    def finished(self, hosted: HostedChild, message: Message, word: str) -> bool:
        """Redis is to hear of the message."""
        return True

    def state(self, hosted: HostedChild) -> None:
        """Nobody is told."""

    def begun(self, hosted: HostedChild) -> None:
        """Nobody is told."""

    def ended(self, holding: Holding, child: str, start_id: str) -> None:
        """Nobody is told."""
