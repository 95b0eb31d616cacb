"""When the next thing of each shard is due, a reminder for example: arrivals and others set it, those who see to it wait for it."""

from __future__ import annotations

from collections.abc import Sequence

from hubq.node.runtime.bell import Bell
from hubq.store.saying import Saying


class DueTimes:
    """Shard -> when its next thing of one kind is due, ms of Redis TIME; and the shards of which that is not known yet.

    >>> times = DueTimes()
    >>> times.told(3, 9000); times.told(3, 7000); times.told(3, 8000)
    >>> times.next_ms(), times.due(6999), times.due(7000)
    (7000, [], [3])
    """

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        self._unknown: dict[int, None] = {}
        self._bell = Bell()

    def arrived(self, shard: int) -> None:
        """The shard is here: look when its next thing is due."""
        self._unknown[shard] = None
        self._bell.ring()

    def committed(self, shard: int, said: Sequence[Saying], held: bool) -> None:
        """Nothing: those who set a time tell it. (The script that sets a reminder tells whoever reads the mailbox.)"""

    def told(self, shard: int, due_ms: float) -> None:
        """A thing of this shard is due at this time; another one may be due before."""
        if due_ms != float("inf") and due_ms < self._due.get(shard, float("inf")):
            self._due[shard] = due_ms
            self._bell.ring()

    def asked(self, shard: int) -> None:
        """Redis is asked now when the next one of this shard is due. What is told from here on may be news to it."""
        self._due.pop(shard, None)

    def answered(self, shard: int, due_ms: float) -> None:
        """The answer: the next one is due at this time; infinity: there is none. What was told meanwhile counts if it is earlier."""
        if due_ms != float("inf"):
            self._due[shard] = min(due_ms, self._due.get(shard, due_ms))

    def forget(self, shard: int) -> None:
        """The shard is not here."""
        self._due.pop(shard, None)

    def take_unknown(self) -> list[int]:
        """The shards of which the next time is to be asked; they are not named again."""
        shards, self._unknown = list(self._unknown), {}
        return shards

    def next_ms(self) -> float | None:
        """When the next of all is due; None: there is none."""
        return min(self._due.values(), default=None)

    def due(self, now_ms: float) -> list[int]:
        """The shards that have something due, the earliest first."""
        return sorted((shard for shard, due in self._due.items() if due <= now_ms), key=self._due.__getitem__)

    async def changed(self, within: float | None) -> None:
        """Wait for an earlier time or a new shard, at most so many seconds."""
        await self._bell.heard(within)
