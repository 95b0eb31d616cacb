"""The facts of a hub that every operation needs."""

from __future__ import annotations

from dataclasses import dataclass

from hubq.client.asking.owners_view import OwnersView
from hubq.config import Config
from hubq.core.classes import ClassBook
from hubq.core.hashing import ShardsAtHand, checked_child_id, shard_of
from hubq.core.layout import group_of, shards_of
from hubq.errors import ConfigError
from hubq.store.keys import Keys
from hubq.store.membership import groups_of_wire, wire_of
from hubq.store.moves import why_nobody_begins
from hubq.store.seal import Seal
from hubq.store.values import Values
from hubq.strategies.distribution import Distribution, DistributionTraits
from hubq.tracing import Tracing


@dataclass(frozen=True, slots=True)
class HubContext:
    """The facts of one hub, or of one of its groups. ``tracing``: None if it does not trace.

    ``values``: how it writes and reads them. ``seal``: None if it has no keys; ``client``: the name of the app. ``shards_at_hand``: of
    all groups. ``groups``: of a hub
    with several groups, the facts of each; the keys of the hub itself are then in no Redis. Else empty.
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
    shards_at_hand: ShardsAtHand
    group: int = 0
    groups: tuple[HubContext, ...] = ()

    @property
    def shards(self) -> range:
        """The shards that these keys are about."""
        return shards_of(self.group, 1 if self.groups else self.config.groups, self.config.shards)

    @property
    def wire(self) -> str:
        """The version of everything in this Redis, and which group of how many it is."""
        return wire_of(self.group, self.config.groups)

    def group_of(self, child_id: str) -> int:
        """The group of a child of this hub. Raises :class:`~hubq.errors.InvalidChildId`."""
        return group_of(self.shard_of(checked_child_id(child_id)), self.config.groups)

    def is_mine(self, child_id: str) -> bool:
        """Whether this child is in this group."""
        return self.group_of(child_id) == self.group

    def of_shard(self, shard: int) -> HubContext:
        """The facts of the group that this shard is in."""
        return self.groups[group_of(shard, self.config.groups)] if self.groups else self

    def of_child(self, child_id: str) -> HubContext:
        """The facts of the group that this child is in. Raises :class:`~hubq.errors.InvalidChildId`."""
        return self.groups[self.group_of(child_id)] if self.groups else self

    def shard_of(self, child_id: str) -> int:
        """The shard of a child of this hub."""
        return shard_of(child_id, self.config.shards)

    def check(self, fixed: tuple[str, str], address: str) -> None:
        """:class:`~hubq.errors.ConfigError` if the hub at this address was created with other fixed settings."""
        check_fixed(self.keys.hub_id, self.config, self.group, fixed, address)


def check_fixed(hub_id: str, config: Config, group: int, fixed: tuple[str, str], address: str) -> None:
    """:class:`~hubq.errors.ConfigError` if this group of the hub was created with other fixed settings."""
    shards, wire = fixed
    if why := why_nobody_begins(hub_id, wire):
        raise ConfigError(f"hub {hub_id!r} at {address}: {why}")
    groups = groups_of_wire(wire)
    if groups not in (0, config.groups):
        raise ConfigError(
            f"hub {hub_id!r} at {address} was created with groups={groups}, not groups={config.groups}: the number of groups "
            f"is fixed for the life of a hub; use Hub({hub_id!r}, groups={groups}), or another hub id"
        )
    if (shards, wire) != (str(config.shards), wire_of(group, config.groups)):
        raise ConfigError(
            f"hub {hub_id!r} at {address} was created with shards={shards} (wire version {wire}), "
            f"not shards={config.shards}: the number of shards is fixed for the life of a hub; "
            f"use Hub({hub_id!r}, shards={shards}), or another hub id"
        )
