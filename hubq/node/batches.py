"""All-or-nothing starts whose caller may die: children of a batch that is never sealed are undone (docs/batches.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hubq.errors import RedisUnavailable
from hubq.node.holding import Holding
from hubq.store.batches import forget_mark, read_batch
from hubq.store.connection import LOST
from hubq.store.registry import read_specs

if TYPE_CHECKING:
    from hubq.node.parts import Parts

log = logging.getLogger("hubq.node")

#: How often undecided batches are looked at, seconds. Nothing is looked at while there are none.
LOOK = 0.1


class Batches:
    """The undecided batches of which this node has children."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._undecided: dict[tuple[int, str], str] = {}  # (shard, start id) -> batch
        self._watching = False

    def seen(self, shard: int, marks: Mapping[str, str]) -> None:
        """Children of a shard here belong to these batches (start id -> batch)."""
        for start_id, batch in marks.items():
            self._undecided[shard, start_id] = batch
        if self._undecided and not self._watching:
            self._watching = True
            self._parts.supervisor.background(self._watch(), "watching batches")

    async def _watch(self) -> None:
        parts = self._parts
        try:
            while self._undecided:
                await asyncio.sleep(LOOK)
                batches = sorted(set(self._undecided.values()))
                try:
                    found = await parts.redis.run_many([read_batch(parts.keys, batch) for batch in batches])
                    states = dict(zip(batches, found, strict=True))
                    for (shard, start_id), batch in list(self._undecided.items()):
                        if states[batch] != "open":
                            await self._settle(shard, start_id, batch, sealed=bool(states[batch]))
                except (*LOST, RedisUnavailable) as error:
                    log.debug("batches wait: %s", error)
        finally:
            self._watching = False

    async def _settle(self, shard: int, start_id: str, batch: str, *, sealed: bool) -> None:
        parts = self._parts
        here = [holding for holding in parts.supervisor.holdings.values() if holding.shard == shard]
        if not here:
            del self._undecided[shard, start_id]  # whoever owns the shard now has read its marks
        elif sealed or await self._undone(shard, start_id, here):
            owned = any(holding.pinned is None for holding in here)
            if owned:
                await parts.redis.run(forget_mark(parts.keys, shard, start_id, batch))
            self._undecided.pop((shard, start_id), None)
            if not sealed and owned:
                log.info("shard %d: children of batch %s are undone", shard, batch)

    async def _undone(self, shard: int, start_id: str, here: list[Holding]) -> bool:
        """End what is left of a batch here. True: nothing is left of it, and that is committed."""
        parts = self._parts
        if not all(holding.open for holding in here):
            return False  # a handover is going on
        specs = await parts.redis.run(read_specs(parts.keys, shard))
        left = {child: record for child, record in specs.items() if record.start_id == start_id}
        for holding in here:
            for child, record in left.items():
                cell = holding.cells.get(child)
                if cell is not None:
                    parts.supervisor.endings.stop_requested(cell)
                elif holding.pinned is None and child not in holding.excluded and child not in holding.behind:
                    # (In ``behind`` it is being started this moment.)
                    parts.supervisor.endings.forget(holding, child, record)
        return not left
