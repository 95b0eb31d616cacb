"""The latest items of one feed, as one reader has read them for many subscribers."""

from __future__ import annotations

from collections.abc import Sequence

from hubq.core.feed import Ended, Event, Gap, Item, Place, gap_between


def place_of(item: Item) -> Place:
    """Where an item stands in the feed; a gap: where it ends."""
    if isinstance(item, Event):
        return item.place
    return Place.read(item.before if isinstance(item, Gap) else item.id)


def joined(last: Place, items: Sequence[Item]) -> list[Item]:
    """Items as they follow the last one that a reader has: if something is missing between them, a gap comes first.

    >>> joined(Place(70, 3), [Ended("90-5")])
    [Gap(after='70-3', before='90-5', missed=1), Ended(id='90-5')]
    """
    found: list[Item] = []
    for item in items:
        if isinstance(item, Gap):
            continue  # it is found anew: this reader may have got further, or less far
        place = place_of(item)
        gap = gap_between(last, place)
        if gap is not None:
            found.append(gap)
        found.append(item)
        last = place
    return found


class FeedBuffer:
    """Holds the items behind ``floor`` up to ``tail``. Each item has a number that never changes: ``base`` is that of the first.

    A subscriber keeps the number of the next item that it wants. If that is below ``base``, it reads back from Redis.
    ``lives`` counts how often the feed was found to go on behind a place that lies before its tail.

    >>> buffer = FeedBuffer(Place(70, 3), most=2, most_bytes=1000)
    >>> buffer.extend([Event(Place(80, 4), "a", b"", len), Event(Place(90, 7), "a", b"", len)])
    >>> buffer.since(0)  # the first of three items has gone
    >>> buffer.since(1)
    [Gap(after='80-4', before='90-7', missed=2), <Event 90-7 a>]
    """

    __slots__ = (
        "_bytes", "_items", "_most", "_most_bytes", "_places", "_shared", "_shared_for", "base", "floor", "has_end", "lives", "tail",
    )  # fmt: skip

    def __init__(self, tail: Place, most: int, most_bytes: int) -> None:
        self.base = 0
        self.lives = 0
        self.floor = self.tail = tail
        self.has_end = False
        self._items: list[Item] = []
        self._places: list[Place] = []
        self._shared: list[Item] = []
        self._shared_for = (0, 0)
        self._bytes = 0
        self._most = most
        self._most_bytes = most_bytes

    def __len__(self) -> int:
        return len(self._items)

    @property
    def end(self) -> int:
        """The number that the next item will have."""
        return self.base + len(self._items)

    def since(self, number: int) -> list[Item] | None:
        """The items from this number on; None: they are here no more. (All who are as far get the same list.)"""
        if number < self.base:
            return None
        end = self.end
        if self._shared_for != (number, end):
            self._shared_for, self._shared = (number, end), self._items[number - self.base :]
        return self._shared

    def number_after(self, place: Place) -> int | None:
        """The number of the first item behind a place of the feed; None: it is not here."""
        if place < self.floor:
            return None
        number = self.end
        for known in reversed(self._places):
            if known <= place:
                break
            number -= 1
        return number

    def extend(self, items: Sequence[Item]) -> None:
        """These were read behind ``tail``. What was trimmed before they could be read is a gap."""
        for item in joined(self.tail, items):
            self.tail = place_of(item)
            self._items.append(item)
            self._places.append(self.tail)
            self._bytes += _size(item)
            self.has_end = self.has_end or isinstance(item, Ended)
        excess = max(0, len(self._items) - self._most)
        left = self._bytes - sum(map(_size, self._items[:excess]))
        while left > self._most_bytes and excess < len(self._items) - 1:
            left -= _size(self._items[excess])
            excess += 1
        self._drop(excess)

    def pass_over(self, place: Place) -> None:
        """Up to this place nothing else can be read."""
        self.tail = max(self.tail, place)

    def clear(self) -> None:
        """Keep no item. Subscribers that are behind read back."""
        self._drop(len(self._items))
        self.floor = self.tail

    def goes_on_behind(self, place: Place) -> None:
        """Redis has lost the end of the feed: what comes next comes behind this place. Every subscriber looks anew."""
        self.clear()
        self.lives += 1
        self.base += 1  # nobody has that number
        self.floor = self.tail = place

    def _drop(self, count: int) -> None:
        if count:
            self.base += count
            self.floor = self._places[count - 1]
            self._bytes -= sum(map(_size, self._items[:count]))
            del self._items[:count], self._places[:count]
            self.has_end = self.has_end and any(isinstance(item, Ended) for item in self._items)


def _size(item: Item) -> int:
    return len(item.payload) if isinstance(item, Event) else 0


class Follower:
    """How far one subscriber has got in a feed whose latest items are in a buffer. It takes each item once, in order.

    ``place``: that of the last item that it has.

    >>> buffer = FeedBuffer(Place(70, 3), most=9, most_bytes=1000)
    >>> follower = Follower(buffer, Place(70, 3))
    >>> follower.take()
    []
    >>> buffer.extend([Event(Place(80, 4), "a", b"", len)]); follower.take(), follower.take()
    ([<Event 80-4 a>], [])
    """

    __slots__ = ("_buffer", "_lives", "_number", "over", "place")

    def __init__(self, buffer: FeedBuffer, place: Place, *, rewound: bool = False) -> None:
        self._buffer = buffer
        self._lives = buffer.lives - rewound
        self._number: int | None = None
        self.place = place
        self.over = False
        """The child has ended."""

    def take(self) -> list[Item] | None:
        """What the buffer has for it (others may have the same list). None: the next items are not there, so read back
        (``take_back``).
        """
        buffer, number = self._buffer, self._number
        if number is not None and number >= buffer.base:
            items = buffer.since(number) or []
            if not buffer.has_end:
                self._number, self.place = number + len(items), buffer.tail
                return items
        else:
            known = self._lives == buffer.lives  # else ids tell nothing: it takes all that comes
            if known and self.place < buffer.floor:
                self._number = None
                return None
            items = self._attach(buffer.number_after(self.place) if known else None)
        return self._taken(items)

    def take_back(self, items: Sequence[Item]) -> list[Item]:
        """What was read back behind ``place``, at most up to where the feed was then. None there: it was trimmed."""
        if items:
            return self._taken(joined(self.place, items))
        return self._taken(self._attach(self._buffer.base))

    def _attach(self, number: int | None) -> list[Item]:
        """From now on it takes from the buffer, at this number (None: all that is there)."""
        buffer = self._buffer
        items = buffer.since(buffer.base if number is None else number) or []
        if self._lives == buffer.lives:  # else ids behind its place are no longer behind the end of the feed
            items = [item for item in items if place_of(item) > self.place]
        self._number, self._lives = buffer.end, buffer.lives
        if not items and self.place != buffer.tail:
            self._number = None  # it has read further than the buffer, or less far: it looks anew at what comes
        return joined(self.place, items)

    def _taken(self, items: list[Item]) -> list[Item]:
        if self._number is not None and not self._buffer.has_end:
            if items:
                self._number = self._buffer.end
                self.place = self._buffer.tail
            return items
        for n, item in enumerate(items):
            self.place = place_of(item)
            if isinstance(item, Ended):
                self.over = True
                return items[: n + 1]
        if self._number is not None:
            self._number = self._buffer.end
        return items
