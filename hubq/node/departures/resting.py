"""Children that nobody writes to go to rest (docs/dormant.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from hubq.core.idle import IdleChild, rests_after, who_rests
from hubq.core.lifecycle import Life
from hubq.errors import HubqError
from hubq.node.arrivals.batches import Batches
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.endings import Endings
from hubq.node.children.pausing import Pausing
from hubq.node.children.pumps import Pumps
from hubq.node.children.reads import Reads
from hubq.node.children.saver import Saver
from hubq.node.commits.committer import Committer
from hubq.node.commits.forfeits import Forfeits
from hubq.node.commits.under_token import UnderToken
from hubq.node.departures.collecting import Collected
from hubq.node.departures.departure import Departures
from hubq.node.departures.moves import Moves
from hubq.node.held.cursors import Cursors
from hubq.node.held.due_times import DueTimes
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.idleness import Idleness
from hubq.node.held.register import Register
from hubq.node.held.strangers import Strangers
from hubq.node.runtime.background import Background
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.gate import Gate
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.raised import in_short
from hubq.store.dormant import AT_ONCE, rest_children, wake_children
from hubq.store.dormant import Resting as Rest

log = logging.getLogger("hubq.node")

#: How long ``prepare_handover_state`` may take, seconds; a child that takes longer stays.
STATE_WITHIN = 3.0
#: Children looked at between two turns of the loop.
LOOKED_AT = 500

#: What is known of a child when its state is taken: if it is the same later, the child has done nothing since.
Mark = tuple[str, bytes | None]


class Resting(Loop):
    """Looks at the children of a node now and then, and puts to rest those whose time has come."""

    def __init__(
        self, group: Group, background: Background, register: Register, gate: Gate, idleness: Idleness, wishes: Wishes,
        batches: Batches, moves: Moves, departures: Departures, committer: Committer, under_token: UnderToken, forfeits: Forfeits,
        saver: Saver, endings: Endings, pumps: Pumps, reads: Reads, cursors: Cursors, strangers: Strangers, expiries: DueTimes,
        counters: Counters, pieces: Pieces, pausing: Pausing,
    ) -> None:  # fmt: skip
        super().__init__("putting children to rest")
        self._group = group
        self._background = background
        self._register = register
        self._gate = gate
        self._idleness = idleness
        self._wishes = wishes
        self._batches = batches
        self._moves = moves
        self._departures = departures
        self._committer = committer
        self._under_token = under_token
        self._forfeits = forfeits
        self._saver = saver
        self._endings = endings
        self._pumps = pumps
        self._reads = reads
        self._cursors = cursors
        self._strangers = strangers
        self._expiries = expiries
        self._counters = counters
        self._pieces = pieces
        self._pausing = pausing
        self._most = group.config.max_active

    # -- who -------------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        await self._idleness.changed()
        for holding, children in (await self.who()).items():
            await self.put_to_rest(holding, children)

    async def who(self) -> dict[Holding, dict[HostedChild, float]]:
        """Look once: the children whose time has come, by their holdings; and when the last message of each was sent, ms."""
        standing, idleness = self._group.standing, self._idleness
        idle: list[IdleChild[HostedChild]] = []
        active = looked_at = 0
        for holding in self._register.all():
            active += len(holding.children)
            if not self._lets_rest(holding):
                continue
            for hosted in list(holding.children.values()):
                looked_at += 1
                if looked_at % LOOKED_AT == 0:
                    await self._pieces.turn()
                kind = hosted.kind
                if idleness.concerns(kind) and self._may_rest(hosted):
                    after = rests_after(kind.idle_after, kind.expire_after)
                    idle.append(IdleChild(hosted, idleness.last_ms(hosted), after))
        idleness.clean()
        found: dict[Holding, dict[HostedChild, float]] = {}
        for hosted in who_rests(idle, standing.redis_now_ms(), active, self._most):
            found.setdefault(hosted.holding, {})[hosted] = idleness.last_ms(hosted)
        return found

    def _lets_rest(self, holding: Holding) -> bool:
        """Whether children of a holding may go to rest now."""
        return (
            holding.pinned is None and holding.open and not holding.in_motion and not holding.recorder.records
            and holding.watch is None and not self._batches.undecided(holding.shard) and not self._group.standing.draining
            and not self._gate.closed and self._group.standing.trusted()
        )  # fmt: skip

    def _may_rest(self, hosted: HostedChild) -> bool:
        """Whether a child has nothing to do, and no place of its own."""
        holding, child = hosted.holding, hosted.child_id
        return (
            hosted.life is Life.RUNNING and hosted.in_hand is None and not hosted.queue and hosted.held_back is None
            and not hosted.stopping and not hosted.abandoned and not hasattr(hosted.kind, "run")
            and child not in holding.behind and child not in holding.starting
            and child not in holding.departing and child not in holding.guided
            and not hosted.record.place and self._wishes.wish(child, hosted.record) is None
            and holding.children.get(child) is hosted
        )  # fmt: skip

    # -- how -------------------------------------------------------------------------------------------------------

    async def put_to_rest(self, holding: Holding, chosen: Mapping[HostedChild, float]) -> None:
        """Put children of one holding to rest, as far as they may, and have had no message since they were chosen. The shard is in motion
        meanwhile.
        """
        for some in batched(chosen, AT_ONCE):
            children = [hosted for hosted in some if self._idleness.last_ms(hosted) == chosen[hosted]]
            if children and self._lets_rest(holding):
                work = self._rest(holding, children)
                await asyncio.wait([self._moves.begin(holding, work, f"rest of children of shard {holding.shard}")])

    async def _rest(self, holding: Holding, children: Sequence[HostedChild]) -> None:
        marks = await self._saved(holding, [hosted for hosted in children if self._may_rest(hosted)])
        going = [hosted for hosted, mark in marks.items() if self._may_rest(hosted) and _mark(hosted) == mark]
        for hosted in going:
            hosted.rest()
        try:
            await self._committer.settled(holding)
            going = [hosted for hosted in going if _has_nothing_to_say(hosted)]
            if going:
                await self._move(holding, going)
        finally:
            for hosted in marks:
                if hosted.life is not Life.ENDED and hosted.rests:
                    hosted.stay_active()
                    self._pausing.heed(hosted)
                    self._pumps.resume(hosted)

    async def _saved(self, holding: Holding, children: Sequence[HostedChild]) -> dict[HostedChild, Mark]:
        """Take the states of these children and commit them. Messages are handled meanwhile. The answer: those whose state is in ``msk``
        now, as far as they have done nothing since.
        """
        marks = {hosted: _mark(hosted) for hosted in children}
        collected = await self._departures.collect(children, True, STATE_WITHIN)
        for hosted, error in collected.failed.items():
            log.warning("child %s does not rest, since its state cannot be saved: %s", hosted.child_id, in_short(error))
            self._idleness.touched(hosted, self._group.standing.redis_now_ms())
        still = {
            hosted: mark
            for hosted, mark in marks.items()
            if hosted.child_id in collected.asked and self._may_rest(hosted) and _mark(hosted) == mark
        }
        if holding.gone or not still:
            return {}
        names = {hosted.child_id for hosted in still}
        states = {child: state for child, state in collected.states.items() if child in names}
        handed = Collected(states, names).effects(still)
        saying = {said.sender for said in handed.said}
        holding.effects.absorb(handed)
        for hosted in still:
            if hosted.child_id in handed.done:
                hosted.drop_unsaved()
            if hosted.child_id in saying:
                hosted.take_said()
            hosted.disarm()
        if holding.effects:
            try:
                await self._saver.committed(holding)
            except asyncio.CancelledError:
                if not holding.gone:
                    raise
                return {}
            except HubqError as error:  # too few replicas have it
                log.warning("children of shard %d do not rest: %s", holding.shard, error)
                return {}
        return still

    async def _move(self, holding: Holding, going: Sequence[HostedChild]) -> None:
        """Move them in Redis, and put away those that are dormant."""
        keys, shard = self._group.keys, holding.shard
        holding.may_have_dormant(True)
        rests = [Rest(hosted.child_id, hosted.record.start_id, self._expires(hosted)) for hosted in going]
        there = await self._under_token.answered(
            holding, "the rest of children", lambda _: rest_children(keys, shard, holding.owner, rests)
        )
        if there is None:
            self._forfeits.fenced(holding)
            return
        for hosted, rest, is_there in zip(going, rests, there, strict=True):
            if not is_there:
                continue
            self._counters.went_to_rest()
            if rest.expires:
                self._expiries.told(shard, rest.expires)
            if hosted.life is Life.ENDED:
                await self._end_after_all(holding, hosted)
            else:
                self._put_away(holding, hosted)

    def _expires(self, hosted: HostedChild) -> int:
        after = hosted.kind.expire_after
        return 0 if after is None else int(self._idleness.last_ms(hosted) + after * 1000)

    def _put_away(self, holding: Holding, hosted: HostedChild) -> None:
        """A child is dormant: nothing of it stays here. Messages that have come meanwhile wake it when ``on_stop`` is done."""
        child, strangers = hosted.child_id, self._strangers
        messages, behind = list(hosted.queue or ()), self._cursors.caught_up(holding, child)
        holding.forget_replays(child)
        holding.telling.discard(child)
        self._reads.forget(hosted)
        if self._endings.put_away(hosted):
            strangers.not_yet(holding, child)
            self._background.run(self._dispose(holding, hosted), f"on_stop of child {child}")
        for message in messages:
            strangers.add(holding, message)
        if behind is not None:
            strangers.leave(holding, child, behind)

    async def _dispose(self, holding: Holding, hosted: HostedChild) -> None:
        try:
            await self._endings.dispose_of(hosted, "idle")
        finally:
            self._strangers.may_come(holding, hosted.child_id)

    async def _end_after_all(self, holding: Holding, hosted: HostedChild) -> None:
        """It was stopped while the script was on its way, and the commit of that has found nobody among the active children."""
        keys, shard, child = self._group.keys, holding.shard, hosted.child_id
        await self._under_token.answered(
            holding, "the end of a child", lambda again: wake_children(keys, shard, holding.owner, [child], again=again)
        )
        if not holding.gone:
            self._endings.forget(holding, child, hosted.record)


def batched(children: Iterable[HostedChild], size: int) -> Iterator[list[HostedChild]]:
    """The children in lists of at most so many."""
    left = iter(children)
    while some := list(islice(left, size)):
        yield some


def _mark(hosted: HostedChild) -> Mark:
    return hosted.cursor, hosted.boundary


def _has_nothing_to_say(hosted: HostedChild) -> bool:
    """Whether nothing of a child waits for a commit. (A task of it may have asked for one just before.)"""
    effects, child = hosted.holding.effects, hosted.child_id
    return (
        hosted.life is Life.RUNNING and not hosted.queue and not hosted.said and not hosted.unsaved
        and child not in effects.states and child not in effects.ended and child not in effects.parked
        and child not in effects.done
    )  # fmt: skip
