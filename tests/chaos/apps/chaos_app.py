"""The children of the chaos run. Each keeps, in little room, which numbers of each sender it has applied."""

import asyncio
import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from hubq import Child, HotSwap, Hub
from hubq.client.asking.calling import handling

#: Version, nonce, and (number, nonce) of the sender's message before.
Told = tuple[int, int, tuple[int, int]]

hub = Hub(
    os.environ["CHAOS_HUB"],
    lease=float(os.environ["CHAOS_LEASE"]),
    lease_margin=0.5,
    heartbeat=0.2,
    migration=HotSwap(retention=3.0),
    wait_replicas=int(os.environ.get("CHAOS_REPLICAS", "0")),
    groups=int(os.environ.get("CHAOS_GROUPS", "1")),
    shards=int(os.environ.get("CHAOS_SHARDS", "64")),
)
#: Those who say something to one another.
CHILDREN = os.environ.get("CHAOS_CHILDREN", "").split()


#: What was handled, when, and as which entry of a mailbox: read by people after a breach.
HANDLED = os.open(
    os.environ.get("CHAOS_HANDLED", os.devnull).format(pid=os.getpid()), os.O_CREAT | os.O_APPEND | os.O_WRONLY
)


def apply(ranges: list[list[int]], sender: str, number: int, wrong: list[str]) -> None:
    """A message of a sender has come."""
    if (message := getattr(handling(), "message", None)) is not None:
        os.write(
            HANDLED, f"{time.time():.3f} {message.child} {sender} {number} {message.entry} {message.id}\n".encode()
        )
    if any(low <= number <= high for low, high in ranges):
        wrong.append(f"{sender}: {number} applied twice")
    elif ranges and number < ranges[-1][1]:
        wrong.append(f"{sender}: {number} after {ranges[-1][1]}")
        ranges.append([number, number])
        ranges.sort()
    elif ranges and number == ranges[-1][1] + 1:
        ranges[-1][1] = number
    else:
        ranges.append([number, number])


@hub.child
class Tally(Child):
    """Numbers of one sender as ranges, so that the state stays small: ``[[1, 57], [59, 80]]`` if 58 never came."""

    def __init__(self) -> None:
        self.version = 0
        self.ranges: dict[str, list[list[int]]] = {}
        self.wrong: list[str] = []
        self.last: dict[str, tuple[int, int]] = {}  # sender -> number, and the nonce that its handling drew
        self.said: dict[str, int] = {}  # another child -> how many messages it was sent
        self.heard: dict[str, list[list[int]]] = {}  # what came from other children

    def note(self, sender: str, number: int) -> Told:
        apply(self.ranges.setdefault(sender, []), sender, number, self.wrong)
        self.tell_another()
        self.version += 1
        before, nonce = self.last.get(sender, (0, 0)), random.getrandbits(60)
        self.last[sender] = (number, nonce)
        return self.version, nonce, before

    def tell_another(self) -> None:
        """Send the next number to another child: with the state that knows of it, once, whichever group it is in."""
        if CHILDREN:
            other = random.choice(CHILDREN)
            self.said[other] = self.said.get(other, 0) + 1
            self.ref(other).cast("hear", self.child_id, self.said[other])

    async def hear(self, sender: str, number: int) -> None:
        """A number from another child."""
        apply(self.heard.setdefault(sender, []), sender, number, self.wrong)

    async def record(self, sender: str, number: int) -> Told:
        """Apply a message: the version, which no other accepted answer has; a nonce; what the state knew before.

        Whoever was told a nonce finds it in the state from then on. If a reply went out without its commit, the message
        is handled again and draws another one.
        """
        return self.note(sender, number)

    async def ping(self) -> None:
        """Answer."""

    async def report(self) -> dict[str, Any]:
        return {"ranges": self.ranges, "wrong": self.wrong, "last": self.last, "said": self.said, "heard": self.heard}


@hub.child
class Slow(Tally):
    """Is often busy when its shard moves."""

    async def record(self, sender: str, number: int) -> Told:
        before = self.note(sender, number)
        await asyncio.sleep((0.02, 0.05, 0.4, 1.2)[number % 4])
        return before


@hub.child
class Ticker(Tally):
    """Has a loop of its own that commits."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.ticks += 1
            await self.commit()


@hub.child
class Blocker(Tally):
    """Blocks the loop of its node when told to."""

    async def block(self, sender: str, number: int, until: float) -> None:
        self.note(sender, number)
        time.sleep(max(0.0, until - time.time()))  # noqa: ASYNC251  (this is the fault)


@hub.child(durability="interval", save_every=0.5)
class Lazy(Tally):
    """Is saved now and then."""


@hub.child
class Threaded(Tally):
    """Works in threads."""

    def record(self, sender: str, number: int) -> Told:  # type: ignore[override]
        time.sleep(0.005)
        return self.note(sender, number)


def _gauge(signal_number: int, frame: object) -> None:
    """SIGUSR1: how many tasks and open files this worker has."""
    with contextlib.suppress(RuntimeError):
        line = f"{len(asyncio.all_tasks())} {len(os.listdir('/proc/self/fd'))}\n"
        with Path(os.environ["CHAOS_GAUGES"], str(os.getpid())).open("a") as file:
            file.write(line)


signal.signal(signal.SIGUSR1, _gauge)
