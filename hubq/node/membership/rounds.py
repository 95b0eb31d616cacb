"""What the lease thread does, round by round: renews the lease, evicts nodes whose lease is over, looks at the loop.

Written once, as a generator that yields requests and is sent their answers. It knows no thread, no event loop and no
connection: :mod:`hubq.node.membership.lease_thread` drives it, and :mod:`hubq.node.membership.lease_task` where time is
simulated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

from hubq.core.lease import Grant, Term
from hubq.node.membership.watchdog import UNANSWERED, Asking, Watchdog
from hubq.node.runtime.group import Group
from hubq.store.command import Command
from hubq.store.membership import Renewed, evict_node, renew_lease
from hubq.store.tries import Suspect

log = logging.getLogger("hubq.node")

#: The longest pause between two looks at the loop, seconds.
LOOK_EVERY = 0.5
#: A timer may come so much too soon, seconds: clocks round.
CLOCK_TICK = 0.001


class Tells(Protocol):
    """Tells the node's loop what it must act upon. It does so when the loop turns."""

    def lost(self, why: str, held_by: Suspect | None, go_on: Callable[[], None]) -> None:
        """Other nodes may own everything by now. No round renews until the loop has acted, and has called ``go_on``."""

    def went_back(self) -> None:
        """Redis does not know any more what it has confirmed."""

    def trusted_again(self) -> None:
        """There was a moment in which handlers could not start: they may now."""

    def changed(self) -> None:
        """The membership has changed."""


class Rounds:
    """One :meth:`round` after the other. ``works`` is the processor time of this process, seconds. The lease is renewed every ``apart``
    seconds; a renewal that has failed is tried again after a ``heartbeat``.
    """

    def __init__(
        self, group: Group, watchdog: Watchdog, tells: Tells, works: Callable[[], float], apart: float
    ) -> None:
        self.request_timeout = max(group.config.heartbeat, group.config.lease / 3)
        """How long a request may take, seconds; connecting may take as long again."""
        self.apart = apart
        """From one renewal to the next, seconds."""
        self._group = group
        self._watchdog = watchdog
        self._tells = tells
        self._works = works
        self._renewal_due = float("-inf")
        self._next_end = float("inf")  # when the next lease in the hub ends unless it is renewed, local time
        self._term = group.standing.term
        self._over = self._silent = self._waits = False
        self._planned = float("inf")  # when the next step was to come, at the latest
        self._worked = 0.0

    def begin_anew(self) -> None:
        """Rounds begin (again): renew at once, and do not take the time before for one in which the process was held up."""
        self._renewal_due, self._next_end, self._planned = float("-inf"), float("inf"), float("inf")
        self._waits = False
        self._watchdog.begins()

    def new_term(self) -> bool:
        """Whether the node has joined anew since this was asked last: it may have been sent to another Redis."""
        before, self._term = self._term, self._group.standing.term
        return before is not self._term

    def round(self) -> Generator[Sequence[Command[Any]], list[Any], float]:
        """One round: yields requests, and returns how long to pause, seconds."""
        now = self._group.standing.now
        self._watchdog.look(*self._held_up())
        if not self._waits and now() >= min(self._renewal_due, self._next_end) - CLOCK_TICK:
            yield from self._timed(self._renew())
        yield from self._timed(self._watchdog.tell(redis_answers=not self._silent))
        due = now() + self._group.config.heartbeat if self._waits else min(self._renewal_due, self._next_end)
        pause = max(0.0, min(due - now(), LOOK_EVERY))
        self._plan(pause)
        return pause

    # -- whether the process ran -----------------------------------------------------------------------------------

    def _plan(self, seconds: float) -> None:
        self._planned, self._worked = self._group.standing.now() + seconds, self._works()

    def _held_up(self) -> tuple[float, float]:
        """How much later than planned this moment is, and what the process has worked since the plan."""
        late = self._group.standing.now() - self._planned
        return (late, self._works() - self._worked) if late > 0 else (0.0, 0.0)

    def _timed(self, asking: Asking) -> Asking:
        """Requests may take their time; what goes beyond that was a process that did not run."""
        answers: list[Any] | None = None
        error: BaseException | None = None
        while True:
            try:
                request = asking.throw(error) if error is not None else asking.send(answers)  # type: ignore[arg-type]
            except StopIteration:
                return
            self._plan(2 * self.request_timeout)
            answers = error = None
            try:
                answers = yield request
            except Exception as failed:
                error = failed
            late, worked = self._held_up()
            if late:
                self._watchdog.look(late, worked)

    # -- the lease -------------------------------------------------------------------------------------------------

    def _renew(self) -> Asking:
        standing, config = self._group.standing, self._group.config
        term = standing.term
        began = standing.now()
        self._renewal_due, self._next_end = began + config.heartbeat, float("inf")
        evicted = False
        try:
            evicted = not (yield from self._renewed(term))
            self._renewal_due = began + self.apart
            if self._silent:
                log.info("Redis answers %s%s again", standing.node_name, standing.place)
            self._silent = False
        except UNANSWERED as error:
            if not self._silent:
                log.warning(
                    "lease of %s%s not renewed: %s", standing.node_name, standing.place, str(error) or "no answer"
                )
            self._silent = True
        except Exception:
            log.exception("renewing the lease failed")
        if evicted:
            self._over = False
            yield from self._lose(term, "evicted")
        elif not term.lease.over(standing.now()):
            self._over = False
        elif not self._over:
            self._over = True
            yield from self._lose(term, "lease over")

    def _lose(self, term: Term, why: str) -> Asking:
        term.lease.distrust()  # the loop may act on it only later
        held_by = self._watchdog.held_by
        if held_by is not None:
            yield from self._watchdog.blame(held_by)  # (if another node has the shard by now, its claim has counted)
        self._waits = True
        self._watchdog.lease_settled()
        self._tells.lost(why, held_by, self._go_on)

    def _go_on(self) -> None:
        self._waits = False

    def _renewed(self, term: Term) -> Generator[Sequence[Command[Any]], list[Any], bool]:
        """Ask for the next lease. False: this node is no member."""
        group, config, standing = self._group, self._group.config, self._group.standing
        asked_at, lease_ms, known = standing.now(), int(config.lease * 1000), term.epoch
        incarnation = 0 if term.void else term.incarnation
        answer: Renewed
        (answer,) = yield [renew_lease(group.keys, group.node_name, incarnation, lease_ms, known, term.granted_ms)]
        if not answer.ok:
            if answer.went_back:
                self._tells.went_back()
            return False
        if term.void:
            return False  # void meanwhile: join anew
        grant = standing.renewed(term, asked_at, answer.now_ms, lease_ms)
        if grant is Grant.OVER:
            # It is over, even if no other node has noticed: departures that waited for Redis have given up by now.
            return False
        self._watchdog.lease_settled()
        # A live node's lease never comes this near its end: wake right after it, not a heartbeat later.
        self._next_end = standing.now() + (answer.next_end_ms + 1) / 1000
        if grant is Grant.TRUSTED_AGAIN or standing.awaits_trust:
            # No handler was started meanwhile, and no other node has taken over: go on.
            self._tells.trusted_again()
        for name in answer.expired:
            if name != group.node_name:
                (word,) = yield [evict_node(group.keys, name, group.node_name, config.events_kept)]
                if word == "evicted":
                    log.warning("node %s%s is evicted: its lease ran out", name, group.standing.place)
        if answer.epoch != known or answer.expired:
            term.seen(answer.epoch)
            self._tells.changed()
        return True
