"""What can be asked of the JSON API: the parameters of a query, and the bodies of actions. Unknown names are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from hubq.client.operations.listing import Query
from hubq.client.operations.paging import EventFilter, LetterFilter
from hubq.config import CALL_TIMEOUT, CHANGE_TIMEOUT

Text = Annotated[str, Meta(max_length=1_000)]
ChildId = Annotated[str, Meta(min_length=1, max_length=512, description="The id of the child.")]
Limit = Annotated[int, Meta(ge=1, le=1_000, description="About how many.")]
Timeout = Annotated[float, Meta(gt=0, le=3_600, description="Seconds to wait for the answer.")]
After = Annotated[str, Meta(max_length=1_000, description="`next` of the page before; empty: from the beginning.")]
Method = Annotated[str, Meta(min_length=1, max_length=200, description="A public method of the child.")]
Arguments = Annotated[list[Any], Meta(description="The arguments, as JSON.")]
Named = Annotated[dict[str, Any], Meta(description="The arguments that have names, as JSON.")]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class Children(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which children."""

    match: Annotated[Text, Meta(description="A part of the id, or a pattern with * and ?.")] = ""
    kind: Annotated[Text, Meta(description="The class.")] = ""
    node: Annotated[Text, Meta(description="The worker.")] = ""
    status: Annotated[
        str, Meta(pattern="^(running|parked|waiting|dormant|)$", description="running, parked, waiting or dormant.")
    ] = ""
    tag: Annotated[Text, Meta(description="`tag` of their metadata.")] = ""
    waiting: Annotated[int, Meta(ge=0, le=2**53, description="So many messages wait for it at least.")] = 0
    oldest: Annotated[
        float,
        Meta(ge=0, le=1e9, description="The oldest message that waits for it was sent so many seconds ago at least."),
    ] = 0.0
    after: After = ""
    limit: Limit = 100

    @property
    def query(self) -> Query:
        """For the hub."""
        return Query(
            self.match or None,
            self.tag or None,
            self.node or None,
            self.kind or None,
            self.status or None,
            self.waiting,
            self.oldest,
        )


class OneChild(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which child."""

    id: ChildId


class OneMailbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose messages, and how many of them."""

    id: ChildId
    count: Annotated[int, Meta(ge=1, le=500)] = 20


class OneFeed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose feed, and behind which event it begins (empty: what comes from now on; `0`: all that is kept)."""

    id: ChildId
    after: Annotated[str, Meta(max_length=40)] = ""


class HubEvents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Behind which event the stream begins (empty: what comes from now on)."""

    after: Annotated[str, Meta(max_length=50)] = ""


class Letters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters."""

    why: Annotated[Text, Meta(description="The reason: raised, took-down, ...")] = ""
    kind: Annotated[Text, Meta(description="The class.")] = ""
    child: Annotated[Text, Meta(description="The child.")] = ""
    after: After = ""
    limit: Limit = 50

    @property
    def wanted(self) -> LetterFilter:
        """For the hub."""
        return LetterFilter(self.why, self.kind, self.child)


class Events(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events."""

    type: Annotated[Text, Meta(description="The type.")] = ""
    child: Annotated[Text, Meta(description="A child that it names.")] = ""
    node: Annotated[Text, Meta(description="A worker that it names.")] = ""
    before: Annotated[str, Meta(max_length=50, description="`next` of the page before; empty: from the newest on.")] = (
        ""
    )
    limit: Limit = 100

    @property
    def wanted(self) -> EventFilter:
        """For the hub."""
        return EventFilter((self.type,) if self.type else (), self.child, self.node)


class Jobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs."""

    state: Annotated[
        str, Meta(pattern="^(queued|started|scheduled|deferred|failed|finished|canceled|)$", description="Their state.")
    ] = ""
    after: After = ""


class Doctor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether to look anew."""

    fresh: Annotated[bool, Meta(description="Look now, instead of the answer of some seconds ago.")] = False


# -- actions --------------------------------------------------------------------------------------------------------


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call."""

    id: ChildId
    method: Method
    args: Arguments = []
    kwargs: Named = {}
    timeout: Timeout = CALL_TIMEOUT


class Cast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message."""

    id: ChildId
    method: Method
    args: Arguments = []
    kwargs: Named = {}


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A move. ``node`` null: back to where it belongs."""

    id: ChildId
    node: Text | None = None
    timeout: Timeout = CHANGE_TIMEOUT


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An end for good. ``now``: with what the child has in hand, and what waits for it."""

    id: ChildId
    now: bool = False
    timeout: Timeout = CHANGE_TIMEOUT


class Kill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of the message in hand."""

    id: ChildId
    timeout: Timeout = CALL_TIMEOUT


class DropMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message that waits: its ``entry``, as the mailbox shows it."""

    id: ChildId
    entry: Annotated[str, Meta(min_length=3, max_length=50)]
    timeout: Timeout = CALL_TIMEOUT


class Paused(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is paused: the whole hub (no ``name``), a class, or a child. ``why`` is shown to whoever looks."""

    what: Literal["hub", "class", "child"]
    name: Annotated[str, Meta(max_length=512, description="Of the class or child.")] = ""
    why: Annotated[str, Meta(max_length=200)] = ""
    timeout: Timeout = CHANGE_TIMEOUT


class Resumed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes on, named as when it was paused."""

    what: Literal["hub", "class", "child"]
    name: Annotated[str, Meta(max_length=512)] = ""


class Drain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A worker."""

    node: Annotated[Text, Meta(min_length=1)]


class SomeLetters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dead letters: those that are named, else those that the filter takes. ``every``: all, when nothing else is said."""

    letters: Annotated[list[Annotated[str, Meta(max_length=50)]], Meta(max_length=500)] = []
    why: Text = ""
    kind: Text = ""
    child: Text = ""
    every: bool = False

    @property
    def wanted(self) -> LetterFilter:
        """For the hub."""
        return LetterFilter(self.why, self.kind, self.child)


class OneJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job."""

    id: Annotated[str, Meta(min_length=1, max_length=512)]


def event_id(text: str) -> str:
    """The id of an event, as a browser gives it back; empty if it is none.

    >>> event_id("1795433907312-0"), event_id("soon")
    ('1795433907312-0', '')
    """
    first, _, second = text.partition("-")
    return (
        text
        if first.isascii() and first.isdecimal() and second.isascii() and second.isdecimal() and len(text) < 42
        else ""
    )
