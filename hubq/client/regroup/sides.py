"""The hub as it was, and as it shall be: the groups of each, with a connection to each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple

from hubq.client.hub import Hub
from hubq.core.hashing import shard_of
from hubq.core.layout import group_of
from hubq.store.connection import Server, SyncRedis
from hubq.store.keys import Keys


class SideGroup(NamedTuple):
    """One group of a side."""

    number: int
    keys: Keys
    redis: SyncRedis
    shards: range


class Side:
    """One of the two. Used as a context, it closes its connections at the end."""

    def __init__(self, hub: Hub, connect: Callable[[Server], SyncRedis] = SyncRedis) -> None:
        self._connect = connect
        self.hub = hub
        self._stack = ExitStack()
        self.groups = tuple(
            SideGroup(context.group, context.keys, self._open(server), context.shards)
            for context, server in zip(hub.groups.contexts, hub.groups.servers, strict=True)
        )

    def _open(self, server: Server) -> SyncRedis:
        redis = self._connect(server)
        self._stack.callback(redis.close)
        return redis

    def of_shard(self, shard: int) -> int:
        """The group of a shard."""
        return group_of(shard, len(self.groups))

    def of_child(self, child: str) -> int:
        """The group of a child."""
        return self.of_shard(shard_of(child, self.hub.config.shards))

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
