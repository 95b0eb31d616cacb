"""What a holding has gathered for its next commit, and who waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from hubq.core.phase import Phase
from hubq.core.unfinished import Unfinished
from hubq.node.held.phased import Phased
from hubq.store.effects import Effects
from hubq.store.saying import SayingLimits


class Uncommitted(Phased):
    """A holding, as far as it is about its commits."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(phase)
        self.effects = Effects()
        self.unfinished: Unfinished | None = None
        """What has been read of its mailbox; None: it is not the shard itself, or is not read for."""
        self.held_up = False
        """Redis refuses its last commit, and is asked again: nothing later is committed before that."""
        self._waiters: list[asyncio.Future[None]] = []

    def lose(self) -> None:
        """It is not ours any more: nothing of it is handled or committed here. Waits for its next commit are cancelled."""
        super().lose()
        for waiter in self.take_waiters():
            waiter.cancel()

    def take_effects(self, reply_ttl_ms: int, limits: SayingLimits) -> Effects:
        """The effects gathered so far; the holding begins to gather anew."""
        effects, self.effects = self.effects, Effects()
        if self.unfinished is not None:
            effects.cut_at(*self.unfinished.finished(effects.done.values()))
        return effects.bounded(reply_ttl_ms, limits)

    def reads_from_here(self, *, complete: bool) -> None:
        """Its mailbox is read from now on. ``complete``: from its beginning, and for nobody else before."""
        self.unfinished = Unfinished(complete=complete)

    def reads_anew(self) -> None:
        """Its mailbox is another one, or effects that were taken may never be committed: what has been read says nothing any more."""
        if self.unfinished is not None:
            self.unfinished = self.unfinished.begun_anew()

    def give_back_effects(self, effects: Effects) -> None:
        """These effects were not committed: they come before the effects gathered since."""
        later, self.effects = self.effects, effects
        self.effects.absorb(later)

    @property
    def is_due(self) -> bool:
        """Whether there is something to commit, and it may be."""
        return not self.frozen and not self.gone and not self.held_up and bool(self.effects or self._waiters)

    def hold_up(self) -> None:
        """Redis refuses its last commit."""
        self.held_up = True

    def go_on(self) -> None:
        """Redis has taken it after all."""
        self.held_up = False

    def next_commit(self) -> asyncio.Future[None]:
        """Done with the next commit; cancelled if the holding goes before."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def take_waiters(self) -> list[asyncio.Future[None]]:
        """The waits for the next commit; from now on they are the caller's."""
        waiters, self._waiters = self._waiters, []
        return waiters

    def add_waiters(self, waiters: Iterable[asyncio.Future[None]]) -> None:
        """These wait for this holding's next commit (a pin that never came to be had them)."""
        self._waiters += waiters
