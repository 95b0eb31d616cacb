"""Where children live: :class:`ConsistentHashing` (default), :class:`Guided`, :class:`CentralizedLoadBalancer`."""

from hubq.strategies.distribution.centralized_load_balancer import CentralizedLoadBalancer
from hubq.strategies.distribution.consistent_hashing import ConsistentHashing, refuse_mapping
from hubq.strategies.distribution.guided import Guided
from hubq.strategies.distribution.protocol import Balancing, ChildMapping, Distribution, DistributionTraits

__all__ = [
    "Balancing",
    "CentralizedLoadBalancer",
    "ChildMapping",
    "ConsistentHashing",
    "Distribution",
    "DistributionTraits",
    "Guided",
    "refuse_mapping",
]
