"""The watches over shards that were taken over after a crash (docs/poison.md): which keys ``shard:<n>:tries`` should have gone by now."""

from __future__ import annotations

import time

from hubq.store.command import plain
from hubq.store.owners import Owners, read_owners
from hubq.store.tries import Watch, read_tries

from .parts import Part, Parts

#: How long a watch may stay when its messages are done, on the same node and without another crash, seconds. Normally 3. The node's loop
#: may be blocked for 20, and before that starts may have been tried one at a time.
LONGEST = 40.0


class Watches:
    """The watched shards of one group, and since when each of them has nothing left to watch for."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._since: dict[int, tuple[object, float]] = {}

    def under_way(self, now: float) -> set[str]:
        """The keys of the watches that may be there at ``now`` (seconds): their messages wait, or were done a short while ago."""
        owners, watches = self._read()
        waiting = self._waiting(watches)
        for shard, watch in watches.items():
            owner = owners.shards.get(shard)
            stands = watch.crashes, None if owner is None else (owner.node, owner.incarnation)
            if shard in waiting or self._since.get(shard, (None, 0.0))[0] != stands:
                self._since[shard] = stands, now
        self._since = {shard: since for shard, since in self._since.items() if shard in watches}
        return {self._part.keys.tries(shard) for shard, (_, since) in self._since.items() if now - since <= LONGEST}

    def _read(self) -> tuple[Owners, dict[int, Watch]]:
        part = self._part
        found = part.redis.run_many([read_tries(part.keys, shard) for shard in part.shards])
        watches = {shard: watch for shard, watch in zip(part.shards, found, strict=True) if watch is not None}
        return part.redis.run(read_owners(part.keys)), watches

    def _waiting(self, watches: dict[int, Watch]) -> set[int]:
        """The shards in which a message of the time before the crash is left."""
        part = self._part
        asked = [
            plain("XRANGE", part.keys.mailbox(shard), "-", "-".join(map(str, watch.until)), "COUNT", 1, read=len)
            for shard, watch in watches.items()
        ]
        return {shard for shard, left in zip(watches, part.redis.run_many(asked), strict=True) if left}


def wait_until_unwatched(parts: Parts, within: float) -> list[str]:
    """Wait until no shard is watched any more; one line for each that still is after so many seconds. Call it when no message waits."""
    until = time.monotonic() + within
    while left := [key for part in parts.all for key in _watched(part)]:
        if time.monotonic() > until:
            return [f"{key} is there {within:g} s after the last message: nobody ends that watch" for key in left]
        time.sleep(0.1)
    return []


def _watched(part: Part) -> list[str]:
    keys = [part.keys.tries(shard) for shard in part.shards]
    there = part.redis.run_many([plain("EXISTS", key, read=int) for key in keys])
    return [key for key, is_there in zip(keys, there, strict=True) if is_there]
