"""The phase of a holding: whether handlers may start, and whether commits may be sent (``hubq.core.phase``)."""

from __future__ import annotations

import asyncio

from hubq.core.phase import PHASES, Phase, PhaseEvent
from hubq.node.held.changing import Changing


class Phased(Changing):
    """Moves by the table, and can be waited for. ``open``, ``frozen`` and ``gone`` say what the phase means."""

    def __init__(self, phase: Phase) -> None:
        super().__init__()
        self.in_motion = False
        """It is being moved, wholly or in part; nothing else is begun with it."""
        self._enter(phase)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        # Read with every message: attributes, not properties.
        self.open = phase is Phase.OPEN or phase is Phase.SPLITTING
        self.frozen = phase is Phase.PASSING or phase is Phase.SPLITTING
        self.gone = phase is Phase.GONE

    def moved(self, event: PhaseEvent) -> None:
        """Take a row of the phase table."""
        self._enter(PHASES.next(self.phase, event))
        self.tell()

    def open_intake(self) -> None:
        """Handlers may start."""
        self.moved(PhaseEvent.OPENED)

    def close_intake(self) -> None:
        """No handler starts from now on."""
        self.moved(PhaseEvent.CLOSED)

    def freeze(self) -> None:
        """Nothing is committed until it is thawed."""
        self.moved(PhaseEvent.FROZEN)

    def thaw(self) -> None:
        """Commits go on, if they were waiting."""
        if self.frozen:
            self.moved(PhaseEvent.THAWED)

    def lose(self) -> None:
        """It is not ours any more: nothing of it is handled or committed here."""
        if not self.gone:
            self.moved(PhaseEvent.LOST)

    def begin_motion(self) -> None:
        """It is being moved: nothing else is begun with it."""
        self.in_motion = True

    def end_motion(self) -> None:
        """The move has ended, whether it was done or not."""
        self.in_motion = False
        self.tell()

    async def is_open(self) -> bool:
        """Wait out a move. True: it is (still, or again) open here; False: it is gone."""
        while not self.open and not self.gone:
            await asyncio.shield(self.changed())
        return not self.gone

    async def may_commit(self) -> bool:
        """Wait until commits may be sent. False: it is gone."""
        while self.frozen and not self.gone:
            await asyncio.shield(self.changed())
        return not self.gone

    async def is_at_rest(self) -> bool:
        """Wait until it is not in motion. False: it is gone."""
        while self.in_motion and not self.gone:
            await asyncio.shield(self.changed())
        return not self.gone

    async def has_opened_once(self) -> bool:
        """Wait until its arrival has ended. True: it is here; False: it is gone."""
        while self.phase is Phase.COMING:
            await asyncio.shield(self.changed())
        return not self.gone
