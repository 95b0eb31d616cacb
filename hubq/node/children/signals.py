"""Which copy of a child is the active one, and how children hear of it (``on_redundancy_signal``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from inspect import isawaitable

from hubq.config import Config
from hubq.core.lifecycle import Life
from hubq.node.held.holding import HostedChild
from hubq.node.held.state import overrides
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.standing import Standing
from hubq.node.runtime.tasks import torn_down

log = logging.getLogger("hubq.node")


class Signals:
    """Tells children that they become active, or passive.

    ``heard``: the changes that the hub's ``redundancy_signal`` asks for. ``all_active``: every copy is active
    (``replication_model="active_active"``).
    """

    def __init__(
        self, standing: Standing, config: Config, heard: frozenset[str], all_active: bool, pieces: Pieces
    ) -> None:
        self._standing = standing
        self._config = config
        self._heard = heard
        self._all_active = all_active
        self._pieces = pieces

    @property
    def follow_trust(self) -> bool:
        """Whether children are told when the lease of their node is not trusted any more."""
        return bool(self._heard) and not self._all_active

    def active(self, hosted: HostedChild) -> bool:
        """Whether this copy is active right now."""
        holding = hosted.holding
        mine = holding.active and not holding.gone and not holding.is_copy
        return self._all_active or (mine and self._standing.trusted())

    def hears(self, hosted: HostedChild) -> bool:
        """Whether the child wants to be told when it becomes active or passive."""
        return bool(self._heard) and overrides(hosted.kind, "on_redundancy_signal")

    async def announce(self, hosteds: Iterable[HostedChild], mode: str) -> None:
        """Tell these copies that they are active, or passive, now; all at once."""
        heard = mode in self._heard
        told = [hosted for hosted in hosteds if heard and hosted.instance is not None and self.hears(hosted)]
        await asyncio.gather(*(self._signal(hosted, mode) for hosted in told))

    async def _signal(self, hosted: HostedChild, mode: str) -> None:
        assert hosted.instance is not None
        await self._pieces.turn()
        if hosted.life is Life.ENDED:  # meanwhile; another copy of the child may have heard something else since
            return
        try:
            async with asyncio.timeout(self._config.stop_timeout):
                answer = hosted.instance.on_redundancy_signal(mode)
                if isawaitable(answer):
                    await answer
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if torn_down(error):
                raise
            log.warning("on_redundancy_signal(%r) of child %s raised", mode, hosted.child_id, exc_info=error)
