"""Reading what is saved of every child, page by page, without keeping Redis from its other clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.registry import CHILDREN_AT_ONCE, SHARDS_AT_ONCE
from hubq.store.envelope import Envelope
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

    ``most`` bounds how many children of each shard are read (about; None: all).
    """

    hub: HubContext
    most: int | None = None
    shards_read: int = 0
    _left: list[tuple[int, str]] = field(default_factory=list)
    _seen: dict[int, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._left = [(shard, "0") for shard in range(self.hub.config.shards)]

    @property
    def done(self) -> bool:
        """Whether every shard has been read to its end."""
        return not self._left

    def page(self) -> Operation[list[Saved]]:
        """Some more children, in no order."""
        keys, most = self.hub.keys, self.most
        now, later = self._left[:SHARDS_AT_ONCE], self._left[SHARDS_AT_ONCE:]
        count = CHILDREN_AT_ONCE if most is None else min(most, CHILDREN_AT_ONCE)
        scans = yield Fetch([scan_specs(keys, shard, cursor, count) for shard, cursor in now])
        wanted: dict[int, Mapping[str, SpecRecord]] = {}
        for (shard, _), (cursor, specs) in zip(now, scans, strict=True):
            seen = self._seen.setdefault(shard, set())
            fresh = {child: spec for child, spec in specs.items() if child not in seen}
            seen.update(fresh)
            if fresh:
                wanted[shard] = fresh
            if cursor == "0" or (most is not None and len(seen) >= most):
                self.shards_read += 1
                del self._seen[shard]
            else:
                later.insert(0, (shard, cursor))
        self._left = later
        states = yield Fetch([read_envelopes(keys, shard, list(specs)) for shard, specs in wanted.items()])
        return [
            Saved(child, spec, found.get(child))
            for specs, found in zip(wanted.values(), states, strict=True)
            for child, spec in specs.items()
        ]
