"""The children of the simulation: each writes into its state what it has applied, and by which execution."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

from hubq import Child

Entry = tuple[int, int]
#: What a handler says that raises on purpose.
SPOILT = "spoilt"
NO_DRIVER = "this worker has no driver for it"


class Stage(Protocol):
    """What children may ask of the simulated world."""

    def mark(self) -> int:
        """A number for this execution of a handler, never given twice."""

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""

    def seconds(self, most: float) -> float:
        """A time."""

    def saved(self, child: str, ticks: int) -> None:
        """``commit()`` has returned with this in the state."""

    def listener(self, child: str) -> str:
        """Whom this child tells of all that it applies; empty: nobody."""

    async def block(self, child: str, sender: str, number: int, seconds: float, held: bool) -> None:
        """Block the loop of the process, until the faults stop at most; ``held``: all of the process."""

    def build(self) -> None:
        """Take the time of an ``__init__``."""


class Held:
    """Where the stage is kept: children are built by name, nothing can be handed to them. (One schedule runs at a time.)"""

    stage: ClassVar[Stage]


class Plain(Child):
    """``record`` applies one message; the answer is the mark of this execution, which stays in the state with it."""

    def __init__(self) -> None:
        self.applied: dict[str, list[Entry]] = {}
        self.told = 0
        self.heard: dict[str, list[int]] = {}

    def note(self, sender: str, number: int) -> int:
        mark = Held.stage.mark()
        self.applied.setdefault(sender, []).append((number, mark))
        self.tell()
        return mark

    def tell(self) -> None:
        """Tell another child: an effect of the message, or of ``run()``."""
        if listener := Held.stage.listener(self.child_id):
            self.told += 1
            self.ref(listener).cast("hear", self.child_id, self.told)
            self.publish("told", self.told)

    async def hear(self, teller: str, number: int) -> None:
        self.heard.setdefault(teller, []).append(number)

    async def talk(self) -> tuple[int, dict[str, list[int]]]:
        return self.told, self.heard

    async def record(self, sender: str, number: int, before: float = 0.0, after: float = 0.0) -> int:
        if before:
            await asyncio.sleep(before)
        mark = self.note(sender, number)
        if after:
            await asyncio.sleep(after)
        return mark

    async def spoil(self, sender: str, number: int) -> None:
        """Applies, and then raises: it must leave nothing behind."""
        self.note(sender, number)
        await asyncio.sleep(0)
        raise ValueError(SPOILT)

    async def fickle(self, sender: str, number: int) -> None:
        """Applies, and raises for every other message: a copy of the child does the same."""
        self.note(sender, number)
        if number % 2:
            raise ValueError(SPOILT)

    def thread(self, sender: str, number: int) -> int:
        """In a thread, which cannot be cancelled."""
        return self.note(sender, number)

    async def entries(self) -> dict[str, list[Entry]]:
        return self.applied


class Slow(Plain):
    """``on_start``, ``on_stop`` and the handover state take their time, or fail."""

    transient = ("where",)

    async def on_start(self) -> None:
        await asyncio.sleep(Held.stage.seconds(0.3))
        self.where = self.node_name

    async def on_stop(self, reason: str) -> None:
        await asyncio.sleep(Held.stage.seconds(0.5))

    async def prepare_handover_state(self) -> Any:  # type: ignore[override]
        await asyncio.sleep(Held.stage.seconds(0.1))
        if Held.stage.chance(0.05):
            await asyncio.sleep(5)
        if Held.stage.chance(0.03):
            raise RuntimeError("no state today")
        return {"applied": self.applied, "told": self.told, "heard": self.heard, "handed": True}

    def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
        assert handed["handed"]
        return {name: value for name, value in handed.items() if name != "handed"}


class Running(Plain):
    """Has a loop of its own that counts and commits."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(Held.stage.seconds(1.0))
            self.ticks += 1
            ticks = self.ticks
            if Held.stage.chance(0.3):
                self.tell()
            if Held.stage.chance(0.5):
                await self.commit()
                if (
                    self.ticks == ticks
                ):  # else a message in hand was undone while commit() waited for it, and this with it
                    Held.stage.saved(self.child_id, ticks)
            if Held.stage.chance(0.03):
                raise RuntimeError("run() fails now and then")

    async def ticked(self) -> int:
        return self.ticks


class Interval(Plain):
    """Saves now and then."""

    durability = "interval"
    save_every = 0.7
    save_after = 4


class Picky(Plain):
    """Cannot be built on some workers, as after half a deploy."""

    refused_by: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        if self.node_name in Picky.refused_by:
            raise RuntimeError(NO_DRIVER)


class Blocking(Plain):
    """Blocks the loop of its node, as ``time.sleep`` in an ``async def`` does. ``held``: as code in C does that keeps the
    interpreter to itself, so that no thread of the process runs.
    """

    async def block(self, sender: str, number: int, seconds: float, held: bool) -> int:
        mark = self.note(sender, number)
        await Held.stage.block(self.child_id, sender, number, seconds, held)
        return mark


class Heavy(Plain):
    """Its ``__init__`` takes long."""

    def __init__(self) -> None:
        super().__init__()
        Held.stage.build()


def let_rest(kinds: Iterable[type[Child]], seconds: float | None) -> None:
    """Children of these classes rest after so many seconds without a message; None: they do not."""
    for kind in kinds:
        kind.idle_after = None if hasattr(kind, "run") else seconds


KINDS: dict[str, type[Plain]] = {
    "plain": Plain,
    "slow": Slow,
    "running": Running,
    "interval": Interval,
    "picky": Picky,
    "blocking": Blocking,
    "heavy": Heavy,
}
