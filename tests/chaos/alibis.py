"""When each worker could not renew its lease, as far as the faults know: an eviction that they do not explain is a breach."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf

#: Everybody: Redis was away.
ALL = ""


@dataclass(eq=False, slots=True)
class Alibi:
    """Worker ``who`` was kept from Redis, or from running, from ``since`` until ``until`` (seconds since the epoch)."""

    who: str
    since: float
    until: float = inf

    def over(self) -> None:
        """It can renew its lease again."""
        self.until = min(self.until, time.time())


class Alibis:
    """All of a run. ``patience``: how long after its end one explains an eviction, seconds.

    >>> alibis = Alibis(patience=3.0)
    >>> frozen = alibis.begin("w1")
    >>> frozen.over()
    >>> alibis.explain("w1", time.time() + 1), alibis.explain("w2", time.time()), alibis.explain("w1", time.time() + 9)
    (True, False, False)
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._all: list[Alibi] = []

    def begin(self, who: str) -> Alibi:
        """From now on, until it is over (a killed worker's never is)."""
        alibi = Alibi(who, time.time())
        self._all.append(alibi)
        return alibi

    def explain(self, who: str, at: float) -> bool:
        """Whether the faults explain that this worker was evicted then."""
        return any(
            alibi.who in (who, ALL) and alibi.since <= at <= alibi.until + self._patience for alibi in list(self._all)
        )

    def any_between(self, since: float, until: float) -> bool:
        """Whether any worker had one in this time."""
        return any(alibi.since <= until and since <= alibi.until + self._patience for alibi in list(self._all))
