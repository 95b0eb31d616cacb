"""What the demo found: from the feeders' ledgers, the children's, and the hub's events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import msgspec

from hubq.cli.demo_child import Totals
from hubq.cli.demo_feed import Ledger

#: An event: its id in the stream (which begins with Redis TIME, ms) and its fields.
Event = tuple[str, dict[str, str]]


class Report(msgspec.Struct, frozen=True):
    """The outcome. ``--json`` prints these fields."""

    exact: bool
    words: int
    messages: int
    lost: int
    duplicated: int
    failed_calls: int
    migrations: int
    pause_ms_p99: float | None
    pause_ms_max: float | None
    takeover_s: float | None
    seconds: float

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return self.exact and not self.lost and not self.duplicated and not self.failed_calls


@dataclass(frozen=True, slots=True)
class Kill:
    """The kill: when (Redis TIME, ms), and the shards the killed worker owned."""

    at_ms: int
    shards: frozenset[int]


def pauses_of(events: Iterable[Event]) -> list[float]:
    """The pause of each child in each graceful move, ms.

    >>> pauses_of([("1-0", {"type": "shard_migrated", "children": "2", "pause_ms": "1.5"})])
    [1.5, 1.5]
    """
    pauses: list[float] = []
    for _, fields in events:
        if fields.get("type") == "shard_migrated":
            pauses += [float(fields["pause_ms"])] * int(fields["children"])
        elif fields.get("type") == "child_migrated":
            pauses.append(float(fields["pause_ms"]))
    return sorted(pauses)


def takeover_seconds(events: Iterable[Event], kill: Kill) -> float | None:
    """From the kill until the last of the killed worker's shards was served again. None: that never came.

    >>> adopted = ("5500-0", {"type": "shard_adopted", "shard": "3"})
    >>> takeover_seconds([adopted], Kill(500, frozenset({3}))), takeover_seconds([], Kill(500, frozenset({3})))
    (5.0, None)
    """
    back: dict[int, int] = {}
    for entry, fields in events:
        at = int(entry.partition("-")[0])
        if fields.get("type") == "shard_adopted" and at >= kill.at_ms and int(fields["shard"]) in kill.shards:
            back.setdefault(int(fields["shard"]), at)
    if set(back) != kill.shards or not back:
        return None
    return (max(back.values()) - kill.at_ms) / 1000


def percentile(ordered: Sequence[float], part: float) -> float | None:
    """The value that ``part`` of the values do not exceed (nearest rank).

    >>> percentile([1.0, 2.0, 3.0], 0.99), percentile([], 0.99)
    (3.0, None)
    """
    return ordered[max(0, ceil(part * len(ordered)) - 1)] if ordered else None


def compare(ledgers: Sequence[Ledger], totals: dict[int, Totals]) -> tuple[int, int]:
    """Messages that were sent well but never applied, and messages that were applied more than once."""
    lost = 0
    for ledger in ledgers:
        for bucket, bits in ledger.accepted.items():
            applied = totals[bucket][1].get(ledger.feeder, 0)
            lost += (int(bits, 16) & ~applied).bit_count()
    return lost, sum(repeats for _, _, repeats in totals.values())


def make_report(
    ledgers: Sequence[Ledger],
    totals: dict[int, Totals],
    truth: Counter[str],
    events: Sequence[Event],
    kill: Kill,
    seconds: float,
) -> Report:
    """Put it all together."""
    counted: Counter[str] = Counter()
    for words, _, _ in totals.values():
        counted.update(words)
    lost, duplicated = compare(ledgers, totals)
    pauses = pauses_of(events)
    return Report(
        exact=counted == truth,
        words=counted.total(),
        messages=sum(ledger.messages for ledger in ledgers),
        lost=lost,
        duplicated=duplicated,
        failed_calls=sum(ledger.failed for ledger in ledgers),
        migrations=len(pauses),
        pause_ms_p99=percentile(pauses, 0.99),
        pause_ms_max=pauses[-1] if pauses else None,
        takeover_s=takeover_seconds(events, kill),
        seconds=round(seconds, 1),
    )
