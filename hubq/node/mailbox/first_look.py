"""The first look at a shard that has come: whether its last owner has left something to do (docs/effects.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hubq.errors import RedisRefused
from hubq.node.held.due_times import DueTimes
from hubq.node.held.errands import Errand
from hubq.node.held.far_outboxes import FarOutboxes
from hubq.node.held.marked_shards import MarkedShards
from hubq.node.held.open_drafts import OpenDrafts
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.register import Register
from hubq.node.held.waiting_jobs import WaitingJobs
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.store.command import Command
from hubq.store.drafts import drafts_length
from hubq.store.far import far_length
from hubq.store.outbox import outbox_length
from hubq.store.reminders import NEVER, read_next_due
from hubq.store.waiting_jobs import jobs_length

log = logging.getLogger("hubq.node")

#: A shard that has come is looked at so much later, seconds. Its children begin first, and shards that come together are looked at
#: together.
AFTER = 0.002
#: Shards that are looked at in one request: what else Redis is asked does not wait long behind them.
AT_ONCE = 16
#: How soon it is tried again if Redis does not answer, seconds.
AGAIN = 0.05


class Look(NamedTuple):
    """What is asked of each shard, the answer if there is nothing to do, and who is told if there is something."""

    ask: Callable[[int], Command[Any]]
    nothing: float
    tell: Callable[[int], None]


class FirstLook(Loop):
    """One request for all errands of the shards that have come. If each errand asked by itself, a node to which many shards come would be
    busy with that. Only those are told that have something to do. ``newcomers``: the shards that have come.
    """

    def __init__(
        self, group: Group, register: Register, newcomers: MarkedShards, outboxes: Outboxes, far: FarOutboxes,
        reminders: DueTimes, jobs: WaitingJobs, drafts: OpenDrafts,
    ) -> None:  # fmt: skip
        super().__init__("looking at shards that have come")
        self._group = group
        self._register = register
        self._newcomers = newcomers
        self._errands: Sequence[Errand] = (outboxes, far, reminders, jobs, drafts)
        keys = group.keys
        self._looks = [
            Look(lambda shard: outbox_length(keys, shard), 0, outboxes.arrived),
            Look(lambda shard: read_next_due(keys, shard), NEVER, reminders.arrived),
            Look(lambda shard: jobs_length(keys, shard), 0, jobs.arrived),
            Look(lambda shard: drafts_length(keys, shard), 0, drafts.arrived),
            *(_far_look(group, far, target) for target in far.lanes),
        ]
        self._left: list[int] = []  # shards to look at

    async def _turn(self) -> None:
        await self._newcomers.marked(AGAIN if self._left else None)
        await asyncio.sleep(AFTER)
        self._left += self._newcomers.take()
        while self._left:
            await self._look(self._left[:AT_ONCE])
            del self._left[:AT_ONCE]

    async def _look(self, shards: Sequence[int]) -> None:
        here = [shard for shard in dict.fromkeys(shards) if self._register.of_shard(shard)]
        commands = [look.ask(shard) for shard in here for look in self._looks]
        try:
            answers = iter(await self._group.redis.run_many(commands) if commands else ())
        except RedisRefused as error:
            # One of the keys is of another type. Each errand asks by itself then: the others go on, and the shards.
            log.debug("shards that have come: %s", error)
            for shard in here:
                for errand in self._errands:
                    errand.arrived(shard)
            return
        for shard in here:
            for look in self._looks:
                if next(answers) != look.nothing:
                    look.tell(shard)


def _far_look(group: Group, far: FarOutboxes, target: int) -> Look:
    return Look(lambda shard: far_length(group.keys, shard, target), 0, lambda shard: far.waits(shard, target))
