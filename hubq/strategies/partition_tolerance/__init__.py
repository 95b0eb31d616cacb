"""What a hub does when it has lost nodes: :class:`Divergence` (default, it goes on), or one of three quorums."""

from typing import TYPE_CHECKING

from hubq.strategies.at_first_use import at_first_use
from hubq.strategies.partition_tolerance.divergence import Divergence
from hubq.strategies.partition_tolerance.protocol import PartitionTolerance, PartitionTraits

if TYPE_CHECKING:
    from hubq.strategies.partition_tolerance.dynamic_quorum import DynamicQuorum
    from hubq.strategies.partition_tolerance.majority_quorum import MajorityQuorum
    from hubq.strategies.partition_tolerance.static_quorum import StaticQuorum
else:
    __getattr__ = at_first_use(
        __name__,
        {"DynamicQuorum": "dynamic_quorum", "MajorityQuorum": "majority_quorum", "StaticQuorum": "static_quorum"},
    )

__all__ = ["Divergence", "DynamicQuorum", "MajorityQuorum", "PartitionTolerance", "PartitionTraits", "StaticQuorum"]
