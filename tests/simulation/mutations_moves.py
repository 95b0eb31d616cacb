"""Mutations of how shards, pins and children move, rest, and are copied."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from hubq.core.handover import Source, SourceEvent
from hubq.core.phase import Phase
from hubq.errors import RedisUnavailable
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.arrivals.under_way import UnderWay
from hubq.node.copies.standby import Standby
from hubq.node.departures.departure import Departures, Way
from hubq.node.departures.kept_behind import KeptBehind
from hubq.node.departures.resting import Resting
from hubq.node.departures.shard_handover import ShardHandover
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.membership.resuming import Resuming
from hubq.store.command import Command
from hubq.store.effects import Effects
from tests.simulation.mutation import Mutation, Target

#: mutation -> what it replaces.
TARGETS: dict[str, Target] = {
    "drain": Target(ShardHandover, "packed", "self effects"),
    "in-hand": Target(ShardHandover, "close_intake", "self grace"),
    "unpinned": Target(ShardHandover, "close_intake", "self grace"),
    "adopted-anyway": Target(UnderWay, "forget_all", "self"),
    "slow-copies": Target(Standby, "adopt", "self copy saved"),
    "early-rebuild": Target(Arrivals, "reserve", "self holding"),
    "idle-copies": Target(Resuming, "resume_all", "self"),
    "lost-and-given": Target(Departures, "_until_answered", "self way effects"),
    "old-pin": Target(KeptBehind, "follow_token", "self"),
    "put-away": Target(Resting, "_put_away", "self holding hosted"),
}


class Inside:
    """What these mutations use of the parts they break, besides the name that they replace."""

    @staticmethod
    def close_at_once(handover: ShardHandover) -> None:
        if handover.state is Source.STARTING:
            handover._moved(SourceEvent.STARTED)
        handover._closed_at = handover._group.standing.redis_now_ms()
        handover.holding.close_intake()
        handover._moved(SourceEvent.CLOSED)

    @staticmethod
    def counts_as_done(holding: Holding) -> None:
        for hosted in holding.children.values():
            hosted.in_hand = None

    @staticmethod
    def adopting(under_way: UnderWay) -> list[Any]:
        return list(under_way._shards.values())

    @staticmethod
    def is_coming_again(holding: Any) -> None:
        holding._enter(Phase.COMING)

    @staticmethod
    async def send_until_answered(departures: Departures, command: Command[str]) -> str:
        group = departures._group
        while not group.standing.lease_over():
            with contextlib.suppress(RedisUnavailable):
                return await group.redis.run(command, retry_for=1.0)
            await asyncio.sleep(0.2)
        return "fenced"

    @staticmethod
    def resume_originals(resuming: Resuming) -> None:
        for hosted in list(resuming._register.children()):
            resuming._pumps.resume(hosted)
        resuming._queue.changed()


def _undrained_effects(packed: Any) -> Any:
    """The token passes without what is finished and not committed yet."""

    def broken(self: ShardHandover, effects: Effects) -> Effects:
        packed(self, effects)
        return Effects()

    return broken


def _undrained_handlers(close_intake: Any) -> Any:
    """Intake is closed, and what is in hand counts as done: nobody waits for it, and no straggler is pinned."""

    async def broken(self: ShardHandover, grace: float) -> None:
        Inside.close_at_once(self)
        Inside.counts_as_done(self.holding)

    return broken


def _unpinned(close_intake: Any) -> Any:
    """Intake is closed, and nobody waits for the messages in hand: they are undone, and move with their children."""

    async def broken(self: ShardHandover, grace: float) -> None:
        Inside.close_at_once(self)

    return broken


def _adopted_anyway(forget_all: Any) -> Any:
    """A node that is evicted does not tell what it is adopting."""

    def broken(self: UnderWay) -> None:
        adopting = Inside.adopting(self)
        forget_all(self)
        for holding in adopting:
            Inside.is_coming_again(holding)

    return broken


def _slow_copies(adopt: Any) -> Any:
    """A copy of an interval child becomes the original, however far it is behind what was saved."""

    def broken(self: Standby, copy: Any, saved: Any) -> bool:
        answer: bool = adopt(self, copy, None if copy.kind.durability != "commit" else saved)
        return answer

    return broken


def _early_rebuilds(reserve: Any) -> Any:
    """A shard whose move has failed after its children were stopped is adopted while its last commit is under way."""
    return lambda self, holding: None


def _idle_copies(resume_all: Any) -> Any:
    """When handlers may start again, those of the copies do not."""
    return lambda self: Inside.resume_originals(self)


def _lost_and_given(until_answered: Any) -> Any:
    """A script that gives a holding away is sent again although the holding is lost: it may fit what is there now."""

    async def broken(self: Departures, way: Way, effects: Effects) -> tuple[str, int]:
        return await Inside.send_until_answered(self, way.command(effects)), 0

    return broken


def _old_pins(follow_token: Any) -> Any:
    """Pins keep the token that was the next one when their child was taken out of its shard."""
    return lambda self: None


def _forgotten_strangers(put_away: Any) -> Any:
    """What has come for a child while it went to rest is dropped with it."""

    def broken(self: Resting, holding: Holding, hosted: HostedChild) -> None:
        hosted.drop_queue()
        put_away(self, holding, hosted)

    return broken


MUTATIONS: dict[str, Mutation] = {
    "drain": Mutation("the drain in a handover: what is finished, not committed", broken=_undrained_effects),
    "in-hand": Mutation(
        "the drain in a handover: no state is taken in the middle of a message", broken=_undrained_handlers
    ),
    "unpinned": Mutation("that a handover waits for who is busy, or pins it", broken=_unpinned),
    "adopted-anyway": Mutation("that an evicted node drops what it is adopting", broken=_adopted_anyway),
    "slow-copies": Mutation("that a copy behind the saved state is not taken", broken=_slow_copies),
    "early-rebuild": Mutation("that a shard is rebuilt after its last commit", broken=_early_rebuilds),
    "idle-copies": Mutation("that copies go on after a time without trust", broken=_idle_copies),
    "lost-and-given": Mutation("that a departure sends nothing again once its holding is lost", broken=_lost_and_given),
    "old-pin": Mutation("that a pin follows a renewed token of its shard", broken=_old_pins),
    "put-away": Mutation("that messages which come while a child goes to rest wake it", broken=_forgotten_strangers),
}
