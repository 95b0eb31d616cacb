"""What children there are and where: every query, once, as generators over steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import added, at_least_one, by_group, in_groups, of_all, of_child, united
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.results import ChildStatus, Place
from hubq.core.hashing import checked_child_id
from hubq.core.malformed import whole_number
from hubq.core.pauses import Pauses
from hubq.core.pid import Pid
from hubq.core.wish import Wish
from hubq.errors import ConfigError, NotAlive, UnknownChild
from hubq.store.command import Command, one_of, plain, text
from hubq.store.dormant import count_dormant, is_dormant, read_dormant_specs, scan_dormant
from hubq.store.keys import Keys, owner_field
from hubq.store.membership import living, read_members
from hubq.store.owners import NOBODY, Owner, Owners
from hubq.store.pauses import read_pauses
from hubq.store.progress import told_by
from hubq.store.registry import read_some_specs, scan_specs
from hubq.store.replica_log import Follower, read_followers
from hubq.store.spec_record import SpecRecord

#: Shards read side by side, and children asked for from each at a time: a page is a few thousand at most, and no single
#: command keeps Redis from its other clients for longer than some 100 µs.
SHARDS_AT_ONCE = 16
CHILDREN_AT_ONCE = 250

PLACES = 7

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

    def takes(self, child: ChildStatus) -> bool:
        """Whether it is meant, now that its place is known."""
        waiting = max(self.waiting, 1 if self.oldest else 0)
        return self.node in (None, child.node) and self.status in (None, child.status) and child.backlog >= waiting


@dataclass(slots=True)
class Listing:
    """A listing under way. ``page()`` is the operation that reads some more; ``done`` when all has been read.

    ``begin``: the shards to be read, each with the cursor from which (None: all of all).
    """

    hub: HubContext
    query: Query
    progress: Progress | None = None
    begin: Sequence[tuple[int, str]] | None = None
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
                        {g: self._read(self.hub.groups[g], some, children_at_once) for g, some in groups.items()}
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
        dormant, match = self.query.status == "dormant", self.query.match_of_redis
        scans = yield Fetch(
            [
                scan_dormant(keys, shard, cursor, children_at_once)
                if dormant
                else scan_specs(keys, shard, cursor, children_at_once, match)
                for shard, cursor in now
            ]
        )
        wanted: dict[int, dict[str, SpecRecord]] = {}
        going_on: list[tuple[int, str]] = []
        for (shard, _), (cursor, specs) in zip(now, scans, strict=True):
            seen = self._seen.setdefault(shard, set())
            fresh = {child: s for child, s in specs.items() if child not in seen and self.query.wants(child, s)}
            if fresh:
                wanted[shard] = fresh
            if cursor == "0":
                del self._seen[shard]
            else:
                seen.update(specs)
                going_on.append((shard, cursor))
        found: list[ChildStatus] = []
        if self.query.status == "dormant":
            found = [_dormant(shard, *each) for shard, specs in wanted.items() for each in specs.items()]
            found = [status for status in found if self.query.takes(status)]
        elif wanted:
            places = yield Fetch(
                [each for shard, specs in wanted.items() for each in _places(keys, shard, list(specs))]
                + read_members(keys)
                + [read_pauses(keys)]
            )
            *places, nodes, leases, time, paused = places
            pauses = Pauses(paused.values())
            lives = living(nodes, leases, time)
            for number, (shard, specs) in enumerate(wanted.items()):
                statuses = _statuses(shard, specs, lives, pauses, *places[PLACES * number : PLACES * (number + 1)])
                found += [status for status in statuses if self.query.takes(status)]
        if self.query.oldest:
            from hubq.client.operations.waiting_times import oldest_messages  # only people who look need it

            old = yield from oldest_messages(hub, by_shard(found), self.query.oldest)
            found = [child for child in found if child.child_id in old]
        return going_on, found


def by_shard(children: Iterable[ChildStatus]) -> dict[int, list[str]]:
    """Those of these children for which messages wait, by shard."""
    found: dict[int, list[str]] = {}
    for child in children:
        if child.backlog:
            found.setdefault(child.shard, []).append(child.child_id)
    return found


def _places(keys: Keys, shard: int, children: list[str]) -> list[Command[Any]]:
    """Who follows the shard, who owns it and its pins, what waits for these children, which of them cannot run, where they
    are wanted, why they are not there, and what they have told of their progress. (``PLACES`` commands.)
    """
    fields = [owner_field(shard), *(owner_field(shard, child) for child in children)]
    return [
        read_followers(keys, shard),
        plain("HMGET", keys.owners, *fields, read=list),
        plain("HMGET", keys.backlog(shard), *children, read=list),
        plain("HMGET", keys.parked(shard), *children, read=list),
        plain("HMGET", keys.pins, *children, read=list),
        plain("HMGET", keys.stragglers, *children, read=list),
        plain("HMGET", keys.progress(shard), *children, read=list),
    ]


def wish_of(spec: SpecRecord, moved: bytes | None) -> Wish | None:
    """Where a child is wanted: a move by hand goes before what it was started with."""
    line = text(moved) if moved is not None else spec.place
    return one_of(Wish.read, None)(line or None)


def _statuses(
    shard: int,
    specs: Mapping[str, SpecRecord],
    lives: Mapping[str, int],
    pauses: Pauses,
    followers: list[Follower],
    lines: list[Any],
    backlogs: list[Any],
    parked: list[Any],
    moves: list[Any],
    stays: list[Any],
    told: list[Any],
) -> list[ChildStatus]:
    of_shard = Owner.of(lines[0])
    copies = copies_of(of_shard, followers, lives)
    found: list[ChildStatus] = []
    for (child, spec), line, backlog, reason, moved, why, progress in zip(
        specs.items(), lines[1:], backlogs, parked, moves, stays, told, strict=True
    ):
        owner = Owner.of(line) if line else of_shard
        wish = wish_of(spec, moved)
        waits = not line and wish is not None and wish.waits and wish.node != owner.node
        node = owner.node if lives.get(owner.node) == owner.incarnation and not waits else None
        gone = "" if node or waits or owner.node == "-" else f"its node {owner.node} is gone"
        pin = wish.why if wish is not None else ""
        if line and (wish is None or wish.node != owner.node):
            pin = "straggler"
        has = copies if node and not line else ()  # (no follower of the shard would take a pin over)
        status = "parked" if reason is not None else "running" if node else "waiting"
        found.append(
            ChildStatus(
                child, spec.name, shard, node, status, bool(line), whole_number(backlog),
                text(reason or gone or why or (f"waits for node {wish.node}" if wish is not None and waits else "")),
                dict(spec.metadata), owner.incarnation, owner.token, spec.restart, pin, wish.node if wish else "",
                tuple(copy.node for copy in has), tuple(copy.incarnation for copy in has),
                told_by(progress, spec.start_id),
                str(pauses.of(child, spec.name) or "") if pauses else "",
            )
        )  # fmt: skip
    return found


def _dormant(shard: int, child: str, spec: SpecRecord) -> ChildStatus:
    """A dormant child: it is on no node."""
    return ChildStatus(
        child, spec.name, shard, None, "dormant", False, 0, "", dict(spec.metadata), restart=spec.restart
    )


def children(hub: HubContext, query: Query, progress: Progress | None) -> Operation[list[ChildStatus]]:
    """All children that are meant, by id."""
    listing = Listing(hub, query, progress)
    found: list[ChildStatus] = []
    while not listing.done:
        found += yield from listing.page()
    return sorted(found, key=lambda child: child.child_id)


@of_child
def child_lookup(hub: HubContext, child_id: str) -> Operation[ChildStatus]:
    """All there is to know of one child."""
    shard = hub.shard_of(checked_child_id(child_id))
    specs, paused, *places, nodes, leases, time = yield Fetch(
        [
            read_some_specs(hub.keys, shard, [child_id]),
            read_pauses(hub.keys),
            *_places(hub.keys, shard, [child_id]),
            *read_members(hub.keys),
        ]
    )
    if child_id not in specs:
        # (A web app may ask whether it is there; the spec stands beside its state, which only workers may read.)
        if not (yield Fetch([is_dormant(hub.keys, shard, child_id)]))[0]:
            raise unknown(hub, child_id)
        (dormant,) = yield Fetch([read_dormant_specs(hub.keys, shard, [child_id])])
        if child_id not in dormant:
            raise unknown(hub, child_id)
        return _dormant(shard, child_id, dormant[child_id])
    (status,) = _statuses(shard, specs, living(nodes, leases, time), Pauses(paused.values()), *places)
    return status


def unknown(hub: HubContext, child_id: str) -> UnknownChild:
    """The error for a child that does not exist."""
    return UnknownChild(f"no child {child_id!r} in hub {hub.keys.hub_id!r}: start it first, or see `hubq ps`")


@of_child
def where(hub: HubContext, child_id: str) -> Operation[Place]:
    """Where a child is."""
    shard = hub.shard_of(checked_child_id(child_id))
    ask: list[Command[Any]] = [
        read_some_specs(hub.keys, shard, [child_id]),
        plain("HGET", hub.keys.pins, child_id, read=lambda found: found),
        plain("HGET", hub.keys.progress(shard), child_id, read=lambda found: found),
        read_followers(hub.keys, shard),
        read_pauses(hub.keys),
        *read_members(hub.keys),
    ]
    owners, (specs, moved, progress, followers, paused, *members) = yield from hub.view.look(ask)
    if child_id not in specs:
        (dormant,) = yield Fetch([is_dormant(hub.keys, shard, child_id)])
        if not dormant:
            raise unknown(hub, child_id)
        return Place(child_id, shard, None, 0, 0, pinned=False, dormant=True)
    owner = owner_of(owners, shard, child_id)
    pinned = (shard, child_id) in owners.pins
    wish = wish_of(specs[child_id], moved)
    waits = not pinned and wish is not None and wish.waits and wish.node != owner.node
    lives = living(*members)
    node = None if lives.get(owner.node) != owner.incarnation or waits else owner.node
    pause = Pauses(paused.values()).of(child_id, specs[child_id].name)
    replicas = () if pinned else tuple(follower.node for follower in copies_of(owner, followers, lives))
    return Place(
        child_id,
        shard,
        node,
        owner.incarnation,
        owner.token,
        pinned,
        replicas,
        told_by(progress, specs[child_id].start_id),
        paused=str(pause or ""),
    )


def copies_of(owner: Owner, followers: Iterable[Follower], lives: Mapping[str, int]) -> list[Follower]:
    """The live nodes that have a finished copy of what the owner has."""
    return [
        follower
        for follower in followers
        if follower.ready and follower.node != owner.node and lives.get(follower.node) == follower.incarnation
    ]


def owner_of(owners: Owners, shard: int, child_id: str) -> Owner:
    """The owner of a child: its pin's, else its shard's."""
    return owners.pins.get((shard, child_id)) or owners.shards.get(shard, NOBODY)


@of_all(added)
def count_dormant_children(hub: HubContext) -> Operation[int]:
    """How many dormant children there are."""
    counts = yield Fetch([count_dormant(hub.keys, shard) for shard in hub.shards])
    return sum(counts)


def get_pids(hub: HubContext, child_ids: Iterable[str]) -> Operation[dict[str, list[Pid]]]:
    """The pids of children that exist: the one that handles messages, then those of its copies on other nodes (with
    ``Replication``; they carry the same token). None for those that no live node owns now.
    """
    if hub.groups:
        names = list(child_ids)
        groups = by_group(hub, names, lambda child: child)
        found = yield from in_groups({group: get_pids(hub.groups[group], some) for group, some in groups.items()})
        together = united(list(found.values()))
        return {child: together[child] for child in names if child in together}
    by_shard: dict[int, list[str]] = {}
    for child in child_ids:
        by_shard.setdefault(hub.shard_of(checked_child_id(child)), []).append(child)
    there: list[Command[Any]] = [
        plain("HMGET", hub.keys.children(shard), *some, read=lambda answer: [spec is not None for spec in answer])
        for shard, some in by_shard.items()
    ]
    there += [read_followers(hub.keys, shard) for shard in by_shard]
    owners, (*answers, nodes, leases, time) = yield from hub.view.look([*there, *read_members(hub.keys)])
    lives = living(nodes, leases, time)
    pids: dict[str, list[Pid]] = {}
    follow = answers[len(by_shard) :]
    for (shard, some), exist, followers in zip(by_shard.items(), answers[: len(by_shard)], follow, strict=True):
        for child, exists in zip(some, exist, strict=True):
            if exists:
                owner = owner_of(owners, shard, child)
                pinned = (shard, child) in owners.pins  # no follower of the shard would take it over
                copying = [] if pinned else copies_of(owner, followers, lives)
                copies = [Pid(f.node, f.incarnation, owner.token) for f in copying]
                there_is = lives.get(owner.node) == owner.incarnation
                pids[child] = [Pid(owner.node, owner.incarnation, owner.token), *copies] if there_is else []
    return pids


def homes_of_dormant(hub: HubContext, child_ids: Iterable[str]) -> Operation[dict[str, list[Pid]]]:
    """Where those of these children would wake that are dormant: the owner of the shard of each."""
    places = [(hub.shard_of(child), child) for child in child_ids]
    if not places:
        return {}
    ask: list[Command[Any]] = [is_dormant(hub.keys, shard, child) for shard, child in places]
    owners, dormant = yield from hub.view.look(ask)
    homes: dict[str, list[Pid]] = {}
    for (shard, child), rests in zip(places, dormant, strict=True):
        owner = owners.shards.get(shard, NOBODY)
        if rests and owner.node != "-":
            homes[child] = [Pid(owner.node, owner.incarnation, owner.token)]
    return homes


def process_list(hub: HubContext, scope: str, local: frozenset[str]) -> Operation[dict[str, list[Pid]]]:
    """Every child that somebody owns, and its pids (``local``: those on the nodes of this process)."""
    if scope not in ("local", "global"):
        raise ConfigError(f"scope={scope!r}: give 'local' or 'global'")
    if scope == "local" and not local:
        raise NotAlive(f"no node of hub {hub.keys.hub_id!r} runs in this process: ask for process_list('global')")
    found = yield from children(hub, Query(), None)
    pids = {child.child_id: [p for p in child.pids if scope == "global" or p.node in local] for child in found}
    return {child: some for child, some in pids.items() if some}


@of_all(at_least_one)
def is_alive(hub: HubContext, node: str | None) -> Operation[bool]:
    """Whether a node is a member whose lease has not run out; without a name: whether any is."""
    lives = living(*(yield Fetch(read_members(hub.keys))))
    return bool(lives) if node is None else node in lives


@of_all(at_least_one)
def is_locked(hub: HubContext) -> Operation[bool]:
    """Whether starts and messages for some shard have to wait: it has no live owner just now."""
    owners, members = yield from hub.view.look(read_members(hub.keys))
    lives = living(*members)
    served = {shard for shard, owner in owners.shards.items() if lives.get(owner.node) == owner.incarnation}
    return len(served) < len(hub.shards)
