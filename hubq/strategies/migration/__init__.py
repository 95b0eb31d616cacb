"""How children move: :class:`HotSwap` (default) and :class:`ColdSwap`."""

from hubq.strategies.migration.cold_swap import ColdSwap
from hubq.strategies.migration.hot_swap import HotSwap
from hubq.strategies.migration.protocol import Migration, MigrationTraits

__all__ = ["ColdSwap", "HotSwap", "Migration", "MigrationTraits"]
