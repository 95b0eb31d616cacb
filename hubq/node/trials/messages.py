"""Messages that were in hand when nodes died: marked before they are handled, and tried alone if they are suspects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from hubq.node.children.handler import Handler
from hubq.node.held.holding import HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.trials.marks import Marks
from hubq.store.tries import MOST_TRIES, Mark, Watch, message_field

log = logging.getLogger("hubq.node")


class MessageTrials:
    """Stands in front of the handler. A shard that was not taken over after a crash pays one look-up.

    ``may_handle``: whether handlers may start now.
    """

    def __init__(self, marks: Marks, handler: Handler, may_handle: Callable[[], bool]) -> None:
        self._marks = marks
        self._handler = handler
        self._may_handle = may_handle
        self._handle = handler.handle

    def handle(self, hosted: HostedChild, in_hand: InHand) -> Awaitable[None]:
        """Handle a message: at once, or on trial. (Not a coroutine itself: nothing is awaited twice for it.)"""
        watch = hosted.holding.watch
        if watch is None or not watch.covers(in_hand.message.entry):
            return self._handle(hosted, in_hand)
        return self._tried(hosted, in_hand, watch)

    async def _tried(self, hosted: HostedChild, in_hand: InHand, watch: Watch) -> None:
        """Handle a message of a watched shard: marked, and alone if it was in hand at two crashes."""
        message, marks = in_hand.message, self._marks
        name, entry = message_field(hosted.child_id), message.entry.decode()
        if watch.blames_later(name, message.entry):
            return await self._handle(hosted, in_hand)
        known = watch.marks.get(name)
        if known is None or known.entry != entry:
            # It waited at the last crash. That counts as one, since nothing shows whether it was in hand. (If it is known
            # what took the node down, there are no crashes in the watch: nothing else is counted.)
            known = Mark(entry, len(watch.crashes[-1:]), "-", watch.crashes[-1:])
        mine = Mark(entry, known.count, marks.me, known.crashes)
        suspect = known.count >= MOST_TRIES - 1
        async with AsyncExitStack() as alone:
            try:
                if suspect:
                    await alone.enter_async_context(marks.alone)
                    log.warning(
                        "child %s: %s (entry %s) was in hand when %s died: it is tried alone", hosted.child_id,
                        message.method, entry, " and ".join(known.crashes),
                    )  # fmt: skip
                if not await marks.write(hosted, {name: mine.written}):
                    raise asyncio.CancelledError("the shard has another owner")
                if not self._may_handle():
                    # They might when the message was taken in hand. While its mark was written, other nodes may have taken the
                    # shard over, or the quorum has gone. When they may again, all go on (hubq.node.membership.resuming).
                    raise asyncio.CancelledError("handlers may not start any more")
            except asyncio.CancelledError:
                self._handler.unbegun(hosted, message)
                raise
            await self._handle(hosted, in_hand)
            if suspect:
                # It is done, and the node lives. If its commit is lost by a later crash, that is not its fault: take the mark back.
                watch.marks.pop(name, None)
                await marks.take_back(hosted, name)
