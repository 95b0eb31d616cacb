"""The one routine by which children leave this node (docs/arrivals-and-departures.md).

Close, collect, freeze, settle, give until answered; then one of three outcomes: given, it stays after all, or fenced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar

from hubq.core.lifecycle import Life
from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.children.endings import Endings
from hubq.node.children.lives import Lives
from hubq.node.children.pumps import Pumps
from hubq.node.children.saver import Saver
from hubq.node.children.signals import Signals
from hubq.node.commits.committer import REFUSALS, Committer
from hubq.node.commits.forfeits import Forfeits
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.state import overrides
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.sizes import ALWAYS_TAKEN, HEAD, Sizes
from hubq.store.command import Command, plain
from hubq.store.effects import Effects

log = logging.getLogger("hubq.node")

T = TypeVar("T")
#: What a child hands over: its id, and its envelope (None: ``msk`` has it already).
Handed = tuple[str, bytes | None]

#: How long a message that is being undone is waited for, seconds.
UNDONE_WITHIN = 1.0


class Outcome(Enum):
    """How a departure has ended."""

    GIVEN = "given"  # not served here any more
    STAYS = "stays"  # its target has gone, or Redis does not take what it hands over: served on here
    FENCED = "fenced"  # another node owned it already: dropped


class Way(Protocol):
    """One of the four ways of leaving, as the routine sees it."""

    holding: Holding
    """Under whose token the script runs."""
    what: str
    """For the log."""
    has_target: bool
    """It is given to one node. If that node is gone, it stays. Without a target, the holding is not served here any more,
    even if the answer is ``fenced``: the script may be a repetition, and its first try have gone through.
    """

    def parts(self) -> Sequence[Holding]:
        """What goes: the holding, or the pins-to-be that were taken out of it."""

    def packed(self, effects: Effects) -> Effects:
        """Make the last commit of the effects of the holding. They are complete."""

    def command(self, effects: Effects) -> Command[str]:
        """The script that gives it away."""

    def given(self) -> None:
        """It is not served here any more."""

    async def stays(self, effects: Effects, refused: int) -> None:
        """Nothing was written: serve on, with what was packed. ``refused``: the size of a value that Redis has not taken, and
        no state of this size is to be saved; 0: the target has gone. Only with ``has_target``.
        """

    def forfeited(self) -> list[HostedChild]:
        """The holding is dropped. So are the children that were taken out of it: these, to be disposed of."""


@dataclass(slots=True)
class Collected:
    """The states that children hand over."""

    states: dict[str, bytes] = field(default_factory=dict)
    """Envelopes; a child whose state is in ``msk`` already is not among them."""
    asked: set[str] = field(default_factory=set)
    """The children that have answered."""
    failed: dict[HostedChild, Exception] = field(default_factory=dict)

    def take(self, handed: Handed) -> None:
        """A child has answered."""
        child, envelope = handed
        self.asked.add(child)
        if envelope is not None:
            self.states[child] = envelope

    def shed(self, size: int) -> None:
        """Redis does not take states of this size: those children have not answered."""
        for child in [child for child, state in self.states.items() if len(state) >= size > 0]:
            del self.states[child]
            self.asked.discard(child)

    def effects(self, children: Iterable[HostedChild], forgotten: Iterable[str] = ()) -> Effects:
        """The effects of the handover: the states of these children, and the messages that the states hold."""
        handed = Effects(states=self.states, forgotten=list(forgotten))
        for hosted in children:
            if hosted.unsaved and hosted.child_id in self.asked:
                handed.done[hosted.child_id] = hosted.unsaved
            if hosted.said is not None and hosted.child_id in self.asked:
                handed.said += hosted.said[: hosted.holds_said]
        return handed


class Asked:
    """The children that were asked for a state, and may have to wait before they answer."""

    def __init__(self) -> None:
        self.tasks: dict[asyncio.Task[Handed], HostedChild] = {}
        self._begun = 0
        self._all_begun = asyncio.Event()

    def add(self, hosted: HostedChild, work: Coroutine[Any, Any, Handed]) -> None:
        """Ask a child. The work says :meth:`one_more` when it begins."""
        self.tasks[asyncio.get_running_loop().create_task(work)] = hosted

    def one_more(self) -> None:
        """One more of them has begun to answer."""
        self._begun += 1
        if self._begun == len(self.tasks):
            self._all_begun.set()

    async def answered(self, within: float) -> set[asyncio.Task[Handed]]:
        """Wait until all have begun to answer, then at most so many seconds. Those that are not done by then are cancelled."""
        if not self.tasks:
            return set()
        if self._begun < len(self.tasks):
            self._all_begun.clear()
            await self._all_begun.wait()
        return await _until_done(self.tasks, within)

    def cancel(self) -> None:
        """No answer is waited for any more."""
        for task in self.tasks:
            task.cancel()


class NoState(TimeoutError):
    """A child did not hand its state over in time."""


class Interrupted(RuntimeError):
    """The handing over of a state was cancelled, and not by us."""


class Departures:
    """The steps that all four ways take."""

    def __init__(
        self, group: Group, background: Background, committer: Committer, forfeits: Forfeits, saver: Saver,
        signals: Signals, endings: Endings, lives: Lives, pumps: Pumps, pieces: Pieces, sizes: Sizes,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._committer = committer
        self._forfeits = forfeits
        self._saver = saver
        self._signals = signals
        self._endings = endings
        self._lives = lives
        self._pumps = pumps
        self._pieces = pieces
        self._sizes = sizes

    # -- collect ---------------------------------------------------------------------------------------------------

    async def collect(self, children: Iterable[HostedChild], with_state: bool, within: float) -> Collected:
        """Ask the children that run, and have nothing in hand, for their states: one piece of the loop after the other, and
        without waiting for an answer in between. Each has ``within`` seconds from the moment that the last one was asked.
        """
        collected, asked = Collected(), Asked()
        try:
            for hosted in [hosted for hosted in children if hosted.life is Life.RUNNING and not hosted.busy]:
                if hosted.run_task is None and not overrides(hosted.kind, "prepare_handover_state"):
                    # Nothing to wait for: no task is needed.
                    await self._pieces.turn()
                    try:
                        collected.take(await self._saver.hand_over(hosted, with_state))
                    except Exception as error:
                        collected.failed[hosted] = error
                    except asyncio.CancelledError:
                        task = asyncio.current_task()
                        if task is not None and task.cancelling():
                            raise
                        collected.failed[hosted] = Interrupted("taking its state was cancelled")
                else:
                    asked.add(hosted, self._hand_over(hosted, with_state, asked))
            late = await asked.answered(within)
        except BaseException:
            asked.cancel()
            raise
        for task, hosted in asked.tasks.items():
            if task in late:
                collected.failed[hosted] = NoState(f"no state within {within:g} s")
            elif task.cancelled():
                collected.failed[hosted] = Interrupted("prepare_handover_state was cancelled")
            elif (raised := task.exception()) is not None:
                # (Other BaseExceptions end the loop.)
                collected.failed[hosted] = raised if isinstance(raised, Exception) else Interrupted(repr(raised))
            else:
                collected.take(task.result())
        return collected

    async def _hand_over(self, hosted: HostedChild, with_state: bool, asked: Asked) -> Handed:
        try:
            await self._pieces.turn()
        finally:
            asked.one_more()
        return await self._saver.hand_over(hosted, with_state)

    async def become_passive(self, parts: Iterable[Holding]) -> None:
        """These are not the active copies any more; each is told once."""
        told: list[HostedChild] = []
        for part in parts:
            if part.active:
                part.deactivate()
                told += part.children.values()
        await self._signals.announce(told, "passive")

    # -- give ------------------------------------------------------------------------------------------------------

    async def give(self, way: Way) -> Outcome:
        """Give it away, with the last commit. While Redis is away it is repeated; other errors are raised. What Redis does not
        take stays, and is told; without a target it is adopted again from Redis.
        """
        holding = way.holding
        self.check_commits(holding)
        await self.become_passive(way.parts())
        holding.freeze()
        await self._committer.settled()
        self.check_commits(holding)
        effects = way.packed(self._committer.take(holding))
        try:
            word, refused = await self._until_answered(way, effects)
            if word in ("target_gone", "refused"):
                # An earlier try whose answer was lost may still arrive, and find the target alive again.
                await self._committer.renew([holding])
                word = "fenced" if holding.gone else word
            if word == "refused" and not way.has_target:
                raise RedisRefused(f"{way.what}: Redis does not take a value of {refused} bytes")
        except Exception:
            # It is not known whether the last commit was written. The states in memory must not be saved without it.
            self._forfeits.given_up(holding)
            self._drop(way)
            raise
        if way.has_target and word in ("target_gone", "refused"):
            await way.stays(effects, refused)
            return Outcome.STAYS
        if way.has_target and word == "fenced":
            self._forfeits.fenced(holding)
            self._drop(way)
            return Outcome.FENCED
        way.given()
        return Outcome.GIVEN

    def check_commits(self, holding: Holding) -> None:
        """Raise :class:`~hubq.errors.RedisRefused` if its last commit waits: nothing may be committed before that."""
        if holding.held_up:
            holding.thaw()
            raise RedisRefused(
                f"shard {holding.shard} stays: one of its keys is of another type, and its last commit waits"
            )

    async def _until_answered(self, way: Way, effects: Effects) -> tuple[str, int]:
        # A holding that became void meanwhile (another Redis answers) is not sent again: that Redis may have its old token.
        group, command, refusals = self._group, way.command(effects), 0
        largest = max((len(part) for part in command.args if isinstance(part, str | bytes)), default=0)
        while not group.standing.lease_over() and not way.holding.gone:
            try:
                return await group.redis.run(command, retry_for=1.0), 0
            except RedisUnavailable as error:
                log.warning("%s waits: %s", way.what, error)
                await asyncio.sleep(0.2)
            if largest > ALWAYS_TAKEN + HEAD and await self._redis_is_there():
                refusals += 1
                if refusals == REFUSALS:
                    self._sizes.refused(largest)
                    log.error(
                        "%s: a value of %d bytes is more than Redis takes (proto-max-bulk-len): what has it stays, and none may be "
                        "so large any more", way.what, largest,
                    )  # fmt: skip
                    return "refused", largest
        return "fenced", 0

    async def _redis_is_there(self) -> bool:
        try:
            await self._group.redis.run(plain("EXISTS", self._group.keys.owners, read=int))
        except RedisUnavailable:
            return False
        return True

    def _drop(self, way: Way) -> None:
        children = way.forfeited()
        if children:
            self._background.run(self._endings.dispose(children, "fenced"), "dropping children")

    # -- afterwards ------------------------------------------------------------------------------------------------

    async def dispose(self, children: Iterable[HostedChild], reason: str) -> None:
        """They live on elsewhere, or are parked: end them here."""
        await self._endings.dispose(children, reason)

    async def become_active(self, children: Iterable[HostedChild]) -> None:
        """They stay, and are the active copies again."""
        await self._signals.announce(children, "active")

    def go_on(self, children: Iterable[HostedChild]) -> None:
        """They are served here again: their loops and their messages begin."""
        for hosted in list(children):
            if hosted.life is Life.RUNNING:
                self._lives.start_run(hosted)
                self._pumps.resume(hosted)


def give_back(holding: Holding, effects: Effects, handed: Effects, children: Iterable[HostedChild]) -> None:
    """The last commit was not written: its effects go with a later commit, before the effects gathered since. ``handed``:
    the states that the children handed over.
    """
    if not handed.forgotten:
        # States are saved all the same, the messages they hold deleted, and what they say is sent: all, or nothing.
        effects.absorb(handed)
        saying = {said.sender for said in handed.said}
        for hosted in children:
            if hosted.child_id in handed.done:
                hosted.drop_unsaved()
            if hosted.child_id in saying:
                hosted.take_said()
    holding.give_back_effects(effects)


def in_thread(hosted: HostedChild) -> bool:
    """Whether a plain ``def`` handler is at work: its thread cannot be cancelled."""
    return hosted.in_hand is not None and hosted.in_hand.in_thread


async def at_boundaries(children: Iterable[HostedChild], within: float) -> list[HostedChild]:
    """Wait until these children are at a boundary, at most so many seconds. The answer: those that are not."""
    waits = {asyncio.ensure_future(hosted.at_boundary()): hosted for hosted in children}
    if not waits:
        return []
    late = await _until_done(waits, within)
    return [hosted for wait, hosted in waits.items() if wait in late]


async def _until_done(tasks: Collection[asyncio.Task[T]], within: float) -> set[asyncio.Task[T]]:
    """Wait for tasks, at most so many seconds, and cancel those that are not done by then. If the caller is cancelled (the
    node ends), all of them are.
    """
    try:
        await asyncio.wait(tasks, timeout=within)
    finally:
        late = {task for task in tasks if not task.done()}
        for task in late:
            task.cancel()
    return late


async def undo(children: Sequence[HostedChild]) -> None:
    """Undo the messages that these have in hand: they move with their children."""
    for hosted in children:
        if hosted.in_hand is not None:
            hosted.in_hand.cancel()
    await at_boundaries(children, UNDONE_WITHIN)
