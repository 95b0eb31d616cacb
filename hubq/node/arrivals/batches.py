"""All-or-nothing starts whose caller may die: children of a batch that is never sealed are undone (docs/batches.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from hubq.core.malformed import Malformed
from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.children.endings import Endings
from hubq.node.held.holding import Holding
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.node.runtime.malformed import MalformedReports
from hubq.store.batches import forget_mark, read_batch
from hubq.store.connection import LOST
from hubq.store.registry import read_specs

log = logging.getLogger("hubq.node")

#: How often undecided batches are looked at, seconds. Nothing is looked at while there are none.
LOOK = 0.1


class Batches:
    """The undecided batches of which this node has children."""

    def __init__(
        self, group: Group, background: Background, register: Register, endings: Endings, reports: MalformedReports
    ) -> None:
        self._group = group
        self._background = background
        self._register = register
        self._endings = endings
        self._reports = reports
        self._undecided: dict[tuple[int, str], str] = {}  # (shard, start id) -> batch
        self._watching = False

    def seen(self, shard: int, marks: Mapping[str, str]) -> None:
        """Children of a shard here belong to these batches (start id -> batch)."""
        for start_id, batch in marks.items():
            self._undecided[shard, start_id] = batch
        if self._undecided and not self._watching:
            self._watching = True
            self._background.run(self._watch(), "watching batches")

    def undecided(self, shard: int) -> bool:
        """Whether children of a shard belong to a batch that is not decided yet, as far as is known here."""
        return any(at == shard for at, _ in self._undecided)

    async def _watch(self) -> None:
        try:
            while self._undecided:
                await asyncio.sleep(LOOK)
                batches = sorted(set(self._undecided.values()))
                try:
                    states = await self._states(batches)
                    for (shard, start_id), batch in list(self._undecided.items()):
                        if states.get(batch, "open") != "open":  # (one that was seen meanwhile is looked at next time)
                            await self._settle(shard, start_id, batch, sealed=bool(states[batch]))
                except (*LOST, RedisUnavailable) as error:
                    log.debug("batches wait: %s", error)
        finally:
            self._watching = False

    async def _states(self, batches: Sequence[str]) -> dict[str, str]:
        """How the batches stand. One that cannot be read is told, and stays undecided: its caller may have been told that it is
        sealed.
        """
        group, states = self._group, {}
        try:
            found = await group.redis.run_many([read_batch(group.keys, batch) for batch in batches])
            return dict(zip(batches, found, strict=True))
        except RedisRefused:
            for batch in batches:
                try:
                    states[batch] = await group.redis.run(read_batch(group.keys, batch))
                except RedisRefused as error:
                    states[batch] = "open"
                    self._reports.report(Malformed(group.keys.batch(batch), f"its children stay, undecided: {error}"))
            return states

    async def _settle(self, shard: int, start_id: str, batch: str, *, sealed: bool) -> None:
        group, here = self._group, self._register.of_shard(shard)
        if not here:
            del self._undecided[shard, start_id]  # the owner of the shard has read its marks
        elif sealed or await self._undone(shard, start_id, here):
            owned = any(holding.pinned is None for holding in here)
            if owned:
                await group.redis.run(forget_mark(group.keys, shard, start_id, batch))
            self._undecided.pop((shard, start_id), None)
            if not sealed and owned:
                log.info("shard %d: children of batch %s are undone", shard, batch)

    async def _undone(self, shard: int, start_id: str, here: list[Holding]) -> bool:
        """End the children of a batch that are left here. True: none is left, and that is committed."""
        if not all(holding.open for holding in here):
            return False  # a handover is going on
        specs = await self._group.redis.run(read_specs(self._group.keys, shard))
        left = {child: record for child, record in specs.items() if record.start_id == start_id}
        for holding in here:
            for child, record in left.items():
                hosted = holding.children.get(child)
                if hosted is not None:
                    self._endings.stop_requested(hosted)
                elif holding.pinned is None and child not in holding.apart and child not in holding.behind:
                    # (If it is in ``behind``, it is being started in this moment.)
                    self._endings.forget(holding, child, record)
        return not left
