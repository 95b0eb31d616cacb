"""How many nodes have a copy of each child, and what the copies do."""

from typing import TYPE_CHECKING

from hubq.strategies.at_first_use import at_first_use
from hubq.strategies.redundancy.protocol import Redundancy
from hubq.strategies.redundancy.singularity import Singularity

if TYPE_CHECKING:
    from hubq.strategies.redundancy.replication import Replication
else:
    __getattr__ = at_first_use(__name__, {"Replication": "replication"})

__all__ = ["Redundancy", "Replication", "Singularity"]
