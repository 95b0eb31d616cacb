"""Children of several groups that are started together, all or none: *bands*."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from hubq import Child, ChildSpec
from hubq.core.hashing import shard_of
from hubq.errors import CallTimeout, HubqError, RedisUnavailable
from hubq.testing import probe
from tests.simulation.children import NO_DRIVER, Plain
from tests.simulation.ledger import MAYBE, NO, YES

if TYPE_CHECKING:
    from tests.simulation.world import World

#: So long after the faults an undecided start is decided, seconds: its ``batch_lease``, and a round or two of its nodes.
DECIDED_BOUND = 15.0


class Refused(Child):
    """Can be built nowhere."""

    def __init__(self) -> None:
        raise RuntimeError(NO_DRIVER)


@dataclass(slots=True)
class Band:
    """Some children, and what their starter was told of them."""

    children: list[str]
    refused: bool
    there: str = MAYBE


class BandClient:
    """A client process that starts one band after the other."""

    def __init__(self, world: World, rng: Random) -> None:
        self.world, self.rng = world, rng
        self.process = world.process("bands")
        self.hub = world.hub(self.process)
        self.bands: list[Band] = []

    async def work(self) -> None:
        """Start bands until the faults stop."""
        while not self.world.calm and len(self.bands) < 12:
            await asyncio.sleep(self.rng.expovariate(1 / 0.7))
            if not self.world.calm:
                await self._start()

    async def _start(self) -> None:
        world, rng = self.world, self.rng
        names = [f"band-{len(self.bands)}-{n}" for n in range(rng.randint(2, 4))]
        refused = names[-1] if rng.random() < 0.3 else ""
        specs = [ChildSpec(name, Refused if name == refused else Plain) for name in names]
        self.bands.append(band := Band(names, bool(refused)))
        timeout = rng.choice([1.0, 4.0, 8.0])
        try:
            result = await self.hub.aio.start_children(specs, on_failure="rollback", timeout=timeout)
        except CallTimeout:
            band.there = NO
        except RedisUnavailable as error:
            world.say(f"{band.children} may be started: {error}")
        except HubqError as error:
            world.errors.append(f"{band.children}: {type(error).__name__}: {error}")
        else:
            band.there = NO if result.errors else YES
            world.say(f"{band.children} are started: {band.there}")

    async def check(self) -> list[str]:
        """Each band is there, or nothing of it is, as its starter was told."""
        until, world = self.world.loop.now + DECIDED_BOUND, self.world
        while self._undecided() and world.loop.now < until:  # noqa: ASYNC110  (simulated time)
            await asyncio.sleep(0.25)
        found = [f"{left} are undecided, {DECIDED_BOUND:g} s after the faults" for left in self._undecided()]
        for band in self.bands:
            there = [child for child in band.children if self._is_there(child)]
            whole = len(there) in (0, len(band.children))
            if not whole or band.there not in (MAYBE, YES if there else NO) or (band.refused and there):
                found.append(
                    f"of {band.children}, started all or none, {there} are there; its starter was told: {band.there}"
                )
        return found

    def _undecided(self) -> list[str]:
        world = self.world
        keys = (world.observer.of_shard(shard).keys.batches(shard) for shard in range(world.settings["shards"]))
        return [key for shard, key in enumerate(keys) if world.primaries.look(shard, "HGETALL", key)]

    def _is_there(self, child: str) -> bool:
        shard = shard_of(child, self.world.settings["shards"])
        keys, look = self.world.observer.of_shard(shard).keys, self.world.primaries.look
        return any(look(shard, "HEXISTS", key, child) for key in (keys.children(shard), keys.dormant(shard)))


def check_once(world: World) -> list[str]:
    """No child is on two nodes."""
    places: dict[str, list[str]] = {}
    for name, worker in world.workers.items():
        if worker.node is not None and worker.started and not worker.node.ended:
            for child in probe(worker.node).children():
                places.setdefault(child.child_id, []).append(name)
    return [f"{child} is on {names}" for child, names in sorted(places.items()) if len(names) > 1]
