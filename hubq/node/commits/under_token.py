"""Scripts under the token of a holding, beside the commits: asked until they are answered, and never applied late."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from hubq.errors import RedisUnavailable
from hubq.node.commits.committer import Committer
from hubq.node.held.holding import Holding
from hubq.node.runtime.group import Group
from hubq.store.command import Command

log = logging.getLogger("hubq.node")

T = TypeVar("T")

#: How soon it is asked again if Redis has not answered, seconds.
AGAIN = 0.05


class UnderToken:
    """Runs such scripts."""

    def __init__(self, group: Group, committer: Committer) -> None:
        self._group = group
        self._committer = committer

    async def answered(self, holding: Holding, what: str, ask: Callable[[bool], Command[T | None]]) -> T | None:
        """The answer of a script. ``ask`` makes its command, for the owner line that the holding has then; it is told whether an earlier
        try may have come through. None: another node owns the holding, or it is gone.

        A try that was not answered may arrive late, and undo what came after it. So the holding goes on under a new token first.
        """
        again = False
        while not holding.gone:
            owner = holding.owner
            try:
                answer = await self._group.redis.run(ask(again))
            except RedisUnavailable as error:
                log.warning("%s waits: %s", what, error)
                again = True
                await asyncio.sleep(AGAIN)
                while not await self._committer.void_unanswered(holding):
                    if not (await holding.is_open() and await holding.may_commit()):  # (open, and being split)
                        return None
                continue
            if answer is not None:
                return answer
            # A commit may be putting the holding under a new token in this moment.
            await self._committer.settled(holding)
            if holding.owner == owner:
                return None
        return None
