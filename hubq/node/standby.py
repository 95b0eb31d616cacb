"""A node that has claimed a shard goes on from its copies (docs/protocol.md, section 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hubq.core.lifecycle import Life
from hubq.core.replication import place_in_stream
from hubq.errors import RedisUnavailable
from hubq.node.holding import Cell, Holding
from hubq.node.replica import Replica
from hubq.node.state import ATTRIBUTES, envelope_of, lay_state
from hubq.store.effects import Effects
from hubq.store.envelope import Envelope
from hubq.store.mailbox import read_range
from hubq.store.replica_log import read_last_number, read_log

if TYPE_CHECKING:
    from hubq.node.parts import Parts
    from hubq.node.replicas import Replicas

#: Log entries, or messages, taken in one read.
COUNT = 500
#: How long a take-over waits for messages in hand of a copy whose state is in ``msk`` anyhow, seconds.
PATIENCE = 1.0


class Standby:
    """Makes originals of copies."""

    def __init__(self, parts: Parts, replicas: Replicas) -> None:
        self._parts = parts
        self._replicas = replicas

    async def take_over(self, shard: int) -> dict[str, Cell]:
        """This node has claimed the shard: the copies, each as the last commit has left it. (Nobody commits any more.)"""
        parts = self._parts
        replica = self._replicas.shards.get(shard)
        if replica is None:
            return {}
        cells: list[Cell] = []
        copies: dict[str, Cell] = {}
        async with replica.lock:
            if replica.reading and self._replicas.shards.get(shard) is replica:
                whole = True
                while whole:
                    last, entries = await parts.redis.run_many(
                        [
                            read_last_number(parts.keys, shard),
                            read_log(parts.keys, shard, replica.position.entry, COUNT),
                        ],
                        retry_for=parts.config.lease,
                    )
                    whole = await self._replicas.copies.take_in(replica, entries)
                    if len(entries) < COUNT:
                        whole = whole and replica.position.number >= last
                        break
                copies = dict(replica.holding.cells) if whole else {}
            cells = self._replicas.forget(shard)
        await self._settle(replica, copies)
        left = [cell for cell in cells if copies.get(cell.child_id) is not cell]
        parts.supervisor.background(self._replicas.copies.dispose(left), f"dropping copies of shard {shard}")
        self._replicas.say_goodbye(shard)
        return copies

    async def _settle(self, replica: Replica, copies: dict[str, Cell]) -> None:
        """Let the copies finish what they have in hand; those that cannot are taken from ``msk`` if it has their state."""
        saver = self._parts.supervisor.saver
        replica.holding.lost, replica.holding.open = False, self._replicas.copies.active_active
        working = [cell for cell in copies.values() if cell.queue or cell.busy is not None]
        if working:
            for cell in working:  # what was closed for a moment is not taken up again by itself
                self._parts.dispatcher.resume(cell)
            waits = [asyncio.ensure_future(saver.drained(cell)) for cell in working]
            _, late = await asyncio.wait(waits, timeout=PATIENCE)
            for wait in late:
                wait.cancel()
        replica.holding.open = False
        for cell in list(copies.values()):
            late_one = bool(cell.queue) or cell.busy is not None
            if late_one and cell.kind.durability == "interval":
                # What it has not handled yet is in the mailbox still, or in the state in ``msk`` (see ``adopt``).
                cell.queue = None
                if cell.busy is not None:
                    cell.busy.cancel()
                    await saver.boundary(cell)
            elif (
                (late_one and cell.kind.durability == "commit")
                or cell.child_id in replica.waiting
                or cell.child_id in replica.doubted
                or cell.life not in (Life.BUILT, Life.RUNNING)
            ):
                del copies[cell.child_id]

    def adopt(self, cell: Cell, saved: Envelope | None) -> bool:
        """Whether a copy may go on as the original: it is what ``msk`` says, or can be made so."""
        if cell.kind.durability != "commit":
            if saved is not None and place_in_stream(saved.cursor) > place_in_stream(cell.cursor):
                return False  # it was slow: what it has not handled yet is in msk, and in no mailbox any more
            cell.saved = False
            return True  # the copy is newer than msk
        if saved is None:
            return cell.boundary is None or not cell.saved
        if saved.form != ATTRIBUTES:
            return False
        if cell.boundary != saved.data:
            lay_state(cell, saved.data)
        cell.boundary, cell.saved, cell.cursor = saved.data, True, saved.cursor
        return True

    async def taken_over(self, holding: Holding, taken: Mapping[str, Cell], copies: Mapping[str, Cell]) -> bool:
        """Start the copies that are the originals now, and end the others. Call before the holding opens. False: somebody
        else owns the shard by now; nothing was started.
        """
        parts = self._parts
        await self._replicas.copies.dispose([cell for child, cell in copies.items() if child not in taken])
        newer = [cell for cell in taken.values() if cell.kind.durability != "commit" and cell.boundary is not None]
        if newer and not await self._save(holding, newer):
            return False
        for cell in taken.values():
            if cell.life is Life.BUILT:
                parts.supervisor.begin(cell, None)
            else:
                parts.supervisor.goes_on(cell)  # a copy, too, may lack what an owner before the last one answered
                parts.supervisor.began(cell)
        return True

    async def _save(self, holding: Holding, cells: list[Cell]) -> bool:
        """Copies that are newer than ``msk``: save them, and delete the messages they hold. False: fenced.

        Nothing else has these states: it is tried for as long as the shard may be ours.
        """
        parts = self._parts
        effects = Effects()
        for cell in cells:
            assert cell.boundary is not None
            effects.states[cell.child_id] = envelope_of(cell, cell.boundary)
        held = {c.child_id: place_in_stream(c.cursor) for c in cells if c.kind.durability == "interval"}
        at, last = b"0", max(held.values(), default=(0, 0))
        until = f"{last[0]}-{last[1]}".encode()
        while last > (0, 0):
            command = read_range(parts.keys, holding.shard, at, until, COUNT)
            messages = await parts.redis.run(command, retry_for=parts.config.lease)
            for message in messages:
                if message.kind in ("call", "cast") and place_in_stream(message.entry.decode()) <= held.get(
                    message.child, (0, 0)
                ):
                    effects.done.setdefault(message.child, []).append(message.entry)
            if len(messages) < COUNT:
                break
            at = messages[-1].entry
        while True:
            try:
                word = await parts.committer.commit(holding, effects)
                break
            except RedisUnavailable:  # and the lease is in doubt: it may be renewed yet
                if parts.incarnation != holding.owner.incarnation:
                    raise
            await parts.committer.renew([holding])  # what was sent must not arrive late; returns when Redis answers
        if word != "ok" or parts.incarnation != holding.owner.incarnation:
            return False
        for cell in cells:
            cell.saved = True
        return True
