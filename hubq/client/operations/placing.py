"""Operations on the places of children: moving them by hand, and starting them where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import by_group, in_groups, of_all, of_child, united
from hubq.client.asking.steps import Fetch, Operation, Pause
from hubq.client.operations.call_options import checked_timeout
from hubq.client.operations.registry import where
from hubq.client.operations.starts import StartTicket
from hubq.client.operations.starts_over_groups import collect_in_groups, start_in_groups
from hubq.client.results import Place, StartResult
from hubq.config import checked_name
from hubq.core.hashing import checked_child_id
from hubq.core.pid import Pid
from hubq.core.spec import ChildSpec
from hubq.core.wish import Wish
from hubq.errors import CallTimeout, ConfigError, HubqError, NotAlive, UnknownChild
from hubq.store.events import last_event_id, read_events
from hubq.store.membership import read_nodes, redis_time_ms
from hubq.store.owners import Owner
from hubq.store.places import read_pin_owners, read_shard_owners, read_why, want_place
from hubq.strategies.distribution import ChildMapping, Distribution, DistributionTraits
from hubq.strategies.redundancy import Redundancy

#: More nodes than any hub has.
MANY = 1 << 16

#: How long one look at the events may wait while a move is under way, ms.
LOOK_MS = 250


def checked_together(distribution: Distribution, redundancy: Redundancy) -> None:
    """:class:`~hubq.errors.ConfigError` for a distribution that gives children places of their own in a hub with copies.
    Followers of a shard do not follow its pins, so such a child would have no copies.
    """
    if DistributionTraits.of(distribution).guides and redundancy.replication_factor(MANY) > 1:
        raise ConfigError(
            f"distribution={type(distribution).__name__}() does not go with {type(redundancy).__name__} (several copies of "
            "each child): a child with a place of its own has one copy; use one of the two"
        )


@of_child
def move(hub: HubContext, child_id: str, node: str | None, timeout: float) -> Operation[Place]:
    """Say where a child is wanted, and wait until it is there."""
    checked_timeout(timeout)
    shard = hub.shard_of(checked_child_id(child_id))
    wish = None if node is None else Wish(checked_name("node name", node), "moved")
    (after, began) = yield Fetch([last_event_id(hub.keys), redis_time_ms()])
    (word,) = yield Fetch([want_place(hub.keys, shard, child_id, wish, hub.config.events_kept)])
    if word == "unknown":
        raise UnknownChild(f"no child {child_id!r} in hub {hub.keys.hub_id!r}: start it first, or see `hubq ps`")
    if word == "dormant":
        raise HubqError(
            f"child {child_id!r} is dormant: it is on no node. Send it a message, then move it while it is active; a child with a place of "
            "its own does not rest"
        )
    if word == "no_node":
        raise NotAlive(f"no node {node!r} in hub {hub.keys.hub_id!r}: see `hubq nodes`")
    if word == "draining":
        raise NotAlive(f"node {node!r} is draining and takes no children: move {child_id!r} to another one")
    while True:
        place = yield from where(hub, child_id)
        why, now = yield Fetch([read_why(hub.keys, child_id), redis_time_ms()])
        if place.dormant and node is None:
            return place
        if place.node is not None and (place.node == node if node is not None else not place.pinned):
            return place
        if why.startswith("cannot start on"):
            raise HubqError(f"child {child_id!r} stays on {place.node}: {why}. It is tried again by itself")
        if now - began > timeout * 1000:
            there = f"it is on {place.node}" if place.node else "no node serves it"
            raise CallTimeout(
                f"child {child_id!r} has not moved within {timeout:g} s ({why or there}); it will, once it can",
                may_run=True,
            )
        events = yield Fetch([read_events(hub.keys, after, 1000, LOOK_MS)])
        after = events[0][-1][0] if events[0] else after


def start_placed(
    hub: HubContext,
    specs: Sequence[ChildSpec],
    on_failure: str,
    child_mapping: ChildMapping | None,
    check_existing: bool,
    disable_logging: bool,
) -> Operation[StartTicket]:
    """Start children where the distribution strategy wants them; does not wait for the nodes."""
    places = yield from _places_for(hub, specs, child_mapping)
    ticket = yield from start_in_groups(
        hub,
        specs,
        on_failure=on_failure,
        check_existing=check_existing,
        disable_logging=disable_logging,
        places=places,
    )
    return ticket


def collect_placed(hub: HubContext, ticket: StartTicket, timeout: float) -> Operation[StartResult]:
    """Wait for the nodes' answers to a start."""
    result = yield from collect_in_groups(hub, ticket, timeout)
    return (yield from _with_pins(hub, result, ticket.places, timeout)) if ticket.places else result


def _places_for(
    hub: HubContext, specs: Sequence[ChildSpec], child_mapping: ChildMapping | None
) -> Operation[Mapping[str, str]]:
    """Ask the distribution strategy which of these children have a place of their own: child -> node."""
    nodes: list[str] = []
    if child_mapping is not None or hub.traits.guides:
        nodes = yield from _takers(hub)
    return hub.distribution.children_init(specs, child_mapping, nodes)


def _in_all(answers: Sequence[list[str]]) -> list[str]:
    return [name for name in answers[0] if all(name in answer for answer in answers)]


@of_all(_in_all)
def _takers(hub: HubContext) -> Operation[list[str]]:
    (members,) = yield Fetch([read_nodes(hub.keys)])
    return [name for name, info in members.items() if info.up]


def _with_pins(
    hub: HubContext, result: StartResult, places: Mapping[str, str], timeout: float
) -> Operation[StartResult]:
    """A start's result with the nodes that children with a place of their own have come to.

    A shard that was moving when it was asked to start them lets its next owner bring them there: that is waited for.
    """
    started, pids, errors = dict(result.started), dict(result.pids), dict(result.errors)
    missing = [child for child in result.started if child in places]
    waited = 0.0
    while missing:
        owners, ups = yield from _owners_of(hub, missing, places)
        for child in missing:
            owner = owners.get(child)
            if owner is not None:
                started[child], pids[child] = owner.node, Pid(owner.node, owner.incarnation, owner.token)
        missing = [child for child in missing if child not in owners and started[child] != places[child]]
        gone = [child for child in missing if places[child] not in ups]
        for child in gone if waited < timeout else missing:
            del started[child], pids[child]
            why = "has left" if child in gone else f"has not taken it within {timeout:g} s"
            errors[child] = NotAlive(f"node {places[child]!r} {why}: child {child!r} is not there yet")
        missing = [child for child in missing if child in started]
        if missing:
            yield from _waited(hub)
            waited += LOOK_MS / 1000
    return StartResult(started, errors, result.rollback, pids)


def _waited(hub: HubContext) -> Operation[None]:
    if hub.groups:
        yield from in_groups({0: _waited(hub.groups[0])})
    else:
        yield Pause(LOOK_MS / 1000)


def _owners_of(
    hub: HubContext, children: Sequence[str], places: Mapping[str, str]
) -> Operation[tuple[dict[str, Owner], set[str]]]:
    """The owners of those children that are pinned, or whose shard is where they are wanted; and the nodes that take children."""
    if hub.groups:
        groups = by_group(hub, children, lambda child: child)
        parts = yield from in_groups({g: _owners_of(hub.groups[g], some, places) for g, some in groups.items()})
        return united([found for found, _ in parts.values()]), set.intersection(*(ups for _, ups in parts.values()))
    shards: dict[int, list[str]] = {}
    for child in children:
        shards.setdefault(hub.shard_of(child), []).append(child)
    nodes, of_shards, *found = yield Fetch(
        [
            read_nodes(hub.keys),
            read_shard_owners(hub.keys, list(shards)),
            *(read_pin_owners(hub.keys, shard, some) for shard, some in shards.items()),
        ]
    )
    owners = {child: owner for some in found for child, owner in some.items()}
    for shard, owner in of_shards.items():
        # If their shard has come to that node, they came with it, and need no pin.
        owners |= {child: owner for child in shards[shard] if child not in owners and places[child] == owner.node}
    return owners, {name for name, info in nodes.items() if info.up}
