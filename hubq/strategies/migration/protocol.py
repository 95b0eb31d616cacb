"""What a migration strategy decides: in which order the steps of a handover are taken, and how long each may take.

The steps themselves (control messages, scripts, pins) are the node's; a strategy is given them as :class:`Handover`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hubq.strategies.traits import Traits


class Handover(Protocol):
    """One shard on its way to another node, as the source's strategy sees it."""

    shard: int
    target: str

    async def build_at_target(self, timeout: float) -> bool:
        """Have the children built there. False: no answer in time; the shard stays and serves. Those that cannot start
        there are kept here as pins.
        """

    async def close_intake(self, grace: float) -> None:
        """Start no more handlers. Children that are busy for longer than ``grace`` seconds stay as stragglers."""

    async def collect_states(self, timeout: float, handover: bool) -> None:
        """Ask all ready children for what they hand over, at once. Overdue ones are kept here as pins.
        ``handover=False``: the new children start fresh.
        """

    async def stop_children(self) -> None:
        """Call ``on_stop`` of the ready children before the token passes."""

    async def pass_token(self) -> bool:
        """The commit that changes the owner. False: the target is gone, or the shard was lost; see to nothing more."""

    async def await_confirmation(self, timeout: float) -> bool:
        """Wait until the target says that it serves."""

    def follow(self, retention: float) -> None:
        """Let each straggler follow by itself, when its message is done or its own ``retention`` is over."""

    async def dispose(self) -> None:
        """End the children here: ``on_stop("migrated")``, all at once."""


@dataclass(frozen=True, slots=True)
class MigrationTraits(Traits):
    """How the node moves what no :class:`Handover` is for: single children, stragglers, a shard that is parked.

    >>> MigrationTraits.of(object()).retention
    5.0
    """

    retention: float = 5.0
    """How long a busy child may take to finish its message, seconds."""

    handover: bool = True
    """Whether the state is handed over."""

    confirm_handover: bool = True
    """Whether the old child is kept until the target says that it serves."""

    handover_data_wait: float = 3.0
    """How long taking a state may take, seconds."""

    child_migration_timeout: float = 10.0
    """How long the target may take to build a child, seconds."""


class Migration(Protocol):
    """A migration strategy. One object serves all hubs and nodes it is given to; it keeps no state of its own.

    It may have the attributes of :class:`MigrationTraits`, too.
    """

    def init(self, hub_id: str) -> None:
        """Called when a node of the hub starts."""

    async def handle_migration(self, handover: Handover) -> None:
        """Move one shard because another node should have it."""

    async def handle_shutdown(self, handover: Handover) -> None:
        """Move one shard because this node is going away."""

    def handle_process_startups(self, target_timeout: float) -> float:
        """How long a target keeps children it has built for a handover that does not come, seconds."""
