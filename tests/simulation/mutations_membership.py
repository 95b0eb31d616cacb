"""Mutations of leases, of blocked loops, and of the trials of what took nodes down."""

from __future__ import annotations

from typing import Any

from hubq.core.stillness import Stillness
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.held.holding import HostedChild
from hubq.node.membership.rounds import Rounds
from hubq.node.membership.watchdog import Watchdog
from hubq.node.runtime.speaker import Speaker
from hubq.node.trials import starts
from hubq.node.trials.marks import Marks
from hubq.node.trials.starts import StartTrials
from hubq.store.tries import Watch
from tests.simulation.mutation import Mutation, Target

#: mutation -> what it replaces.
TARGETS: dict[str, Target] = {
    "old-mark": Target(Marks, "write", "self whose marks"),
    "started-anyway": Target(starts, "_waits_here", "hosted"),
    "long-trial": Target(HostedChild, "has_started", "self"),
    "blocked-lease": Target(Rounds, "_renew", "self"),
    "endless-block": Target(Watchdog, "_stalled", "self seen"),
    "unblamed": Target(Watchdog, "blame", "self suspect"),
    "frozen-stall": Target(Stillness, "look", "self now beat_at held_up at_work"),
    "spared-culprit": Target(StartTrials, "absolve", "self shards incarnation spared"),
    "lost-count": Target(Watch, "blames_later", "self name entry"),
    "forgotten-arrival": Target(Arrivals, "shards", None),
    "ended-early": Target(Speaker, "may_end", "self stall watchdog overdue"),
}


class Inside:
    """What these mutations use of the parts they break, besides the name that they replace."""

    @staticmethod
    def skips_renewal(rounds: Rounds) -> bool:
        if rounds._watchdog._still.since is None:
            return False
        rounds._renewal_due = rounds._group.standing.now() + rounds._group.config.heartbeat
        rounds._next_end = rounds._renewal_due
        return True


def _old_marks(mark: Any) -> Any:
    """A mark that is fenced because the node itself has renewed its token counts as fenced by another node."""

    async def broken(self: Marks, whose: Any, marks: dict[str, str]) -> bool:
        holding = whose.holding if isinstance(whose, HostedChild) else whose
        owner = holding.owner
        return await mark(self, whose, marks) and holding.owner == owner

    return broken


def _started_anyway(waits_here: Any) -> Any:
    """A child under watch is started in its turn, wherever it is by then."""

    async def broken(hosted: Any) -> bool:
        return True

    return broken


def _trial_waits_for_messages(started: Any) -> Any:
    """The trial of a start lasts until the child's first message is done, which may wait for a trial of its own."""
    return HostedChild.at_boundary


def _blocked_leases(renew: Any) -> Any:
    """The lease is not renewed while the event loop stands still, as if it lived in that loop."""

    def broken(self: Rounds) -> Any:
        if not Inside.skips_renewal(self):
            yield from renew(self)

    return broken


def _endless_blocks(stalled: Any) -> Any:
    """A node whose loop stands still goes on for ever."""

    def broken(self: Watchdog, seen: Any) -> Any:
        yield from ()

    return broken


def _lost_counts(blames_later: Any) -> Any:
    """Each message that is handled takes the place of the child's last one that was counted."""

    def broken(self: Watch, name: str, entry: bytes) -> bool:
        return False

    return broken


def _unblamed(blame: Any) -> Any:
    """What has stalled its node is not counted."""

    def broken(self: Watchdog, suspect: Any) -> Any:
        yield from ()
        return "counted"

    return broken


def _frozen_stalls(look: Any) -> Any:
    """A process that was stopped counts as one whose loop was blocked."""

    def broken(self: Stillness, now: float, beat_at: float, held_up: float = 0.0, at_work: float = 0.0) -> Any:
        return look(self, now, beat_at)

    return broken


def _ended_early(may_end: Any) -> Any:
    """A process whose loop stands still ends as soon as one of its groups was given up."""

    def broken(self: Speaker, stall: Any, watchdog: object, overdue: bool) -> bool:
        return bool(may_end(self, stall, watchdog, True))

    return broken


def _forgotten_arrivals(shards: Any) -> Any:
    """When a node is void, it knows only of what was open there."""
    return property(lambda self: set())


def _spared_culprits(absolve: Any) -> Any:
    """When a node is absolved, the count of what had held it up is taken back, too."""

    async def broken(self: StartTrials, shards: Any, incarnation: int, spared: Any) -> None:
        await absolve(self, shards, incarnation, None)

    return broken


MUTATIONS: dict[str, Mutation] = {
    "old-mark": Mutation("that a mark outlives the renewal of its token", broken=_old_marks),
    "started-anyway": Mutation("that a child under watch may be elsewhere in its turn", broken=_started_anyway),
    "long-trial": Mutation("that the trial of a start ends with the start", broken=_trial_waits_for_messages),
    "blocked-lease": Mutation("that a lease is renewed while the loop is blocked", broken=_blocked_leases),
    "endless-block": Mutation("that a loop that is blocked for too long ends its node", broken=_endless_blocks),
    "unblamed": Mutation("that what stalls its node is counted", broken=_unblamed),
    "frozen-stall": Mutation("that a stopped process is not taken for a blocked loop", broken=_frozen_stalls),
    "spared-culprit": Mutation("that the count of what held a node up outlives its pardon", broken=_spared_culprits),
    "lost-count": Mutation(
        "that an earlier message does not take the place of one that was counted", broken=_lost_counts
    ),
    "forgotten-arrival": Mutation(
        "that a crash is taken back in shards that were on their way, too", broken=_forgotten_arrivals
    ),
    "ended-early": Mutation("that a process ends when all its groups were given up", broken=_ended_early),
}
