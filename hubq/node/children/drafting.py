"""``self.publish(..., now=True)``: events leave while their handler runs, and are retracted if its message is undone (docs/feeds.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from hubq.errors import OutsideHandler, RedisUnavailable
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.open_drafts import DraftsInHand, OpenDrafts
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.store.command import Command
from hubq.store.connection import LOST
from hubq.store.drafts import Closing, Handling, publish_drafts, read_drafts, retract_drafts

log = logging.getLogger("hubq.node")

#: Most drafts that one script publishes.
AT_ONCE = 100
#: How soon it is tried again if Redis does not answer, seconds.
AGAIN = 0.2


class Drafting(Loop):
    """Sends drafts in order, and retracts those of messages that were undone, here or by a former owner."""

    def __init__(self, group: Group, background: Background, register: Register, drafts: OpenDrafts) -> None:
        super().__init__("retracting drafts of former owners")
        self._group = group
        self._background = background
        self._register = register
        self._drafts = drafts
        self._numbers = 0
        self._left: list[int] = []  # shards to look at
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- what a handler publishes --------------------------------------------------------------------------------------

    def publishes(self, hosted: HostedChild, topic: str, payload: bytes) -> None:
        """Publish an event now. Raises :class:`~hubq.errors.OutsideHandler`: no message is in hand."""
        in_hand = hosted.in_hand
        if in_hand is None or in_hand.over:
            raise OutsideHandler(
                f"child {hosted.child_id!r} has no message in hand: self.publish(..., now=True) belongs to one, and is retracted if "
                "that is undone. In run() and on_start() publish without now=True, and commit"
            )
        drafts = in_hand.drafts
        if drafts is None:
            handling = self._handling(hosted, in_hand.message.entry.decode())
            drafts = DraftsInHand(handling, lambda it: self._begin(hosted, it))
            in_hand.publishes_now(drafts)
            self._drafts.opened(drafts)
            hosted.say(Closing(handling, self._undone))
        drafts.waiting.append((topic, payload))
        assert self._loop is not None
        self._loop.call_soon_threadsafe(drafts.send)  # (a plain def handler is in another thread)

    def _handling(self, hosted: HostedChild, entry: str) -> Handling:
        self._numbers += 1
        standing = self._group.standing
        name = f"{standing.node_name}#{standing.incarnation}:{self._numbers}"  # no other handling has it
        return Handling(hosted.holding.shard, hosted.child_id, entry, name)

    def _begin(self, hosted: HostedChild, drafts: DraftsInHand) -> asyncio.Task[None]:
        return self._background.run(self._send(hosted, drafts), f"drafts of child {hosted.child_id}")

    async def _send(self, hosted: HostedChild, drafts: DraftsInHand) -> None:
        kept = hosted.kind.feed_kept
        while drafts.waiting and not drafts.over:
            first, some = drafts.sent + 1, drafts.waiting[:AT_ONCE]

            def command(holding: Holding, first: int = first, some: Sequence[tuple[str, bytes]] = some) -> Command[str]:
                return publish_drafts(
                    self._group.keys, holding.pinned, holding.owner, drafts.handling, kept, first, some
                )

            if await self._fenced(lambda: hosted.holding, command) != "ok":
                drafts.end()
                return
            drafts.went(len(some))

    async def _fenced(self, of: Callable[[], Holding | None], command: Callable[[Holding], Command[str]]) -> str:
        """Run a command under the token of a child's holding, for as long as it is here."""
        while (holding := of()) is not None and not holding.gone:
            owner = holding.owner
            try:
                word = await self._group.redis.run(command(holding))
            except RedisUnavailable as error:
                log.debug("drafts wait: %s", error)
                await asyncio.sleep(AGAIN)
                continue
            if word != "fenced" or (of() is holding and holding.owner == owner):
                return word
        return "fenced"

    # -- what was undone -------------------------------------------------------------------------------------------------

    def _undone(self, handling: Handling) -> None:
        self._background.run(self._retract(handling), f"retracting drafts of child {handling.child}")

    async def _retract(self, handling: Handling) -> None:
        drafts = self._drafts.closed(handling)
        if drafts is not None:
            drafts.end()
            await drafts.flushed()
        await self._fenced(
            lambda: self._serves(handling), lambda it: retract_drafts(self._group.keys, it.pinned, it.owner, handling)
        )

    def _serves(self, handling: Handling) -> Holding | None:
        """The holding in which its child is served here; None: its owner is another node, which sees to it."""
        holding = self._register.of_child(handling.shard, handling.child)
        return holding if holding is not None and handling.child not in holding.apart else None

    # -- what former owners have left ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look after shards that come here."""
        self._loop = asyncio.get_running_loop()
        super().start()

    async def _turn(self) -> None:
        left = self._left
        await self._drafts.marked(AGAIN if left else None)
        left += self._drafts.take()
        try:
            while left:
                await self._look(left[0])
                left.pop(0)
        except (*LOST, RedisUnavailable):
            raise
        except Exception:
            left.clear()
            raise

    async def _look(self, shard: int) -> None:
        if not self._register.of_shard(shard):
            return
        found = await self._group.redis.run(read_drafts(self._group.keys, shard))
        for handling in found.values():
            if not self._drafts.knows(handling):
                await self._retract(handling)
