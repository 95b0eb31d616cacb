"""One schedule, from its seed to what it has shown."""

from __future__ import annotations

import contextlib
import gc
import logging
import secrets
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hubq import Replication
from hubq.errors import HubqError, RedisUnavailable
from hubq.testing.simulated import stack_of_loop
from tests.simulation.children import NO_DRIVER, SPOILT, Held, Picky
from tests.simulation.gadgets import Shown
from tests.simulation.lease import frames_of_block
from tests.simulation.loop import Deadlock, Overrun
from tests.simulation.observer import EPOCH
from tests.simulation.world import World


@dataclass
class Result:
    """How a schedule went."""

    seed: int
    breaches: list[str] = field(default_factory=list)
    thrown: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    hash: int = 0


class _Ears(logging.Handler):
    """Hears what a node logs as an unexpected error."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        info = record.exc_info
        if not info or info[1] is None or isinstance(info[1], (RedisUnavailable, ConnectionError)):
            return
        if str(info[1]) in (SPOILT, NO_DRIVER):  # what children raise on purpose
            return
        where = traceback.extract_tb(info[2])[-1]
        process = self.world.loop.process
        self.world.errors.append(
            f"{process.name if process else 'world'} logged {record.getMessage()!r}: {type(info[1]).__name__}: {info[1]} "
            f"({where.filename.rpartition('/')[2]}:{where.lineno})"
        )


@contextlib.contextmanager
def _owned(world: World) -> Iterator[None]:
    """Time and chance belong to the schedule; what nodes log is heard; nothing is collected in the middle."""
    kept = time.time, time.monotonic, time.process_time, secrets.token_hex
    log, ears = logging.getLogger("hubq"), _Ears(world)
    level, propagate = log.level, log.propagate
    Held.stage, Shown.stage = world, world
    Picky.refused_by.clear()
    time.time, time.monotonic = (lambda: EPOCH + world.loop.now), (lambda: world.loop.time())
    time.process_time = world.process_time
    secrets.token_hex = lambda n=8: f"{world.rng.getrandbits(8 * n):0{2 * n}x}"
    log.addHandler(ears)
    log.setLevel(logging.ERROR if world.record.trace is None else logging.DEBUG)
    log.propagate = False
    gc.disable()
    try:
        with stack_of_loop(lambda: frames_of_block(world.loop.process)):
            yield
    finally:
        gc.enable()
        log.removeHandler(ears)
        log.setLevel(level)
        log.propagate = propagate
        time.time, time.monotonic, time.process_time, secrets.token_hex = kept


def run_schedule(seed: int, trace: Callable[[str], None] | None = None, mutate: Any = None, groups: int = 0) -> Result:
    """Run one schedule from its seed. The same seed gives the same schedule, to the last message. ``groups``: the hub has so many,
    whatever the seed says.
    """
    world = World(seed, trace, mutate, groups)
    with _owned(world), world.groups.pages():
        try:
            world.loop.run(world.main())
        except (Deadlock, Overrun, HubqError) as error:
            world.errors.append(f"{type(error).__name__}: {error}")
    observer, ledger = world.observer, world.ledger
    count = observer.count
    breaches = [
        *observer.breaches,
        *world.blocks.breaches,
        *ledger.wrong,
        *world.features.ledger.wrong,
        *world.errors,
        *world.loop.complaints,
    ]
    counts = {
        "messages": ledger.numbers + world.features.ledger.numbers, "commits": count("commits"), "migrations": count("migrations"),
        "take-overs": count("claims"), "evictions": count("evictions"), "pins": count("pins"),
        "parkings": count("parkings"), "dead letters": len(observer.letters), "moves by hand": count("moves"),
        "reminders fired": 0 if world.witness is None else world.witness.fired.total(),
        "schedules with features": int(world.features.on),
        "schedules with blocked loops": int(world.blocks.any),
        "schedules with groups": int(world.groups.any),
        "times a group went back": sum(world.groups.went_back.values()),
        "messages between groups": count("far"),
        "schedules with copies": int(isinstance(world.redundancy, Replication)),
        "rests": count("rests"), "wakes": count("wakes"),
        "commands": world.record.executed, "steps": world.loop.steps,
        "simulated seconds": round(world.loop.now),
    }  # fmt: skip
    return Result(seed, breaches, world.record.thrown, counts, world.record.hash)
