"""Which shards may have messages in their outboxes: commits and arrivals set the marks, the forwarder takes them."""

from __future__ import annotations

from collections.abc import Sequence

from hubq.node.runtime.bell import Bell
from hubq.store.saying import Saying


class Outboxes:
    """Shards whose outbox is to be looked at."""

    def __init__(self) -> None:
        self._shards: dict[int, None] = {}
        self._bell = Bell()

    def arrived(self, shard: int) -> None:
        """There may be something in the outbox of this shard."""
        self._shards[shard] = None
        self._bell.ring()

    def committed(self, shard: int, said: Sequence[Saying], held: bool) -> None:
        """Look at the outbox of this shard if something waits there."""
        if held:
            self.arrived(shard)

    def take(self) -> list[int]:
        """The shards that were marked; the marks are gone."""
        shards, self._shards = list(self._shards), {}
        return shards

    async def marked(self, within: float | None = None) -> bool:
        """Wait for a mark, at most ``within`` seconds. False: there was none."""
        return await self._bell.heard(within)
