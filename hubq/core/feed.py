"""What a reader gets of a feed: events, gaps, and the end (docs/feeds.md)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from hubq.errors import ConfigError, InvalidTopic, Unreadable

#: The longest name of a topic, characters.
MOST_TOPIC = 64

#: The topic of an event that takes drafts back.
RETRACT = "hubq-retract"
#: Topics that begin so are not those of children.
RESERVED_TOPIC = "hubq-"

_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
_ID = re.compile(r"(\d{1,16})-(\d{1,16})")


class Place(NamedTuple):
    """A place in a feed: when (ms of Redis TIME), and the number of the event. Both rise from event to event, the number by 1.

    >>> Place.read("1795433907312-18")
    Place(ms=1795433907312, number=18)
    >>> str(Place(7, 1))
    '7-1'
    """

    ms: int
    number: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}"

    @classmethod
    def read(cls, text: str) -> Place:
        """An id as a reader gives it; ``0`` is the begin of the feed.

        Raises :class:`~hubq.errors.ConfigError` for what is no id.
        """
        if text == "0":
            return START
        found = _ID.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ConfigError(
                f"after={text!r} is no id of an event: give the id of the last one that you have, or '0' for all that is kept"
            )
        return cls(int(found[1]), int(found[2]))


START = Place(0, 0)


def checked_topic(topic: object) -> str:
    """The topic itself, or :class:`~hubq.errors.InvalidTopic`.

    >>> checked_topic("posts/new")
    'posts/new'
    >>> checked_topic("new post")
    Traceback (most recent call last):
    hubq.errors.InvalidTopic: topic 'new post': give 1 to 64 letters, digits or . _ : / -, beginning with a letter or digit
    """
    if isinstance(topic, str) and topic.startswith(RESERVED_TOPIC):
        raise InvalidTopic(
            f"topic {topic[: MOST_TOPIC + 8]!r}: names that begin with {RESERVED_TOPIC!r} are those of hubq itself"
        )
    if not isinstance(topic, str) or len(topic) > MOST_TOPIC or not _TOPIC.fullmatch(topic):
        shown = topic[: MOST_TOPIC + 8] if isinstance(topic, str) else topic
        raise InvalidTopic(
            f"topic {shown!r}: give 1 to {MOST_TOPIC} letters, digits or . _ : / -, beginning with a letter or digit"
        )
    return topic


class Event:
    """One event that a child has published.

    ``id``: its id in the feed; give it as ``after`` to go on behind it. ``topic``: what the child called it. ``at``: when it was
    committed, seconds since 1970 by the clock of Redis. ``data``: what the child gave. All readers of a process share it: do not change it.

    ``draft``: it was published with ``now=True``, by a handler that was still running: a name that all events of that handling have. If the
    handling is undone, an event of the topic ``hubq-retract`` says so; its data is ``{"draft": name}``. Empty: it was committed.
    """

    __slots__ = ("_decode", "data", "draft", "payload", "place", "topic")

    data: Any

    def __init__(
        self, place: Place, topic: str, payload: bytes, decode: Callable[[bytes], Any], draft: str = ""
    ) -> None:
        self.place = place
        self.topic = topic
        self.payload = payload
        self._decode = decode
        self.draft = draft

    def __getattr__(self, name: str) -> Any:
        # ``data`` is decoded when it is asked for first: thousands of readers share one event.
        if name != "data":
            raise AttributeError(f"an Event has no attribute {name!r}")
        try:
            self.data = self._decode(self.payload)
        except Exception as error:
            raise Unreadable(
                f"event {self.id} ({self.topic}) cannot be read here ({type(error).__name__}: {error}): "
                "is the class of its data importable in this process?"
            ) from error
        return self.data

    @property
    def id(self) -> str:
        """Its id in the feed."""
        return str(self.place)

    @property
    def at(self) -> float:
        """When it was committed, seconds since 1970."""
        return self.place.ms / 1000

    def __repr__(self) -> str:
        return f"<Event {self.id} {self.topic}>"


class Gap(NamedTuple):
    """Events that this reader does not get: they were trimmed (``feed_kept``), or lost by Redis.

    ``after``: the last one before the gap; ``before``: the first one behind it. ``missed``: how many; None: nobody knows, since
    the feed began anew, or Redis has lost writes.
    """

    after: str
    before: str
    missed: int | None


class Ended(NamedTuple):
    """The child has ended. ``id`` is the place of the end."""

    id: str


Item = Event | Gap | Ended


def gap_between(last: Place, first: Place) -> Gap | None:
    """What lies between the last event that a reader has and the first one that it gets now; None: nothing.

    >>> gap_between(Place(70, 3), Place(90, 4))
    >>> gap_between(Place(70, 3), Place(90, 9))
    Gap(after='70-3', before='90-9', missed=5)

    The feed has begun anew, or Redis has lost some:

    >>> gap_between(Place(70, 3), Place(90, 2))
    Gap(after='70-3', before='90-2', missed=None)
    """
    missed = first.number - last.number - 1
    if missed == 0:
        return None
    return Gap(str(last), str(first), missed if missed > 0 else None)
