"""The groups of the hub of a run, each with its keys and a connection to where it lives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from hubq import Hub
from hubq.core.layout import shards_of
from hubq.store.command import Command, plain
from hubq.store.connection import SyncRedis
from hubq.store.events import read_events
from hubq.store.keys import Keys


@dataclass(frozen=True, slots=True)
class Part:
    """One group."""

    group: int
    groups: int
    keys: Keys
    shards: range
    redis: SyncRedis

    def events(self) -> Iterator[tuple[float, dict[str, str]]]:
        """Its events, with when they were written: seconds since the epoch (Redis is on this machine)."""
        after = "0"
        while events := self.redis.run(read_events(self.keys, after, 1000)):
            yield from ((int(entry.partition("-")[0]) / 1000, fields) for entry, fields in events)
            after = events[-1][0]

    def in_mailboxes(self) -> dict[int, int]:
        """How many messages wait in each shard."""
        return self._lengths({shard: [self.keys.mailbox(shard)] for shard in self.shards})

    def in_outboxes(self) -> dict[int, int]:
        """How many messages of its children to others wait in each shard."""
        others = [group for group in range(self.groups) if group != self.group]
        return self._lengths({
            shard: [self.keys.outbox(shard), *(self.keys.far_keys(shard, group)[0] for group in others)]
            for shard in self.shards
        })  # fmt: skip

    def _lengths(self, names: dict[int, list[str]]) -> dict[int, int]:
        asked: list[Command[int]] = [plain("XLEN", name, read=int) for of in names.values() for name in of]
        lengths = iter(self.redis.run_many(asked))
        waiting = {shard: sum(next(lengths) for _ in of) for shard, of in names.items()}
        return {shard: count for shard, count in waiting.items() if count}


class Parts:
    """All groups of one hub."""

    def __init__(self, hub: Hub) -> None:
        groups, shards = hub.config.groups, hub.config.shards
        self.all = [
            Part(group, groups, Keys(hub.hub_id, group, groups), shards_of(group, groups, shards), SyncRedis(server))
            for group, server in enumerate(hub.groups.servers)
        ]

    def event_counts(self) -> Counter[str]:
        """How many events of each type there are (the streams are capped)."""
        return Counter(fields["type"] for part in self.all for _, fields in part.events())

    def close(self) -> None:
        """Close the connections."""
        for part in self.all:
            part.redis.close()
