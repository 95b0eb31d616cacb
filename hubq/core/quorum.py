"""How many nodes there are, and were: what a quorum is decided upon."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ClusterSize:
    """Live nodes of a hub that are not draining. ``now``; ``recently``: the most in the last ``threshold_time`` seconds;
    ``since_start``: the most since the hub was started; ``ever``: the most ever, or since ``hub.reset_cluster_size()``.
    """

    now: int
    recently: int
    since_start: int
    ever: int


@dataclass(frozen=True, slots=True)
class Roll:
    """What a hub with a quorum remembers in Redis.

    ``changes`` goes up with each; ``partitioned_since``: ms of Redis TIME, 0 while there is a quorum; ``members``: ``node
    incarnation`` of those last seen; ``sizes``: since when (ms) there were how many nodes, the last entry is in force.
    """

    changes: int = 0
    partitioned_since: int = 0
    members: tuple[str, ...] = ()
    since_start: int = 0
    ever: int = 0
    sizes: tuple[tuple[int, int], ...] = ()

    def called(self, members: Sequence[str], now_ms: int, window_ms: int, was: Iterable[str] = ()) -> Roll:
        """The roll after a look at the members. With nobody there, nobody decides, and nothing is changed.

        If none of those there were is left, the hub has been started anew. ``was``: what members were called before they
        had to join anew.

        >>> Roll().called(["a 1", "b 2"], 1000, 0).called(["b 2"], 2000, 0).sizes
        ((2000, 1),)
        """
        if not members:
            return self
        count = len(members)
        anew = not {*members, *was} & set(self.members)
        sizes = () if anew else self.sizes
        if not sizes or sizes[-1][1] != count:
            since = max(now_ms, sizes[-1][0]) if sizes else now_ms
            sizes = (*sizes, (since, count))
        # An entry is in force until the next one begins.
        kept = tuple(
            entry for n, entry in enumerate(sizes) if n + 1 == len(sizes) or sizes[n + 1][0] > now_ms - window_ms
        )
        return replace(
            self,
            members=tuple(sorted(members)),
            since_start=max(count, 0 if anew else self.since_start),
            ever=max(count, self.ever),
            sizes=kept,
        )

    def size(self) -> ClusterSize:
        """What a strategy is asked about. (``sizes`` holds what is recent, and nothing else.)"""
        counts = [count for _, count in self.sizes] or [0]
        return ClusterSize(counts[-1], max(counts), self.since_start, self.ever)
