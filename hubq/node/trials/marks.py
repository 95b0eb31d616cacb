"""Marks: a message or start of a watched shard is written down before it begins, so that the next crash names it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from hubq.errors import RedisUnavailable
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.store.tries import mark_tries

#: The holding of the mark. For a hosted child: the holding that it is in when the mark is written.
Whose = Holding | HostedChild


class Marks:
    """Writes marks. ``alone`` is held while a suspect is on trial: there is at most one on a node at a time."""

    def __init__(self, group: Group, background: Background) -> None:
        self.alone = asyncio.Lock()
        self._group = group
        self._background = background
        self._waiting: list[tuple[Whose, Mapping[str, str], asyncio.Future[str]]] = []
        self._writer: asyncio.Task[None] | None = None

    @property
    def me(self) -> str:
        """This node as a mark names it."""
        return f"{self._group.node_name}#{self._group.standing.incarnation}"

    async def write(self, whose: Whose, marks: Mapping[str, str]) -> bool:
        """Write marks; those of the same moment share a round trip. False: the holding is no longer ours. Returns under a
        lease that can be trusted: the answer may have come when it was over (the process was frozen).

        If there is a hosted child, give it: it may get a pin before the mark is written.
        """
        written: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((whose, marks, written))
        if self._writer is None or self._writer.done():
            self._writer = self._background.run(self._write(), "marking messages")
        if await written != "ok":
            return False
        await self._group.standing.until_trusted()
        return not _holding(whose).gone

    async def take_back(self, whose: Whose, field: str) -> None:
        """What was marked is done, and the node lives: it is not to blame for a later crash. If the lease was over before it was done, that
        was its doing, perhaps, and whatever it has done is lost: its mark stays, and the next owner counts it.
        """
        await self._group.standing.until_trusted()
        if not _holding(whose).gone:
            await self.write(whose, {field: ""})

    async def _write(self) -> None:
        group = self._group
        while self._waiting:
            batch, self._waiting = self._waiting, []
            under = [_holding(whose) for whose, _, _ in batch]
            commands = [
                mark_tries(group.keys, holding.shard, holding.pinned, holding.owner, marks)
                for holding, (_, marks, _) in zip(under, batch, strict=True)
            ]
            try:
                words = await group.redis.run_many(commands, retry_for=1.0)
            except RedisUnavailable:
                words = ["unknown"] * len(batch)
            left = []
            for (whose, marks, written), word in zip(batch, words, strict=True):
                if written.done():
                    continue
                if word == "ok" or _holding(whose).gone or group.standing.lease_over():
                    written.set_result(word)
                else:
                    # Perhaps our token is a new one by now (hubq.node.commits.committer), or that of a pin of ours: try
                    # again. If the token is another node's, the next commit or the next look at the plan says so.
                    left.append((whose, marks, written))
            if left:
                self._waiting = left + self._waiting
                await asyncio.sleep(0.02)


def _holding(whose: Whose) -> Holding:
    return whose.holding if isinstance(whose, HostedChild) else whose
