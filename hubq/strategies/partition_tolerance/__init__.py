"""What a hub does when it has lost nodes: :class:`Divergence` (default, it goes on), or one of three quorums."""

from hubq.strategies.partition_tolerance.divergence import Divergence
from hubq.strategies.partition_tolerance.dynamic_quorum import DynamicQuorum
from hubq.strategies.partition_tolerance.majority_quorum import MajorityQuorum
from hubq.strategies.partition_tolerance.protocol import PartitionTolerance, PartitionTraits
from hubq.strategies.partition_tolerance.static_quorum import StaticQuorum

__all__ = ["Divergence", "DynamicQuorum", "MajorityQuorum", "PartitionTolerance", "PartitionTraits", "StaticQuorum"]
