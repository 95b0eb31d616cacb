"""A hub with one copy of each child: nothing is followed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from hubq.core.view import View
from hubq.node.held.holding import Holding, HostedChild
from hubq.store.envelope import Envelope
from hubq.store.owners import Owner, Owners


class NoCopies:
    """No copies (:class:`~hubq.node.copies.protocol.Copies`)."""

    def start(self) -> None:
        """There are no logs to read."""

    async def stop(self) -> None:
        """There is nothing to drop."""

    def children(self) -> list[HostedChild]:
        """None."""
        return []

    def forget_all(self) -> None:
        """There is nothing to forget."""

    def look(self, view: View, owners: Owners) -> None:
        """There is nothing to follow."""

    def unfollow(self, shard: int) -> None:
        """Nothing is followed."""

    def arriving(self, shard: int) -> AbstractContextManager[None]:
        """None would be begun."""
        return nullcontext()

    def heirs(self, desired: Mapping[int, str], view: View, owners: Mapping[int, Owner]) -> dict[int, str]:
        """None: the distribution alone says where the shards go."""
        return {}

    async def snapshots(self, shard: int) -> None:
        """Nobody follows."""

    async def take_over(self, shard: int) -> dict[str, HostedChild]:
        """No copies."""
        return {}

    def adopt(self, copy: HostedChild, saved: Envelope | None) -> bool:
        """There is no copy."""
        return False

    async def taken_over(
        self, holding: Holding, taken: Mapping[str, HostedChild], copies: Mapping[str, HostedChild]
    ) -> bool:
        """There was nothing to take over."""
        return True
