"""What every operation needs to know of its hub."""

from __future__ import annotations

from dataclasses import dataclass, field

from hubq.client.asking.owners_view import OwnersView
from hubq.config import Config
from hubq.core.classes import ClassBook
from hubq.core.hashing import shard_of
from hubq.store.keys import Keys
from hubq.strategies.distribution import ConsistentHashing, Distribution


@dataclass(frozen=True, slots=True)
class HubContext:
    """What the operations need to know of a hub."""

    keys: Keys
    config: Config
    classes: ClassBook
    view: OwnersView
    distribution: Distribution = field(default_factory=ConsistentHashing)

    def shard_of(self, child_id: str) -> int:
        """The shard of a child of this hub."""
        return shard_of(child_id, self.config.shards)
