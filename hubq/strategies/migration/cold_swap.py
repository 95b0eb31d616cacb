"""Cold swap: the old child is stopped, then the new one is built. It goes on from its last commit."""

from __future__ import annotations

from dataclasses import dataclass

from hubq.strategies.migration.protocol import Handover


@dataclass(frozen=True, slots=True)
class ColdSwap:
    """Stop, then start: for children of which never two may exist, not even one of them unstarted.

    >>> ColdSwap().retention
    5.0
    """

    retention: float = 5.0
    """How long a child that is busy may take to finish its message before it is cancelled, undone and moved, seconds."""

    handover_data_wait: float = 3.0
    """How long ending ``run()`` and taking the state may take, seconds."""

    straggler_grace: float = 0.01
    """How long a busy child may hold up its neighbours, seconds."""

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    async def handle_migration(self, handover: Handover) -> None:
        """Close, save, stop, and only then give the token away."""
        await handover.close_intake(self.straggler_grace)
        await handover.collect_states(self.handover_data_wait, True)
        await handover.stop_children()
        if await handover.pass_token():
            handover.follow(self.retention)
            await handover.dispose()

    async def handle_shutdown(self, handover: Handover) -> None:
        """The same."""
        await self.handle_migration(handover)

    def handle_process_startups(self, target_timeout: float) -> float:
        """Nothing is built ahead."""
        return 0.0
