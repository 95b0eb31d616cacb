"""Hot swap: the new child is built first, the token passes with the state, the old child is disposed of last."""

from __future__ import annotations

from dataclasses import dataclass

from hubq.errors import ConfigError
from hubq.strategies.migration.protocol import Handover


@dataclass(frozen=True, slots=True)
class HotSwap:
    """Move children live. All times are seconds.

    >>> HotSwap(retention=-1)
    Traceback (most recent call last):
    hubq.errors.ConfigError: retention=-1: give seconds, 0 or more
    """

    retention: float = 5.0
    """How long a child that is busy may take to finish its message before it is cancelled, undone and moved."""

    handover: bool = True
    """Hand the state over. False: the new child starts fresh."""

    confirm_handover: bool = True
    """Keep the old children until the target says that it serves (they answer nothing meanwhile)."""

    handover_data_wait: float = 3.0
    """How long ``prepare_handover_state`` may take; all children are asked at once."""

    child_migration_timeout: float = 10.0
    """How long the target may go without building one more child of those that it was asked to build."""

    straggler_grace: float = 0.01
    """How long a busy child may hold up its neighbours."""

    def __post_init__(self) -> None:
        for name in ("retention", "handover_data_wait", "child_migration_timeout", "straggler_grace"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ConfigError(f"{name}={value!r}: give seconds, 0 or more")

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    async def handle_migration(self, handover: Handover) -> None:
        """See docs/protocol.md, section 5."""
        if not await handover.build_at_target(self.child_migration_timeout):
            return
        await handover.close_intake(self.straggler_grace)
        await handover.collect_states(self.handover_data_wait, self.handover)
        if not await handover.pass_token():
            return
        handover.follow(self.retention)
        if self.confirm_handover:
            await handover.await_confirmation(self.child_migration_timeout)
        await handover.dispose()

    async def handle_shutdown(self, handover: Handover) -> None:
        """The same: a drain is a migration of everything."""
        await self.handle_migration(handover)

    def handle_process_startups(self, target_timeout: float) -> float:
        """As long as every step of the source may take."""
        return self.child_migration_timeout + self.handover_data_wait + self.straggler_grace + target_timeout
