"""Children that are parked here: they are offered to the other nodes, and tried again when their dead letter is replayed.

docs/guide-children.md says what a user sees of it, docs/protocol.md the messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from hubq.core.lifecycle import Life, LifeEvent
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.failed_builds import FailedBuilds
from hubq.node.departures.child_passing import ChildPassing
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.older_code import OlderCode, version_needed
from hubq.node.held.register import Register
from hubq.node.planning.guide import Guide
from hubq.node.runtime.background import Background
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.node.runtime.group import Group
from hubq.store.places import say_why
from hubq.store.registry import read_some_specs, read_state, read_texts


class Parked:
    """The parked children of a node: ``Holding.unbuilt`` and ``Holding.condemned``."""

    def __init__(
        self, group: Group, background: Background, events: EventLog, gathered: GatheredLog, register: Register,
        queue: CommitQueue, wishes: Wishes, arrivals: Arrivals, guide: Guide, older: OlderCode, failed_builds: FailedBuilds,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._events = events
        self._gathered = gathered
        self._register = register
        self._queue = queue
        self._wishes = wishes
        self._arrivals = arrivals
        self._guide = guide
        self._older = older
        self._failed_builds = failed_builds
        self._looking = False

    # -- offered to others -----------------------------------------------------------------------------------------

    def offer(self, holding: Holding) -> None:
        """Offer the children that cannot be built here to a node that has not been asked yet. Each node is asked once per
        incarnation: a class that cannot be imported there cannot be a minute later either. A child whose state is too new is not
        offered to a node whose code is older than that.
        """
        for child in list(holding.unbuilt):
            if not is_parked(holding, child):
                holding.can_build(child)
        for node, incarnation in sorted(self._wishes.ups.items()):
            if node == self._group.node_name:
                continue
            children = [
                child
                for child, asked in holding.unbuilt.items()
                if (node, incarnation) not in asked
                and not self._wishes.here(holding.children[child])
                and self._knows(node, holding.children[child])
            ]
            if children:
                for child in children:
                    holding.offered(child, node, incarnation)
                reasons = {child: holding.children[child].reason for child in children}
                passing, task = self._guide.begin_passing(holding, children, node)
                self._background.run(self._tell(passing, task, reasons), f"offering children to {node}")
                return  # the next node when the plan is looked at again, at the end of the passing

    def _knows(self, node: str, hosted: HostedChild) -> bool:
        """Whether a node may have the code that wrote the state of a child. (It is asked only if it is not known to be older.)"""
        needed = version_needed(hosted.reason)
        return not needed or not self._older.is_below(node, hosted.record.name, needed)

    async def _tell(
        self, passing: ChildPassing, task: asyncio.Task[dict[str, str]], reasons: Mapping[str, str]
    ) -> None:
        await asyncio.wait([task])
        gone = [child for child in reasons if child not in passing.failed]
        if task.cancelled() or not passing.passed or not gone:
            return
        here = self._group.node_name
        for child in gone:
            if version_needed(reasons[child]):
                self._failed_builds.taken(child)
            self._gathered.add(logging.INFO, child, f"was parked on {here} and moves to {passing.target}")
        commands = [say_why(self._group.keys, child, f"cannot start on {here}: {reasons[child]}") for child in gone]
        await self._group.redis.run_many(commands, retry_for=1.0)

    # -- tried again -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """A ``revive`` message may have been lost: compare with Redis which condemned children are still parked. Redis is not
        asked while no child here is condemned.
        """
        condemned = [holding for holding in self._register.all() if holding.condemned]
        if condemned and not self._looking:
            self._looking = True
            self._background.run(self._compare(condemned), "looking for children that are to be tried again")

    async def _compare(self, holdings: list[Holding]) -> None:
        keys = self._group.keys
        try:
            found = await self._group.redis.run_many([read_texts(keys.parked(holding.shard)) for holding in holdings])
            for holding, parked in zip(holdings, found, strict=True):
                for child in list(holding.condemned):
                    if not is_parked(holding, child):
                        holding.pardon(child)
                    elif child not in parked and not holding.gone:
                        await self.revive(holding.shard, child)
        finally:
            self._looking = False

    async def revive(self, shard: int, child: str) -> None:
        """``revive``: a child that is parked here is tried again (its dead letter was replayed)."""
        group = self._group
        holding = self._register.of_child(shard, child)
        if holding is None or not is_parked(holding, child):
            return  # the node that adopts the shard sees that it is parked no more
        specs, state = await group.redis.run_many(
            [read_some_specs(group.keys, shard, [child]), read_state(group.keys, shard, child)],
            retry_for=group.config.lease,
        )
        if holding.gone or holding.in_motion or not is_parked(holding, child):
            return  # if it is being moved, the next look here or there finds it again
        if holding.straggles and not holding.open:
            return  # it is returning to its shard; the next look there finds it
        if holding.pinned is not None:
            holding.open_intake()
        elif not holding.open:
            return
        old = holding.detach(child)
        assert old is not None
        old.moved(LifeEvent.END)
        holding.pardon(child)
        if self._arrivals.revive(holding, child, specs.get(child), state):
            self._events.add("child_revived", shard=shard, child=child)
        self._queue.changed()


def is_parked(holding: Holding, child: str) -> bool:
    """Whether a child of this holding cannot run here."""
    hosted = holding.children.get(child)
    return hosted is not None and hosted.life is Life.PARKED
