"""Start messages: the children that they name are built and begun, and the caller is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from hubq.core.lifecycle import Life
from hubq.errors import RedisUnavailable, StartFailed
from hubq.hooks import ChildrenStart
from hubq.node.arrivals.batches import Batches
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.builder import Builder
from hubq.node.children.endings import Endings
from hubq.node.children.failed_starts import FailedStarts
from hubq.node.children.lives import Lives
from hubq.node.children.outcomes import Outcomes
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding
from hubq.node.held.strangers import Strangers
from hubq.node.mailbox.burials import Burials
from hubq.node.runtime.background import Background
from hubq.node.runtime.gate import Gate
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.node.runtime.group import Group
from hubq.node.runtime.hook_runner import HookRunner
from hubq.node.runtime.pieces import Pieces
from hubq.store.batches import read_batch
from hubq.store.codec import sendable
from hubq.store.command import Command
from hubq.store.mailbox import read_range
from hubq.store.message import Message, position
from hubq.store.outgoing import PLAIN, StartOptions
from hubq.store.registry import read_some_specs, read_texts
from hubq.store.replies import reply_line, started_payload
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import TOOK_DOWN

log = logging.getLogger("hubq.node")

UNDONE = "the all-or-nothing start it belongs to was undone"


class SendsAway(Protocol):
    """Starts children on the nodes where they are wanted."""

    async def send_away(self, holding: Holding, children: Mapping[str, SpecRecord]) -> dict[str, str]:
        """Pass these children to their nodes. The answer: the children that could not go, and why."""


@dataclass(slots=True)
class Start:
    """One start message that is being carried out."""

    holding: Holding
    message: Message
    names: list[str]
    missing: list[str]
    """The names of children that were not here when it came."""
    left_over: dict[str, bytes] = field(default_factory=dict)
    """Those among them of which an earlier child of the name has messages left, and the entry behind which these are."""
    records: dict[str, SpecRecord] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def found(self, records: Mapping[str, SpecRecord]) -> None:
        """The specs of the missing children have been read."""
        self.records.update(records)

    def undone(self) -> None:
        """It belongs to an all-or-nothing start that was undone: nothing of it begins."""
        self.records.clear()
        self.failed.update(dict.fromkeys(self.missing, UNDONE))


class Starts:
    """Carries out start messages."""

    def __init__(
        self, group: Group, background: Background, gathered: GatheredLog, hooks: HookRunner, gate: Gate,
        queue: CommitQueue, cursors: Cursors, strangers: Strangers,
        builder: Builder, burials: Burials, endings: Endings, lives: Lives, batches: Batches, wishes: Wishes, sends_away: SendsAway,
        pieces: Pieces, failed_starts: FailedStarts, outcomes: Outcomes, quiet: set[str],
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._gathered = gathered
        self._hooks = hooks
        self._gate = gate
        self._queue = queue
        self._cursors = cursors
        self._strangers = strangers
        self._builder = builder
        self._burials = burials
        self._endings = endings
        self._lives = lives
        self._batches = batches
        self._wishes = wishes
        self._sends_away = sends_away
        self._pieces = pieces
        self._failed_starts = failed_starts
        self._outcomes = outcomes
        self._quiet = quiet

    def message(self, holding: Holding, message: Message) -> None:
        """A ``start`` message: build the children it names. Their messages queue up meanwhile."""
        try:
            names = msgspec.json.decode(message.payload, type=list[str])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._burials.bury(holding, message, f"a start that names no children ({error})")
            return
        missing = [name for name in names if name not in holding.children and name not in holding.apart]
        start = Start(holding, message, names, missing)
        # Until their specs are read, the messages behind this one must wait in the mailbox.
        for name in missing:
            before = self._cursors.start_begins(holding, name, message.entry) or self._strangers.starts(holding, name)
            if before is not None and position(before) < position(message.entry):
                start.left_over[name] = before
        self._background.run(self._carry_out(start), "starting children")

    async def _carry_out(self, start: Start) -> None:
        await self._gate.opened()  # without a quorum a start waits, as every message does
        if start.holding.gone:
            return
        options = StartOptions.read(start.message.method) if start.message.method else PLAIN
        # False: the next owner of the shard reads the message again.
        if start.missing and not await self._read(start, options.batch):
            return
        if start.left_over:
            await self._refuse_left_over(start)
        if options.quiet:
            self._quiet.update(start.names)
        try:
            if start.missing and not await self._build(start):
                return
            await self._see_begun(start)
            if await start.holding.is_open():
                self._answer(start)
        finally:
            self._quiet.difference_update(start.names)

    async def _read(self, start: Start, batch: str) -> bool:
        """Read the specs. False: the shard has gone."""
        group, holding = self._group, start.holding
        marks: list[Any] = []
        commands: list[Command[Any]] = [read_some_specs(group.keys, holding.shard, start.missing)]
        if batch:
            commands += [read_texts(group.keys.batches(holding.shard)), read_batch(group.keys, batch)]
        while not holding.gone:
            try:
                records, *marks = await group.redis.run_many(commands, retry_for=group.config.lease)
                start.found(records)
                break
            except RedisUnavailable as error:  # the reader is past the message: it is not read again here
                log.warning("the start of %s waits: %s", start.message.child, error)
                await asyncio.sleep(0.2)
        if not await holding.is_open():
            return False
        if marks and batch in marks[0].values():
            self._batches.seen(holding.shard, marks[0])
            if not marks[1]:
                start.undone()  # (Batches deletes its specs)
        return True

    async def _refuse_left_over(self, start: Start) -> None:
        """Messages for a child of the same name that has ended stand before the start: they are not for the new one."""
        group, holding, end = self._group, start.holding, start.message.entry
        at = min(start.left_over.values(), key=position)
        while not holding.gone and position(at) < position(end):
            command = read_range(group.keys, holding.shard, at, end, group.config.read_count, group.opens)
            try:
                messages = await group.redis.run(command, retry_for=group.config.lease)
            except RedisUnavailable as error:
                log.warning("the start of %s waits: %s", start.message.child, error)
                await asyncio.sleep(0.2)
                continue
            if not await holding.is_open():
                return
            for message in messages:
                before = start.left_over.get(message.child)
                late = before is None or not position(before) < position(message.entry) < position(end)
                if not late and message.kind != "start":
                    self._outcomes.refuse_unknown(holding, message)
            at = messages[-1].entry if len(messages) == group.config.read_count else end

    async def _build(self, start: Start) -> bool:
        """Build and begin what is missing. False: the shard has gone."""
        holding = start.holding
        if self._hooks.wants("pre_children_start"):
            payload = ChildrenStart(self._hooks.hub_id, self._group.node_name, holding.shard, tuple(start.missing))
            await self._hooks.before("pre_children_start", payload)
            if not await holding.is_open():
                return False
        away = {
            name: record
            for name, record in start.records.items()
            if record.place and self._wishes.elsewhere(name, record)
        }
        if away:
            start.failed.update(await self._begin_elsewhere(holding, away))
            if not await holding.is_open():
                return False
        for name in start.missing:
            await self._pieces.turn()
            if not await holding.is_open():
                return False
            record = start.records.get(name)
            if record is None or name in holding.children or name in away:
                continue
            if record.place:
                holding.guide(name)
            try:
                hosted = self._builder.build(holding, name, record)
            except StartFailed as error:
                start.failed[name] = sendable(str(error))
                if name not in self._quiet:
                    self._gathered.add(logging.WARNING, name, "could not start", start.failed[name], error.__cause__)
                self._endings.forget(holding, name, record)
                continue
            holding.attach(hosted)
            self._lives.begin(hosted, None, first=True)
        return True

    async def _see_begun(self, start: Start) -> None:
        """Wait until each child has started, or could not."""
        for name in start.names:
            hosted = start.holding.children.get(name)
            if hosted is None:
                continue  # it cannot be built (see above), or it has run and ended already
            if hosted.budget is not None:
                continue  # it has started, and its run() has been started again since: that is no failed start
            await hosted.has_begun()  # it may wait for its trial
            if hosted.life is Life.STARTING:
                await hosted.at_boundary()
            if hosted.life is Life.PARKED and name not in start.failed:
                start.failed[name] = f"child {name!r} cannot start: {hosted.reason}"
                if not hosted.reason.startswith(
                    TOOK_DOWN
                ):  # a condemned child is kept: `hubq dead replay` tries it again
                    self._endings.remove(hosted)

    def _answer(self, start: Start) -> None:
        """The message is done: answer it, and let the messages of its children be read."""
        holding, message = start.holding, start.message
        holding.effects.done.setdefault(message.child, []).append(message.entry)
        if message.reply_to:
            payload = started_payload(holding.owner.line, start.failed, start.names)
            line = reply_line(message.id, "started", self._group.node_name, payload)
            holding.effects.replies.setdefault(message.reply_to, []).append(line)
        self._queue.changed()
        if message.child not in self._quiet:
            fresh = [name for name in start.missing if name not in start.failed]
            self._gathered.add_all(logging.INFO, fresh, "started")
        self._hooks.started(holding.shard, holding.owner, tuple(start.names), start.failed)
        for name in start.names:
            if name in start.failed:
                self._failed_starts.add(name, start.failed[name])
            else:
                self._failed_starts.started(name)
        # (A child may have come with its shard before its start message was read, and have been parked until then.)
        overtaken = {name for name in start.missing if not self._cursors.start_ends(holding, name, message.entry)}
        for name in (*start.missing, *(name for name in start.failed if name not in start.missing)):
            if name in holding.apart or name in overtaken:
                continue
            hosted = holding.children.get(name)
            if hosted is not None:
                self._cursors.again(hosted, message.entry)
            else:
                self._cursors.caught_up(holding, name)
                self._cursors.orphans(holding, name)

    async def _begin_elsewhere(self, holding: Holding, away: Mapping[str, SpecRecord]) -> dict[str, str]:
        """Children with a place of their own are not started here. A child that cannot start there is forgotten."""
        for name, record in away.items():
            holding.wait_for_place(name, record)
            self._cursors.caught_up(holding, name)
        failed = await self._sends_away.send_away(holding, away)
        for name in failed:
            if holding.placed(name):
                holding.take_back(name)
                self._endings.forget(holding, name, away[name])
        return failed
