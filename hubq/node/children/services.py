"""What a child can ask of its node: ``self.commit()``, ``self.stop()`` and ``self.redundancy_mode``."""

from __future__ import annotations

from hubq.node.children.endings import Endings
from hubq.node.children.saver import Saver
from hubq.node.children.signals import Signals
from hubq.node.held.holding import HostedChild


class ChildServices:
    """``Services`` of :mod:`hubq.node.held.holding`."""

    def __init__(self, node_name: str, signals: Signals, saver: Saver, endings: Endings) -> None:
        self.node_name = node_name
        self._signals = signals
        self._saver = saver
        self._endings = endings

    def active(self, hosted: HostedChild) -> bool:
        """Whether this copy is the active one right now."""
        return self._signals.active(hosted)

    async def commit(self, hosted: HostedChild) -> None:
        """``await self.commit()`` of a child."""
        await self._saver.commit_child(hosted)

    def stop(self, hosted: HostedChild) -> None:
        """``self.stop()`` of a child."""
        self._endings.stop_requested(hosted)
