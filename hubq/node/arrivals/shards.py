"""How a shard comes: handed over, found in ``owners``, claimed, or built anew after a move that failed.

A shard that is handed over comes at once, since its children pause. Shards that nobody serves come one after the other:
the first one is open after a part of the time that all of them need.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from hubq.core.handover import TargetEvent
from hubq.core.messages import Handover
from hubq.errors import RedisRefused
from hubq.node.arrivals.account import Account
from hubq.node.arrivals.ahead import AheadBuilt
from hubq.node.arrivals.batches import Batches
from hubq.node.arrivals.entrance import Coming, Entrance
from hubq.node.arrivals.under_way import UnderWay
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.endings import Endings
from hubq.node.children.pausing import Pausing
from hubq.node.children.pumps import Pumps
from hubq.node.copies.protocol import Copies
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.due_times import DueTimes
from hubq.node.held.holding import Holding, HostedChild, Recorder
from hubq.node.held.register import Register
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.group import Group
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.shared import Shared
from hubq.node.trials.starts import StartTrials
from hubq.store.command import Command
from hubq.store.dormant import count_dormant, read_next_expiry
from hubq.store.owners import Owner, Owners, read_owners
from hubq.store.pauses import read_pauses_number
from hubq.store.places import read_pins_epoch, read_shard_owners
from hubq.store.registry import read_specs, read_states, read_texts
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import read_tries

log = logging.getLogger("hubq.node")

#: Shards that nobody serves are read so many at a time: more of them would only wait in memory until they are built.
READ_AT_ONCE = 16


class ShardArrivals:
    """Serves shards whose token this node has."""

    def __init__(
        self, group: Group, events: EventLog, register: Register, queue: CommitQueue,
        plan_due: Bell, recorder: Recorder, pumps: Pumps, endings: Endings, trials: StartTrials, copies: Copies, pieces: Pieces,
        under_way: UnderWay, ahead: AheadBuilt, wishes: Wishes, batches: Batches, entrance: Entrance, account: Account, expiries: DueTimes,
        pausing: Pausing, cursors: Cursors,
    ) -> None:  # fmt: skip
        self._group = group
        self._events = events
        self._register = register
        self._queue = queue
        self._plan_due = plan_due
        self._recorder = recorder
        self._pumps = pumps
        self._endings = endings
        self._trials = trials
        self._copies = copies
        self._pieces = pieces
        self._under_way = under_way
        self._ahead = ahead
        self._wishes = wishes
        self._batches = batches
        self._entrance = entrance
        self._account = account
        self._expiries = expiries
        self._pausing = pausing
        self._cursors = cursors
        self._owners: Shared[Owners] = Shared(self._read_owners)
        self._reading = asyncio.Semaphore(READ_AT_ONCE)
        self._building = asyncio.Lock()

    async def adopt(
        self, shard: int, owner: Owner, handover: Handover | None = None, confirmation: Command[str] | None = None, *,
        claimed: bool = False,
    ) -> bool:  # fmt: skip
        """Serve a shard whose token this node has: states from ``msk``, messages from the first one left. True: ``confirmation`` was
        sent as soon as it was open.

        ``claimed``: its owner was lost, so that copies kept here are as good as the original.
        """
        standing, held = self._group.standing, self._register.get(shard)
        known = owner.token <= standing.token(shard)
        if self._under_way.has(shard) or known or (held is not None and not held.gone):
            return False
        holding = Holding(shard, owner, self._recorder)
        self._under_way.begin(holding)
        self._under_way.forget_early(holding)
        self._under_way.has_come(shard)
        began = standing.now()
        if handover is not None:
            self._cursors.coming_begins()
        try:
            self._ahead.moved(shard, TargetEvent.HANDOVER)
            with self._copies.arriving(shard):
                coming = await self._brought_in(holding, handover, claimed)
        except BaseException:
            if self._under_way.is_current(holding):
                self._ahead.forget_state(shard)
                if standing.token(shard) == owner.token:
                    standing.doubt(shard, owner.token)  # so that the next heartbeat tries again
            raise
        finally:
            if handover is not None:
                self._cursors.coming_ends()
            self._under_way.end(holding)
            self._under_way.forget_early(holding)
        return coming is not None and await self._serve(holding, coming, handover, confirmation, began)

    async def _brought_in(self, holding: Holding, handover: Handover | None, claimed: bool) -> Coming | None:
        """Read what there is of the shard, put its children in, and open it. None: it is not ours, after all."""
        shard = holding.shard
        copies: dict[str, HostedChild] = {}
        if claimed:
            copies = await self._copies.take_over(shard)
        else:
            self._copies.unfollow(shard)
        # Pins first: a child whose pin is released before the other reads then only returns a little later. (Only the owner
        # of the shard makes pins of it, and that is this node.)
        apart = None if handover is None else handover.pinned
        if apart is None:
            apart = list((await self._owners.ask()).pinned(shard))
        if handover is not None or copies:
            return await self._read_and_built(holding, apart, copies, nullcontext(), wake=handover is not None)
        async with self._reading:
            return await self._read_and_built(holding, apart, copies, self._building)

    async def _read_owners(self) -> Owners:
        group = self._group
        return await group.redis.run(read_owners(group.keys), retry_for=group.config.lease)

    async def _read_and_built(
        self, holding: Holding, apart: Sequence[str], copies: dict[str, HostedChild],
        its_turn: AbstractAsyncContextManager[None], wake: bool = False,
    ) -> Coming | None:  # fmt: skip
        shard, owner, standing = holding.shard, holding.owner, self._group.standing
        lines, wishes, pauses, specs, states, parked, watch, marks, dormant, expiry_ms = await self._read(shard, wake)
        await self._wishes.refresh(wishes)
        await self._pausing.look(pauses)
        if holding.gone:
            await self._drop(holding, copies)  # the node was evicted meanwhile
            return None
        if lines.get(shard) != owner or owner.incarnation != standing.incarnation:
            holding.lose()
            self._ahead.moved(shard, TargetEvent.FENCED)
            await self._drop(holding, copies)
            return None
        first = owner.token == 1 and not standing.knows(shard)  # no node has ever had it
        standing.learn(shard, owner.token)
        holding.set_apart(apart)
        holding.watched(watch)
        holding.may_have_dormant(dormant > 0)
        self._expiries.told(shard, expiry_ms)
        coming = Coming(states, parked, ahead=self._ahead.take_shard(shard), copies=copies, first=first)
        async with its_turn:
            await self._enter_all(holding, specs, coming)
        if copies and not holding.gone and not await self._copies.taken_over(holding, coming.taken, copies):
            self._fenced(holding)
        if holding.gone:
            await self._drop(holding, copies)
            return None
        holding.open_intake()
        self._register.hold(holding)
        self._batches.seen(shard, marks)
        self._ahead.moved(shard, TargetEvent.RESTORED)
        return coming

    async def _read(self, shard: int, wake: bool) -> list[Any]:
        group = self._group
        reads: list[Command[Any]] = [
            read_shard_owners(group.keys, [shard]),
            read_pins_epoch(group.keys),
            read_pauses_number(group.keys),
            read_specs(group.keys, shard),
            read_states(group.keys, shard),
            read_texts(group.keys.parked(shard)),
            read_tries(group.keys, shard),
            read_texts(group.keys.batches(shard)),
            count_dormant(group.keys, shard),
            read_next_expiry(group.keys, shard),
        ]
        if wake:
            # The blocking read ends with it. So the next one is about to begin when the shard opens, and names it.
            try:
                return (await group.redis.run_many([*reads, group.waking()], retry_for=group.config.lease))[:-1]
            except RedisRefused as error:
                # (A Redis that is full still reads.)
                log.debug("the blocking read is not ended before shard %d is open: %s", shard, error)
        return await group.redis.run_many(reads, retry_for=group.config.lease)

    async def _enter_all(self, holding: Holding, specs: Mapping[str, SpecRecord], coming: Coming) -> None:
        for child, record in specs.items():
            if not self._pieces.at_once():
                await self._pieces.turn()
            if holding.gone:
                return
            if child in holding.apart:
                continue
            if record.place:
                holding.guide(child)
            if self._wishes.elsewhere(child, record):
                holding.wait_for_place(child, record)
                continue
            await self._entrance.enter_shard(holding, child, record, coming)

    def _fenced(self, holding: Holding) -> None:
        """Another node owns the shard by now; none of the copies has been started."""
        if holding.gone:
            return  # the node was evicted meanwhile: all about its shards is forgotten already
        holding.lose()
        self._ahead.moved(holding.shard, TargetEvent.FENCED)
        self._events.add("fenced", shard=holding.shard, child="")
        self._plan_due.ring()

    async def _drop(self, holding: Holding, copies: Mapping[str, HostedChild]) -> None:
        """The shard is not ours, after all: end the children that were built for it, and its copies."""
        await self._endings.dispose(dict.fromkeys([*holding.children.values(), *copies.values()]), "fenced")

    async def _serve(
        self,
        holding: Holding,
        coming: Coming,
        handover: Handover | None,
        confirmation: Command[str] | None,
        began: float,
    ) -> bool:
        for hosted in list(holding.children.values()):
            self._pumps.resume(hosted)
        if holding.watch is not None:
            self._trials.watch(holding, coming.later)
        group, confirmed, to_wake = self._group, False, self._cursors.listens
        opened_ms = group.standing.redis_now_ms()
        try:
            # (The next shard of the source waits for the confirmation.)
            if confirmation is not None and to_wake:
                confirmed = await group.wake_and_send(confirmation)
            elif confirmation is not None:
                await group.redis.run(confirmation, retry_for=1.0)
                confirmed = True
            elif to_wake:
                await group.wake()
            if to_wake:
                opened_ms = group.standing.redis_now_ms()
        finally:
            self._account.shard(holding, handover, restored=len(coming.states), began=began, opened_ms=opened_ms)
        self._queue.changed()
        if holding.apart or holding.unbuilt:
            self._plan_due.ring()  # a pin may have gone meanwhile; children that cannot run here are offered to other nodes
        return confirmed
