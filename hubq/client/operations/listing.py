"""Listing children: which are meant, and reading them page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import in_groups
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.statuses import PLACES, dormant_status, places_of, statuses_of
from hubq.client.results import ChildStatus
from hubq.core.pauses import Pauses
from hubq.errors import ConfigError
from hubq.store.command import Command
from hubq.store.dormant import scan_dormant
from hubq.store.keys import Keys
from hubq.store.membership import living, read_members
from hubq.store.pauses import read_pauses
from hubq.store.registry import read_some_specs, scan_specs, scan_waiting
from hubq.store.spec_record import SpecRecord

#: Shards read side by side, and children asked for from each at a time: a page is a few thousand at most, and no single
#: command keeps Redis from its other clients for longer than some 100 µs.
SHARDS_AT_ONCE = 16
CHILDREN_AT_ONCE = 250


#: Called while a listing goes on: shards read, shards in all, children found so far.
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class Query:
    """Which children are meant: those for which everything given holds. ``match`` is a pattern as of a shell (``room-*``);
    ``waiting``: so many messages wait for the child at least; ``oldest``: the first of them was sent so many seconds ago at least, and
    stands among the first 2,000 of its shard.

    Dormant children are meant only by ``status="dormant"``: there may be millions of them.
    """

    match: str | None = None
    tag: str | None = None
    node: str | None = None
    kind: str | None = None
    status: str | None = None
    waiting: int = 0
    oldest: float = 0.0

    def __post_init__(self) -> None:
        if self.status not in (None, "running", "parked", "waiting", "dormant"):
            raise ConfigError(f"status={self.status!r}: give 'running', 'parked', 'waiting' or 'dormant'")

    def wants(self, child_id: str, spec: SpecRecord) -> bool:
        """Whether the child may be meant, by all that its spec tells."""
        return (
            (self.match is None or fnmatchcase(child_id, self.match))
            and (self.kind is None or spec.name == self.kind)
            and (self.tag is None or spec.metadata.get("tag") == self.tag)
        )

    @property
    def match_of_redis(self) -> str | None:
        """``match``, if Redis understands it as it is meant here: then it sends nothing that does not fit. (It takes a ``?`` for a byte.)

        >>> Query(match="room-*").match_of_redis, Query(match="room-?").match_of_redis
        ('room-*', None)
        """
        return None if self.match is None or any(mark in self.match for mark in "?[\\") else self.match

    @property
    def word(self) -> bytes:
        """A word that stands in the spec of every child that is meant, as it is written in Redis; empty: there is none."""
        return b""

    @property
    def at_mailboxes(self) -> bool:
        """Whether only children are meant for which messages wait: then nothing of the others is read."""
        return self.status != "dormant" and (self.waiting > 0 or self.oldest > 0)

    def takes(self, child: ChildStatus) -> bool:
        """Whether it is meant, now that its place is known."""
        waiting = max(self.waiting, 1 if self.oldest else 0)
        return self.node in (None, child.node) and self.status in (None, child.status) and child.backlog >= waiting


@dataclass(slots=True)
class Listing:
    """A listing under way. ``page()`` is the operation that reads some more; ``done`` when all has been read.

    ``begin``: the shards to be read, each with the cursor from which (None: all of all). ``looked``: of those that are read in part, about
    how many children were looked at.
    """

    hub: HubContext
    query: Query
    progress: Progress | None = None
    begin: Sequence[tuple[int, str]] | None = None
    looked: dict[int, int] = field(default_factory=dict)
    found: int = 0
    _left: list[tuple[int, str]] = field(default_factory=list)
    _seen: dict[int, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        every = [(shard, "0") for shard in range(self.hub.config.shards)]
        self._left = every if self.begin is None else list(self.begin)

    @property
    def left(self) -> list[tuple[int, str]]:
        """The shards that were not read to their end, each with its cursor."""
        return self._left

    @property
    def done(self) -> bool:
        """Whether every shard has been read to its end."""
        return not self._left

    def page(
        self, shards_at_once: int = SHARDS_AT_ONCE, children_at_once: int = CHILDREN_AT_ONCE
    ) -> Operation[list[ChildStatus]]:
        """Some more children, in no order. HSCAN may tell of a child that ends or starts meanwhile, or may not."""
        now, self._left = self._left[:shards_at_once], self._left[shards_at_once:]
        if not self.hub.groups:
            parts = [(yield from self._read(self.hub, now, children_at_once))]
        else:
            groups: dict[int, list[tuple[int, str]]] = {}
            for place in now:
                groups.setdefault(self.hub.of_shard(place[0]).group, []).append(place)
            parts = list(
                (
                    yield from in_groups(
                        {g: self._read(self.hub.groups[g], some, children_at_once) for g, some in groups.items()},
                        question=True,
                    )
                ).values()
            )
        self._left = sorted(place for going_on, _ in parts for place in going_on) + self._left
        found = [child for _, some in parts for child in some]
        self.found += len(found)
        if self.progress is not None:
            shards = self.hub.config.shards
            self.progress(shards - len(self._left), shards, self.found)
        return found

    def _read(
        self, hub: HubContext, now: Sequence[tuple[int, str]], children_at_once: int
    ) -> Operation[tuple[list[tuple[int, str]], list[ChildStatus]]]:
        """From some shards of a group: where it goes on, and what was found."""
        keys = hub.keys
        scans = yield Fetch([self._scan(keys, shard, cursor, children_at_once) for shard, cursor in now])
        fresh: dict[int, dict[str, Any]] = {}
        going_on: list[tuple[int, str]] = []
        for (shard, _), (cursor, some) in zip(now, scans, strict=True):
            seen = self._seen.setdefault(shard, set())
            fresh[shard] = {child: each for child, each in some.items() if child not in seen}
            if cursor == "0":
                del self._seen[shard]
                self.looked.pop(shard, None)
            else:
                seen.update(some)
                self.looked[shard] = self.looked.get(shard, 0) + children_at_once
                going_on.append((shard, cursor))
        if self.query.at_mailboxes:
            asked = {shard: list(some) for shard, some in fresh.items() if some}
            read = (yield Fetch([read_some_specs(keys, *each) for each in asked.items()])) if asked else []
            fresh = dict(zip(asked, read, strict=True))
        wants = self.query.wants
        each_wanted = ((shard, {c: s for c, s in some.items() if wants(c, s)}) for shard, some in fresh.items())
        wanted: dict[int, dict[str, SpecRecord]] = {shard: specs for shard, specs in each_wanted if specs}
        found: list[ChildStatus] = []
        if self.query.status == "dormant":
            found = [dormant_status(shard, *each) for shard, specs in wanted.items() for each in specs.items()]
            found = [status for status in found if self.query.takes(status)]
        elif wanted:
            places = yield Fetch(
                [each for shard, specs in wanted.items() for each in places_of(keys, shard, list(specs))]
                + read_members(keys)
                + [read_pauses(keys)]
            )
            *places, nodes, leases, time, paused = places
            pauses = Pauses(paused.values())
            lives = living(nodes, leases, time)
            for number, (shard, specs) in enumerate(wanted.items()):
                statuses = statuses_of(shard, specs, lives, pauses, *places[PLACES * number : PLACES * (number + 1)])
                found += [status for status in statuses if self.query.takes(status)]
        if self.query.oldest:
            from hubq.client.operations.waiting_times import oldest_messages  # only people who look need it

            old = yield from oldest_messages(hub, by_shard(found), self.query.oldest)
            found = [child for child in found if child.child_id in old]
        return going_on, found

    def _scan(self, keys: Keys, shard: int, cursor: str, count: int) -> Command[tuple[str, Mapping[str, Any]]]:
        """Reads some children of a shard: their specs, or that messages wait for them."""
        query = self.query
        if query.status == "dormant":
            return scan_dormant(keys, shard, cursor, count)
        if query.at_mailboxes:
            return scan_waiting(keys, shard, cursor, count, query.match_of_redis)
        return scan_specs(keys, shard, cursor, count, query.match_of_redis, query.word)


def by_shard(children: Iterable[ChildStatus]) -> dict[int, list[str]]:
    """Those of these children for which messages wait, by shard."""
    found: dict[int, list[str]] = {}
    for child in children:
        if child.backlog:
            found.setdefault(child.shard, []).append(child.child_id)
    return found


def children(hub: HubContext, query: Query, progress: Progress | None) -> Operation[list[ChildStatus]]:
    """All children that are meant, by id."""
    listing = Listing(hub, query, progress)
    found: list[ChildStatus] = []
    while not listing.done:
        found += yield from listing.page()
    return sorted(found, key=lambda child: child.child_id)
