"""Where children live: :class:`ConsistentHashing` (default)."""

from hubq.strategies.distribution.consistent_hashing import ConsistentHashing, refuse_mapping
from hubq.strategies.distribution.protocol import ChildMapping, Distribution

__all__ = ["ChildMapping", "ConsistentHashing", "Distribution", "refuse_mapping"]
