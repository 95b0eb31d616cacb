"""When each worker could not renew its lease, as far as the faults know: an eviction that they do not explain is a breach."""

from __future__ import annotations

import time
from collections.abc import Iterable
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
    groups: frozenset[int] | None = None
    """In these groups of the hub; None: in all."""

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
    >>> moved = alibis.begin(ALL, groups=[2, 5])
    >>> alibis.explain("w2", time.time(), group=5), alibis.explain("w2", time.time(), group=3)
    (True, False)
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._all: list[Alibi] = []

    def begin(self, who: str, groups: Iterable[int] | None = None) -> Alibi:
        """From now on, until it is over (a killed worker's never is)."""
        alibi = Alibi(who, time.time(), groups=None if groups is None else frozenset(groups))
        self._all.append(alibi)
        return alibi

    def had(self, who: str, since: float, until: float) -> None:
        """As it turns out, from then until then (seconds since the epoch)."""
        self._all.append(Alibi(who, since, until))

    def explain(self, who: str, at: float, group: int = 0) -> bool:
        """Whether the faults explain that this worker was evicted from this group then."""
        return any(
            alibi.who in (who, ALL)
            and alibi.since <= at <= alibi.until + self._patience
            and (alibi.groups is None or group in alibi.groups)
            for alibi in list(self._all)
        )

    def any_between(self, since: float, until: float) -> bool:
        """Whether any worker had one in this time."""
        return any(alibi.since <= until and since <= alibi.until + self._patience for alibi in list(self._all))
