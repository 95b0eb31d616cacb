"""Two versions of an app are up: what moves goes to the newest, and moves once (docs/rollouts.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from hubq.cli.rollout import shares_of
from hubq.core.placement import place
from hubq.core.rollout import Health, Ramp, in_rollout, newest, rolling, worse
from hubq.core.view import NodeView, View
from hubq.errors import ConfigError


class Hub:
    """Nodes come and go, and shards follow at once."""

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.nodes: dict[str, NodeView] = {}
        self.owners: dict[int, str | None] = {}
        self.moves: Counter[int] = Counter()
        self.ramp: Ramp | None = None
        self._joined = 0

    def join(self, name: str, version: str) -> None:
        self._joined += 1
        self.nodes[name] = NodeView(name, self._joined, app_version=version)
        self.settle()

    def drain(self, name: str) -> None:
        del self.nodes[name]
        self.settle()

    def settle(self) -> None:
        """Every node looks, a few shards move, and they look again."""
        for _ in range(2 * self.shards):
            view = View(self.nodes, dict(self.owners), self.shards)
            desired = dict(place(self.nodes, view.owners, self.shards))
            if rolling(view):
                desired = in_rollout(desired, view, self.ramp)
            changed = [shard for shard, node in desired.items() if self.owners.get(shard) != node]
            if not changed:
                return
            for shard in changed[:3]:
                self.moves[shard] += self.owners.get(shard) is not None
                self.owners[shard] = desired[shard]
        raise AssertionError("it does not come to rest")

    def loads(self) -> dict[str, int]:
        return dict(Counter(owner for owner in self.owners.values() if owner))


def deployed(shards: int, nodes: int) -> Hub:
    """All of version 1."""
    hub = Hub(shards)
    for n in range(nodes):
        hub.join(f"old-{n}", "v1")
    hub.moves.clear()
    return hub


SIZES = [(64, 5), (64, 2), (128, 7), (16, 16), (3, 5), (1, 1)]


@pytest.mark.parametrize(("shards", "nodes"), SIZES)
def test_one_after_the_other_each_shard_moves_once_and_the_loads_end_even(shards: int, nodes: int) -> None:
    hub = deployed(shards, nodes)
    for n in range(nodes):
        hub.join(f"new-{n}", "v2")
        hub.drain(f"old-{n}")
    assert set(hub.owners.values()) <= {f"new-{n}" for n in range(nodes)}
    assert hub.moves == Counter(range(shards)), "each moved, and once"
    assert max(hub.loads().values()) <= -(-shards // nodes)


@pytest.mark.parametrize(("shards", "nodes"), SIZES)
@pytest.mark.parametrize("ahead", [2, 100])
def test_several_at_a_time_as_well(shards: int, nodes: int, ahead: int) -> None:
    hub = deployed(shards, nodes)
    old, new = [f"old-{n}" for n in range(nodes)], [f"new-{n}" for n in range(nodes)]
    while old:
        for name in new[:ahead]:
            hub.join(name, "v2")
        for name in old[:ahead]:
            hub.drain(name)
        old, new = old[ahead:], new[ahead:]
    assert hub.moves == Counter(range(shards))
    assert max(hub.loads().values()) <= -(-shards // nodes)


def test_nothing_moves_by_itself_while_two_versions_are_up() -> None:
    hub = deployed(64, 4)
    hub.join("new-0", "v2")
    hub.join("new-1", "v2")
    assert hub.moves == {} and "new-0" not in hub.loads()


def test_a_rolled_back_deploy_takes_them_back_once() -> None:
    hub = deployed(64, 3)
    for n in range(2):
        hub.join(f"new-{n}", "v2")
        hub.drain(f"old-{n}")
    hub.moves.clear()
    on_new = {shard for shard, owner in hub.owners.items() if owner in ("new-0", "new-1")}
    for n in range(2):
        hub.join(f"again-{n}", "v1")
        hub.drain(f"new-{n}")
    assert set(hub.moves) >= on_new
    assert set(hub.owners.values()) == {"old-2", "again-0", "again-1"}
    assert max(hub.loads().values()) == 22


def test_a_node_without_a_version_is_of_an_older_one() -> None:
    hub = Hub(8)
    hub.join("a", "")
    hub.join("b", "v1")
    hub.drain("a")
    assert hub.loads() == {"b": 8} and not rolling(View(hub.nodes, {}, 8))


# -- a share first -------------------------------------------------------------------------------------------------


def test_a_share_goes_to_the_new_version_and_grows_without_moving_anything_twice() -> None:
    hub = deployed(64, 4)
    for n in range(4):
        hub.join(f"new-{n}", "v2")
    for share, count in ((0.1, 7), (0.5, 32), (1.0, 64)):
        hub.ramp = Ramp("v2", share)
        hub.settle()
        assert sum(load for name, load in hub.loads().items() if name.startswith("new")) == count
    assert hub.moves == Counter(range(64))
    assert set(hub.loads().values()) == {16}
    for n in range(4):
        hub.drain(f"old-{n}")
    assert hub.moves == Counter(range(64)), "nothing is left to move"


def test_what_is_given_back_goes_to_the_others_alone() -> None:
    hub = deployed(64, 4)
    hub.join("new-0", "v2")
    hub.ramp = Ramp("v2", 0.25)
    hub.settle()
    given = set(hub.moves)
    hub.ramp = Ramp("v2", 0.0)
    hub.settle()
    assert hub.moves == Counter(dict.fromkeys(given, 2)) and "new-0" not in hub.loads()
    hub.drain("old-0")
    assert "new-0" not in hub.loads(), "what has to move goes to the old version, too"


def test_a_node_that_dies_in_a_rollout_is_replaced_within_its_version() -> None:
    hub = deployed(60, 3)
    hub.join("new-0", "v2")
    hub.join("new-1", "v2")
    hub.ramp = Ramp("v2", 0.5)
    hub.settle()
    hub.moves.clear()
    hub.drain("new-1")
    assert hub.loads()["new-0"] == 30
    hub.drain("old-1")
    assert hub.loads() == {"new-0": 30, "old-0": 15, "old-2": 15}


def test_a_share_of_a_version_that_is_not_up_means_nothing() -> None:
    hub = deployed(8, 2)
    hub.join("new-0", "v2")
    hub.ramp = Ramp("v3", 0.5)
    hub.settle()
    assert hub.moves == {}


CALM = Health(parked=2, failing=1.0, nodes=2)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (Health(2, 2.0, 2), ""),
        (Health(0, 0.0, 3), ""),
        (Health(3, 1.0, 2), "3 children are parked"),
        (Health(2, 2.1, 2), "2.1 times a second"),
        (Health(2, 1.0, 1), "1 workers of this version"),
        (Health(2, 1.0, 2, unready="w is not ready: x"), "w is not ready"),
        (Health(2, 1.0, 2, blocked_for=3.2), "stood still for 3 s"),
    ],
)
def test_a_rollout_goes_on_only_if_nothing_is_worse(now: Health, why: str) -> None:
    assert why in worse(CALM, now) and bool(why) == bool(worse(CALM, now))


@pytest.mark.parametrize("ramp", ["", "0%", "101%", "50%,10%", "10%,10%", "ten", "10%,,100%", "nan%"])
def test_shares_grow_to_all(ramp: str) -> None:
    with pytest.raises(ConfigError, match="--ramp"):
        shares_of(ramp)


def views(*nodes: tuple[str, int, str]) -> Iterable[NodeView]:
    return [NodeView(name, joined, app_version=version) for name, joined, version in nodes]


def test_a_restarted_node_does_not_make_its_version_newer() -> None:
    assert newest(views(("old-0", 1, "v1"), ("new-0", 4, "v2"), ("old-1", 6, "v1"))) == "v2"
    assert newest(views(("new-0", 9, "v2"), ("old-0", 1, "v1"))) == "v2"
    assert newest(views(("new-0", 2, "v2"), ("again-0", 5, "v1"))) == "v1", "all of it joined later: a roll-back"


def test_what_a_strategy_wants_gives_way() -> None:
    nodes = {view.name: view for view in views(("a", 1, "v1"), ("b", 2, "v2"), ("c", 3, "v2"))}
    owners: dict[int, str | None] = {0: "a", 1: "b", 2: None, 3: "gone", 4: None}
    placed = in_rollout(dict.fromkeys(range(5), "a"), View(nodes, owners, 5))
    assert (placed[0], placed[1]) == ("a", "b")
    assert Counter(placed.values()) == {"a": 1, "b": 2, "c": 2}
