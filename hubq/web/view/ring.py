"""The picture of a hub: where each shard is. A shard keeps its place within its node, so only what moves is seen to move."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from zlib import crc32

import msgspec

#: The side of the picture, and the radius on which the nodes stand, in its own units.
SIDE, RADIUS = 400, 126
#: The outer ring: radius and width of its arcs.
OUTER, WIDTH = 188, 12
#: How many colours the style sheet has.
COLOURS = 10
#: The angle between one dot and the next, as in a sunflower.
GOLDEN = math.pi * (3 - math.sqrt(5))


class Dot(msgspec.Struct, frozen=True):
    """A shard: where it is drawn, in which colour (-1: nobody serves it), and its arc of the outer ring."""

    shard: int
    node: str
    x: float
    y: float
    colour: int
    moving: bool
    arc: str


class Island(msgspec.Struct, frozen=True):
    """A node: where its name stands, and how many shards it has."""

    name: str
    x: float
    y: float
    radius: float
    colour: int
    shards: int


class Ring(msgspec.Struct, frozen=True):
    """The whole picture. ``words``: the same for those who do not see it."""

    islands: list[Island]
    dots: list[Dot]
    size: float
    words: str


def colours(nodes: Collection[str]) -> dict[str, int]:
    """A colour for each node. It depends on the name, and on others only if they have the same.

    >>> colours(["a", "b"]) == colours(["b", "a"])
    True
    """
    found: dict[str, int] = {}
    for name in sorted(nodes):
        first = crc32(name.encode()) % COLOURS
        free = (first + step for step in range(COLOURS) if (first + step) % COLOURS not in found.values())
        found[name] = next(free, first) % COLOURS
    return found


def ring(owners: Sequence[str | None], nodes: Collection[str], moving: Collection[int]) -> Ring:
    """The picture of these owners; ``nodes`` are drawn even if they have no shard."""
    names = sorted({*nodes, *(owner for owner in owners if owner)})
    tint, middle = colours(names), SIDE / 2
    apart = math.pi * RADIUS / max(2, len(names)) * 0.92
    radius = min(48.0, apart)
    islands: dict[str, Island] = {}
    for number, name in enumerate(names):
        angle = 2 * math.pi * number / len(names) - math.pi / 2
        away = float(RADIUS) if len(names) > 1 else 0.0
        x, y = middle + away * math.cos(angle), middle + away * math.sin(angle)
        islands[name] = Island(name, round(x, 1), round(y, 1), round(radius, 1), tint[name], owners.count(name))
    step = radius / math.sqrt(max(1, len(owners)))
    dots: list[Dot] = []
    for shard, owner in enumerate(owners):
        island = islands.get(owner or "")
        x, y = (island.x, island.y) if island else (middle, middle)
        away, angle = step * math.sqrt(shard + 0.5), GOLDEN * shard
        dots.append(
            Dot(
                shard, owner or "", round(x + away * math.cos(angle), 1), round(y + away * math.sin(angle), 1),
                island.colour if island else -1, shard in moving, _arc(shard, len(owners)),
            )
        )  # fmt: skip
    return Ring(list(islands.values()), dots, round(max(1.0, min(6.0, step * 0.78)), 2), _words(islands, owners))


def _arc(shard: int, shards: int) -> str:
    middle, gap = SIDE / 2, 0.15 if shards > 1 else 0.0
    first, last = (2 * math.pi * (shard + edge) / shards - math.pi / 2 for edge in (gap / 2, 1 - gap / 2))
    if shards == 1:
        last -= 0.001
    (x1, y1), (x2, y2) = ((middle + OUTER * math.cos(a), middle + OUTER * math.sin(a)) for a in (first, last))
    return f"M{x1:.1f} {y1:.1f}A{OUTER} {OUTER} 0 {int(last - first > math.pi)} 1 {x2:.1f} {y2:.1f}"


def _words(islands: dict[str, Island], owners: Sequence[str | None]) -> str:
    parts = [f"{island.name} serves {island.shards}" for island in islands.values()]
    nobody = owners.count(None)
    return f"{len(owners)} shards: " + ", ".join(
        [*parts, *([f"nobody serves {nobody}"] if nobody else [])] or ["no node"]
    )
