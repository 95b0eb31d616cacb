"""How many nodes have a copy of each child, and what the copies do."""

from hubq.strategies.redundancy.protocol import Redundancy
from hubq.strategies.redundancy.replication import Replication
from hubq.strategies.redundancy.singularity import Singularity

__all__ = ["Redundancy", "Replication", "Singularity"]
