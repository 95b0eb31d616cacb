"""Objects whose changes can be waited for."""

from __future__ import annotations

import asyncio


class Changing:
    """Has a next change: one future for all that wait. It is made when the first of them comes, so that an idle child keeps none."""

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        self._changed: asyncio.Future[None] | None = None

    def tell(self) -> None:
        """It has changed: end the waits for its next change."""
        if self._changed is not None:
            if not self._changed.done():
                self._changed.set_result(None)
            self._changed = None

    def changed(self) -> asyncio.Future[None]:
        """Done at the next change. Several wait for the same future: shield it, or wait by :func:`first_of`."""
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed


async def first_of(*changes: asyncio.Future[None]) -> None:
    """Wait for the first of these changes. None of them is cancelled, since others may wait for it, too."""
    await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
