"""Long listings in pages: children, dead letters, events. A page reads a bounded part of the hub, and says where the next begins.

Nothing is kept between two pages: a place is a text that its reader gives back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import fetch_of_shards, in_groups
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.happened import Event, event_of, merged_events, places_of
from hubq.client.operations.listing import CHILDREN_AT_ONCE, Listing, Query
from hubq.client.operations.places import read_place, write_place
from hubq.client.results import ChildStatus
from hubq.errors import ConfigError
from hubq.store.dead_letters import DeadLetter, count_dead, read_dead_before
from hubq.store.events import read_events_back

#: Shards that a page of children reads side by side, and how often it reads before it ends, however little it has found.
SHARDS_AT_ONCE, MOST_READS = 4, 40
#: Shards that it reads side by side at most, if they are small and few of their children are meant.
SMALL_AT_ONCE = 16
#: So often it reads, even if it is to end soon: a hub of 64 small shards is read to its end by then.
FEWEST_READS = 6
#: Letters that are read of a shard at a time (with their payloads they may be large), and looked at for one page.
LETTERS_AT_ONCE, MOST_LETTERS = 10, 2_000
#: Events that are read at a time, and looked at for one page.
EVENTS_AT_ONCE, MOST_EVENTS = 500, 5_000
#: The longest page.
MOST_OF_A_PAGE = 1_000

#: The place in a group that has no older events: there are none before this one.
GONE = "0-0"

_ENTRY = re.compile(r"\d{1,20}-\d{1,20}")


@dataclass(frozen=True, slots=True)
class ChildrenPage:
    """Some children. ``next``: give it as ``after`` for the next page; empty: that was the last. ``shards_left``: those that were not
    read to their end.
    """

    children: list[ChildStatus]
    next: str
    shards_left: int


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant; an empty text means any.

    >>> bool(LetterFilter()), bool(LetterFilter(why="raised"))
    (False, True)
    """

    why: str = ""
    class_name: str = ""
    child: str = ""

    def __bool__(self) -> bool:
        return self != LetterFilter()

    def takes(self, letter: DeadLetter) -> bool:
        """Whether this letter is meant."""
        wanted = ((self.class_name, letter.class_name), (self.why, letter.why), (self.child, letter.child))
        return all(want in ("", there) for want, there in wanted)


@dataclass(frozen=True, slots=True)
class LettersPage:
    """Some dead letters, the newest first; ``total`` is how many the hub has, whatever was asked for. ``next`` is as in
    :class:`ChildrenPage`.
    """

    letters: list[DeadLetter]
    next: str
    total: int


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are meant: those for which everything given holds. ``child``, ``node`` and ``shard`` are what an event names."""

    types: Collection[str] = ()
    child: str = ""
    node: str = ""
    shard: str = ""

    def takes(self, event: Event) -> bool:
        """Whether this event is meant."""
        said = event.fields
        return (
            (not self.types or event.type in self.types)
            and (not self.child or said.get("child") == self.child or f'"{self.child}"' in said.get("children", ""))
            and (not self.node or self.node in (said.get("node"), said.get("source"), said.get("target")))
            and (not self.shard or said.get("shard") == self.shard)
        )


@dataclass(frozen=True, slots=True)
class EventsPage:
    """Some events, the newest first. ``next`` is as in :class:`ChildrenPage`."""

    events: list[Event] = field(default_factory=list)
    next: str = ""


#: Whether a page is to end now, with what it has found.
Enough = Callable[[], bool]


def children_page(
    hub: HubContext, query: Query, after: str, limit: int, enough: Enough = lambda: False
) -> Operation[ChildrenPage]:
    """The next children that are meant: about ``limit`` (a shard is not cut where Redis does not cut it), in no order.

    A page ends early when much was read and little found, and when ``enough`` says so, which is asked after some reads: then ``next``
    leads on (:func:`~hubq.client.operations.places.looked_at` tells how far it is). Raises :class:`~hubq.errors.ConfigError` for an
    ``after`` that no page has given, or a ``limit`` below 1 or above 1,000.
    """
    limit = _checked_limit(limit)
    listing = Listing(hub, query, None, *read_place(after, hub.config.shards))
    found: list[ChildStatus] = []
    shards = SHARDS_AT_ONCE
    at_once, most = max(10, limit // SHARDS_AT_ONCE), CHILDREN_AT_ONCE * (2 if query.match_of_redis else 1)
    for turn in range(MOST_READS):
        if listing.done or len(found) >= limit or (turn >= FEWEST_READS and enough()):
            break
        before = len(listing.left)
        some = yield from listing.page(shards, at_once)
        found += some
        if len(some) * 8 < at_once:  # few of them are meant: the same page may look at more
            at_once = min(2 * at_once, most)
            if before - len(listing.left) == shards:  # each was read to its end
                shards = min(2 * shards, SMALL_AT_ONCE)
    return ChildrenPage(found, write_place(listing.left, listing.looked), len(listing.left))


def letters_page(hub: HubContext, wanted: LetterFilter, after: str, limit: int) -> Operation[LettersPage]:
    """The next dead letters that are meant, the newest first: at most ``limit``.

    Raises :class:`~hubq.errors.ConfigError` as :func:`children_page` does.
    """
    limit = _checked_limit(limit)
    counts = yield from fetch_of_shards(
        hub, [(shard, count_dead(hub.of_shard(shard).keys, shard)) for shard in range(hub.config.shards)]
    )
    until = _checked_letter(after, hub.config.shards)
    streams = [_Letters(shard, until) for shard, count in enumerate(counts) if count]
    found: list[DeadLetter] = []
    looked, last = 0, ""
    while len(found) < limit and looked < MOST_LETTERS:
        empty = [each for each in streams if not each.read and not each.over]
        if empty:
            asked = [
                (e.shard, read_dead_before(hub.of_shard(e.shard).keys, e.shard, e.before, LETTERS_AT_ONCE))
                for e in empty
            ]
            pages = yield from fetch_of_shards(hub, asked)
            for stream, page in zip(empty, pages, strict=True):
                stream.take(page)
        streams = [each for each in streams if each.read]
        if not streams:
            return LettersPage(found, "", sum(counts))
        newest = max(streams, key=lambda each: _age(each.read[0].letter))
        letter = newest.read.pop(0)
        last, looked = letter.letter, looked + 1
        if wanted.takes(letter):
            found.append(letter)
    more = any(each.read or not each.over for each in streams)
    return LettersPage(found, last if more else "", sum(counts))


class TakesEvents(Protocol):
    """Says which events are meant, as :class:`EventFilter` does."""

    def takes(self, event: Event) -> bool:
        """Whether this event is meant."""


def events_page(
    hub: HubContext, wanted: TakesEvents, before: str, limit: int, most: int = MOST_EVENTS
) -> Operation[EventsPage]:
    """The next events that are meant, the newest first, at most ``limit``; older than the one with the id ``before`` (empty: from the
    newest on). At most ``most`` are looked at.

    Raises :class:`~hubq.errors.ConfigError` as :func:`children_page` does.
    """
    limit = _checked_limit(limit)
    places = before.split(",") if before else []
    if not all(_ENTRY.fullmatch(place) for place in places) or len(places) > max(1, len(hub.groups)):
        raise ConfigError(f"{before!r} is no id of an event: give the id of the oldest one that you have")
    if not hub.groups:
        return (yield from _events_page(hub, wanted, before, limit, most))
    at = places_of(before, len(hub.groups)) if before else [""] * len(hub.groups)
    found = yield from in_groups(
        {c.group: _events_page(c, wanted, at[c.group], limit, most) for c in hub.groups if at[c.group] != GONE}
    )
    merged = merged_events({group: page.events for group, page in found.items()}, at, newest_first=True)[:limit]
    # A group whose page was taken whole is read on from where that ended; if it has no more, it is not read again.
    left = (merged[-1].id if merged else before or ",".join(at)).split(",")
    for group, page in found.items():
        if not page.events or left[group] == page.events[-1].id:
            left[group] = page.next or GONE
    left = [place if place or group in found else GONE for group, place in enumerate(left)]
    return EventsPage(merged, "" if set(left) == {GONE} else ",".join(left))


def _events_page(hub: HubContext, wanted: TakesEvents, before: str, limit: int, most: int) -> Operation[EventsPage]:
    until, found, looked = f"({before}" if before else "+", list[Event](), 0
    while looked < most:
        (page,) = yield Fetch([read_events_back(hub.keys, until, EVENTS_AT_ONCE)])
        for entry, fields in page:
            event = event_of(entry, fields)
            if wanted.takes(event):
                found.append(event)
                if len(found) == limit:
                    return EventsPage(found, entry)
        if len(page) < EVENTS_AT_ONCE:
            return EventsPage(found, "")
        looked += len(page)
        until = "(" + page[-1][0]
    return EventsPage(found, until[1:])


class _Letters:
    """The letters of a shard, read back from a place."""

    def __init__(self, shard: int, until: tuple[int, int, int] | None) -> None:
        self.shard = shard
        self.over = False
        self.read: list[DeadLetter] = []
        # Letters of one moment are in the order of their shards, the last one first.
        self.before = "+" if until is None else f"{'' if shard < until[2] else '('}{until[0]}-{until[1]}"

    def take(self, page: list[DeadLetter]) -> None:
        """Take in what was read."""
        self.read = page
        self.over = len(page) < LETTERS_AT_ONCE
        if page:
            self.before = "(" + page[-1].letter.partition("/")[2]


def _age(letter: str) -> tuple[int, int, int]:
    shard, _, entry = letter.partition("/")
    ms, _, number = entry.partition("-")
    return int(ms), int(number), int(shard)


def _checked_letter(after: str, shards: int) -> tuple[int, int, int] | None:
    shard, _, entry = after.partition("/")
    if not after:
        return None
    if not re.fullmatch(r"\d{1,6}", shard) or int(shard) >= shards or not _ENTRY.fullmatch(entry):
        raise ConfigError(f"{after!r} does not name a dead letter: give one as `hubq dead list` shows it (6/1795-0)")
    return _age(after)


def _checked_limit(limit: int) -> int:
    if not 1 <= limit <= MOST_OF_A_PAGE:
        raise ConfigError(f"limit={limit!r}: give 1 to {MOST_OF_A_PAGE}")
    return limit
