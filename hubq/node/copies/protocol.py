"""What the other parts of a node ask of its copies."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from hubq.core.view import View
from hubq.node.held.holding import Holding, HostedChild
from hubq.store.envelope import Envelope
from hubq.store.owners import Owner, Owners


class Copies(Protocol):
    """Copies that a node keeps: :class:`~hubq.node.copies.replicas.Replicas`, or, in a hub with one copy of each child,
    :class:`~hubq.node.copies.none.NoCopies`.
    """

    def start(self) -> None:
        """Begin to read the logs."""

    async def stop(self) -> None:
        """Read no more, and drop the copies."""

    def children(self) -> list[HostedChild]:
        """The copies on this node."""

    def forget_all(self) -> None:
        """This node was evicted: nothing that it has read counts any more."""

    # -- what to follow --------------------------------------------------------------------------------------------

    def look(self, view: View, owners: Owners) -> None:
        """Follow what should be followed by this view of the hub, and nothing else."""

    def unfollow(self, shard: int) -> None:
        """Follow a shard no more; its copies here end. Nothing, if it is not followed."""

    def arriving(self, shard: int) -> AbstractContextManager[None]:
        """The shard is coming here as the original: no copies of it are begun meanwhile."""

    def heirs(self, desired: Mapping[int, str], view: View, owners: Mapping[int, Owner]) -> dict[int, str]:
        """Where the shards go whose owners have died, or are leaving: to the followers that the strategy prefers."""

    # -- for others who follow -------------------------------------------------------------------------------------

    async def snapshots(self, shard: int) -> None:
        """A follower of a shard here has come: tell it the states that ``msk`` does not hold."""

    # -- taking over -----------------------------------------------------------------------------------------------

    async def take_over(self, shard: int) -> dict[str, HostedChild]:
        """This node has claimed the shard: the copies, each as the last commit has left it."""

    def adopt(self, copy: HostedChild, saved: Envelope | None) -> bool:
        """Whether a copy may go on as the original: it has the state of ``msk``, or can be given it."""

    async def taken_over(
        self, holding: Holding, taken: Mapping[str, HostedChild], copies: Mapping[str, HostedChild]
    ) -> bool:
        """Start the copies that are the originals now, and end the others. Call before the holding opens, if there are
        copies. False: another node owns the shard by now; nothing was started.
        """
