"""How a node joins the groups of its hub: at once where it can be, and later where a primary is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextvars import copy_context

from hubq.errors import HubqError, RedisRefused, RedisUnavailable
from hubq.node.part import NodePart
from hubq.node.runtime.tasks import end_tasks

log = logging.getLogger("hubq.node")

#: How often a group that was not joined is tried again, seconds.
AGAIN = 0.5
#: How long an attempt that is under way is waited for when the node leaves, seconds. (It asks for a second, and may wait for an answer.)
UNDER_WAY = 3.0


class Joining:
    """The parts of a node. ``joined``: those that are members of their groups; ``missing``: group -> why it is not joined yet."""

    def __init__(self, name: str, parts: Sequence[NodePart]) -> None:
        self.parts = tuple(parts)
        self.joined: tuple[NodePart, ...] = ()
        self.missing: dict[int, str] = {}
        self._name = name
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = asyncio.Event()

    async def join(self) -> None:
        """Join each group whose primary answers. Raises what the first group that refuses has said, or
        :class:`~hubq.errors.RedisUnavailable` if none answers.
        """
        checked = await self._tried(self.parts, [part.check() for part in self.parts])
        self.joined = tuple(await self._tried(checked, [part.join() for part in checked]))

    async def _tried(self, parts: Sequence[NodePart], work: Sequence[Awaitable[None]]) -> list[NodePart]:
        """The parts whose work was done. Those whose primary is away are missing, as long as there are others."""
        done: list[NodePart] = []
        away: list[BaseException] = []
        for part, failed in zip(parts, await asyncio.gather(*work, return_exceptions=True), strict=True):
            if failed is None:
                done.append(part)
            elif isinstance(failed, RedisUnavailable) and not isinstance(failed, RedisRefused):
                away.append(failed)
                self.missing[part.group] = str(failed)
            else:
                raise failed
        if away and not done:
            raise away[0]
        return done

    def start(self) -> None:
        """Begin to serve where the node has joined, and to try where it has not. The context of the caller is that of all tasks."""
        for part in self.joined:
            part.start()
        for part in self.parts:
            if part.group in self.missing:
                log.warning(
                    "node %s does not join group %d yet, and serves the others meanwhile: %s", self._name, part.group,
                    self.missing[part.group],
                )  # fmt: skip
                self._tasks.append(asyncio.create_task(self._until_joined(part), context=copy_context()))

    async def stop(self, within: float = UNDER_WAY) -> None:
        """Try no more. An attempt that is under way is waited for, since the node may be a member already."""
        self._leaving.set()
        tasks, self._tasks = self._tasks, []
        if tasks and within:
            await asyncio.wait(tasks, timeout=within)
        await end_tasks(tasks)

    async def give_up(self) -> None:
        """End the parts that serve in no group."""
        for part in self.parts:
            if part not in self.joined:
                await part.give_up()

    async def emptied(self) -> None:
        """Wait until nothing is left in any group that was joined."""
        looked: tuple[NodePart, ...] = ()
        while looked != self.joined:
            looked = self.joined
            for part in looked:
                await part.wiring.runtime.emptied.wait()

    @property
    def why_missing(self) -> str:
        """Why groups are not joined, in one line; empty if all are."""
        return "; ".join(f"group {group} is not joined: {why}" for group, why in sorted(self.missing.items()))

    @property
    def _leaves(self) -> bool:
        return self._leaving.is_set() or any(part.wiring.runtime.standing.draining for part in self.joined)

    async def _until_joined(self, part: NodePart) -> None:
        told = ""
        while not self._leaves:
            try:
                await part.check()
                await part.join()
            except Exception as error:
                away = isinstance(error, RedisUnavailable) and not isinstance(error, RedisRefused)
                if not away and str(error) != told:
                    told = str(error)
                    log.error(
                        "node %s cannot join group %d: %s", self._name, part.group, error,
                        exc_info=None if isinstance(error, HubqError) else error,
                    )  # fmt: skip
                self.missing[part.group] = str(error)
            else:
                part.start()
                self.joined = tuple(each for each in self.parts if each in self.joined or each is part)
                del self.missing[part.group]
                return
            try:
                async with asyncio.timeout(AGAIN):
                    await self._leaving.wait()
            except TimeoutError:
                continue
