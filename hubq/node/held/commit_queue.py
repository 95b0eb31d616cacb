"""Which holdings have something to commit: handlers set the marks, the committer takes them."""

from __future__ import annotations

from collections.abc import Iterable

from hubq.node.held.holding import Holding
from hubq.node.held.register import Register
from hubq.node.runtime.bell import Bell


class CommitQueue:
    """Which holdings have something to commit."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._touched: dict[
            Holding, None
        ] = {}  # a dict, not a set: the order must not depend on the addresses of objects
        self._look_at_all = True
        self._bell = Bell()

    def changed(self) -> None:
        """Some holding has something to commit (cheap; may be called often)."""
        self._look_at_all = True
        self._bell.ring()

    def touched(self, holding: Holding) -> None:
        """This one has something to commit; :meth:`due` says when to begin."""
        self._touched[holding] = None

    def due(self) -> None:
        """Commit what was touched."""
        if self._touched:
            self._bell.ring()

    async def waits(self) -> None:
        """Wait until there is something to commit."""
        await self._bell.heard()

    def take(self) -> list[Holding]:
        """The holdings that have something to commit now."""
        candidates: Iterable[Holding] = self._register.all() if self._look_at_all else self._touched
        found = [holding for holding in candidates if holding.is_due]
        self._touched.clear()
        self._look_at_all = False
        return found
