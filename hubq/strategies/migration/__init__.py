"""How children move: :class:`HotSwap` (default) and :class:`ColdSwap`."""

from typing import TYPE_CHECKING

from hubq.strategies.at_first_use import at_first_use
from hubq.strategies.migration.hot_swap import HotSwap
from hubq.strategies.migration.protocol import Migration, MigrationTraits

if TYPE_CHECKING:
    from hubq.strategies.migration.cold_swap import ColdSwap
else:
    __getattr__ = at_first_use(__name__, {"ColdSwap": "cold_swap"})

__all__ = ["ColdSwap", "HotSwap", "Migration", "MigrationTraits"]
