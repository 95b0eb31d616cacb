"""The target side of a handover, and every other way in which a shard comes to this node."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from hubq.core.handover import TARGET, Target, TargetEvent
from hubq.core.messages import ChildStartResp, Handover, HandoverConfirmed, PinReleased, StartChildren
from hubq.errors import StartFailed
from hubq.hooks import ChildrenMigrated, ProcessStartups
from hubq.node.holding import Cell, Holding
from hubq.store.codec import sendable
from hubq.store.control import send_control
from hubq.store.owners import Owner, read_owners
from hubq.store.places import read_pin_owners, read_pins_epoch
from hubq.store.registry import read_some_specs, read_specs, read_state, read_states, read_texts
from hubq.store.tries import TOOK_DOWN, read_tries

if TYPE_CHECKING:
    from hubq.node.parts import Parts
    from hubq.store.envelope import Envelope
    from hubq.store.spec_record import SpecRecord

log = logging.getLogger("hubq.node")

#: Children are built this many at a time, so that the node goes on serving meanwhile.
BUILD_BATCH = 16

#: How long a ``handover`` message may lag behind ``owners`` before the shard is adopted without it, seconds.
MESSAGE_PATIENCE = 0.5


class Intake:
    """Shards that are coming to this node: built ahead, then adopted once the token is here."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._ahead: dict[int, dict[str, Cell]] = {}
        self._single: dict[tuple[int, str], Cell] = {}  # children built ahead to be pinned here
        self._building = asyncio.Lock()
        self._states: dict[int, Target] = {}
        self._adopting: dict[int, Holding] = {}
        self._early: dict[tuple[int, str], PinReleased] = {}  # pins that went while their shard was being adopted
        self._expected: dict[int, float] = {}  # seen in ``owners`` before the ``handover`` message, since when

    def forget_all(self) -> None:
        """Drop what was built ahead, and what is being adopted (the node was evicted)."""
        for holding in self._adopting.values():
            holding.lost = True
        self._ahead.clear()
        self._single.clear()
        self._states.clear()
        self._adopting.clear()
        self._early.clear()
        self._expected.clear()

    def _moved(self, shard: int, event: TargetEvent) -> None:
        after = TARGET.next(self._states.get(shard, Target.ABSENT), event)
        if after in (Target.ABSENT, Target.SERVING):
            self._states.pop(shard, None)
        else:
            self._states[shard] = after

    # -- before the token ------------------------------------------------------------------------------------------

    async def start_children(self, message: StartChildren) -> None:
        """``start_children``: build them, and say which cannot be built."""
        parts, shard = self._parts, message.shard
        if not message.child:
            if not TARGET.allows(self._states.get(shard, Target.ABSENT), TargetEvent.START_CHILDREN):
                return
            self._moved(shard, TargetEvent.START_CHILDREN)
        try:
            built, failed, reasons = await self._build(message)
        except BaseException:
            if not message.child and self._states.get(shard) is Target.BUILDING:
                self._states.pop(shard)
            raise
        if not message.child and self._states.get(shard) is Target.BUILDING:
            self._ahead[shard] = built
            self._moved(shard, TargetEvent.BUILT)
            patience = parts.migration.handle_process_startups(parts.config.lease)
            asyncio.get_running_loop().call_later(patience, self._overdue, shard, built)
        if message.child:
            self._keep_single(shard, built)
        answer = ChildStartResp(parts.node_name, shard, message.handover_id, "\n".join(failed), "\n".join(reasons))
        await parts.redis.run(send_control(parts.keys, message.sender, answer), retry_for=2.0)

    def _keep_single(self, shard: int, built: dict[str, Cell]) -> None:
        for child, cell in built.items():
            self._single[shard, child] = cell

        def overdue() -> None:
            for child, cell in built.items():
                if self._single.get((shard, child)) is cell:
                    del self._single[shard, child]

        patience = self._parts.migration.handle_process_startups(self._parts.config.lease)
        asyncio.get_running_loop().call_later(patience, overdue)

    def take_ahead(self, shard: int, child: str, start_id: str) -> Cell | None:
        """A child that was built ahead to be pinned here."""
        cell = self._single.pop((shard, child), None)
        return cell if cell is not None and cell.record.start_id == start_id else None

    async def _build(self, message: StartChildren) -> tuple[dict[str, Cell], list[str], list[str]]:
        parts, shard = self._parts, message.shard
        if message.child:
            names = message.child.split("\n")
            specs = await parts.redis.run(read_some_specs(parts.keys, shard, names), retry_for=2.0)
        else:
            specs = await parts.redis.run(read_specs(parts.keys, shard), retry_for=2.0)
        nowhere = Holding(shard, Owner("-", 0, 0))
        built: dict[str, Cell] = {}
        failed: list[str] = []
        reasons: list[str] = []
        # One shard after another: several at once would take a turn of the event loop each, and a shard whose token has
        # come, whose children pause, would wait for all of them.
        async with self._building:
            for number, (child, record) in enumerate(specs.items()):
                try:
                    built[child] = parts.supervisor.build(nowhere, child, record)
                except StartFailed as error:
                    log.error("shard %d: %s", shard, error)
                    failed.append(child)
                    reasons.append(" ".join(sendable(str(error)).split()))
                    parts.supervisor.event("child_start_failed", shard=shard, child=child, reason=str(error))
                if number % BUILD_BATCH == BUILD_BATCH - 1:
                    await asyncio.sleep(0)
        return built, failed, reasons

    def _overdue(self, shard: int, built: dict[str, Cell]) -> None:
        if self._ahead.get(shard) is built and self._states.get(shard) is Target.READY:
            log.warning("shard %d was announced but did not come: its children are dropped again", shard)
            del self._ahead[shard]
            self._moved(shard, TargetEvent.OVERDUE)

    def reserve(self, holding: Holding) -> None:
        """Adopt this shard from nowhere until :meth:`release`. (If the node is evicted meanwhile, the holding is lost.)"""
        self._adopting[holding.shard] = holding

    def release(self, holding: Holding) -> None:
        """It may be adopted again."""
        if self._adopting.get(holding.shard) is holding:
            del self._adopting[holding.shard]

    # -- with the token --------------------------------------------------------------------------------------------

    def coming(self, shard: int) -> bool:
        """Whether the shard is being adopted right now, or its ``handover`` can be expected any moment."""
        if shard in self._adopting:
            return True
        if shard not in self._states:
            return False
        now = self._parts.now()
        return now < self._expected.setdefault(shard, now) + MESSAGE_PATIENCE

    async def handed_over(self, message: Handover) -> None:
        """``handover``: the token is here."""
        parts = self._parts
        owner = Owner(parts.node_name, parts.incarnation, message.token)
        await self.adopt(message.shard, owner, message)
        while message.shard in self._adopting:  # noqa: ASYNC110  (adopted from ``owners`` at the same moment)
            await asyncio.sleep(0.005)
        held = parts.supervisor.holdings.get((message.shard, None))
        if held is not None and held.owner.incarnation == owner.incarnation and held.owner.token >= owner.token:
            confirmed = HandoverConfirmed(parts.node_name, message.shard, message.handover_id)
            await parts.redis.run(send_control(parts.keys, message.sender, confirmed), retry_for=1.0)

    async def adopt(self, shard: int, owner: Owner, handover: Handover | None = None, *, claimed: bool = False) -> None:
        """Serve a shard whose token this node has: states from ``msk``, messages from the first one left.

        ``claimed``: its owner was lost, so that copies kept here are as good as the original.
        """
        parts = self._parts
        held = parts.supervisor.holdings.get((shard, None))
        if shard in self._adopting or owner.token <= parts.tokens.get(shard, 0) or (held and not held.lost):
            return
        holding = self._adopting[shard] = Holding(shard, owner)
        self._forget_early(holding)
        self._expected.pop(shard, None)
        began = parts.now()
        try:
            self._moved(shard, TargetEvent.HANDOVER)
            copies: dict[str, Cell] = {}
            if parts.replicas is not None:
                if claimed:
                    copies = await parts.replicas.standby.take_over(shard)
                elif shard in parts.replicas.shards:
                    parts.replicas.unfollow(shard)
            # Owners first: a pin that is released between the reads is then only welcomed a little later.
            owners, wishes, specs, states, parked, watch, marks = await parts.redis.run_many(
                [
                    read_owners(parts.keys),
                    read_pins_epoch(parts.keys),
                    read_specs(parts.keys, shard),
                    read_states(parts.keys, shard),
                    read_texts(parts.keys.parked(shard)),
                    read_tries(parts.keys, shard),
                    read_texts(parts.keys.batches(shard)),
                ],
                retry_for=parts.config.lease,
            )
            await parts.places.refresh(wishes)
            if holding.lost:
                await self._drop(holding, copies)  # so was everything, meanwhile: the node was evicted
                return
            if owners.shards.get(shard) != owner or owner.incarnation != parts.incarnation:
                self._moved(shard, TargetEvent.FENCED)
                await self._drop(holding, copies)
                return
            first = owner.token == 1 and shard not in parts.tokens  # nobody has ever had it
            parts.tokens[shard] = owner.token
            holding.recorder = parts.recorder
            holding.excluded = set(owners.pinned(shard))
            holding.watch = watch
            later: list[tuple[Cell, Envelope | None]] = []
            ahead = self._ahead.pop(shard, {})
            taken: dict[str, Cell] = {}  # copies that go on as the originals
            for number, (child, record) in enumerate(specs.items()):
                if child in holding.excluded:
                    continue
                if record.place:
                    holding.guided.add(child)
                if parts.places.elsewhere(child, record):
                    holding.excluded.add(child)
                    holding.unplaced[child] = record
                    continue
                if (reason := parked.get(child, "")).startswith(TOOK_DOWN):
                    holding.cells[child] = parts.supervisor.build_parked(holding, child, record, reason)
                    continue
                copy = copies.get(child)
                if copy is not None and copy.record.start_id == record.start_id:
                    assert parts.replicas is not None
                    if parts.replicas.standby.adopt(copy, states.get(child)):
                        copy.holding = holding
                        holding.cells[child] = taken[child] = copy
                        if child in parked:
                            holding.effects.parked[child] = ""
                        continue
                cell = ahead.get(child)
                if cell is None or cell.record.start_id != record.start_id:
                    try:
                        async with parts.trials.building(holding, child):
                            cell = parts.supervisor.build(holding, child, record)
                    except StartFailed as error:
                        holding.cells[child] = parts.supervisor.build_parked(holding, child, record, str(error))
                        continue
                cell.holding = holding
                holding.cells[child] = cell
                if child in parked:
                    holding.effects.parked[child] = ""
                if watch is not None and watch.careful:
                    later.append((cell, states.get(child)))
                else:
                    parts.supervisor.begin(cell, states.get(child), first=first)
                if number % 128 == 127:
                    await asyncio.sleep(0)
                if holding.lost:
                    break
            standby = parts.replicas.standby if parts.replicas is not None and copies and not holding.lost else None
            if standby is not None and not await standby.taken_over(holding, taken, copies) and not holding.lost:
                holding.lost = True
                self._moved(shard, TargetEvent.FENCED)
                parts.supervisor.event("fenced", shard=shard, child="")
                parts.kick()
            if holding.lost:
                await self._drop(holding, copies)
                return
            holding.open = True
            parts.hold(holding)
            parts.batches.seen(shard, marks)
            self._moved(shard, TargetEvent.RESTORED)
        except BaseException:
            if self._adopting.get(shard) is holding:
                self._states.pop(shard, None)
                if parts.tokens.get(shard) == owner.token:
                    parts.tokens[shard] = owner.token - 1  # so that the next heartbeat tries again
            raise
        finally:
            if self._adopting.get(shard) is holding:
                del self._adopting[shard]
            self._forget_early(holding)
        for cell in list(holding.cells.values()):
            parts.dispatcher.resume(cell)
        if watch is not None:
            parts.supervisor.background(parts.trials.watch(holding, later), f"watching shard {shard}")
        await parts.wake()
        fields: dict[str, object] = {"shard": shard, "children": len(holding.cells), "token": owner.token}
        pause = max(0.0, parts.redis_now_ms() - handover.closed_at) if handover is not None else 0.0
        self._tell(holding, handover, restored=len(states), seconds=parts.now() - began, pause=pause / 1000)
        if handover is not None:
            parts.counters.moved_in += 1
            parts.counters.pauses.add(pause / 1000, len(holding.cells))
            fields |= {"source": handover.sender, "seconds": f"{parts.now() - began:.4f}", "pause_ms": f"{pause:.2f}"}
            parts.supervisor.event("shard_migrated", **fields)
        else:
            parts.counters.taken_over += 1
            parts.supervisor.event("shard_adopted", **fields)
        parts.committer.changed()
        if holding.excluded or holding.unbuilt:
            parts.kick()  # a pin may have gone while we were busy; who cannot run here may run elsewhere

    def _forget_early(self, holding: Holding) -> None:
        for shard, child in list(self._early):
            if shard == holding.shard and child not in holding.excluded:
                del self._early[shard, child]

    async def _drop(self, holding: Holding, copies: dict[str, Cell]) -> None:
        """The shard is not ours, after all: end what was built for it, and what it was to be built from."""
        cells = dict.fromkeys([*holding.cells.values(), *copies.values()])
        await self._parts.supervisor.endings.dispose(cells, "fenced")

    def _tell(
        self, holding: Holding, handover: Handover | None, *, restored: int, seconds: float, pause: float
    ) -> None:
        hooks, shard = self._parts.hooks, holding.shard
        hooks.intake(shard, True, "adopted")
        if not holding.cells:
            return
        if hooks.wants("process_startups"):
            served = ProcessStartups(hooks.hub_id, hooks.node, shard, tuple(holding.cells), restored)
            hooks.fire("process_startups", served)
        if hooks.wants("child_process_pid_update"):
            hooks.pids_updated(holding, tuple(holding.cells), "claimed" if handover is None else "migrated")
        if handover is not None and hooks.wants("children_migrated"):
            moved = ChildrenMigrated(
                hooks.hub_id, hooks.node, shard, handover.sender, hooks.node, tuple(holding.cells), seconds, pause
            )
            hooks.fire("children_migrated", moved)

    # -- pins that return ------------------------------------------------------------------------------------------

    async def pin_released(self, message: PinReleased) -> None:
        """``pin_released``: a straggler returns to its shard."""
        if message.shard in self._adopting:
            self._early[message.shard, message.child] = message  # it may not be known yet that it had a pin
        await self.welcome(message.shard, message.child, message.closed_at, message.sender)

    async def welcome(
        self, shard: int, child: str, closed_at: float = 0.0, source: str = "", *, stay: bool = False
    ) -> None:
        """A child whose pin is gone is built here, and its messages are read from the first one left; unless it is wanted
        elsewhere (and ``stay`` is not given).
        """
        parts = self._parts
        holding = parts.supervisor.holdings.get((shard, None))
        if holding is None or child not in holding.excluded:
            return  # whoever adopts the shard sees that the pin is gone
        began = parts.now()
        owner = holding.owner
        pins, wishes, specs, state, watch = await parts.redis.run_many(
            [
                read_pin_owners(parts.keys, shard, [child]),
                read_pins_epoch(parts.keys),
                read_some_specs(parts.keys, shard, [child]),
                read_state(parts.keys, shard, child),
                read_tries(parts.keys, shard),
            ],
            retry_for=parts.config.lease,
        )
        await parts.places.refresh(wishes)
        if pins or holding.owner != owner or child in holding.leaving or child in holding.unplaced:
            return  # this news is old: it has been passed on meanwhile
        if holding.lost or child not in holding.excluded:
            return
        if holding.moving and not holding.open:
            return  # it leaves this minute; the next owner sees that the pin is gone
        if child in specs:
            if specs[child].place:
                holding.guided.add(child)
            if not stay and parts.places.elsewhere(child, specs[child]):
                holding.unplaced[child] = specs[child]
                parts.kick()
                return
        if watch is not None and holding.watch is None:
            parts.supervisor.background(parts.trials.watch(holding), f"watching shard {shard}")
        holding.watch = watch
        holding.excluded.discard(child)
        parts.reader.fresh(shard)
        if not self.bring(holding, child, specs.get(child), state):
            return
        early = self._early.pop((shard, child), None)
        if early is not None and not closed_at:
            closed_at, source = early.closed_at, early.sender
        if closed_at:
            pause = max(0.0, parts.redis_now_ms() - closed_at)
            parts.counters.moved_in += 1
            parts.counters.pauses.add(pause / 1000)
            parts.supervisor.event("child_migrated", shard=shard, child=child, source=source, pause_ms=f"{pause:.2f}")
            if parts.hooks.wants("children_migrated"):
                hub_id, node = parts.hooks.hub_id, parts.node_name
                seconds = parts.now() - began
                moved = ChildrenMigrated(hub_id, node, shard, source, node, (child,), seconds, pause / 1000)
                parts.hooks.fire("children_migrated", moved)
        parts.hooks.pids_updated(holding, (child,), "released")

    def bring(self, holding: Holding, child: str, record: SpecRecord | None, state: Envelope | None) -> bool:
        """Build one child in a shard that is served already; its messages are read from the first one left."""
        supervisor = self._parts.supervisor
        if record is None:
            supervisor.read_orphans(holding, child)
            return False
        try:
            cell = supervisor.build(holding, child, record)
        except StartFailed as error:
            holding.cells[child] = supervisor.build_parked(holding, child, record, str(error))
            self._parts.kick()
            return False
        holding.cells[child] = cell
        holding.effects.parked[child] = ""  # if it could not run before, it can here
        supervisor.begin(cell, state)
        self._parts.reader.again(cell)
        self._parts.committer.changed()
        return True
