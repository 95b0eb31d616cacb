"""Children whose state could not be put back are built anew, from what is saved."""

from __future__ import annotations

import asyncio

from hubq.node.children.lives import Lives
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.background import Background
from hubq.node.runtime.loop import Loop


class Mending(Loop):
    """Takes children out of ``broken``. They handle nothing until they have begun anew."""

    def __init__(self, background: Background, lives: Lives, broken: asyncio.Queue[HostedChild]) -> None:
        super().__init__("building children anew")
        self._background = background
        self._lives = lives
        self._broken = broken

    async def _turn(self) -> None:
        hosted = await self._broken.get()
        self._background.run(self._lives.rebuild(hosted), f"building child {hosted.child_id} anew")
