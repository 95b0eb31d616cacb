"""What children tell of their progress: written beside the commits, a few times a second at most, the last one always."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from hubq.core.lifecycle import Life
from hubq.core.progress import Progress, progress_of, written
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.store.command import Command
from hubq.store.progress import Note, note_progress

log = logging.getLogger("hubq.node")

#: The shortest time between two writes of a node, seconds.
PACE = 0.25
#: Most children in one script.
AT_ONCE = 200
#: How long a write is tried, seconds.
TRIED = 2.0


class Progresses(Loop):
    """The progress of the children of a node. A child may tell it from a thread."""

    def __init__(self, group: Group) -> None:
        super().__init__("writing progress")
        self._group = group
        self._told: dict[HostedChild, Progress | None] = {}
        self._rung = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to write."""
        self._loop = asyncio.get_running_loop()
        super().start()

    def tell(self, hosted: HostedChild, done: float, total: float | None, text: str) -> None:
        """``self.progress(...)``. Raises :class:`~hubq.errors.InvalidProgress`."""
        told = progress_of(done, total, text, time.time())
        if hosted.life is not Life.ENDED:
            hosted.holding.telling.add(hosted.child_id)
            self._note(hosted, told)

    def over(self, hosted: HostedChild) -> None:
        """The child has ended for good."""
        if hosted.child_id in hosted.holding.telling:
            self._note(hosted, None)

    async def flush(self) -> None:
        """Write what was told last. It is no state: if Redis does not take it, it is told again with the next one."""
        taken: dict[HostedChild, Progress | None] = {}
        while self._told:  # (a thread may add to it)
            hosted, told = self._told.popitem()
            taken[hosted] = told
        if not taken:
            return
        try:
            await self._group.redis.run_many(self._commands(taken), retry_for=TRIED)
        except BaseException as error:
            for hosted, told in taken.items():
                self._told.setdefault(hosted, told)
            if not isinstance(error, Exception):
                raise
            log.debug("the progress of %d children is not written: %s", len(taken), error)
            self._rung.set()

    def _note(self, hosted: HostedChild, told: Progress | None) -> None:
        self._told[hosted] = told
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._rung.set)

    async def _turn(self) -> None:
        await self._rung.wait()
        self._rung.clear()
        await self.flush()
        await asyncio.sleep(PACE)

    def _commands(self, taken: Mapping[HostedChild, Progress | None]) -> list[Command[int]]:
        by_shard: dict[int, list[Note]] = {}
        for hosted, told in taken.items():
            line = "" if told is None else written(told, hosted.record.start_id)
            by_shard.setdefault(hosted.holding.shard, []).append((hosted.child_id, hosted.holding.owner.token, line))
        return [
            note_progress(self._group.keys, shard, notes[at : at + AT_ONCE])
            for shard, notes in by_shard.items()
            for at in range(0, len(notes), AT_ONCE)
        ]
