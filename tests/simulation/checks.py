"""What must be true once the faults have stopped, and once the last worker has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from hubq import Event, Hub
from hubq.core.layout import group_of
from hubq.errors import HubqError, UnknownChild
from hubq.store.codec import decode
from hubq.store.dormant import parted
from hubq.store.envelope import Envelope
from hubq.store.keys import Keys
from hubq.testing import ChildHere, probe

if TYPE_CHECKING:
    from tests.simulation.groups import Groups
    from tests.simulation.network import Network
    from tests.simulation.store import Store
    from tests.simulation.world import World

#: After the faults stop: every shard has a live owner within this many simulated seconds,
OWNED_BOUND = 10.0
#: every message is handled and every pin has gone within this many,
CALM_BOUND = 60.0
#: and when all workers are told to go, they have gone within this many.
END_BOUND = 60.0
#: Copies agree with their originals within this many after the last message.
COPIES_BOUND = 15.0


async def wait_for_calm(world: World) -> list[str]:
    """Wait until everything is served and nothing waits: what is wrong when the time is up."""
    began = world.loop.now
    observer, shards = world.observer, world.settings["shards"]
    owned = False
    while True:
        left = observer.unserved(shards, world.loop.now)
        owned = owned or not any(line.startswith("shard") for line in left)
        waiting = observer.waiting() + sum(
            world.primaries.look(shard, "XLEN", key) for shard in range(shards) for key in _outboxes(world, shard)
        )
        if not left and not waiting:
            return []
        if not owned and world.loop.now > began + OWNED_BOUND:
            return [f"not served {OWNED_BOUND:g} s after the faults: {'; '.join(left)}"]
        if world.loop.now > began + CALM_BOUND:
            return [f"not calm {CALM_BOUND:g} s after the faults: {waiting} messages wait; {'; '.join(left)}"]
        await asyncio.sleep(0.25)


def _outboxes(world: World, shard: int) -> list[str]:
    """Where messages of the children of a shard to others may wait."""
    keys, own = world.observer.of_shard(shard).keys, group_of(shard, world.groups.number)
    far = [keys.far_keys(shard, group)[0] for group in range(world.groups.number) if group != own]
    return [keys.outbox(shard), *far]


async def check_states(world: World, hub: Hub, children: list[str]) -> list[str]:
    """Ask every child what it has applied, and what it has heard of others."""
    found: list[str] = []
    told: dict[str, int] = {}
    heard: dict[str, dict[str, list[int]]] = {}
    for child in sorted({*children, *world.ledger.children()}):
        try:
            applied = await hub.aio.ref(child).call("entries", timeout=10.0)
            found += world.ledger.compare(child, applied, exact=world.groups.exact(child))
            if child in children:
                # What run() has said leaves with the next save: this message is one.
                told[child], _ = await hub.aio.ref(child).call("talk", timeout=10.0)
            if child.startswith("running") and world.groups.exact(child):
                ticks = await hub.aio.ref(child).call("ticked", timeout=10.0)
                if ticks < world.ledger.saved.get(child, 0):
                    found.append(
                        f"{child}: commit() had returned at tick {world.ledger.saved[child]}, it is at {ticks}"
                    )
        except UnknownChild:
            if child in children:
                found.append(f"{child} is gone")
        except HubqError as error:
            found.append(f"{child} does not answer: {type(error).__name__}: {error}")
    if found or (found := await wait_for_calm(world)):
        return found
    for child in told:
        _, heard[child] = await hub.aio.ref(child).call("talk", timeout=10.0)
        found += await _check_feed(hub, child, told[child])
    return found + _compare_talk(world, told, heard)


async def _check_feed(hub: Hub, child: str, told: int) -> list[str]:
    """What a child has said is in its feed: each event once, in order, and nothing that was undone."""
    items = [item async for item in hub.aio.ref(child).feed(after="0", follow=False)]
    data = [item.data if isinstance(item, Event) else item for item in items]
    if data[:told] == list(range(1, told + 1)) and data == list(range(1, len(data) + 1)):
        return []
    return [f"{child} has told {told} times, and its feed has {data}"]


def _compare_talk(world: World, told: dict[str, int], heard: dict[str, dict[str, list[int]]]) -> list[str]:
    """What children have told one another was heard once, and in order."""
    found: list[str] = []
    died = {letter[b"child"].decode() for letter in world.observer.letters if letter.get(b"method") == b"hear"}
    for teller, count in told.items():
        listener = world.listeners.get(teller, "")
        got = heard.get(listener, {}).get(teller, [])
        got = sorted(got) if listener in died else got
        if listener in heard and not _all_heard(world.groups, teller, listener, count, got):
            found.append(f"{teller} has told {listener} {count} times, which heard {got}")
    return found


def _all_heard(groups: Groups, teller: str, listener: str, count: int, got: list[int]) -> bool:
    """Whether this can be what the listener has heard of so many messages. What a primary loses, it loses of all its groups."""
    there = groups.primary_of_child(teller) == groups.primary_of_child(listener)
    if there or (groups.exact(teller) and groups.exact(listener)):
        return got == list(range(1, count + 1))
    if not groups.exact(listener):
        return len(set(got)) == len(got) or not groups.exact(teller)
    times = groups.went_back[groups.of_child(teller)]
    again = sum(later <= sooner for sooner, later in pairwise(got))
    return set(got) >= set(range(1, count + 1)) and again <= times


def _dormant(fields: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """The dormant children of a shard, and their states."""
    for child, text in zip(fields[::2], fields[1::2], strict=True):
        yield child.decode(), parted(text)[1]


async def check_copies(world: World, children: list[str]) -> list[str]:
    """Every child has as many copies as the nodes allow, and they have applied what their original has."""
    until = world.loop.now + COPIES_BOUND
    while (left := _copies(world, children)) and world.loop.now < until:  # noqa: ASYNC110  (simulated time)
        await asyncio.sleep(0.25)
    return [f"{wrong} ({COPIES_BOUND:g} s after the last message)" for wrong in left]


def _copies(world: World, children: list[str]) -> list[str]:
    nodes = {name: w.node for name, w in world.workers.items() if w.node is not None and w.started and not w.node.ended}
    up = [name for name in nodes if name.encode() in world.observer.up]
    wanted = world.redundancy.replication_factor(len(up)) - 1
    found: list[str] = []
    for child in children:
        here = {name: probe(node).child(child) for name, node in nodes.items()}
        originals = {name: original for name, original in here.items() if original is not None}
        if len(originals) != 1:
            found.append(f"{child} has originals on {sorted(originals)}")
            continue
        (original,) = originals.values()
        copies = {
            name: probe(node).copy(child)
            for name, node in nodes.items()
            if original.shard in probe(node).shards_followed
        }
        if len(copies) < wanted:
            found.append(f"{child} has copies on {sorted(copies)} only; nodes: {up}")
        for name, copy in copies.items():
            if copy is None or _applied(copy) != _applied(original):
                had = None if copy is None else _applied(copy)
                found.append(f"the copy of {child} on {name} has {had}, the original {_applied(original)}")
    return found


def _applied(child: ChildHere) -> dict[str, list[int]]:
    # Without the marks: in active_active each copy is an execution of its own.
    return {sender: [number for number, _ in entries] for sender, entries in child.instance.applied.items()}


def check_end(world: World, children: list[str], gone: list[str]) -> list[str]:
    """No worker is left: every state is saved, and no key is without an owner or a TTL.

    ``gone`` are the workers that left last. (One that crashed shortly before is still a member: nobody was left to see
    its lease end.)
    """
    found, compare = list[str](), world.ledger.compare
    for shard in range(world.settings["shards"]):
        store, keys = world.primaries.of_shard(shard).store, world.observer.of_shard(shard).keys
        specs = store.look("HKEYS", keys.children(shard))
        states = store.look("HGETALL", keys.msk(shard))
        saved = {states[n].decode(): states[n + 1] for n in range(0, len(states), 2)}
        found += [f"a state of {child} is left, but no such child" for child in saved if child.encode() not in specs]
        dormant = dict(_dormant(store.look("HGETALL", keys.dormant(shard))))
        found += [f"{child} is active and dormant" for child in dormant if child.encode() in specs]
        saved |= {child: state for child, state in dormant.items() if state}
        for child in sorted({*(name.decode() for name in specs), *dormant}):
            if child in world.ledger.stopped:
                found.append(f"{child} was stopped, and is there")
            state = decode(Envelope.read(saved[child]).data) if child in saved else {}
            if child in children or child in world.ledger.children():
                found += [
                    f"saved: {wrong}"
                    for wrong in compare(child, state.get("applied", {}), exact=world.groups.exact(child))
                ]
        for what in _outboxes(world, shard):
            if left := store.look("XRANGE", what, "-", "+"):
                found.append(f"{what} is left: {left}")
        for what in (keys.backlog(shard), keys.parked(shard)):
            left = store.look("HGETALL", what)
            if left:
                found.append(f"{what} is left: {left}")
        waiting = store.look("XLEN", keys.mailbox(shard))
        if waiting:
            found.append(f"{waiting} messages are left in shard {shard}")
        # Somebody who crashed, or was evicted, a moment before may own it still; the next worker takes it over.
        owner = world.observer.owner(shard)
        if owner is not None and owner.name in gone:
            found.append(f"shard {shard} is still owned by {owner.name}, which has left")
    for group, observer in enumerate(world.observer.each):
        found += _members(world.primaries.of_shard(group).store, observer.keys, gone)
    for network in world.primaries.networks:
        found += _strays(world, network)
    return found


def _members(store: Store, keys: Keys, gone: list[str]) -> list[str]:
    """Those that have left a group are no members of it."""
    found = [f"{name} has left and is a member still" for name in gone if store.look("HEXISTS", keys.nodes, name)]
    return found + [
        f"the lease of {name} is left" for name in gone if store.look("ZSCORE", keys.leases, name) is not None
    ]


def _strays(world: World, network: Network) -> list[str]:
    """The keys of a primary that are of no group there, or have neither an owner nor a TTL."""
    found, groups = list[str](), world.groups.number
    of_groups = [
        world.observer.each[group].keys for group in range(groups) if world.primaries.of_shard(group) is network
    ]
    for key in sorted(name.decode() for name in network.store.look("KEYS", "*")):
        keys = next((own for own in of_groups if key.startswith(own.prefix)), None)
        if keys is None:
            found.append(f"{key} is at{network.name and ' '}{network.name} Redis, and of no group that is there")
            continue
        lasting = {
            keys.config,
            keys.owners,
            keys.epoch,
            keys.events,
            keys.nodes,
            keys.leases,
            keys.pins,
            keys.pins_epoch,
        }
        if key in lasting or key == keys.stragglers:
            continue
        if key.startswith(shards := keys.prefix + "shard:"):
            shard = int(key[len(shards) :].split(":")[0])
            if world.observer.of_shard(shard).keys is not keys:
                found.append(f"{key} is of a shard of another group")
        elif network.store.look("PTTL", key) < 0:
            found.append(f"{key} has neither owner nor TTL")
    return found
