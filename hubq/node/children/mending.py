"""Children whose state could not be put back are built anew, from what is saved."""

from __future__ import annotations

import asyncio

from hubq.node.children.lives import Lives
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.background import Background
from hubq.node.runtime.tasks import end_tasks


class Mending:
    """Takes children out of ``broken``. They handle nothing until they have begun anew."""

    def __init__(self, background: Background, lives: Lives, broken: asyncio.Queue[HostedChild]) -> None:
        self._background = background
        self._lives = lives
        self._broken = broken
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to mend."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Mend no more."""
        await end_tasks([self._task])
        self._task = None

    async def _work(self) -> None:
        while True:
            hosted = await self._broken.get()
            self._background.run(self._lives.rebuild(hosted), f"building child {hosted.child_id} anew")
