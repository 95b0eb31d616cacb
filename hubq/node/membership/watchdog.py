"""The watchdog: tells of an event loop that stands still, and ends a process whose loop does so for too long.

It has no thread and no connection: :mod:`hubq.node.membership.rounds` runs it. docs/blocked-loops.md has the whole of it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec.structs import replace

from hubq.core.stillness import AT_WORK, HELD_UP, Sight, Stillness
from hubq.errors import RedisUnavailable
from hubq.node.membership.doing import Doing, Looks
from hubq.node.runtime.beat import EVERY as BEAT
from hubq.node.runtime.beat import Beat
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.group import Group
from hubq.node.runtime.speaker import Speaker, Stall
from hubq.store.command import Command
from hubq.store.connection import LOST
from hubq.store.events import add_event
from hubq.store.membership import leave_node
from hubq.store.owners import Kept
from hubq.store.tries import Suspect, blame
from hubq.store.vitals import EVERY as ACCOUNTS
from hubq.store.vitals import Blocked, Vitals, write_vitals

log = logging.getLogger("hubq.node")

#: The exit code of a worker that has ended itself since its event loop stood still for too long.
STALLED = 70
#: So many events are kept at most while Redis does not answer.
MOST_UNWRITTEN = 10
#: What a request to Redis that failed raises.
UNANSWERED = (*LOST, RedisUnavailable, TimeoutError)

#: Yields requests (commands of one round trip) and is sent their answers, or what went wrong is thrown in.
Asking = Generator[Sequence[Command[Any]], list[Any], None]
#: Ends the process with an exit code. It may return (in tests): the node is cut off from the hub then.
Ends = Callable[[int], None]


class Accounts(Protocol):
    """Has the node's last account of itself (``hubq.node.vitals``)."""

    vitals: Vitals


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has found: in what the loop stands (or stood) still, and for how long, seconds. ``speaks``: this watchdog tells people
    of it; if not, that of another group does.
    """

    sight: Sight
    doing: Doing
    lasted: float
    speaks: bool


class Watchdog:
    """Looks at the loop's beat once per round. ``speaker``: that of the whole node. ``fatal``: a process that does not run for so long,
    seconds, may have lost its lease by that.
    """

    def __init__(
        self,
        group: Group,
        counters: Counters,
        beat: Beat,
        looks: Looks,
        accounts: Accounts,
        ends: Ends,
        speaker: Speaker,
        fatal: float,
    ) -> None:
        self._group = group
        self._counters = counters
        self._beat = beat
        self._looks = looks
        self._accounts = accounts
        self._ends = ends
        self._speaker = speaker
        self._fatal = fatal
        self._speaks: bool | None = None  # of this standing still; None: that was not asked yet
        self._still = Stillness(group.config.stall_limit, BEAT)
        self._doing = Doing()
        self._seen: list[Seen] = []  # and not told yet
        self._unwritten: deque[Command[Any]] = deque(maxlen=MOST_UNWRITTEN)  # events
        self._told_once = False  # Redis, of this standing still
        self._has_turned = False  # and no account has said so yet
        self._account_due = 0.0
        self._held_by: Suspect | None = None
        self._stalled_by: Suspect | None = None

    def begins(self) -> None:
        """Looks are taken from now on."""
        self._speaker.begins(self)

    def look(self, held_up: float, at_work: float) -> None:
        """Look at the loop, as the first thing after a time in which the process was held up: what the loop does now is what
        it has done meanwhile.
        """
        still, now, beat_at = self._still, self._group.standing.now(), self._beat.at
        sight = still.look(now, beat_at, held_up, at_work)
        if sight is Sight.FREED:
            # It may have turned for a moment only: since that beat it may stand still again, in something else.
            self._seen.append(Seen(sight, self._doing, still.lasted, self._speaks or False))
            self._speaks = None
            sight = still.look(now, beat_at, held_up, at_work)
        was_held = held_up > HELD_UP and at_work >= AT_WORK * held_up
        at_fault = was_held and still.lasted > self._fatal
        if sight in (Sight.BLOCKED, Sight.STALLED) or (sight is Sight.STILL and at_fault):
            self._doing = self._looks()
            if at_fault and self._doing.suspect is not None:
                self._held_by = self._doing.suspect
                self._speaker.held(now, self._held_by)
        if (
            was_held and self._held_by is None
        ):  # the loop may have gone on since the watchdog of another group has looked
            self._held_by = self._speaker.held_since(now - held_up)
        if sight in (Sight.BLOCKED, Sight.STALLED):
            if self._speaks is None and still.since is not None:
                self._speaks = self._speaker.is_first("blocked", still.since)
            self._seen.append(Seen(sight, self._doing, still.lasted, self._speaks or False))
        self._counters.stands_still(0.0 if still.since is None else still.lasted)

    @property
    def held_by(self) -> Suspect | None:
        """What has cost the node its lease: it stalled the loop, or it has kept the whole process, this thread as well, from
        running for longer than a lease (code in C that does not let go of the interpreter).
        """
        return self._held_by or self._stalled_by

    def lease_settled(self) -> None:
        """The lease was renewed in time, or what has cost it was told: what has held the process until now has cost nothing more."""
        self._held_by = None

    def tell(self, redis_answers: bool) -> Asking:
        """Tell people and Redis of what was seen. The next renewal waits for what is written: it is one request at most, and
        none while Redis does not answer.
        """
        seen, self._seen = self._seen, []
        for one in seen:
            # If the loop stands still for another node that shares it (in tests), that node's watchdog tells.
            if one.doing.node in ("", self._group.node_name):
                yield from self._told(one)
            if one.sight is Sight.FREED:
                self._told_once = False
        if (stall := self._speaker.stall) is not None:
            yield from self._give_up(stall)
        if redis_answers:
            written = [*self._unwritten, *self._account()]
            self._unwritten.clear()
            if written:
                yield from self._sent(written)

    def _told(self, seen: Seen) -> Asking:
        if seen.sight is Sight.BLOCKED:
            self._blocked(seen)
        elif seen.sight is Sight.FREED:
            self._freed(seen)
        else:
            yield from self._stalled(seen)

    # -- what is told ----------------------------------------------------------------------------------------------

    def _blocked(self, seen: Seen) -> None:
        doing, first = seen.doing, not self._told_once
        if first:
            self._told_once, self._account_due = True, 0.0
        if not seen.speaks:
            return
        log.warning(
            "the event loop of %s has stood still for %.1f s in %s%s:\n%s", self._group.node_name, seen.lasted, doing.named,
            ". A call that blocks belongs into a plain def, which runs in a thread" if doing.child else "", doing.stack,
        )  # fmt: skip
        if first:
            self._counters.loop_blocked()
            self._unwritten.append(self._event("loop_blocked", seen))

    def _freed(self, seen: Seen) -> None:
        self._account_due = 0.0
        self._has_turned = True
        if not seen.speaks:
            return
        log.warning(
            "the event loop of %s turns again, after %.1f s in %s", self._group.node_name, seen.lasted, seen.doing.named
        )
        self._unwritten.append(self._event("loop_unblocked", seen))

    def _record(self) -> Blocked:
        since = self._group.standing.redis_now_ms() - self._still.lasted * 1000
        return Blocked(int(since), self._doing.child, self._doing.method)

    def _event(self, kind: str, seen: Seen) -> Command[None]:
        group, doing = self._group, seen.doing
        what = {
            "node": group.node_name, "child": doing.child, "method": doing.method, "seconds": round(seen.lasted, 1)
        }  # fmt: skip
        return add_event(group.keys, group.config.events_kept, kind, what)

    def _account(self) -> list[Command[None]]:
        """The loop does not write the node's account while it stands still: so that those who look see why, it is written here,
        and once more when the loop has turned.
        """
        standing = self._group.standing
        now = standing.now()
        if not (self._told_once or self._has_turned) or now < self._account_due or not standing.incarnation:
            return []
        self._account_due, self._has_turned = now + ACCOUNTS, False
        vitals = replace(
            self._accounts.vitals, at=round(time.time(), 3), lag=round(self._still.lasted, 4),
            blocked=self._record() if self._told_once else None, cpu=round(time.process_time(), 2),
            lease_left=round(max(0.0, standing.lease.left(now)), 3),
        )  # fmt: skip
        return [write_vitals(self._group.keys, self._group.node_name, vitals)]

    def _sent(self, commands: Sequence[Command[Any]]) -> Generator[Sequence[Command[Any]], list[Any], list[Any]]:
        """Send, if Redis is there: it is no reason to look less."""
        try:
            return (yield commands)
        except UNANSWERED as error:
            log.debug("what the watchdog tells is not written: %s", error)
            return []

    # -- what takes too long ---------------------------------------------------------------------------------------

    def blame(self, suspect: Suspect) -> Generator[Sequence[Command[Any]], list[Any], str]:
        """Count what has taken this node down, if it is of this group; the answer: the script's word, empty if Redis does not answer."""
        if suspect.shard not in self._group.shards:
            return "elsewhere"
        answers = yield from self._sent([blame(self._group.keys, suspect, Kept.of(self._group.config))])
        return str(answers[0]) if answers else ""

    def _stalled(self, seen: Seen) -> Asking:
        """The process must end. Nothing is sent by its loop from here on; what it sends late is fenced."""
        group, doing, since = self._group, seen.doing, self._still.since
        if since is None or self._beat.at > since:
            return  # it has just begun to turn again
        group.standing.lease.distrust()
        if self._speaker.is_first("stalled", since):
            log.critical(
                "the event loop of %s has stood still for %.1f s in %s, longer than stall_limit=%g: this worker ends with code "
                "%d, and others take its children over\n%s", group.node_name, seen.lasted, doing.named,
                group.config.stall_limit, STALLED, doing.stack,
            )  # fmt: skip
            yield from self._sent([self._event("loop_stalled", seen)])
        self._speaker.stalls(since, group.standing.now(), doing.suspect)

    def _give_up(self, stall: Stall) -> Asking:
        """Give up what the node has in this group. The last watchdog that has done so ends the process: a group that was not given up
        would take its end for a crash, and count all that was in hand. A group whose primary is away is waited for until its lease is over.
        """
        standing, config = self._group.standing, self._group.config
        if self not in stall.told:
            standing.lease.distrust()
            self._stalled_by = stall.suspect
            word = "unknown" if stall.suspect is None else (yield from self.blame(stall.suspect))
            if word and standing.incarnation:
                # What is counted is counted: given up, the shards are no crash. If nothing could be counted (Redis is away),
                # the lease runs out, and the next owner counts a crash.
                goodbye = leave_node(
                    self._group.keys, self._group.node_name, standing.incarnation, config.events_kept, force=True
                )
                yield from self._sent([goodbye])
        if self._speaker.may_end(stall, self, overdue=standing.now() > stall.at + config.lease):
            self._ends(STALLED)
