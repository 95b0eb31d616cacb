"""The feeds of children: what a commit publishes (``lua/_feeds.lua``), and how readers read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from hubq.core.feed import RETRACT, START, Ended, Event, Item, Place
from hubq.store.command import Arg, Command, plain, text
from hubq.store.keys import Keys
from hubq.store.saying import SayingLimits, Section

#: Reads the data of an event: the key of its feed, its topic, its payload.
Decode = Callable[[str, str, bytes], Any]


class Published(NamedTuple):
    """An event that a child publishes. ``kept``: so many entries of its feed are kept (about)."""

    sender: str
    kept: int
    topic: str
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes of its largest part."""
        return len(self.payload)

    @staticmethod
    def section(keys: Keys, shard: int, said: Sequence[Published], limits: SayingLimits) -> Section:
        """What children of ``shard`` publish, child by child, each in order."""
        feeds: dict[str, list[Published]] = {}
        for event in said:
            feeds.setdefault(event.sender, []).append(event)
        args: list[Arg] = []
        for events in feeds.values():
            args += (events[-1].kept, len(events))
            for event in events:
                args += (event.topic, event.payload)
        return Section("feeds", [keys.feed(shard, child) for child in feeds], args)


def read_item(entry: Any, fields: Sequence[bytes], decode: Callable[[str, bytes], Any]) -> Item | None:
    """One entry of a feed; None: it is none that hubq has written.

    >>> read_item(b"7-1", [b"topic", b"posts", b"data", b"j1"], bytes), read_item(b"8-2", [b"end", b"1"], bytes)
    (<Event 7-1 posts>, Ended(id='8-2'))
    >>> read_item(b"9-3", [b"x", b"y"], bytes)
    """
    place = text(entry)
    match fields:
        case [b"topic", topic, b"data", data]:
            ms, _, number = place.partition("-")
            reads = _json if text(topic) == RETRACT else partial(decode, text(topic))
            return Event(Place(int(ms), int(number)), text(topic), data, reads)
        case [b"topic", topic, b"data", data, b"draft", draft]:
            ms, _, number = place.partition("-")
            return Event(Place(int(ms), int(number)), text(topic), data, partial(decode, text(topic)), text(draft))
        case [b"end", _]:
            return Ended(place)
    return None


def _json(data: bytes) -> Any:
    """What a script has written, whatever the codec of the hub is."""
    return msgspec.json.decode(data[1:])


class Page(NamedTuple):
    """What was read of one feed: its items, and where its last entry stands."""

    items: list[Item]
    last: Place


def _page(entries: Sequence[Any], decode: Callable[[str, bytes], Any]) -> Page:
    items = [item for entry, fields in entries if (item := read_item(entry, fields or (), decode)) is not None]
    ms, _, number = text(entries[-1][0]).partition("-")
    return Page(items, Place(int(ms), int(number)))


def _unread(topic: str, payload: bytes) -> bytes:
    return payload


def feed_tail(feed: str) -> Command[Place]:
    """Where the last entry of a feed stands."""
    return plain(
        "XREVRANGE", feed, "+", "-", "COUNT", 1, read=lambda answer: _page(answer, _unread).last if answer else START
    )


def read_feeds(feeds: Mapping[str, Place], count: int, decode: Decode, block_ms: int = 0) -> Command[dict[str, Page]]:
    """At most ``count`` entries of each feed behind a place, by its key. ``decode`` reads their data. ``block_ms``: wait so
    long until there are any.
    """
    block: tuple[Arg, ...] = ("BLOCK", block_ms) if block_ms else ()

    def read(answer: Any) -> dict[str, Page]:
        return {text(feed): _page(entries, partial(decode, text(feed))) for feed, entries in answer or ()}

    places = [str(place) for place in feeds.values()]
    return plain("XREAD", "COUNT", count, *block, "STREAMS", *feeds, *places, read=read, blocks=block_ms > 0)
