"""The facts of a hub that every operation needs."""

from __future__ import annotations

from dataclasses import dataclass

from hubq.client.asking.owners_view import OwnersView
from hubq.config import Config
from hubq.core.classes import ClassBook
from hubq.core.hashing import shard_of
from hubq.errors import ConfigError
from hubq.store.keys import Keys
from hubq.store.membership import WIRE
from hubq.store.seal import Seal
from hubq.store.values import Values
from hubq.strategies.distribution import Distribution, DistributionTraits
from hubq.tracing import Tracing


@dataclass(frozen=True, slots=True)
class HubContext:
    """The facts of one hub. ``tracing``: None if it does not trace.

    ``values``: how it writes and reads them. ``seal``: None if it has no keys; ``client``: the name of the app.
    """

    keys: Keys
    config: Config
    classes: ClassBook
    view: OwnersView
    distribution: Distribution
    traits: DistributionTraits
    tracing: Tracing | None
    values: Values
    seal: Seal | None
    client: str

    def shard_of(self, child_id: str) -> int:
        """The shard of a child of this hub."""
        return shard_of(child_id, self.config.shards)

    def check(self, fixed: tuple[str, str], address: str) -> None:
        """:class:`~hubq.errors.ConfigError` if the hub at this address was created with other fixed settings."""
        shards, wire = fixed
        if (shards, wire) != (str(self.config.shards), WIRE):
            hub_id = self.keys.hub_id
            raise ConfigError(
                f"hub {hub_id!r} at {address} was created with shards={shards} (wire version {wire}), "
                f"not shards={self.config.shards}: the number of shards is fixed for the life of a hub; "
                f"use Hub({hub_id!r}, shards={shards}), or another hub id"
            )
