"""What happened in a hub: entries of its events stream, or of those of its groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hubq.core.entry_ids import entry_ms


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the events stream. ``at`` is Redis TIME, seconds since the epoch."""

    id: str
    at: float
    type: str
    fields: dict[str, str]


def event_of(entry: str, fields: dict[str, str]) -> Event:
    """One entry of the events stream."""
    return Event(
        entry, entry_ms(entry) / 1000, fields.get("type", ""), {k: v for k, v in fields.items() if k != "type"}
    )


# -- events: a place among those of several groups is a place in each of them ---------------------------------------


def places_of(place: str, groups: int) -> list[str]:
    """The place in each group, of a place that an event of the hub has as its id. An id of one group is a moment, the same in all.

    >>> places_of("5-0,7-1", 2), places_of("0", 2)
    (['5-0', '7-1'], ['0', '0'])
    """
    places = place.split(",")
    return places if len(places) == groups else [places[0]] * groups


def merged_events(found: Mapping[int, Sequence[Event]], places: Sequence[str], *, newest_first: bool) -> list[Event]:
    """The events of several groups in the order of their times, and that of each group as it is. The id of each is the place behind it
    in all groups.

    >>> found = {0: [Event("5-0", 0.005, "a", {})], 1: [Event("4-0", 0.004, "b", {})]}
    >>> [(event.id, event.type) for event in merged_events(found, ["0", "0"], newest_first=False)]
    [('0,4-0', 'b'), ('5-0,4-0', 'a')]
    """
    at = list(places)
    order = sorted(((e.at, group) for group, events in found.items() for e in events), reverse=newest_first)
    left = {group: list(events) for group, events in found.items()}
    merged: list[Event] = []
    for _, group in order:
        event = left[group].pop(0)
        at[group] = event.id
        merged.append(replace(event, id=",".join(at)))
    return merged
