"""Placement: balanced, the fewest moves, the same at every node, and converging when nodes act on old views."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubq.core.placement import Move, Ring, place, plan

quick = settings(
    deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.too_slow], database=None
)

NAMES = [f"node-{i}" for i in range(10)]
DEAD = ["dead-1", "dead-2"]

Owners = dict[int, str | None]


@st.composite
def states(draw: st.DrawFn, most_nodes: int = 10, most_shards: int = 80) -> tuple[list[str], Owners, int]:
    """Live nodes, and owners of any kind: live, dead, none, or no entry at all."""
    nodes = draw(st.lists(st.sampled_from(NAMES[:most_nodes]), min_size=1, max_size=most_nodes, unique=True))
    shards = draw(st.integers(1, most_shards))
    # Few of the possible owners, so that some have far too much.
    pool = draw(st.lists(st.sampled_from([*NAMES, *DEAD, None, "absent"]), min_size=1, max_size=8))
    random = Random(draw(st.integers(0, 2**32)))
    owners: Owners = {}
    for shard in range(shards):
        owner = random.choice(pool)
        if owner != "absent":
            owners[shard] = owner
    return nodes, owners, shards


def loads(nodes: list[str], placed: Mapping[int, str | None]) -> list[int]:
    count = Counter(placed.values())
    return [count[node] for node in nodes]


def moved(before: Mapping[int, str | None], after: Mapping[int, str], nodes: list[str]) -> list[int]:
    """Shards that a live node has to give away. (Those without a live owner move in any case.)"""
    return [shard for shard, node in after.items() if before.get(shard) in nodes and before.get(shard) != node]


def fewest(nodes: list[str], owners: Mapping[int, str | None], shards: int) -> int:
    """The arithmetic minimum: every node keeps what its share has room for, and the larger shares, of which there are
    ``shards % nodes``, each save one move at a node that has more than the smaller share."""
    each, larger = divmod(shards, len(nodes))
    held = loads(nodes, owners)
    return sum(max(0, load - each) for load in held) - min(larger, sum(load > each for load in held))


# -- one placement --------------------------------------------------------------------------------------------------


@quick
@given(states())
def test_every_shard_has_a_live_node_and_loads_differ_by_one_at_most(state: tuple[list[str], Owners, int]) -> None:
    nodes, owners, shards = state
    placed = place(nodes, owners, shards)
    assert list(placed) == list(range(shards))
    assert set(placed.values()) <= set(nodes)
    held = loads(nodes, placed)
    assert max(held) <= -(-shards // len(nodes))
    assert max(held) - min(held) <= 1


@quick
@given(states())
def test_fewest_moves_from_any_state(state: tuple[list[str], Owners, int]) -> None:
    nodes, owners, shards = state
    assert len(moved(owners, place(nodes, owners, shards), nodes)) == fewest(nodes, owners, shards)


@quick
@given(states())
def test_fewest_moves_given_the_loads_it_ends_with(state: tuple[list[str], Owners, int]) -> None:
    nodes, owners, shards = state
    placed = place(nodes, owners, shards)
    surplus = sum(max(0, had - has) for had, has in zip(loads(nodes, owners), loads(nodes, placed), strict=True))
    assert len(moved(owners, placed, nodes)) == surplus


@quick
@given(states(most_nodes=3, most_shards=5))
def test_no_other_balanced_placement_moves_fewer(state: tuple[list[str], Owners, int]) -> None:
    """The arithmetic above against all placements there are."""
    nodes, owners, shards = state
    best = min(
        len(moved(owners, candidate, nodes))
        for choice in product(nodes, repeat=shards)
        for candidate in [dict(enumerate(choice))]
        if max(held := loads(nodes, candidate)) - min(held) <= 1
    )
    assert len(moved(owners, place(nodes, owners, shards), nodes)) == best == fewest(nodes, owners, shards)


@quick
@given(states())
def test_one_placement_is_enough(state: tuple[list[str], Owners, int]) -> None:
    nodes, owners, shards = state
    placed = place(nodes, owners, shards)
    assert place(nodes, placed, shards) == placed
    assert plan(placed, placed, [], 100) == []


@quick
@given(states(), st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_owners_does_not_matter(state: tuple[list[str], Owners, int], random: Random) -> None:
    nodes, owners, shards = state
    expected = place(nodes, owners, shards)
    others = [*nodes, random.choice(nodes)]
    random.shuffle(others)
    entries = list(owners.items())
    random.shuffle(entries)
    assert place(others, dict(entries), shards) == expected
    assert place(iter(sorted(nodes)), owners, shards) == expected
    assert place(frozenset(nodes), owners, shards) == expected


@quick
@given(states())
def test_a_dead_owner_no_owner_and_no_entry_are_the_same(state: tuple[list[str], Owners, int]) -> None:
    nodes, owners, shards = state
    expected = place(nodes, owners, shards)
    live = {shard: owner for shard, owner in owners.items() if owner in nodes}
    assert place(nodes, live, shards) == expected
    assert place(nodes, {shard: live.get(shard) for shard in range(shards)}, shards) == expected
    assert place(nodes, {**owners, shards: nodes[0], shards + 7: nodes[0]}, shards) == expected


@quick
@given(states())
def test_the_owners_given_are_not_changed(state: tuple[list[str], Owners, int]) -> None:
    nodes, owners, shards = state
    given_nodes, given_owners = list(nodes), dict(owners)
    placed = place(nodes, owners, shards)
    placed[0] = "somebody"
    assert (nodes, owners) == (given_nodes, given_owners)
    assert place(nodes, owners, shards)[0] != "somebody"


def test_without_nodes_there_is_no_placement() -> None:
    assert place([], {0: "a"}, 4) == {}
    assert plan({0: "a"}, {}, [], 4) == []


# -- joining and leaving --------------------------------------------------------------------------------------------

balanced = st.tuples(st.integers(1, 9), st.integers(1, 128))


@quick
@given(balanced)
def test_a_join_moves_the_share_of_the_new_node_and_nothing_else(sizes: tuple[int, int]) -> None:
    count, shards = sizes
    nodes = NAMES[:count]
    before = place(nodes, {}, shards)
    after = place([*nodes, "new"], before, shards)
    changed = moved(before, after, [*nodes, "new"])
    assert len(changed) == fewest([*nodes, "new"], before, shards) == shards // (count + 1)
    assert {after[shard] for shard in changed} <= {"new"}


@quick
@given(balanced, st.integers(0, 9))
def test_a_leave_moves_the_shards_of_the_node_that_left_and_nothing_else(sizes: tuple[int, int], which: int) -> None:
    count, shards = sizes
    nodes = NAMES[: count + 1]
    before = place(nodes, {}, shards)
    gone = nodes[which % len(nodes)]
    after = place([node for node in nodes if node != gone], before, shards)
    assert {shard for shard in after if after[shard] != before[shard]} == {
        shard for shard, owner in before.items() if owner == gone
    }


@quick
@given(st.integers(1, 128), st.lists(st.sampled_from(NAMES), max_size=25))
def test_a_long_history_of_joins_and_leaves_moves_the_fewest_at_each_step(shards: int, toggled: list[str]) -> None:
    nodes = ["first"]
    owners = place(nodes, {}, shards)
    for name in toggled:
        nodes = [node for node in nodes if node != name] if name in nodes else [*nodes, name]
        after = place(nodes, owners, shards)
        assert len(moved(owners, after, nodes)) == fewest(nodes, owners, shards)
        held = loads(nodes, after)
        assert max(held) - min(held) <= 1
        owners = after


# -- the ring -------------------------------------------------------------------------------------------------------


@quick
@given(st.sets(st.sampled_from(NAMES), min_size=1), st.integers(0, 4095))
def test_a_walk_meets_every_node_once(nodes: set[str], shard: int) -> None:
    assert sorted(Ring(nodes).walk(shard)) == sorted(nodes)


@quick
@given(st.sets(st.sampled_from(NAMES), min_size=2), st.integers(0, 4095), st.integers(0, 9))
def test_a_node_that_leaves_does_not_reorder_the_others(nodes: set[str], shard: int, which: int) -> None:
    gone = sorted(nodes)[which % len(nodes)]
    assert list(Ring(nodes - {gone}).walk(shard)) == [node for node in Ring(nodes).walk(shard) if node != gone]


def test_an_empty_ring_has_no_walk() -> None:
    assert list(Ring([]).walk(0)) == []


def test_known_placements() -> None:
    """Every node must find the same, whatever its machine, its Python or its hash seed."""
    assert ["".join(Ring("abc").walk(shard)) for shard in range(4)] == ["cab", "abc", "bac", "abc"]
    assert "".join(place("abc", {}, 16).values()) == "cabacccaaabcbbba"
    assert "".join(place("abcd", place("abc", {}, 16), 16).values()) == "cddacccdaabdbbba"


# -- the plan -------------------------------------------------------------------------------------------------------


@st.composite
def plans(draw: st.DrawFn) -> tuple[Owners, dict[int, str], set[int], int]:
    nodes, owners, shards = draw(states(most_shards=40))
    in_progress = draw(st.sets(st.integers(0, shards), max_size=12))
    return owners, place(nodes, owners, shards), in_progress, draw(st.integers(0, 6))


@quick
@given(plans())
def test_a_plan_begins_all_it_may_and_no_more(case: tuple[Owners, dict[int, str], set[int], int]) -> None:
    current, desired, in_progress, limit = case
    moves = plan(current, desired, in_progress, limit)
    assert len({move.shard for move in moves}) == len(moves)
    for move in moves:
        assert move.shard not in in_progress
        assert move.source == current[move.shard] != move.target == desired[move.shard]
    begun = Counter(move.source for move in moves)
    busy = Counter(current.get(shard) for shard in in_progress)
    ready = Counter(
        current.get(shard)
        for shard, target in desired.items()
        if shard not in in_progress and current.get(shard) not in (None, target)
    )
    for source in {*begun, *ready}:
        assert begun[source] == min(ready[source], max(0, limit - busy[source]))


@quick
@given(plans())
def test_a_plan_does_not_depend_on_order_and_changes_nothing(
    case: tuple[Owners, dict[int, str], set[int], int],
) -> None:
    current, desired, in_progress, limit = case
    before = (dict(current), dict(desired), set(in_progress))
    moves = plan(current, desired, in_progress, limit)
    backwards = plan(
        dict(reversed(current.items())), dict(reversed(desired.items())), sorted(in_progress, reverse=True), limit
    )
    assert moves == backwards
    assert (current, desired, in_progress) == before


@quick
@given(states(), st.integers(1, 8))
def test_plans_carried_out_one_after_another_reach_the_placement(
    state: tuple[list[str], Owners, int], limit: int
) -> None:
    nodes, owners, shards = state
    now: Owners = {shard: owner if owner in nodes else None for shard, owner in owners.items()}
    must = len(moved(now, place(nodes, now, shards), nodes))
    made = 0
    while True:
        desired = place(nodes, now, shards)
        moves = plan(now, desired, [], limit)
        if not moves:
            break
        now.update((move.shard, move.target) for move in moves)
        made += len(moves)
        assert made <= must
    assert made == must
    assert all(now.get(shard) in (None, node) for shard, node in desired.items())


def test_a_limit_is_per_source_and_counts_what_is_in_motion() -> None:
    current: Owners = {0: "a", 1: "a", 2: "a", 3: "b", 4: "b", 5: None}
    desired = dict.fromkeys(range(6), "c")
    assert plan(current, desired, [1], 2) == [Move(0, "a", "c"), Move(3, "b", "c"), Move(4, "b", "c")]
    assert plan(current, desired, [0, 1], 2) == [Move(3, "b", "c"), Move(4, "b", "c")]
    assert plan(current, desired, [], 0) == []


# -- nodes that act alone, on old views -----------------------------------------------------------------------------


class Cluster:
    """Nodes that each look at the owners, and later act on what they saw. Nothing else connects them.

    A node gives away only what it owns when it acts, as ``plan`` says from what it saw; a hand-over lands at once, or
    takes time (``slow``) and lands only if its source still owns the shard and its target lives. A claim takes a shard
    only if its owner is dead at that moment.
    """

    def __init__(self, owners: Owners, shards: int, nodes: list[str], limit: int, slow: bool) -> None:
        self.owners: Owners = {shard: owners.get(shard) for shard in range(shards)}
        self.shards = shards
        self.alive = set(nodes)
        self.draining: set[str] = set()
        self.limit = limit
        self.slow = slow
        self.seen: dict[str, tuple[list[str], set[str], Owners]] = {}
        self.flying: dict[str, list[Move]] = {node: [] for node in nodes}
        self.changes = 0

    @property
    def view(self) -> list[str]:
        return sorted(self.alive - self.draining)

    def look(self, node: str) -> None:
        self.seen[node] = (self.view, set(self.alive), dict(self.owners))

    def act(self, node: str) -> None:
        if node not in self.seen:
            return
        view, alive, owners = self.seen[node]
        desired = place(view, owners, self.shards)
        for shard, target in desired.items():
            if target == node and owners[shard] not in alive:
                self.claim(shard, node)
        moves = plan(owners, desired, [move.shard for move in self.flying[node]], self.limit)
        self.flying[node] += [move for move in moves if move.source == node == self.owners[move.shard]]
        assert len(self.flying[node]) <= self.limit
        if not self.slow:
            self.land(node)

    def claim(self, shard: int, node: str) -> None:
        if self.owners[shard] not in self.alive:
            self.owners[shard] = node
            self.changes += 1

    def land(self, node: str) -> None:
        for move in self.flying[node]:
            if self.owners[move.shard] == node and move.target in self.alive:
                self.owners[move.shard] = move.target
                self.changes += 1
        self.flying[node] = []

    def die(self, node: str) -> None:
        self.alive.discard(node)
        self.flying.pop(node)
        self.seen.pop(node, None)

    def join(self, node: str) -> None:
        self.alive.add(node)
        self.flying[node] = []

    def at_rest(self) -> bool:
        """Nobody would do anything, whether it looks again or acts on what it saw last."""
        if any(self.flying.values()) or place(self.view, self.owners, self.shards) != self.owners:
            return False
        return all(self.seen.get(node) == (self.view, self.alive, self.owners) for node in self.alive)

    def do(self, what: str, node: str) -> None:
        {"look": self.look, "act": self.act, "land": self.land}[what](node)

    def disturb(self, random: Random, fresh: list[str]) -> None:
        """One step of a time in which anything goes: nodes act any number of times on views of any age."""
        chance = random.random()
        node = random.choice(sorted(self.alive))
        if chance < 0.05 and len(self.view) > 1:
            self.die(node) if node in self.draining else self.die(random.choice(self.view))
        elif chance < 0.08 and len(self.view) > 1:
            self.draining.add(random.choice(self.view))
        elif chance < 0.13 and fresh:
            self.join(fresh.pop())
        else:
            self.do(random.choice(["look", "act", "act", "land"]), node)

    def round(self, random: Random) -> None:
        """Every node looks once, acts once and ends its hand-overs once, in any order among all of them: many act on
        what they saw a round ago, and on what others have changed since."""
        steps = [(what, node) for what in ("look", "act", "land") for node in sorted(self.alive)]
        random.shuffle(steps)
        for what, node in steps:
            self.do(what, node)

    def bound(self) -> int:
        """Rounds in which all must be at rest: two for each load of hand-overs that the largest owner has to give (it
        looks, then acts), and some for views that were old."""
        return 8 + 4 * -(-self.shards // self.limit)


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "slow"])
@settings(quick, max_examples=80)
@given(
    state=states(most_shards=64),
    limit=st.integers(1, 8),
    steps=st.integers(0, 80),
    seed=st.integers(0, 2**32),
)
def test_nodes_on_old_views_converge_and_then_rest(
    slow: bool, state: tuple[list[str], Owners, int], limit: int, steps: int, seed: int
) -> None:
    nodes, owners, shards = state
    random = Random(seed)
    cluster = Cluster(owners, shards, nodes, limit, slow)
    fresh = [f"fresh-{i}" for i in range(6)]
    for _ in range(steps):
        cluster.disturb(random, fresh)
    for _ in range(cluster.bound()):
        cluster.round(random)
        if cluster.at_rest():
            break
    else:
        pytest.fail(f"not at rest after {cluster.bound()} rounds: {cluster.owners}")
    held = loads(cluster.view, cluster.owners)
    assert sum(held) == shards
    assert max(held) - min(held) <= 1
    assert plan(cluster.owners, place(cluster.view, cluster.owners, shards), [], limit) == []
    changes = cluster.changes
    for _ in range(3):
        cluster.round(random)
    assert cluster.changes == changes
