"""The one routine by which children leave this node (docs/arrivals-and-departures.md).

Close, collect, freeze, settle, give until answered; then one of three outcomes: given, it stays after all, or fenced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Protocol

from hubq.core.lifecycle import Life
from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.children.endings import Endings
from hubq.node.children.lives import Lives
from hubq.node.children.pumps import Pumps
from hubq.node.children.saver import Saver
from hubq.node.children.signals import Signals
from hubq.node.commits.committer import REFUSALS, Committer
from hubq.node.commits.forfeits import Forfeits
from hubq.node.departures.collecting import Collected, Collecting
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.older_code import OlderCode
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.sizes import ALWAYS_TAKEN, HEAD, Sizes
from hubq.store.command import Command, plain
from hubq.store.effects import Effects

log = logging.getLogger("hubq.node")


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


class Departures:
    """The steps that all four ways take."""

    def __init__(
        self, group: Group, background: Background, committer: Committer, forfeits: Forfeits, saver: Saver,
        signals: Signals, endings: Endings, lives: Lives, pumps: Pumps, pieces: Pieces, sizes: Sizes,
        older: OlderCode,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._committer = committer
        self._forfeits = forfeits
        self._signals = signals
        self._endings = endings
        self._lives = lives
        self._pumps = pumps
        self._older = older
        self._collecting = Collecting(saver, pieces, older)
        self._sizes = sizes

    async def collect(
        self, children: Iterable[HostedChild], with_state: bool, within: float, target: str = ""
    ) -> Collected:
        """Ask children for their states (:meth:`Collecting.collect <hubq.node.departures.collecting.Collecting.collect>`)."""
        return await self._collecting.collect(children, with_state, within, target)

    def refusals(self, children: Iterable[HostedChild], target: str) -> dict[str, str]:
        """The children whose state the code of a node cannot read, and why."""
        found = {hosted.child_id: self._older.refusal(hosted, target) for hosted in children}
        return {child: why for child, why in found.items() if why}

    def readable_at(self, hosted: HostedChild, target: str) -> bool:
        """Whether the code of a node can read the state of a child as it is now, as far as is known here."""
        return not self._older.trial(hosted, target, self._sizes.state)

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
        parts = way.parts()
        await self.become_passive(parts)
        holding.freeze()
        await self._committer.settled(holding, *parts)
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
        except BaseException:  # a migration strategy has cancelled it, and what was taken is lost
            holding.reads_anew()
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
        largest: int | None = None
        while not group.standing.lease_over() and not way.holding.gone:
            try:
                return await group.redis.run(command, retry_for=1.0), 0
            except RedisUnavailable as error:
                log.warning("%s waits: %s", way.what, error)
                await asyncio.sleep(0.2)
            if largest is None:
                largest = max((len(part) for part in command.args if isinstance(part, str | bytes)), default=0)
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
