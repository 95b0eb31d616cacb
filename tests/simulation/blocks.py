"""Blocked loops and slow builds: handlers that block the loop of their node, children whose ``__init__`` takes long.

All of it is drawn by a chance of its own, so that a schedule without any is what it would be without this module. What must
hold is checked here, too:

- no node is evicted for a blocked loop: if Redis was there for it, only what ends it can have it evicted;
- a message that blocks is handled once, as long as its node lives and was not disturbed;
- a message that holds its process, or stalls it, does so three times at most;
- in a *quiet* schedule (nothing but blocked loops, slow builds, joins and drains) every such call is answered, and only a
  message that hangs for ever is a dead letter.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from hubq.store.codec import decode
from hubq.store.tries import MOST_TRIES
from tests.simulation.loop import Loop, Process

if TYPE_CHECKING:
    from tests.simulation.faults import Plan
    from tests.simulation.observer import Observer

#: A handler that hangs blocks its loop for so long, seconds: its node ends before.
HANGS = 1_000.0
#: A loop counts as blocked since its last beat, which may be so long ago, seconds.
BEAT = 0.3
#: A suspect is on trial for so long at most before something else holds its process, seconds (``START_TRIAL`` of hubq).
TRIAL = 5.0
#: The caller of a message that blocks waits so long for the answer, seconds.
PATIENCE = 120.0


class Blocks:
    """What blocks in one schedule, and who was disturbed by something else."""

    def __init__(self, seed: int, loop: Loop, lease: float, heartbeat: float, *, off: bool = False) -> None:
        rng = self.rng = Random(f"blocks of {seed}")
        self._loop = loop
        self._lease = lease
        self._grace = lease + 2 * heartbeat + 1.0
        dice = rng.random()
        self.any = dice < 0.35 and not off
        self.quiet = dice < 0.12 and not off
        self.every_eviction = False
        """Each eviction must be explained, also if nothing blocks here."""
        self.stall_limit = rng.choice([4.0, 8.0, 60.0])
        self.hangs = self.any and self.stall_limit < 60.0 and rng.random() < 0.4
        self.holds = self.any and rng.random() < 0.3
        self.slow_builds = self.any and rng.random() < 0.5
        self.left = rng.randint(1, 4) if self.any else 0
        self.breaches: list[str] = []
        self._disturbed: dict[Process, dict[int | None, float]] = {}
        """Until when; by primary, if it is one that cannot be reached."""
        self._in_hand: dict[Process, tuple[str, str, int]] = {}  # what blocks it
        self._stalls: dict[tuple[str, str, int], int] = {}
        self._holds: dict[tuple[str, str, int], int] = {}
        self._held: dict[Process, list[tuple[float, float]]] = {}  # when each process was held: since, until
        self._held_by: dict[Process, tuple[str, str, int]] = {}  # the last message that held it
        self._begun: dict[tuple[str, str, int], tuple[Process, float]] = {}

    def change(self, plan: Plan) -> None:
        """Give a schedule with blocked loops the time for them; a quiet one has no other faults."""
        if not self.any:
            return
        plan.seconds += self.rng.uniform(5.0, 20.0) * (2.0 if self.hangs else 1.0)
        if self.quiet:
            plan.timed = self.rng.choice([["join"], ["join", "drain"]])
            plan.gap = 4.0
            plan.lost, plan.aimed, plan.picky, plan.moves = [], [], False, 0.0

    def kinds(self) -> list[str]:
        """The kinds of the children that it adds."""
        if not self.any:
            return []
        return ["blocking"] * self.rng.randint(1, 2) + ["heavy"] * (self.rng.randint(1, 4) if self.slow_builds else 0)

    def due(self, child: str) -> tuple[float, bool]:
        """For how long the next message of this child blocks, and whether it holds the whole process; 0: another message."""
        rng = self.rng
        if not self.left or not child.startswith("blocking") or rng.random() < 0.5:
            return 0.0, False
        self.left -= 1
        if self.hangs and rng.random() < 0.5:
            return HANGS, False
        seconds = min(rng.choice([0.5, 2.0, 5.0, 20.0]) * rng.uniform(0.5, 1.0), self.stall_limit * 0.9)
        return seconds, self.holds and rng.random() < 0.5

    def build(self) -> float:
        """How long an ``__init__`` takes, seconds."""
        return self.rng.choice([0.002, 0.02, 0.2, 1.5]) * self.rng.uniform(0.5, 1.0)

    # -- what must hold --------------------------------------------------------------------------------------------

    def disturb(self, process: Process, seconds: float, primary: int | None = None) -> None:
        """Something keeps this process from a primary (None: from all), or from running, for so long."""
        until = self._disturbed.setdefault(process, {})
        until[primary] = max(until.get(primary, 0.0), self._loop.now + seconds)

    def _undisturbed_since(self, process: Process, then: float, primary: int | None = None) -> bool:
        """``primary``: what keeps it from others does not count (None: all counts)."""
        until = self._disturbed.get(process, {})
        counts = until.values() if primary is None else [until[of] for of in (None, primary) if of in until]
        return process.alive and max(counts, default=-1.0) < then

    def evicted(self, process: Process, now: float, lease_end: float, primary: int = 0) -> None:
        """This primary has written that the process is no member any more. Its lease has ended before: perhaps long before, if
        nobody was there to evict it.
        """
        explained = not self._undisturbed_since(process, lease_end - self._grace, primary)
        if (self.any or self.every_eviction) and not explained:
            self.breaches.append(
                f"at {now:.3f}, {process.name} was evicted, and nothing kept it from renewing its lease"
            )

    def begins(self, child: str, sender: str, number: int) -> None:
        """A message that blocks is about to be handled in the process that runs."""
        process, now, message = self._loop.process, self._loop.now, (child, sender, number)
        assert process is not None
        before, then = self._begun.get(message, (process, now))
        # (After stall_limit its node gives the lease up, and ends a moment later: others may be quicker than its end.)
        # (And what has kept it from renewing before it began this message may have cost it the lease since.)
        if (
            message in self._begun
            and now - then < self.stall_limit
            and self._undisturbed_since(before, then - self._grace)
        ):
            self.breaches.append(
                f"at {now:.3f}, {process.name} handles message {number} of {sender} to {child} again, and {before.name}, "
                f"which began it at {then:.3f}, lives"
            )
        self._begun[message], self._in_hand[process] = (process, now), message

    def goes_first(self, number: int) -> bool:
        """Whether the loop goes on before the lease thread, when a message that held the process lets go: nobody can tell
        then what had held it.
        """
        return number % 2 == 0

    def is_held(self, process: Process, child: str, sender: str, number: int, seconds: float) -> None:
        """A message, or a copy's execution of it, begins to hold a process."""
        now = self._loop.now
        self._held.setdefault(process, []).append((now, now + seconds))
        self._held_by[process] = (child, sender, number)

    def holds_process(self, child: str, sender: str, number: int, seconds: float) -> None:
        """A message begins to hold its process."""
        message = (child, sender, number)
        if self.quiet and seconds > 1.2 * self._lease and not self.goes_first(number):
            self._holds[message] = self._holds.get(message, 0) + 1
            if self._holds[message] > MOST_TRIES:
                self.breaches.append(
                    f"at {self._loop.now:.3f}, {message} holds a process once more than {MOST_TRIES} times"
                )

    def ends(self, process: Process) -> None:
        """A message that blocked is handled."""
        self._in_hand.pop(process, None)

    def stalled(self, process: Process) -> None:
        """A process ends itself, since its loop has stood still for too long."""
        now = self._loop.now
        if min(now, process.busy_until) - self._still_since(process) < self.stall_limit - BEAT:
            self.breaches.append(f"at {now:.3f}, {process.name} ends itself, and its loop was not blocked for so long")
        message = self._in_hand.get(process)
        if message is not None and self.quiet:
            self._stalls[message] = self._stalls.get(message, 0) + 1
            if self._stalls[message] > MOST_TRIES:
                self.breaches.append(f"at {now:.3f}, {message} has stalled a node once more than {MOST_TRIES} times")

    def _still_since(self, process: Process) -> float:
        """Since when its loop may not have beaten: between two messages that hold it, one after the other, a beat need not come."""
        since = process.busy_since
        for began, ended in reversed(self._held.get(process, [])):
            if since - BEAT <= ended and began < since:
                since = began
        return since

    def goes_on(self, process: Process) -> None:
        """The faults stop, and the loop of a process is blocked."""
        since = process.blocked_since
        lasted = self._loop.now - since
        if process.alive and lasted > self.stall_limit + 2.0 and self._undisturbed_since(process, since):
            self.breaches.append(f"{process.name} has not ended itself, and its loop was blocked for {lasted:.1f} s")

    def unanswered(self, sender: str, child: str, number: int, error: Exception) -> None:
        """The caller of a message that blocks has got an error."""
        if self.quiet and not self.hangs and not self.holds:
            self.breaches.append(f"{sender} -> {child}: {number} blocked its loop, and was not answered: {error}")

    def absolved(self, process: Process, message: dict[bytes, bytes]) -> None:
        """A node takes a crash back, and this message is sent again, which was condemned for it: it is as new.

        It has three new tries (docs/poison.md), so it is counted anew. Not if it was the one that had held the node up: its
        count must have stayed.
        """
        if message[b"method"] == b"block":
            (sender, number, *_), _ = decode(message[b"payload"])
            name = (message[b"child"].decode(), sender, number)
            if self._held_by.get(process) != name:
                self._holds.pop(name, None)
                self._stalls.pop(name, None)

    def _met_another(self, observer: Observer, letter: dict[bytes, bytes]) -> bool:
        """Whether another message held the process in the moment in which this suspect was on trial.

        Other children run meanwhile, and the script that takes over sees the mark of the suspect only: it is condemned wrongly
        (docs/poison.md, "What this cannot know"). The node that was held takes its crash back when it has joined again.
        """
        process, marked = observer.last_trial(letter)
        held = self._held.get(process, []) if process is not None else []
        return any(since - TRIAL < at <= until for since, until in held for at in marked)

    def condemned(self, observer: Observer) -> None:
        """These messages have become dead letters."""
        for letter in observer.letters if self.quiet else ():
            if letter.get(b"why", b"took-down") != b"took-down":
                continue
            if letter[b"method"] == b"block":
                seconds, held = decode(letter[b"payload"])[0][2:]
                if seconds == HANGS or held:
                    continue
            if not self._met_another(observer, letter):
                self.breaches.append(
                    f"{letter[b'kind'].decode()} {letter[b'method'].decode()} of {letter[b'child'].decode()} was condemned, "
                    "and takes no node down"
                )
