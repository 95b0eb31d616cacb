"""Applies the entries of a shard's log to the copies of its children (docs/protocol.md, section 7)."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from hubq.core.lifecycle import Life, LifeEvent
from hubq.core.malformed import Malformed
from hubq.errors import RedisUnavailable, StartFailed, Unreadable, Unsealed
from hubq.node.children.builder import Builder
from hubq.node.children.endings import Endings
from hubq.node.children.pumps import Pumps
from hubq.node.children.signals import Signals
from hubq.node.copies.laying import CopyStates
from hubq.node.copies.replica import Replica
from hubq.node.held.holding import HostedChild
from hubq.node.held.state import overrides, restore
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.node.runtime.malformed import MalformedReports
from hubq.node.runtime.pieces import Pieces
from hubq.store.connection import LOST
from hubq.store.envelope import Envelope
from hubq.store.message import Message
from hubq.store.registry import read_some_specs, read_some_states
from hubq.store.replica_log import MALFORMED, LogEntry, LogItem
from hubq.store.spec_record import SpecRecord

log = logging.getLogger("hubq.node")


class LogApplier:
    """Builds copies, and makes them follow their originals."""

    def __init__(
        self, group: Group, background: Background, builder: Builder, signals: Signals, endings: Endings, pumps: Pumps,
        states: CopyStates, reports: MalformedReports, pieces: Pieces, *, active_active: bool,
    ) -> None:  # fmt: skip
        self.active_active = active_active
        self._group = group
        self._background = background
        self._builder = builder
        self._signals = signals
        self._endings = endings
        self._pumps = pumps
        self._states = states
        self._pieces = pieces
        self._reports = reports

    async def dispose(self, copies: Iterable[HostedChild], reason: str = "replica") -> None:
        """End copies: with ``on_stop`` where there was an ``on_start``."""
        begun: list[HostedChild] = []
        for hosted in copies:
            if hosted.life is Life.RUNNING:
                begun.append(hosted)
            elif hosted.life is not Life.ENDED:
                hosted.moved(LifeEvent.END)
        await self._endings.dispose(begun, reason)

    # -- building --------------------------------------------------------------------------------------------------

    async def build(self, replica: Replica, child: str, record: SpecRecord, envelope: Envelope | None) -> None:
        """Build a copy of one child, with the state of its envelope."""
        holding = replica.holding
        try:
            hosted = self._builder.build(holding, child, record)
            if envelope is not None:
                restore(hosted, envelope)
                replica.holds_until(child, envelope.cursor)
        except Exception as error:
            reason = error if isinstance(error, StartFailed) else f"its state cannot be restored: {error!r}"
            log.warning("no copy of child %s on %s: %s", child, self._group.node_name, reason)
            return
        holding.attach(hosted)
        if not self.active_active:
            await self._signals.announce([hosted], "passive")
            return
        hosted.moved(LifeEvent.RESTORED)
        if overrides(hosted.kind, "on_start") or self._signals.hears(hosted):
            self._background.run(self._start(hosted), f"starting the copy of child {child}")
        else:
            hosted.moved(LifeEvent.STARTED)

    async def _start(self, hosted: HostedChild) -> None:
        """``on_start`` of a copy; its messages queue up meanwhile."""
        child = hosted.child_id
        try:
            assert hosted.instance is not None
            await self._pieces.turn()
            await hosted.instance.on_start()
            await self._signals.announce([hosted], "active")
        except Exception as error:
            log.warning("no copy of child %s on %s: on_start raised %r", child, self._group.node_name, error)
            if hosted.holding.children.get(child) is hosted:
                hosted.holding.detach(child)
            return
        if hosted.life is Life.STARTING:
            hosted.moved(LifeEvent.STARTED)
            self._pumps.resume(hosted)

    # -- entries of the log ----------------------------------------------------------------------------------------

    async def take_in(self, replica: Replica, entries: Iterable[LogEntry]) -> bool:
        """Apply entries of the log to the copies. False: an entry is missing, and the follower must begin anew.

        Nothing more is applied once the replica has ended: the shard may be here as the original by then.
        """
        try:
            return await self._take_in(replica, entries)
        except (*LOST, RedisUnavailable, Unreadable, Unsealed) as error:
            log.warning("a copy of shard %d could not be kept up: %s", replica.shard, error)
            return False

    async def _take_in(self, replica: Replica, entries: Iterable[LogEntry]) -> bool:
        saved: set[str] = set()
        for entry in entries:
            await self._pieces.turn()
            if replica.holding.gone:
                return True
            judged = replica.position.judge(entry.number)
            if judged == "gap":
                return False
            if judged == "seen":
                replica.position.read(replica.position.number, entry.id)
                continue
            replica.position.read(entry.number, entry.id)
            item = entry.item
            if item.kind == MALFORMED:
                replica.position.read(replica.position.number, entry.id)
                self._reports.report(Malformed(f"entry {entry.id} of the log of shard {replica.shard}", item.word))
                continue
            hosted = replica.holding.children.get(item.child)
            if item.kind == "start":
                await self._started(replica, item.child, item.word)
            elif item.kind == "end":
                if hosted is not None and hosted.record.start_id == item.word:
                    self._ended(replica, hosted)
                    saved.discard(item.child)
            elif item.kind == "saved":
                saved.add(item.child)
            elif item.kind == "state" and hosted is not None:
                saved.discard(item.child)
                replica.knows(item.child)
                self._state(replica, hosted, item.payload)
            elif item.kind == "message" and hosted is not None and item.child not in replica.waiting:
                self._message(replica, hosted, item)
        if saved:
            await self._read_saved(replica, sorted(saved))
        return True

    def _message(self, replica: Replica, hosted: HostedChild, item: LogItem) -> None:
        if replica.is_next(item.child, item.entry) and item.word == "ok":
            config = self._group.config
            payload, seal = item.payload, self._group.seal
            if seal is not None:
                payload = seal.opens_by_workers(payload, "log", item.child, item.entry, item.method)
            message = Message(item.entry.encode(), "cast", item.child, item.method, "0", "", 0, payload)
            self._pumps.offer(hosted, message)
            replica.queued(hosted, config.queue_limit, config.queue_bytes)

    async def _started(self, replica: Replica, child: str, start_id: str) -> None:
        known = replica.holding.children.get(child)
        if known is not None:
            if known.record.start_id == start_id:
                return
            self._ended(replica, known)
        group, shard = self._group, replica.shard
        specs, states = await group.redis.run_many(
            [read_some_specs(group.keys, shard, [child]), read_some_states(group.keys, shard, [child])],
            retry_for=group.config.lease,
        )
        if replica.holding.gone:  # nobody would end a copy that is built now
            return
        if child in specs and specs[child].start_id == start_id:
            # A child that is new here may have a state: it was parked until now, for example.
            await self.build(replica, child, specs[child], Envelope.read(states[child]) if child in states else None)

    def _ended(self, replica: Replica, hosted: HostedChild) -> None:
        replica.forget(hosted.child_id)

        async def end() -> None:
            await hosted.has_drained()
            await self.dispose([hosted], "stopped")

        self._background.run(end(), f"ending the copy of child {hosted.child_id}")

    async def _read_saved(self, replica: Replica, children: list[str]) -> None:
        group = self._group
        command = read_some_states(group.keys, replica.shard, children)
        states = await group.redis.run(command, retry_for=group.config.lease)
        for child in children:
            await self._pieces.turn()
            if replica.holding.gone:
                return
            replica.knows(child)
            hosted = replica.holding.children.get(child)
            if hosted is not None and child in states:
                self._state(replica, hosted, states[child])

    def _state(self, replica: Replica, hosted: HostedChild, envelope: bytes) -> None:
        read = Envelope.read(envelope)
        if read.malformed:
            raise Unreadable(f"the state of child {hosted.child_id}: {read.malformed}")
        replica.holds_until(hosted.child_id, read.cursor)
        if self.active_active:
            # Queued like a message, behind the messages that came before it.
            self._pumps.offer(hosted, Message(b"0", "state", hosted.child_id, "", "0", "", 0, envelope))
        else:
            self._states.lay(hosted, read)
