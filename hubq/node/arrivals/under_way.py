"""The shards and pins that are being adopted right now, and the messages about them that came meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from hubq.core.messages import PinReleased
from hubq.node.held.holding import Holding
from hubq.node.runtime.bell import News

#: How long a ``handover`` message may lag behind ``owners`` before the shard is adopted without it, seconds.
MESSAGE_PATIENCE = 0.5


class UnderWay:
    """Shards and pins from the moment their token is seen until they open. None of them is adopted twice at once."""

    def __init__(self) -> None:
        self._shards: dict[int, Holding] = {}
        self._pins: set[tuple[int, str]] = set()
        self._early: dict[tuple[int, str], PinReleased] = {}  # pins that went while their shard was being adopted
        self._expected: dict[int, float] = {}  # shard -> when it was seen in ``owners`` before its ``handover`` message
        self._claimed: set[int] = set()  # shards that the node is about to claim
        self._settled = News()

    @property
    def shards(self) -> set[int]:
        """The shards that Redis may say are here, or pins of theirs, and that are not open yet."""
        return {*self._shards, *self._claimed, *(shard for shard, _ in self._pins)}

    def forget_all(self) -> None:
        """What is being adopted is lost (the node was evicted). Pins see by themselves that the incarnation is another."""
        for holding in self._shards.values():
            holding.lose()
        self._shards.clear()
        self._early.clear()
        self._expected.clear()
        self._settled.ring()

    # -- shards ----------------------------------------------------------------------------------------------------

    def begin(self, holding: Holding) -> None:
        """This shard is being adopted. No other adoption of it begins until :meth:`end`."""
        self._shards[holding.shard] = holding

    def end(self, holding: Holding) -> None:
        """It may be adopted again."""
        if self.is_current(holding):
            del self._shards[holding.shard]
            self._settled.ring()

    def has(self, shard: int) -> bool:
        """Whether a shard is being adopted."""
        return shard in self._shards

    def is_current(self, holding: Holding) -> bool:
        """Whether it is this adoption that is under way, and not a later one."""
        return self._shards.get(holding.shard) is holding

    async def settled(self, shard: int) -> None:
        """Wait until no adoption of the shard is under way."""
        while shard in self._shards:
            await self._settled.heard()

    def message_may_come(self, shard: int, now: float) -> bool:
        """The shard is in ``owners`` as ours: whether its ``handover`` can still be expected at ``now``."""
        return now < self._expected.setdefault(shard, now) + MESSAGE_PATIENCE

    def has_come(self, shard: int) -> None:
        """Its message is not waited for any more."""
        self._expected.pop(shard, None)

    @contextmanager
    def claiming(self, shards: Iterable[int]) -> Iterator[None]:
        """These shards are claimed. As long as the answer has not come, they may be ours."""
        mine = set(shards)
        self._claimed |= mine
        try:
            yield
        finally:
            self._claimed -= mine

    # -- pins ------------------------------------------------------------------------------------------------------

    def pins_begin(self, shard: int, children: Iterable[str]) -> set[tuple[int, str]]:
        """The pins of these children are being adopted. No other adoption of them begins until :meth:`pins_end`."""
        mine = {(shard, child) for child in children}
        self._pins |= mine
        return mine

    def pins_end(self, mine: set[tuple[int, str]]) -> None:
        """They may be adopted again."""
        self._pins -= mine
        self._settled.ring()

    def has_pin(self, shard: int, child: str) -> bool:
        """Whether a pin is being adopted."""
        return (shard, child) in self._pins

    async def pins_settled(self, shard: int, children: Iterable[str]) -> None:
        """Wait until none of these pins is being adopted."""
        names = {(shard, child) for child in children}
        while names & self._pins:
            await self._settled.heard()

    # -- pins that went meanwhile ----------------------------------------------------------------------------------

    def pin_went(self, message: PinReleased) -> None:
        """A pin was released. While its shard is being adopted it may not be known yet that the child had a pin."""
        if message.shard in self._shards:
            self._early[message.shard, message.child] = message

    def take_early(self, shard: int, child: str) -> PinReleased | None:
        """The message of a pin that went while the shard was being adopted."""
        return self._early.pop((shard, child), None)

    def forget_early(self, holding: Holding) -> None:
        """Drop the early messages of the shard, but for those of children that are apart: only these matter."""
        for shard, child in list(self._early):
            if shard == holding.shard and child not in holding.apart:
                del self._early[shard, child]
