"""Mailboxes in which something else stands: they are left out of the reads, and looked at until they are mended.

A mailbox may be of another type, as somebody else's ``SET`` makes it. Or an entry has the last id that a stream can have: then Redis
takes no entry behind it any more, not even when that entry is gone. The node sets the id back once it is.
"""

from __future__ import annotations

import asyncio
import logging

from hubq.core.malformed import Malformed
from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.held.cursors import Cursors
from hubq.node.runtime.group import Group
from hubq.node.runtime.malformed import MalformedReports
from hubq.node.runtime.tasks import end_tasks
from hubq.store.command import plain, text
from hubq.store.connection import LOST

log = logging.getLogger("hubq.node")

#: How often they are looked at, seconds.
LOOK_AGAIN = 0.5


class SpoiltMailboxes:
    """Those of a node. ``wrong``: the shards whose mailbox is of another type, which is not read."""

    def __init__(self, group: Group, cursors: Cursors, reports: MalformedReports) -> None:
        self.wrong: set[int] = set()
        self._exhausted: set[int] = set()  # the shards whose mailbox takes nothing any more
        self._group = group
        self._cursors = cursors
        self._reports = reports
        self._task: asyncio.Task[None] | None = None

    def found(self, types: dict[int, str]) -> None:
        """These mailboxes are of another type."""
        for shard, name in types.items():
            self._reports.report(
                Malformed(self._group.keys.mailbox(shard), f"a {name}, no stream: rename or delete it")
            )
        self.wrong.update(types)
        self._look()

    def exhausted(self, shard: int) -> None:
        """An entry has the last id that there is. (It is buried with the next commit of the shard.)"""
        place = self._group.keys.mailbox(shard)
        self._reports.report(
            Malformed(
                place, f"an entry has the last id that there is, and shard {shard} takes no message until it is mended"
            )
        )
        self._exhausted.add(shard)
        self._look()

    async def stop(self) -> None:
        """Look no more."""
        await end_tasks([self._task])
        self._task = None

    def _look(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._until_mended())

    async def _until_mended(self) -> None:
        while self.wrong or self._exhausted:
            await asyncio.sleep(LOOK_AGAIN)
            here = self._cursors.by_shard.keys()
            self.wrong &= here
            self._exhausted &= here
            try:
                mended = await self._mended_types() | await self._mended_ids()
                for shard in mended:
                    self._cursors.mended(shard)  # the read of its share has left it out, or begun behind all that comes
                if mended:
                    await self._group.wake()
            except (*LOST, RedisUnavailable) as error:
                log.debug("mailboxes are not looked at: %s", error)

    async def _mended_types(self) -> set[int]:
        shards = list(self.wrong)
        if not shards:
            return set()
        names = [self._group.keys.mailbox(shard) for shard in shards]
        types = await self._group.redis.run_many([plain("TYPE", name, read=text) for name in names])
        mended = {shard for shard, name in zip(shards, types, strict=True) if name in ("stream", "none")}
        self.wrong -= mended
        return mended

    async def _mended_ids(self) -> set[int]:
        mended: set[int] = set()
        for shard in list(self._exhausted):
            last = f"{int(self._group.standing.redis_now_ms())}-0"
            try:
                await self._group.redis.run(plain("XSETID", self._group.keys.mailbox(shard), last, read=text))
            except RedisRefused as error:
                log.debug("mailbox of shard %d: %s", shard, error)  # the entry is there still, or the user may not
                continue
            self._exhausted.discard(shard)
            log.info("the mailbox of shard %d takes messages again", shard)
            # All that stands there has been read. What comes now has smaller ids than the one that was the last.
            self._cursors.goes_on_at(shard, last.encode())
            mended.add(shard)
        return mended
