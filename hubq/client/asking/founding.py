"""A hub with several groups is looked at as a whole before a group of it is new: is what is there where it belongs?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubq.client.asking.context import HubContext
from hubq.core.layout import primary_of
from hubq.errors import ConfigError
from hubq.store.command import Command
from hubq.store.connection import AsyncRedis, Server, SyncRedis
from hubq.store.membership import read_config

#: By which group's connection which groups are looked for.
Look = Mapping[int, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Founding:
    """The groups of a hub, and the server of each. ``primaries``: how many plain ones were given, 0 for a cluster."""

    contexts: Sequence[HubContext]
    servers: Sequence[Server]
    primaries: int

    def _look(self) -> Look:
        """On a cluster each group can be in one place only. On plain primaries each may be on any."""
        every = range(len(self.contexts))
        if not self.primaries:
            return {group: [group] for group in every}
        return dict.fromkeys(range(self.primaries), every)

    def _commands(self, groups: Sequence[int]) -> list[Command[Any]]:
        return [read_config(self.contexts[group].keys) for group in groups]

    def _judge(self, via: int, groups: Sequence[int], found: Sequence[Any]) -> None:
        for group, fixed in zip(groups, found, strict=True):
            if fixed is None:
                continue
            context, server = self.contexts[group], self.servers[via]
            context.check(fixed, server.address)
            if self.primaries and primary_of(group, self.primaries) != via:
                right = primary_of(group, self.primaries)
                raise ConfigError(
                    f"group {group} of hub {context.keys.hub_id!r} is at {server.address}, which was given as primary {via + 1} of "
                    f"{self.primaries}, and is looked for at primary {right + 1}: give the primaries as they were given when the hub "
                    "was created, in that order"
                )

    def check(self) -> None:
        """:class:`~hubq.errors.ConfigError` if the hub was created with other settings, or on primaries in another order.

        Raises :class:`~hubq.errors.RedisUnavailable`.
        """
        for via, groups in self._look().items():
            redis = SyncRedis(self.servers[via])
            try:
                self._judge(via, groups, redis.run_many(self._commands(groups)))
            finally:
                redis.close()

    async def check_async(self) -> None:
        """The same, awaiting."""
        for via, groups in self._look().items():
            redis = AsyncRedis(self.servers[via])
            try:
                self._judge(via, groups, await redis.run_many(self._commands(groups)))
            finally:
                await redis.close()
