"""The caller's half of an all-or-nothing start (docs/batches.md)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Collect, Fetch, Operation, Pause, Reply
from hubq.errors import HubqError
from hubq.store.batches import end_batch, open_batch, renew_batch
from hubq.store.registry import read_texts

#: How often it is looked whether the nodes have undone a batch, seconds.
LOOK = 0.05


@dataclass(frozen=True, slots=True)
class Batch:
    """One all-or-nothing start, undecided until :meth:`seal` or :meth:`undo`."""

    hub: HubContext
    name: str

    @classmethod
    def begin(cls, hub: HubContext) -> Operation[Batch]:
        """Write its record. From now on the nodes undo what is started for it, unless it is sealed in time."""
        batch = cls(hub, secrets.token_hex(8))
        yield Fetch([open_batch(hub.keys, batch.name, batch._lease_ms)])
        return batch

    @property
    def _lease_ms(self) -> int:
        return int(self.hub.config.batch_lease * 1000)

    @property
    def slice(self) -> float:
        """A batch is renewed so often while its caller waits, seconds."""
        return self.hub.config.batch_lease / 3

    def collect(self, ids: Sequence[str], timeout: float) -> Operation[dict[str, Reply]]:
        """Wait for the nodes' answers, and keep the batch undecided meanwhile."""
        replies: dict[str, Reply] = {}
        left = timeout
        try:
            while left > 0 and len(replies) < len(ids):
                waiting = [message_id for message_id in ids if message_id not in replies]
                replies |= yield from self.listen(waiting, min(self.slice, left), again=left > self.slice)
                left -= self.slice
        except HubqError:
            yield Collect(ids, 0)  # nobody waits for them any more
            raise
        return replies

    def listen(self, ids: Sequence[str], seconds: float, again: bool) -> Operation[dict[str, Reply]]:
        """Renew the batch, and wait so long for answers. ``again``: those that do not come are asked for again."""
        yield Fetch([renew_batch(self.hub.keys, self.name, self._lease_ms)])
        replies: dict[str, Reply] = yield Collect(ids, seconds, again)
        return replies

    def seal(self, shards: int) -> Operation[bool]:
        """All is well: the children stay. False: too late, they have been undone."""
        (word,) = yield Fetch([end_batch(self.hub.keys, self.name, "seal", shards)])
        return bool(word == "sealed")

    def undo(self, children: Sequence[str], timeout: float) -> Operation[bool]:
        """Undo the start. True: the nodes have undone it. False: they will do so later (no node is up, or they are slow)."""
        yield Fetch([end_batch(self.hub.keys, self.name, "undo", 0)])
        shards, left = {self.hub.shard_of(child) for child in children}, timeout
        while shards and left > 0:
            marks = yield Fetch([read_texts(self.hub.keys.batches(shard)) for shard in shards])
            shards = {shard for shard, found in zip(shards, marks, strict=True) if self.name in found.values()}
            if shards:
                yield Pause(LOOK)
                left -= LOOK
        return not shards
