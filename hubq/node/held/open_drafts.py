"""The drafts that a handler publishes while it runs, and which handlings of this node have open ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from hubq.node.held.marked_shards import MarkedShards
from hubq.store.drafts import Closing, Handling
from hubq.store.saying import Saying


class DraftsInHand:
    """The drafts of one message in hand: those that are to be sent, in order. ``send`` begins to send them, if nobody does."""

    def __init__(self, handling: Handling, send: Callable[[DraftsInHand], asyncio.Task[None] | None]) -> None:
        self.handling = handling
        self.waiting: list[tuple[str, bytes]] = []
        self.sent = 0
        """How many Redis has."""
        self.over = False
        """No more is sent: the message is done or undone, or the child is another node's."""
        self._send = send
        self._sender: asyncio.Task[None] | None = None

    def went(self, count: int) -> None:
        """So many more are in Redis."""
        del self.waiting[:count]
        self.sent += count

    def end(self) -> None:
        """No more is sent."""
        self.over = True

    def send(self) -> None:
        """Send what waits."""
        if self.waiting and not self.over and (self._sender is None or self._sender.done()):
            self._sender = self._send(self)

    async def flushed(self) -> None:
        """Wait until all are sent, or no more is: what comes now comes behind them."""
        self.send()
        while self._sender is not None and not self._sender.done():
            await asyncio.shield(self._sender)
            self.send()


class OpenDrafts(MarkedShards):
    """Handlings of this node whose drafts no commit has closed yet; and the shards that came here, and may have others."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[str, DraftsInHand] = {}

    def opened(self, drafts: DraftsInHand) -> None:
        """This handling has drafts."""
        self._open[drafts.handling.name] = drafts

    def closed(self, handling: Handling) -> DraftsInHand | None:
        """It has none any more, or is another node's by now."""
        return self._open.pop(handling.name, None)

    def knows(self, handling: Handling) -> bool:
        """Whether it is one of this node that goes on."""
        return handling.name in self._open

    def committed(self, shard: int, said: Sequence[Saying], held: bool) -> None:
        """Drafts that a commit has closed."""
        for saying in said:
            if isinstance(saying, Closing):
                self.closed(saying.handling)
