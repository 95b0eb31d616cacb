"""Whether this hub may handle messages at all: closed while it has no quorum."""

from __future__ import annotations

import asyncio

from hubq.node.runtime.standing import Standing


class Gate:
    """Open in a hub that needs no quorum; else as the node's last look at the hub says."""

    def __init__(self, standing: Standing, *, closed: bool) -> None:
        self._standing = standing
        self._open = asyncio.Event()
        if not closed:
            self._open.set()

    @property
    def closed(self) -> bool:
        """Whether nothing may begin."""
        return not self._open.is_set()

    def close(self) -> None:
        """Let nothing begin from now on."""
        self._open.clear()

    def open(self) -> None:
        """Let things begin again."""
        self._open.set()

    async def opened(self) -> None:
        """Wait until things may begin."""
        await self._open.wait()

    def may_handle(self) -> bool:
        """Whether a handler may start now: under a lease that is trusted, in a hub with a quorum."""
        return self._open.is_set() and self._standing.trusted()
