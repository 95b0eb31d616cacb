"""Where shards go while workers of two versions of the app are up: each moves once in a rolling deploy (docs/rollouts.md).

Pure: a function of the view, so every node computes the same.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from hubq.core.placement import ring_of, shard_order
from hubq.core.view import NodeView, View
from hubq.core.wording import counted, names


def newest(nodes: Iterable[NodeView]) -> str:
    """The version whose longest-living node joined last. (A node of an older version that is restarted makes that version no
    newer, while another one of it is up.)

    >>> newest([NodeView("a", 1, app_version="v1"), NodeView("b", 5, app_version="v2"), NodeView("a2", 7, app_version="v1")])
    'v2'
    """
    began: dict[str, int] = {}
    for node in nodes:
        began[node.app_version] = min(began.get(node.app_version, node.incarnation), node.incarnation)
    return max(began, key=lambda version: began[version])


def rolling(view: View) -> bool:
    """Whether nodes of more than one version are up."""
    return len({node.app_version for node in view.nodes.values()}) > 1


@dataclass(frozen=True, slots=True)
class Ramp:
    """So much of the hub's shards (``share``, 0 to 1) is to be on nodes of this version, and the others on the others."""

    version: str
    share: float

    def shards(self, count: int) -> set[int]:
        """Which ones: the same for every node, and of a larger share they are a part.

        >>> sorted(Ramp("v2", 0.1).shards(8)) == sorted(Ramp("v2", 0.1).shards(8)), len(Ramp("v2", 0.1).shards(8))
        (True, 1)
        """
        return set(sorted(range(count), key=shard_order)[: math.ceil(self.share * count)])


def in_rollout(desired: Mapping[int, str], view: View, ramp: Ramp | None = None) -> dict[int, str]:
    """What a strategy wants, while nodes of two versions are up: a shard stays where it is as long as its node stays. What has
    to go (its node is draining, or gone) goes to nodes of the newest version, to those with the fewest. With a ``ramp`` for a
    version that is up, its share of the shards goes to nodes of that version, and all others to the others.

    >>> nodes = {"a": NodeView("a", 1, app_version="v1"), "b": NodeView("b", 2, app_version="v2")}
    >>> view = View(nodes, {0: "a", 1: "a", 2: None}, 3)
    >>> in_rollout({0: "b", 1: "a", 2: "a"}, view)
    {0: 'a', 1: 'a', 2: 'b'}
    >>> in_rollout({0: "b", 1: "a", 2: "a"}, view, Ramp("v2", 1.0))
    {0: 'b', 1: 'b', 2: 'b'}
    """
    versions: dict[str, list[str]] = {}
    for name, node in view.nodes.items():
        versions.setdefault(node.app_version, []).append(name)
    placed: dict[int, str] = {}
    if ramp is None or ramp.version not in versions:
        stay = _staying(view, view.nodes, desired)
        placed |= _filled(versions[newest(view.nodes.values())], stay, desired)
    else:
        others = [name for version, names in versions.items() if version != ramp.version for name in names]
        chosen = ramp.shards(view.shards)
        for takers, shards in ((versions[ramp.version], chosen), (others, desired.keys() - chosen)):
            placed |= _filled(takers, _staying(view, takers, shards), shards)
    return dict(sorted(placed.items()))


def _staying(view: View, nodes: Collection[str], shards: Iterable[int]) -> dict[int, str]:
    """Those of these shards whose owner is one of these nodes."""
    return {shard: owner for shard in shards if (owner := view.owners.get(shard)) in nodes and owner is not None}


def _filled(takers: Iterable[str], stay: Mapping[int, str], shards: Iterable[int]) -> dict[int, str]:
    """Where each shard goes: those that stay, stay, and the takers with the fewest get the others."""
    held = dict.fromkeys(sorted(takers), 0)
    for owner in stay.values():
        if owner in held:
            held[owner] += 1
    # In the order in which they are moved, so that the others stay meant for the same nodes while some have moved already.
    homeless = sorted(set(shards) - stay.keys())
    level, ring, placed = _level(held.values(), len(homeless)), ring_of(held), dict(stay)
    for shard in homeless:
        # No node gets the last one of its share while another has less than that.
        lowest = level - 1 if min(held.values()) < level - 1 else level
        taker = next(name for name in ring.walk(shard) if held[name] < lowest)
        held[taker] += 1
        placed[shard] = taker
    return placed


def _level(loads: Iterable[int], more: int) -> int:
    """The lowest level up to which the loads can be filled with so many more.

    >>> _level([4, 0], 4), _level([4, 0], 5), _level([], 3)
    (4, 5, 0)
    """
    ordered = sorted(loads)
    for count in range(len(ordered), 0, -1):
        # Filling the `count` smallest: all of them end at the same level.
        level = -(-(sum(ordered[:count]) + more) // count)
        if level >= ordered[count - 1]:
            return level
    return 0


# -- going on, or back ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Health:
    """How a hub is: children that are parked, handlers that raise per second; and of the nodes of the version that comes: how many
    they are, why one is not ready, and how long an event loop has stood still, seconds.
    """

    parked: int
    failing: float
    nodes: int
    unready: str = ""
    blocked_for: float = 0.0


def worse(before: Health, now: Health) -> str:
    """Why a rollout does not go on; empty if it does.

    >>> calm = Health(parked=1, failing=0.2, nodes=2)
    >>> worse(calm, calm), worse(calm, Health(parked=3, failing=0.2, nodes=2))
    ('', '3 children are parked, before it were 1')
    """
    if now.nodes < before.nodes:
        return f"{now.nodes} workers of this version are up, before it were {before.nodes}"
    if now.parked > before.parked:
        return f"{now.parked} children are parked, before it were {before.parked}"
    if now.failing > max(2 * before.failing, before.failing + 1.0):
        return f"handlers raise {now.failing:.1f} times a second, before it was {before.failing:.1f}"
    if now.blocked_for >= 1.0:
        return f"an event loop of this version has stood still for {now.blocked_for:.0f} s"
    return now.unready


# -- what does not come back ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Code:
    """What a node says of its code: the version of the app, the ``state_version`` of each registered class, and which of them have a
    ``downgrade_state``.
    """

    app_version: str
    states: Mapping[str, int]
    downgrading: frozenset[str] = frozenset()


def without_return(codes: Collection[Code], version: str) -> list[str]:
    """The classes whose states the other versions cannot read once this version has written them, each in a sentence.

    >>> old, new = Code("v1", {"Cart": 2, "Room": 1}), Code("v2", {"Cart": 3, "Room": 1})
    >>> without_return([old, new], "v2")
    ['Cart: states go from version 2 to 3, and older code cannot read them: a return leaves such children on v2 workers']
    >>> without_return([old, Code("v2", {"Cart": 3}, frozenset({"Cart"}))], "v2"), without_return([old, new], "v1")
    ([], [])
    """
    own: dict[str, int] = {}
    others: dict[str, int] = {}
    for code in codes:
        for name, state in code.states.items():
            if code.app_version != version:
                others[name] = min(others.get(name, state), state)
            elif name not in code.downgrading:
                own[name] = max(own.get(name, state), state)
    return [
        f"{name}: states go from version {others[name]} to {state}, and older code cannot read them: a return leaves such children on "
        f"{version} workers"
        for name, state in sorted(own.items())
        if state > others.get(name, state)
    ]


def staying(left: Mapping[str, str], version: str) -> list[str]:
    """Which children stay on the workers of a version that has given its shards back, and why: a line for each reason.

    >>> staying({"a": "no way on old-1", "b": "no way on old-1"}, "v2")
    ['2 children stay on the workers of version v2: a, b: no way on old-1']
    """
    by_reason: dict[str, list[str]] = {}
    for child, reason in left.items():
        by_reason.setdefault(reason or "they are on their way", []).append(child)
    return [
        f"{counted(len(children), 'child stays', 'children stay')} on the workers of version {version}: {names(children)}: {reason}"
        for reason, children in by_reason.items()
    ]
