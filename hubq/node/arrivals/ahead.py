"""Children that are built before their token comes, so that no message waits for ``__init__``."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from hubq.core.handover import TARGET, Target, TargetEvent
from hubq.core.messages import ChildStartProgress, ChildStartResp, StartChildren
from hubq.errors import RedisUnavailable, StartFailed
from hubq.node.children.failed_builds import Builds
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.recorder import NoRecorder
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.node.runtime.group import Group
from hubq.node.runtime.pieces import Pieces
from hubq.store.codec import sendable
from hubq.store.control import send_control
from hubq.store.owners import Owner
from hubq.store.registry import read_some_specs, read_specs, read_texts
from hubq.store.tries import TOOK_DOWN
from hubq.strategies.migration import Migration

log = logging.getLogger("hubq.node")

#: While it builds, the nodes that wait for it are told so, seconds.
TOLD_EVERY = 1.0


class AheadBuilt:
    """The children that were built ahead, and where the arrival of each shard stands (the TARGET table)."""

    def __init__(
        self,
        group: Group,
        events: EventLog,
        gathered: GatheredLog,
        builder: Builds,
        migration: Migration,
        pieces: Pieces,
    ) -> None:
        self._group = group
        self._events = events
        self._gathered = gathered
        self._builder = builder
        self._migration = migration
        self._pieces = pieces
        self._states: dict[int, Target] = {}
        self._shards: dict[int, dict[str, HostedChild]] = {}
        self._single: dict[tuple[int, str], HostedChild] = {}  # children built ahead to be pinned here
        self._building = asyncio.Lock()
        self._asked: dict[str, StartChildren] = {}  # by the move: those that wait for what is built
        self._told_at = 0.0

    def forget_all(self) -> None:
        """Drop all of it (the node was evicted)."""
        self._shards.clear()
        self._single.clear()
        self._states.clear()

    # -- where a shard stands --------------------------------------------------------------------------------------

    def moved(self, shard: int, event: TargetEvent) -> None:
        """Take a row of the table."""
        after = TARGET.next(self._states.get(shard, Target.ABSENT), event)
        if after in (Target.ABSENT, Target.SERVING):
            self._states.pop(shard, None)
        else:
            self._states[shard] = after

    def forget_state(self, shard: int) -> None:
        """Its adoption has failed: the next one begins anew."""
        self._states.pop(shard, None)

    @property
    def shards(self) -> set[int]:
        """The shards that are on their way here, or children of theirs, as far as messages have told."""
        return {*self._states, *(shard for shard, _ in self._single)}

    def announced(self, shard: int) -> bool:
        """Whether the shard is on its way here, as far as messages have told."""
        return shard in self._states

    # -- building --------------------------------------------------------------------------------------------------

    async def start_children(self, message: StartChildren) -> None:
        """``start_children``: build them, and say which cannot be built."""
        group, shard = self._group, message.shard
        if message.child:
            built, failed, reasons = await self._build_for(message)
            self._keep_single(shard, built)
        else:
            if not TARGET.allows(self._states.get(shard, Target.ABSENT), TargetEvent.START_CHILDREN):
                return
            self.moved(shard, TargetEvent.START_CHILDREN)
            try:
                built, failed, reasons = await self._build_for(message)
            except BaseException:
                if self._states.get(shard) is Target.BUILDING:
                    self._states.pop(shard)
                raise
            if self._states.get(shard) is Target.BUILDING:
                self._keep_shard(shard, built)
        answer = ChildStartResp(group.node_name, shard, message.handover_id, "\n".join(failed), "\n".join(reasons))
        await group.redis.run(send_control(group.keys, message.sender, answer), retry_for=2.0)

    async def _build_for(self, message: StartChildren) -> tuple[dict[str, HostedChild], list[str], list[str]]:
        if not self._asked:
            self._told_at = self._group.standing.now()
        self._asked[message.handover_id] = message
        try:
            return await self._build(message)
        finally:
            self._asked.pop(message.handover_id, None)

    async def _tell_that_it_goes_on(self) -> None:
        """A child has been built. Those whose children come later wait for it, too."""
        group = self._group
        self._told_at = group.standing.now()
        told = [
            send_control(group.keys, asked.sender, ChildStartProgress(group.node_name, asked.shard, asked.handover_id))
            for asked in self._asked.values()
        ]
        with suppress(RedisUnavailable):  # they are told in a second
            await group.redis.run_many(told)

    async def _build(self, message: StartChildren) -> tuple[dict[str, HostedChild], list[str], list[str]]:
        group, shard = self._group, message.shard
        keys, names = group.keys, message.child.split("\n")
        reading = read_some_specs(keys, shard, names) if message.child else read_specs(keys, shard)
        specs, parked = await group.redis.run_many([reading, read_texts(keys.parked(shard))], retry_for=2.0)
        nowhere = Holding(shard, Owner("-", 0, 0), NoRecorder())
        built: dict[str, HostedChild] = {}
        failed: list[str] = []
        reasons: list[str] = []
        # One shard after another. Several at once would each take turns of the event loop, and a shard whose token has come,
        # and whose children pause, would wait for all of them.
        async with self._building:
            for child, record in specs.items():
                if parked.get(child, "").startswith(TOOK_DOWN):
                    continue  # its __init__ might take this node down, too: it arrives as it is
                if not self._pieces.at_once():
                    await self._pieces.turn()
                try:
                    built[child] = self._builder.build(nowhere, child, record)
                except StartFailed as error:
                    self._gathered.add(logging.ERROR, child, "cannot start here", str(error))
                    failed.append(child)
                    reasons.append(" ".join(sendable(str(error)).split()))
                    self._events.add("child_start_failed", shard=shard, child=child, reason=str(error))
                if group.standing.now() - self._told_at >= TOLD_EVERY:
                    await self._tell_that_it_goes_on()
        return built, failed, reasons

    # -- keeping it, for a while -----------------------------------------------------------------------------------

    @property
    def _patience(self) -> float:
        return self._migration.handle_process_startups(self._group.config.lease)

    def _keep_shard(self, shard: int, built: dict[str, HostedChild]) -> None:
        self._shards[shard] = built
        self.moved(shard, TargetEvent.BUILT)
        asyncio.get_running_loop().call_later(self._patience, self._overdue, shard, built)

    def _overdue(self, shard: int, built: dict[str, HostedChild]) -> None:
        if self._shards.get(shard) is built and self._states.get(shard) is Target.READY:
            log.warning(
                "shard %d was announced and did not come: the children that were built for it are dropped", shard
            )
            del self._shards[shard]
            self.moved(shard, TargetEvent.OVERDUE)

    def _keep_single(self, shard: int, built: dict[str, HostedChild]) -> None:
        for child, hosted in built.items():
            self._single[shard, child] = hosted
        asyncio.get_running_loop().call_later(self._patience, self._single_overdue, shard, built)

    def _single_overdue(self, shard: int, built: dict[str, HostedChild]) -> None:
        for child, hosted in built.items():
            if self._single.get((shard, child)) is hosted:
                del self._single[shard, child]

    # -- taking it -------------------------------------------------------------------------------------------------

    def take_shard(self, shard: int) -> dict[str, HostedChild]:
        """The children that were built ahead for a shard whose token has come."""
        return self._shards.pop(shard, {})

    def take_single(self, shard: int, child: str) -> dict[str, HostedChild]:
        """A child that was built ahead to be pinned here, by its name; empty if there is none."""
        hosted = self._single.pop((shard, child), None)
        return {} if hosted is None else {child: hosted}
