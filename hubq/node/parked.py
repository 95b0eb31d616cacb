"""Children that are parked here: offered to the other nodes, and tried again when somebody asks for it.

docs/guide-children.md says what a user sees of it, docs/protocol.md the messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hubq.core.lifecycle import Life, LifeEvent
from hubq.node.holding import Holding
from hubq.node.passing import Passing
from hubq.store.places import say_why
from hubq.store.registry import read_some_specs, read_state, read_texts

if TYPE_CHECKING:
    from hubq.node.parts import Parts

log = logging.getLogger("hubq.node")


class Parked:
    """The parked children of a node: ``Holding.unbuilt`` and ``Holding.condemned``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.bring: Callable[..., bool]  # set by the node, like the next
        self.begin_passing: Callable[[Holding, list[str], str], tuple[Passing, asyncio.Task[Any]]]
        self._looking = False

    # -- offered to others -----------------------------------------------------------------------------------------

    def offer(self, holding: Holding, ups: Mapping[str, int]) -> None:
        """Offer what cannot be built here to a node that has not been asked yet. Each is asked once per life of its
        process: what cannot be imported there cannot be a minute later either.
        """
        here = self._parts.node_name
        for child in list(holding.unbuilt):
            if not is_parked(holding, child):
                del holding.unbuilt[child]
        for node, incarnation in sorted(ups.items()):
            if node == here:
                continue
            children = [
                child
                for child, asked in holding.unbuilt.items()
                if (node, incarnation) not in asked and not self._parts.places.here(holding.cells[child])
            ]
            if children:
                for child in children:
                    holding.unbuilt[child].add((node, incarnation))
                reasons = {child: holding.cells[child].reason for child in children}
                passing, task = self.begin_passing(holding, children, node)
                self._parts.supervisor.background(self._tell(passing, task, reasons), f"offering children to {node}")
                return  # the next node when the plan is looked at again, at the end of the passing

    async def _tell(self, passing: Passing, task: asyncio.Task[Any], reasons: Mapping[str, str]) -> None:
        parts = self._parts
        await asyncio.wait([task])
        gone = [child for child in reasons if child not in passing.failed]
        if task.cancelled() or not passing.passed or not gone:
            return
        log.info("%d children that cannot run on %s run on %s now", len(gone), parts.node_name, passing.target)
        commands = [
            say_why(parts.keys, child, f"cannot start on {parts.node_name}: {reasons[child]}") for child in gone
        ]
        await parts.redis.run_many(commands, retry_for=1.0)

    # -- tried again -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """The ``revive`` of a child may have been lost: whether it is parked is for Redis to say. Nothing is asked while no
        child here is parked because its start took nodes down.
        """
        condemned = [holding for holding in self._parts.supervisor.holdings.values() if holding.condemned]
        if condemned and not self._looking:
            self._looking = True
            self._parts.supervisor.background(
                self._compare(condemned), "looking for children that are to be tried again"
            )

    async def _compare(self, holdings: list[Holding]) -> None:
        parts = self._parts
        try:
            found = await parts.redis.run_many([read_texts(parts.keys.parked(holding.shard)) for holding in holdings])
            for holding, parked in zip(holdings, found, strict=True):
                for child in list(holding.condemned):
                    if not is_parked(holding, child):
                        holding.condemned.discard(child)
                    elif child not in parked and not holding.lost:
                        await self.revive(holding.shard, child)
        finally:
            self._looking = False

    async def revive(self, shard: int, child: str) -> None:
        """``revive``: a child that is parked here is tried again (its dead letter was replayed)."""
        parts = self._parts
        holdings = parts.supervisor.holdings
        holding = holdings.get((shard, child)) or holdings.get((shard, None))
        if holding is None or not is_parked(holding, child):
            return  # whoever adopts the shard sees that it is parked no more
        specs, state = await parts.redis.run_many(
            [read_some_specs(parts.keys, shard, [child]), read_state(parts.keys, shard, child)],
            retry_for=parts.config.lease,
        )
        if holding.lost or holding.moving or not is_parked(holding, child):
            return  # if it is being moved: the next look, here or there, finds it again
        if holding.pinned is not None:
            holding.open = True
        elif not holding.open:
            return
        old = holding.cells.pop(child)
        old.moved(LifeEvent.END)
        holding.condemned.discard(child)
        if self.bring(holding, child, specs.get(child), state):
            parts.supervisor.event("child_revived", shard=shard, child=child)
        parts.committer.changed()


def is_parked(holding: Holding, child: str) -> bool:
    """Whether a child of this holding cannot run here."""
    cell = holding.cells.get(child)
    return cell is not None and cell.life is Life.PARKED
