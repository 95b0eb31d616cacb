"""What is thrown at the hub, and when: made from a seed, so that a failing run can be thrown again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

#: Fault -> how often, relative to the others. ``for_`` of each is in :func:`_lasting`.
WEIGHTS = {
    "term": 5,  # SIGTERM: drain, and a new worker
    "kill": 5,  # SIGKILL, and a new worker
    "freeze": 4,  # SIGSTOP for longer than the lease, then SIGCONT
    "join": 3,  # one worker more (and one less, by SIGTERM, if there are many)
    "cut": 4,  # every connection of a worker is broken, and new ones are refused for a while
    "snip": 4,  # every connection of a worker is broken once
    "stall": 3,  # nothing passes between a worker and Redis, and no connection breaks
    "ghost": 3,  # what a worker sends is held back until others have taken over; when it comes, those are killed
    "sever": 5,  # a worker is cut off and killed right after something with a reply in it has passed to Redis
    "delay": 3,  # everything between a worker and Redis takes longer
    "block": 3,  # a handler blocks the loop of its node, as a forgotten time.sleep does
    "redis_stop": 2,  # Redis ends in good order and is started again with its AOF
    "redis_kill": 2,  # the same with SIGKILL
}
#: The faults of a run on a Redis Cluster: those of workers that need no proxy, and those of the cluster.
ON_A_CLUSTER = {
    "term": 5,
    "kill": 5,
    "freeze": 3,
    "join": 3,
    "block": 2,
    "reshard": 5,  # the slots of the hub go to another primary, key by key
    "failover": 3,  # a replica takes over, by command
    "primary_kill": 3,  # SIGKILL to a primary of the hub; its replica takes over
    "primary_freeze": 2,  # SIGSTOP for longer than the lease, then SIGCONT
    "script_flush": 2,
    "grow": 2,  # a primary is added, and slots are balanced; the next time its slots go back, and it is removed
    "shrink": 2,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """At second ``at``, ``kind`` happens to worker number ``pick`` (modulo those there are) and lasts ``lasting`` s."""

    at: float
    kind: str
    pick: int
    lasting: float


def _lasting(kind: str, random: Random, lease: float) -> float:
    match kind:
        case "freeze" | "primary_freeze":
            return lease + random.uniform(0.5, 2.0)
        case "cut" | "stall":
            return random.choice([random.uniform(0.1, lease / 2), lease + random.uniform(0.2, 1.5)])
        case "ghost":
            return lease + random.uniform(2.0, 2.5)
        case "block":
            return random.uniform(2.0, 20.0)
        case "delay":
            return random.uniform(1.0, 4.0)
        case "redis_stop" | "redis_kill":
            return random.choice([0.1, 0.1, random.uniform(0.5, lease / 2), lease + 0.5])
        case _:
            return 0.0


def make_plan(seed: int, seconds: float, lease: float, weights: Mapping[str, int] = WEIGHTS) -> list[Fault]:
    """The faults of a run, in order. Every kind comes once before any comes at random.

    >>> make_plan(7, 60, 2.0) == make_plan(7, 60, 2.0), {fault.kind for fault in make_plan(7, 60, 2.0)} == set(WEIGHTS)
    (True, True)
    """
    random = Random(seed)
    first = random.sample(sorted(weights), len(weights))
    pause = min(2.5, seconds / (len(first) + 2))
    faults: list[Fault] = []
    at = pause
    while at < seconds:
        kind = first.pop() if first else random.choices(list(weights), list(weights.values()))[0]
        faults.append(Fault(round(at, 3), kind, random.randrange(1000), round(_lasting(kind, random, lease), 3)))
        at += random.uniform(0.6, 1.4) * pause
    return faults
