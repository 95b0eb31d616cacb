"""Whether what was committed has reached enough replicas of Redis (``wait_replicas``)."""

from __future__ import annotations

from typing import Protocol

from hubq.errors import NotReplicated
from hubq.node.runtime.group import Group
from hubq.store.replication import confirmed, shortfall


class Confirmation(Protocol):
    """Awaited before a wait for a commit ends."""

    async def confirm(self) -> NotReplicated | None:
        """The error if too few replicas have it."""


class NoConfirmation:
    """A commit is done when Redis has it (``wait_replicas=0``)."""

    async def confirm(self) -> NotReplicated | None:
        """There is nothing to wait for."""
        return None


class ReplicaConfirmation:
    """Waits for Redis's replicas."""

    def __init__(self, group: Group) -> None:
        self._group = group

    async def confirm(self) -> NotReplicated | None:
        """Redis counts all that was written on this node's connection, and so the commit."""
        config = self._group.config
        return shortfall(await confirmed(self._group.redis, config), config, "committed")
