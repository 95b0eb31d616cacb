"""Load balancing: what a leader decides from measured loads. Pure; time is an argument (docs/strategies.md).

A shard's load is one number (:func:`weigh`); its history is kept and averaged with decaying weights, so that the peak of a
moment moves nothing. Moves are few: none while the nodes are about even, and no shard twice within the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from hubq.core.placement import place

#: What has a load: a shard, or (by its name) a node for the pins on it, which nobody but their owners may move.
Bearer = int | str

#: What counts how much: of each part, a shard's share in the hub's total. A part of which the whole hub has less than its
#: ``FLOORS`` counts in proportion less: a few messages move nothing in a hub that is as good as idle.
WEIGHTS = {"messages": 0.40, "seconds": 0.25, "queued": 0.10, "children": 0.15, "state_bytes": 0.10}
FLOORS = {"messages": 50.0, "seconds": 0.1, "queued": 1000.0, "children": 100.0, "state_bytes": 1e7}
#: Less than this part of its floor is none: it changes nothing, and cannot be divided by (a float that fades ends at 5e-324).
NOTHING = 1e-9

#: What all shards have in common: so much, and everything if there is no load at all. Then they are spread by number.
COMMON = 0.05

#: Moves begin when the busiest node is so far above the mean (or the idlest twice as far below), and go on until it is
#: nearer than ``UNTIL``.
BEGIN, UNTIL = 0.10, 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured of a shard (or of a node's pins): rates per second, and what there is now."""

    messages: float = 0.0
    seconds: float = 0.0
    queued: float = 0
    children: float = 0
    state_bytes: float = 0


def summed(loads: Iterable[Load]) -> Load:
    """What all of them bear together.

    >>> summed([Load(messages=1.0, children=2), Load(messages=3.0)])
    Load(messages=4.0, seconds=0.0, queued=0, children=2, state_bytes=0)
    """
    total = Load()
    for load in loads:
        total = Load(
            total.messages + load.messages, total.seconds + load.seconds, total.queued + load.queued,
            total.children + load.children, total.state_bytes + load.state_bytes,
        )  # fmt: skip
    return total


def weigh(loads: Mapping[Bearer, Load]) -> dict[Bearer, float]:
    """Each load as one number; together they are 1.

    >>> weigh({0: Load(messages=90.0), 1: Load(messages=10.0)})  # 0.95 by messages, 0.05 by number
    {0: 0.88, 1: 0.12}
    """
    totals = {part: float(sum(getattr(load, part) for load in loads.values())) for part in WEIGHTS}
    shares = {part: min(1.0, totals[part] / FLOORS[part]) for part in WEIGHTS}
    there = {part: share for part, share in shares.items() if share > NOTHING}
    common = max(COMMON, 1.0 - max(there.values(), default=0.0))
    whole = sum(WEIGHTS[part] * share for part, share in there.items())
    factors = {part: (1.0 - common) * WEIGHTS[part] * share / whole / totals[part] for part, share in there.items()}
    each = common / max(1, sum(isinstance(bearer, int) for bearer in loads))
    return {
        bearer: sum(factor * getattr(load, part) for part, factor in factors.items())
        + (each if isinstance(bearer, int) else 0.0)
        for bearer, load in loads.items()
    }


@dataclass(slots=True)
class History:
    """The last loads, newest last.

    >>> history = History(3, 0.5)
    >>> for messages in (9.0, 1.0, 1.0, 4.0):
    ...     history.add({7: Load(messages)})
    >>> round(history.mean()[7].messages, 2)  # (4 + 0.5 + 0.25) / (1 + 0.5 + 0.25)
    2.71
    """

    size: int
    decay: float
    _kept: list[dict[Bearer, Load]] = field(default_factory=list)

    def add(self, loads: Mapping[Bearer, Load]) -> None:
        """Another measurement."""
        self._kept = [*self._kept, dict(loads)][-self.size :]

    def mean(self) -> dict[Bearer, Load]:
        """The mean of each, the newest weighing most: each older one ``decay`` times the next."""
        sums: dict[Bearer, list[float]] = {}
        weight = 1.0
        for loads in reversed(self._kept):
            for bearer, load in loads.items():
                found = sums.setdefault(bearer, [0.0] * (len(WEIGHTS) + 1))
                for at, part in enumerate(WEIGHTS):
                    found[at] += weight * getattr(load, part)
                found[-1] += weight
            weight *= self.decay
        return {bearer: Load(*(value / found[-1] for value in found[:-1])) for bearer, found in sums.items()}

    def loads(self) -> dict[Bearer, float]:
        """The means as one number each (:func:`weigh`)."""
        return weigh(self.mean())

    def clear(self) -> None:
        """Forget everything."""
        self._kept = []

    def __len__(self) -> int:
        return len(self._kept)


def leader_of(incarnations: Mapping[str, int]) -> str | None:
    """The node that is up longest: the one that joined first.

    >>> leader_of({"a": 7, "b": 2})
    'b'
    """
    return min(incarnations, key=lambda name: incarnations[name]) if incarnations else None


def follow(
    assignment: Mapping[int, str], owners: Mapping[int, str | None], nodes: Iterable[str], shards: int
) -> dict[int, str]:
    """What every node makes of a published assignment: shards go where it says. One that it does not name, or whose node
    is gone, stays where it is, or else goes where the ring says.

    >>> follow({0: "b", 1: "x"}, {0: "a", 1: "a"}, ["a", "b"], 2)
    {0: 'b', 1: 'a'}
    >>> follow({0: "x", 1: "b"}, {0: "x", 1: "b"}, ["a", "b"], 2)
    {0: 'a', 1: 'b'}
    """
    names = set(nodes)
    if not names:
        return {}
    wanted = {shard: node for shard in range(shards) if (node := assignment.get(shard)) in names and node}
    if not wanted:
        return place(names, owners, shards)
    kept = wanted | {
        shard: owner
        for shard in range(shards)
        if shard not in wanted and (owner := owners.get(shard)) in names and owner
    }
    spread = place(names, kept, shards)
    return {shard: kept.get(shard) or spread[shard] for shard in range(shards)}


def per_node(placed: Mapping[int, str], loads: Mapping[Bearer, float], nodes: Iterable[str]) -> dict[str, float]:
    """The load of each node: of its shards, and of the pins on it.

    >>> per_node({0: "a", 1: "a"}, {0: 1.0, 1: 2.0, "b": 0.5}, ["a", "b"])
    {'a': 3.0, 'b': 0.5}
    """
    found = {name: loads.get(name, 0.0) for name in nodes}
    for shard, node in placed.items():
        if node in found:
            found[node] += loads.get(shard, 0.0)
    return found


def rebalance(
    placed: Mapping[int, str],
    nodes: Iterable[str],
    loads: Mapping[Bearer, float],
    resting: Iterable[int] = (),
    limit: int | None = None,
) -> dict[int, str]:
    """The node of each shard, made more even: one shard after another goes from the busiest node to the idlest, as long as
    that makes the pair more even. A node with nothing left to give (its shards are too heavy, or ``resting``) is left as
    it is, and the others are evened out among themselves. At most ``limit`` moves.

    Afterwards the busiest node has at most the mean and its own lightest shard (or ``BEGIN`` above the mean), if
    nothing rests and there is no limit.

    >>> rebalance({0: "a", 1: "a", 2: "a"}, ["a", "b"], {0: 4.0, 1: 2.0, 2: 2.0})
    {0: 'b', 1: 'a', 2: 'a'}
    >>> rebalance({0: "a", 1: "a", 2: "a"}, ["a", "b"], {0: 4.0, 1: 2.0, 2: 2.0}, resting=[0])
    {0: 'a', 1: 'b', 2: 'b'}
    """
    names, fixed = sorted(set(nodes)), set(resting)
    found = _evened(placed, names, loads, fixed, limit)
    for _ in names:
        # Stuck with shards that are heavy, all on one node: give one away nevertheless, if that ends better.
        held = per_node(found, loads, names)
        busiest = max(names, key=lambda name: (held[name], name))
        mine = [shard for shard, node in found.items() if node == busiest and shard not in fixed]
        if held[busiest] <= sum(held.values()) / len(names) * (1 + BEGIN) or not mine:
            break
        lightest = min(mine, key=lambda shard: (loads.get(shard, 0.0), shard))
        # To the node that can give the most back in smaller pieces.
        change = dict.fromkeys((name for name in names if name != busiest), 0.0)
        for shard, node in found.items():
            if node in change and shard not in fixed and loads.get(shard, 0.0) < loads.get(lightest, 0.0):
                change[node] += loads.get(shard, 0.0)
        if not change:
            break
        taker = max(change, key=lambda name: (change[name], name))
        other = _evened({**found, lightest: taker}, names, loads, fixed, limit)
        moves = sum(node != placed[shard] for shard, node in other.items())
        worst = max(per_node(other, loads, names).values())
        if worst >= held[busiest] * (1 - 1e-9) or (limit is not None and moves > limit):
            break
        found = other
    return found


def _evened(
    placed: Mapping[int, str],
    names: Iterable[str],
    loads: Mapping[Bearer, float],
    fixed: set[int],
    limit: int | None,
) -> dict[int, str]:
    """The same by single moves, each of which makes a pair of nodes more even."""
    found = dict(placed)
    held = per_node(found, loads, names)
    movable: dict[str, set[int]] = {name: set() for name in names}
    for shard, node in found.items():
        if node in movable and shard not in fixed:
            movable[node].add(shard)
    active, moves = set(names), 0
    for _ in range(4 * len(found)):
        if len(active) < 2 or moves == limit:
            break
        mean = sum(held[name] for name in active) / len(active)
        busiest = max(active, key=lambda name: (held[name], name))
        idlest = min(active, key=lambda name: (held[name], name))
        near = UNTIL if moves else BEGIN
        if held[busiest] <= mean * (1 + near) and held[idlest] >= mean * (1 - 2 * near):
            break
        gap = held[busiest] - held[idlest]
        lighter = [shard for shard in movable[busiest] if 0 < loads.get(shard, 0.0) < gap * (1 - 1e-9)]
        if not lighter:
            active.discard(busiest)
            continue
        # The heaviest that does not turn the pair round; else the lightest.
        half = gap / 2 * (1 + 1e-9)
        shard = min(lighter, key=lambda each: (loads[each] > half, abs(half - loads[each]), each))
        found[shard] = idlest
        movable[busiest].discard(shard)
        movable[idlest].add(shard)
        held[busiest] -= loads[shard]
        held[idlest] += loads[shard]
        moves += 1
    return found


@dataclass(frozen=True, slots=True)
class Decision:
    """Where each shard should be, and when the balancer has last moved which, seconds."""

    shards: Mapping[int, str]
    moved: Mapping[int, float]
    moves: int = 0


def decide(
    published: Mapping[int, str],
    owners: Mapping[int, str | None],
    nodes: Iterable[str],
    shards: int,
    loads: Mapping[Bearer, float],
    moved: Mapping[int, float],
    now: float,
    rest: float,
    limit: int | None = None,
    others: Collection[int] = (),
) -> Decision:
    """The next assignment, from the last one. A shard that was moved within ``rest`` stays, unless its node is gone.
    At most ``limit`` moves. ``others``: shards of other groups. They are moved in thought, as whoever decides about them does who knows the
    same; nothing of that is in the answer, and they count where they are, not where they were thought to go before.

    >>> decide({}, {0: "a", 1: "a"}, ["a", "b"], 2, {0: 1.0, 1: 1.0}, {}, now=100.0, rest=60.0)
    Decision(shards={0: 'b', 1: 'a'}, moved={}, moves=0)
    >>> decide({0: "a", 1: "a"}, {}, ["a", "b"], 2, {0: 1.0, 1: 1.0}, {0: 99.0}, now=100.0, rest=60.0)
    Decision(shards={0: 'a', 1: 'b'}, moved={0: 99.0, 1: 100.0}, moves=1)
    >>> decide({0: "a", 2: "a"}, {1: "a"}, ["a", "b"], 3, {0: 1.0, 1: 8.0, 2: 1.0}, {}, now=9.0, rest=6.0, others={1})
    Decision(shards={0: 'b', 2: 'b'}, moved={0: 9.0, 2: 9.0}, moves=2)
    """
    names = set(nodes)
    base = follow({s: node for s, node in published.items() if s not in others}, owners, names, shards)
    resting = {s: at for s, at in moved.items() if now - at < rest and published.get(s) in names}
    even: dict[Bearer, float] = dict.fromkeys(range(shards), 1.0 / shards)
    found = rebalance(base, names, {**even, **loads}, resting, limit)
    fresh = {shard: now for shard, node in found.items() if node != base[shard] and shard not in others}
    return Decision({s: node for s, node in found.items() if s not in others}, resting | fresh, len(fresh))
