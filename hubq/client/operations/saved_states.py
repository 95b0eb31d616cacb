"""Reading what is saved of every child, page by page, without keeping Redis from its other clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import fetch_of_shards
from hubq.client.asking.steps import Operation
from hubq.client.operations.listing import CHILDREN_AT_ONCE, SHARDS_AT_ONCE
from hubq.core.malformed import Table
from hubq.store.command import Command
from hubq.store.dormant import scan_dormant_states
from hubq.store.envelope import Envelope
from hubq.store.keys import Keys
from hubq.store.registry import read_envelopes, scan_specs
from hubq.store.spec_record import SpecRecord


@dataclass(frozen=True, slots=True)
class Saved:
    """What is saved of a child: how it was started, and its state (None: none is saved yet)."""

    child_id: str
    record: SpecRecord
    envelope: Envelope | None


@dataclass(slots=True)
class SavedStates:
    """A reading under way. ``page()`` is the operation that reads some more; ``done`` when all has been read.

    ``most`` bounds how many children of each shard are read, active and dormant ones (about; None: all).
    """

    hub: HubContext
    most: int | None = None
    shards_read: int = 0
    _left: list[_Place] = field(default_factory=list)
    _seen: dict[int, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._left = [_Place(shard, "0", dormant=False) for shard in range(self.hub.config.shards)]

    @property
    def done(self) -> bool:
        """Whether every shard has been read to its end."""
        return not self._left

    def page(self) -> Operation[list[Saved]]:
        """Some more children, in no order."""
        hub, most = self.hub, self.most
        now, later = self._left[:SHARDS_AT_ONCE], self._left[SHARDS_AT_ONCE:]
        count = CHILDREN_AT_ONCE if most is None else min(most, CHILDREN_AT_ONCE)
        scans = yield from fetch_of_shards(
            hub, [(place.shard, _scan(hub.of_shard(place.shard).keys, place, count)) for place in now]
        )
        found: list[Saved] = []
        wanted: dict[int, Mapping[str, SpecRecord]] = {}
        for (shard, _, dormant), (cursor, children) in zip(now, scans, strict=True):
            seen = self._seen.setdefault(shard, set())
            fresh = {child: each for child, each in children.items() if child not in seen}
            seen.update(fresh)
            if dormant:
                found += [Saved(child, spec, state) for child, (spec, state) in fresh.items()]
            elif fresh:
                wanted[shard] = fresh
            if cursor != "0" and (most is None or len(seen) < most):
                later.insert(0, _Place(shard, cursor, dormant))
                continue
            del self._seen[shard]
            if dormant:
                self.shards_read += 1
            else:
                later.append(_Place(shard, "0", dormant=True))
        self._left = later
        states = yield from fetch_of_shards(
            hub,
            [(shard, read_envelopes(hub.of_shard(shard).keys, shard, list(specs))) for shard, specs in wanted.items()],
        )
        return found + [
            Saved(child, spec, saved.get(child))
            for specs, saved in zip(wanted.values(), states, strict=True)
            for child, spec in specs.items()
        ]


class _Place(NamedTuple):
    """Where a reading goes on: among the active children of a shard, or among the dormant ones."""

    shard: int
    cursor: str
    dormant: bool


def _scan(keys: Keys, place: _Place, count: int) -> Command[tuple[str, Table[str, Any]]]:
    scan: Any = scan_dormant_states if place.dormant else scan_specs
    command: Command[tuple[str, Table[str, Any]]] = scan(keys, place.shard, place.cursor, count)
    return command
