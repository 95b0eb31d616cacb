"""Where children live: :class:`ConsistentHashing` (default), :class:`Guided`, :class:`CentralizedLoadBalancer`."""

from typing import TYPE_CHECKING

from hubq.strategies.at_first_use import at_first_use
from hubq.strategies.distribution.consistent_hashing import ConsistentHashing, refuse_mapping
from hubq.strategies.distribution.protocol import Balancing, ChildMapping, Distribution, DistributionTraits

if TYPE_CHECKING:
    from hubq.strategies.distribution.centralized_load_balancer import CentralizedLoadBalancer
    from hubq.strategies.distribution.guided import Guided
else:
    __getattr__ = at_first_use(__name__, {"CentralizedLoadBalancer": "centralized_load_balancer", "Guided": "guided"})

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
