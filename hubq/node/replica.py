"""The copies of one followed shard, and what the entries of its log do to them (docs/protocol.md, section 7)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hubq.core.lifecycle import Life, LifeEvent
from hubq.core.replication import LogPosition, place_in_stream
from hubq.errors import RedisUnavailable, StartFailed
from hubq.node.holding import Cell, Holding
from hubq.node.recorder import Silence
from hubq.node.state import ATTRIBUTES, lay_state, overrides, restore
from hubq.store.connection import LOST
from hubq.store.envelope import Envelope
from hubq.store.mailbox import Message
from hubq.store.owners import Owner
from hubq.store.registry import read_some_specs, read_some_states
from hubq.store.replica_log import LogEntry
from hubq.store.spec_record import SpecRecord

if TYPE_CHECKING:
    from hubq.node.parts import Parts

log = logging.getLogger("hubq.node")


class Replica:
    """One shard that this node follows."""

    def __init__(self, shard: int, owner: str) -> None:
        self.shard = shard
        self.owner = owner
        self.apart: frozenset[str] = frozenset()  # nodes that hold children of the shard as pins
        self.holding = Holding(shard, Owner("-", 0, 0))
        self.holding.recorder = Silence()
        self.holding.replica = True
        self.position = LogPosition(0, "0")
        self.reading = False  # built; entries of the log are taken in
        self.waiting: set[str] = set()  # children whose state the primary has been asked for: there is none here yet
        self.doubted: set[str] = set()  # the same; what is here may be old (another primary)
        self.full: set[Cell] = set()  # copies with as many messages in hand as there may be
        self.queued: dict[str, tuple[int, int]] = {}  # child -> the last message that was queued here
        self.reported = (0, False, 0.0)
        self.lock = asyncio.Lock()  # entries are taken in one batch after the other

    @property
    def ready(self) -> bool:
        """Whether every child's copy is as the last entry read has left it (but for messages in hand)."""
        return self.reading and not self.waiting and not self.doubted


class Copies:
    """Builds copies, and does to them what was done to their originals."""

    def __init__(self, parts: Parts, active_active: bool) -> None:
        self.active_active = active_active
        self._parts = parts

    async def dispose(self, cells: Iterable[Cell], reason: str = "replica") -> None:
        """End copies: with ``on_stop`` where there was an ``on_start``."""
        begun: list[Cell] = []
        for cell in cells:
            if cell.life is Life.RUNNING:
                begun.append(cell)
            elif cell.life is not Life.ENDED:
                cell.moved(LifeEvent.END)
        await self._parts.supervisor.endings.dispose(begun, reason)

    async def build(self, replica: Replica, child: str, record: SpecRecord, envelope: Envelope | None) -> None:
        """A copy of one child, as its envelope says."""
        supervisor, holding = self._parts.supervisor, replica.holding
        try:
            cell = supervisor.build(holding, child, record)
            if envelope is not None:
                restore(cell, envelope)
                replica.queued[child] = place_in_stream(envelope.cursor)
                if envelope.form == ATTRIBUTES:
                    cell.boundary, cell.saved = envelope.data, True
        except Exception as error:
            reason = error if isinstance(error, StartFailed) else f"its state cannot be restored: {error!r}"
            log.warning("no copy of child %s on %s: %s", child, self._parts.node_name, reason)
            return
        holding.cells[child] = cell
        if not self.active_active:
            await supervisor.announce([cell], "passive")
            return
        cell.moved(LifeEvent.RESTORED)
        if overrides(cell.kind, "on_start") or supervisor.hears(cell):
            supervisor.background(self._start(cell), f"starting the copy of child {child}")
        else:
            cell.moved(LifeEvent.STARTED)

    async def _start(self, cell: Cell) -> None:
        """``on_start`` of a copy; its messages queue up meanwhile."""
        try:
            assert cell.instance is not None
            await cell.instance.on_start()
            await self._parts.supervisor.announce([cell], "active")
        except Exception as error:
            log.warning("no copy of child %s on %s: on_start raised %r", cell.child_id, self._parts.node_name, error)
            if cell.holding.cells.get(cell.child_id) is cell:
                del cell.holding.cells[cell.child_id]
            return
        if cell.life is Life.STARTING:
            cell.moved(LifeEvent.STARTED)
            self._parts.dispatcher.resume(cell)

    async def take_in(self, replica: Replica, entries: Iterable[LogEntry]) -> bool:
        """Do to the copies what the entries say was done to the originals. False: something is missing, begin anew."""
        try:
            return await self._apply(replica, entries)
        except (*LOST, RedisUnavailable) as error:
            log.warning("a copy of shard %d could not be kept up: %s", replica.shard, error)
            return False

    async def _apply(self, replica: Replica, entries: Iterable[LogEntry]) -> bool:
        saved: set[str] = set()
        for entry in entries:
            judged = replica.position.judge(entry.number)
            if judged == "gap":
                return False
            if judged == "seen":
                continue
            replica.position.read(entry.number, entry.id)
            item, cell = entry.item, replica.holding.cells.get(entry.item.child)
            if item.kind == "start":
                await self._started(replica, item.child, item.word)
            elif item.kind == "end":
                if cell is not None and cell.record.start_id == item.word:
                    self._ended(replica, cell)
                    saved.discard(item.child)
            elif item.kind == "saved":
                saved.add(item.child)
            elif item.kind == "state" and cell is not None:
                saved.discard(item.child)
                replica.waiting.discard(item.child)
                replica.doubted.discard(item.child)
                self._state(replica, cell, item.payload)
            elif item.kind == "message" and cell is not None and item.child not in replica.waiting:
                place = place_in_stream(item.entry)
                if place > replica.queued.get(item.child, (0, 0)):
                    replica.queued[item.child] = place
                    if item.word == "ok":
                        message = Message(
                            item.entry.encode(), "cast", item.child, item.method, "0", "", 0, item.payload
                        )
                        self._parts.dispatcher.offer(cell, message)
                        config, queue = self._parts.config, cell.queue
                        if queue and (len(queue) >= config.queue_limit or queue.bytes >= config.queue_bytes):
                            replica.full.add(cell)
        if saved:
            await self._read_saved(replica, sorted(saved))
        return True

    async def _started(self, replica: Replica, child: str, start_id: str) -> None:
        known = replica.holding.cells.get(child)
        if known is not None:
            if known.record.start_id == start_id:
                return
            self._ended(replica, known)
        parts = self._parts
        specs, states = await parts.redis.run_many(
            [read_some_specs(parts.keys, replica.shard, [child]), read_some_states(parts.keys, replica.shard, [child])],
            retry_for=parts.config.lease,
        )
        if child in specs and specs[child].start_id == start_id:
            # A child that was parked until now, say, is new here and has a state.
            await self.build(replica, child, specs[child], Envelope.read(states[child]) if child in states else None)

    def _ended(self, replica: Replica, cell: Cell) -> None:
        supervisor = self._parts.supervisor
        replica.holding.cells.pop(cell.child_id, None)
        replica.queued.pop(cell.child_id, None)
        replica.waiting.discard(cell.child_id)
        replica.doubted.discard(cell.child_id)

        async def end() -> None:
            await supervisor.saver.drained(cell)
            await self.dispose([cell], "stopped")

        supervisor.background(end(), f"ending the copy of child {cell.child_id}")

    async def _read_saved(self, replica: Replica, children: list[str]) -> None:
        parts = self._parts
        command = read_some_states(parts.keys, replica.shard, children)
        states = await parts.redis.run(command, retry_for=parts.config.lease)
        for child in children:
            replica.waiting.discard(child)
            replica.doubted.discard(child)
            cell = replica.holding.cells.get(child)
            if cell is not None and child in states:
                self._state(replica, cell, states[child])

    def _state(self, replica: Replica, cell: Cell, envelope: bytes) -> None:
        replica.queued[cell.child_id] = place_in_stream(Envelope.read(envelope).cursor)
        if self.active_active:
            # In its turn: behind the messages that came before it.
            self._parts.dispatcher.offer(cell, Message(b"0", "state", cell.child_id, "", "0", "", 0, envelope))
        else:
            self.lay(cell, Envelope.read(envelope))

    def lay(self, cell: Cell, envelope: Envelope) -> None:
        """Make a copy what the envelope says."""
        try:
            if envelope.form == ATTRIBUTES:
                lay_state(cell, envelope.data)
                cell.boundary, cell.saved, cell.cursor = envelope.data, True, envelope.cursor
            else:
                fresh = self._parts.supervisor.build(cell.holding, cell.child_id, cell.record)
                cell.instance, cell.boundary = fresh.instance, None
                assert cell.instance is not None
                cell.instance._host = cell
                restore(cell, envelope)
        except Exception as error:
            log.warning("the copy of child %s cannot take its state: %r", cell.child_id, error)
            cell.holding.cells.pop(cell.child_id, None)
