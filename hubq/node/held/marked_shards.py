"""Shards in which there is something to do: commits and arrivals set the marks, one loop takes them."""

from __future__ import annotations

from hubq.node.runtime.bell import Bell


class MarkedShards:
    """Shards to look at.

    >>> marked = MarkedShards()
    >>> marked.arrived(3); marked.arrived(3)
    >>> marked.take(), marked.take()
    ([3], [])
    """

    def __init__(self) -> None:
        self._shards: dict[int, None] = {}
        self._bell = Bell()

    def arrived(self, shard: int) -> None:
        """There may be something to do in this shard."""
        self._shards[shard] = None
        self._bell.ring()

    def take(self) -> list[int]:
        """The shards that were marked; the marks are gone."""
        shards, self._shards = list(self._shards), {}
        return shards

    async def marked(self, within: float | None = None) -> bool:
        """Wait for a mark, at most ``within`` seconds. False: there was none."""
        return await self._bell.heard(within)
