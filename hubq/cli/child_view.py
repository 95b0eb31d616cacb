"""A child at one glance, as ``hubq top`` shows it: where it is, what it waits for and does, what its state is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from hubq.cli.output import duration
from hubq.client.operations.happened import Event
from hubq.client.operations.inspection import Mailbox, SavedState
from hubq.client.results import ChildStatus
from hubq.core.reminders import Reminder
from hubq.core.shown import shown
from hubq.store.viewer import fields_of, look, words

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: Messages, reminders and attributes that are shown at most, and characters of each attribute.
LINES, LONGEST = 8, 300


@dataclass(frozen=True, slots=True)
class ChildSeen:
    """What Redis has of a child. ``busy``: what it has been handling for long; ``events``: the last ones that name it."""

    status: ChildStatus
    mailbox: Mailbox
    state: SavedState | None
    reminders: list[Reminder]
    busy: str
    events: list[Event]


def look_at(hub: Hub, child_id: str, events: int = 500) -> ChildSeen:
    """Read all of it. Raises :class:`~hubq.errors.UnknownChild`."""
    status = hub.child_lookup(child_id)
    busy = next((said for node in hub.nodes() for child, said in node.busy.items() if child == child_id), "")
    _, latest = hub.inspect.events(events)
    return ChildSeen(
        status, hub.inspect.mailbox(child_id, LINES), hub.inspect.state(child_id), hub.inspect.reminders(child_id), busy,
        [event for event in latest if event.fields.get("child") == child_id][-LINES:],
    )  # fmt: skip


def child_text(seen: ChildSeen) -> Text:
    """All of it as text."""
    return Text("\n").join(_lines(seen))


def _lines(seen: ChildSeen) -> Iterator[Text]:
    status = seen.status
    place = "no live node serves it" if status.node is None else f"on {status.node}"
    pinned = f", {status.pin or 'pinned'}" if status.pinned else ""
    colour = {"running": "green", "parked": "bold red"}.get(status.status, "yellow")
    yield Text.assemble(
        (shown(status.child_id), "bold"), f"  {shown(status.kind)}  ", (status.status, colour),
        shown(f"  {place}{pinned}, shard {status.shard}, {status.backlog} messages wait"),
    )  # fmt: skip
    if said := status.reason or seen.busy:
        yield Text(shown(said), style="bold red" if status.reason else "yellow")
    if status.metadata:
        yield Text(shown(f"metadata {status.metadata}"), style="dim")
    heads = [
        f"{head.entry}  {duration(head.age)} old  {head.kind} {head.method or ''}"
        for head in seen.mailbox.heads[:LINES]
    ]
    yield from _part("waiting", heads)
    yield from _part("state", [] if seen.state is None else _attributes(seen.state))
    due = [f"{reminder.name}  {reminder.method}" for reminder in seen.reminders[:LINES]]
    yield from _part("reminders", due)
    told = [
        " ".join([event.type, *(f"{name}={value}" for name, value in event.fields.items() if name != "child")])
        for event in reversed(seen.events)
    ]
    yield from _part("events", told)


def _part(name: str, lines: list[str]) -> Iterator[Text]:
    yield Text()
    yield Text(name if lines else f"{name}: none", style="bold" if lines else "dim")
    for line in lines:
        yield Text(shown(f"  {line}"))


def _attributes(saved: SavedState) -> list[str]:
    try:
        seen = look(saved.data)
    except ValueError as error:
        return [f"cannot be shown: {error}"]
    attributes = fields_of(seen)
    if attributes is None:
        return [words(seen, LONGEST)]
    more = [f"and {len(attributes) - LINES} more"] if len(attributes) > LINES else []
    return [f"{name} = {words(item, LONGEST)}" for name, item in attributes[:LINES]] + more
