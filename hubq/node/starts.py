"""Start messages: the children they name are built and begun, and whoever asked is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from hubq.core.lifecycle import Life
from hubq.errors import RedisUnavailable, StartFailed
from hubq.hooks import ChildrenStart
from hubq.node.holding import Holding
from hubq.store.batches import read_batch
from hubq.store.codec import sendable
from hubq.store.command import Command
from hubq.store.mailbox import PLAIN, Message, StartOptions, reply_line, started_payload
from hubq.store.registry import read_some_specs, read_texts
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import TOOK_DOWN

if TYPE_CHECKING:
    from hubq.node.supervisor import Supervisor

log = logging.getLogger("hubq.node")


class Starts:
    """The start messages of a node."""

    elsewhere: Callable[[str, SpecRecord], bool]  # set by the node, like the next
    send_away: Callable[[Holding, Mapping[str, SpecRecord]], Awaitable[dict[str, str]]]

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def message(self, holding: Holding, message: Message) -> None:
        """A ``start`` message: build the children it names. Their messages queue up meanwhile."""
        names: list[str] = msgspec.json.decode(message.payload)
        missing = [name for name in names if name not in holding.cells and name not in holding.excluded]
        # Until their specs are read, the messages behind this one must wait in the mailbox.
        for name in missing:
            holding.behind[name] = message.entry
        self._supervisor.background(self._answer(holding, message, names, missing), "starting children")

    async def _answer(self, holding: Holding, message: Message, names: list[str], missing: list[str]) -> None:
        supervisor = self._supervisor
        await supervisor.runs.intake.wait()  # without a quorum a start waits, as every message does
        if holding.lost:
            return
        failed: dict[str, str] = {}
        records: dict[str, SpecRecord] = {}
        marks: list[Any] = []
        options = StartOptions.read(message.method) if message.method else PLAIN
        if missing:
            commands: list[Command[Any]] = [read_some_specs(supervisor.keys, holding.shard, missing)]
            if options.batch:
                commands += [
                    read_texts(supervisor.keys.batches(holding.shard)),
                    read_batch(supervisor.keys, options.batch),
                ]
            while not holding.lost:
                try:
                    records, *marks = await supervisor.redis.run_many(commands, retry_for=supervisor.config.lease)
                    break
                except RedisUnavailable as error:  # the reader is past the message: nobody else here brings it again
                    log.warning("the start of %s waits: %s", message.child, error)
                    await asyncio.sleep(0.2)
            if not await self._open_again(holding):
                return  # whoever owns the shard next reads the message again
            if marks and options.batch in marks[0].values():
                supervisor.marked(holding.shard, marks[0])
                if not marks[1]:
                    # It is undone already: nothing of it begins, and its specs are seen to by those who watch batches.
                    records, failed = {}, dict.fromkeys(missing, "the all-or-nothing start it belongs to was undone")
        if options.quiet:
            supervisor.quiet.update(names)
        try:
            await self._begin(holding, message, names, missing, records, failed)
        finally:
            supervisor.quiet.difference_update(names)

    async def _begin(
        self,
        holding: Holding,
        message: Message,
        names: list[str],
        missing: list[str],
        records: dict[str, SpecRecord],
        failed: dict[str, str],
    ) -> None:
        supervisor = self._supervisor
        if missing:
            if supervisor.hooks.wants("pre_children_start"):
                payload = ChildrenStart(supervisor.hooks.hub_id, supervisor.node_name, holding.shard, tuple(missing))
                await supervisor.hooks.before("pre_children_start", payload)
                if not await self._open_again(holding):
                    return
            away = {name: record for name, record in records.items() if record.place and self.elsewhere(name, record)}
            if away:
                failed |= await self._begin_elsewhere(holding, away)
                if not await self._open_again(holding):
                    return
            for name in missing:
                if name in records and name not in holding.cells and name not in away:
                    if records[name].place:
                        holding.guided.add(name)
                    try:
                        cell = supervisor.build(holding, name, records[name])
                    except StartFailed as error:
                        failed[name] = sendable(str(error))
                        supervisor.endings.forget(holding, name, records[name])
                        continue
                    holding.cells[name] = cell
                    supervisor.begin(cell, None, first=True)
        for name in names:
            cell_or_none = holding.cells.get(name)
            if cell_or_none is None:
                continue  # it cannot be built (see above), or it has run and ended already
            cell = cell_or_none
            if cell.budget is not None:
                continue  # it has started, and its run() has been started again since: that is no failed start
            while cell.life is Life.BUILT and not holding.lost:  # noqa: ASYNC110  (it waits for its trial: rare)
                await asyncio.sleep(0.02)
            if cell.life is Life.STARTING:
                await supervisor.saver.boundary(cell)
            if cell.life is Life.PARKED and name not in failed:
                failed[name] = f"child {name!r} cannot start: {cell.reason}"
                if not cell.reason.startswith(TOOK_DOWN):  # that one is kept: `hubq dead replay` tries it again
                    supervisor.endings.remove(cell)
        if not await self._open_again(holding):
            return
        holding.effects.done.setdefault(message.child, []).append(message.entry)
        if message.reply_to:
            line = reply_line(message.id, "ok", supervisor.node_name, started_payload(holding.owner.line, failed))
            holding.effects.replies.setdefault(message.reply_to, []).append(line)
        supervisor.changed()
        supervisor.hooks.started(holding, tuple(names), failed)
        for name in missing:
            cell_or_none = holding.cells.get(name)
            if name in holding.excluded:
                continue
            if cell_or_none is not None:
                supervisor.read_again(cell_or_none, message.entry)
            else:
                holding.behind.pop(name, None)
                supervisor.read_orphans(holding, name)

    async def _begin_elsewhere(self, holding: Holding, away: Mapping[str, SpecRecord]) -> dict[str, str]:
        """Children with a place of their own are not started here; one that cannot start there either is forgotten."""
        for name, record in away.items():
            holding.excluded.add(name)
            holding.unplaced[name] = record
            holding.behind.pop(name, None)
        failed = await self.send_away(holding, away)
        for name in failed:
            if holding.unplaced.pop(name, None) is not None:
                holding.excluded.discard(name)
                self._supervisor.endings.forget(holding, name, away[name])
        return failed

    async def _open_again(self, holding: Holding) -> bool:
        """Wait out a handover of the shard. False: it has gone; True: it is (still, or again) open here."""
        while not holding.open and not holding.lost:  # noqa: ASYNC110  (rare, and short)
            await asyncio.sleep(0.02)
        return not holding.lost
