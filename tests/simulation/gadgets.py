"""The children of schedules with features: they remind themselves, publish, are read, are tried again, and start one another."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Protocol

from hubq import Child, Retry, read
from tests.simulation.children import SPOILT

#: Sender, number, and the mark of the execution that has applied it.
Did = tuple[str, int, int]
#: What was done with reminders, in order: "set", "drop" or "ring"; name, sender, number, and whether it fires again and again.
Line = tuple[str, str, str, int, bool]


class Stage(Protocol):
    """What gadgets may ask of the simulated world."""

    def mark(self) -> int:
        """A number for this execution of a handler, never given twice."""

    def fails(self) -> bool:
        """Whether this try fails."""


class Shown:
    """Where the stage is kept. (One schedule runs at a time.)"""

    stage: ClassVar[Stage]


class Gadget(Child):
    """Everything that it applies stands in its state, in order, and in its feed."""

    retry = Retry(max=3, wait=0.1, backoff=2.0)

    def __init__(self) -> None:
        self.did: list[Did] = []
        self.applied: dict[str, list[tuple[int, int]]] = {}
        self.reminded: list[Line] = []
        self.half = False
        """A message is half handled: nobody may see that."""

    def note(self, sender: str, number: int) -> int:
        mark = Shown.stage.mark()
        self.did.append((sender, number, mark))
        self.applied.setdefault(sender, []).append((number, mark))
        self.publish("did", (sender, number, mark))
        return mark

    async def do(self, sender: str, number: int, before: float = 0.0, after: float = 0.0) -> int:
        self.half = True
        if before:
            await asyncio.sleep(before)
        mark = self.note(sender, number)
        if after:
            await asyncio.sleep(after)
        self.half = False
        return mark

    async def flaky(self, sender: str, number: int) -> int:
        """Applies, and then fails, perhaps: it is tried again."""
        mark = self.note(sender, number)
        await asyncio.sleep(0)
        if Shown.stage.fails():
            raise ValueError(SPOILT)
        return mark

    async def remind_me(
        self, sender: str, number: int, name: str, after: float, every: float | None, late: str, fails: bool
    ) -> int:
        """Sets a reminder that rings with this sender and number."""
        mark = self.note(sender, number)
        self.reminded.append(("set", name, sender, number, every is not None))
        self.remind(name, sender, number, call=Gadget.ring, after=after, every=every, late=late)
        if fails and Shown.stage.fails():
            raise ValueError(SPOILT)
        return mark

    async def leave_me(self, sender: str, number: int, name: str) -> int:
        """Takes a reminder back."""
        mark = self.note(sender, number)
        self._drop(name)
        return mark

    def _drop(self, name: str) -> None:
        self.reminded.append(("drop", name, "", 0, False))
        self.forget(name)

    async def ring(self, sender: str, number: int) -> None:
        self.reminded.append(("ring", "", sender, number, False))

    async def quieten(self) -> None:
        """Takes back what fires again and again."""
        for name in sorted({name for what, name, *_ in self.reminded if what == "set"}):
            last = [line for line in self.reminded if line[1] == name][-1]
            if last[0] == "set" and last[4]:
                self._drop(name)

    async def pass_on(self, sender: str, number: int, to: str) -> int:
        """Tells a child that is started by it, if it is not there."""
        mark = self.note(sender, number)
        self.ref(OnDemand, to, self.child_id).cast(OnDemand.do, f"{self.child_id}<{sender}", number)
        return mark

    @read
    async def look(self) -> tuple[list[Did], bool]:
        return self.did, self.half

    async def everything(self) -> tuple[list[Did], list[Line]]:
        return self.did, self.reminded


class IntervalGadget(Gadget):
    """Saves now and then."""

    durability = "interval"
    save_every = 0.7
    save_after = 4


class Sleepy(Gadget):
    """Is dormant soon after its last message."""

    idle_after = 0.5


class OnDemand(Gadget):
    """Is started by its first message, and ends when it is told to. Meanwhile it is dormant now and then."""

    activate = True
    idle_after = 0.8

    def __init__(self, origin: str) -> None:
        super().__init__()
        self.origin = origin

    async def retire(self, sender: str, number: int) -> int:
        mark = self.note(sender, number)
        self.stop()
        return mark


GADGETS: dict[str, type[Gadget]] = {"gadget": Gadget, "interval": IntervalGadget, "sleepy": Sleepy, "demand": OnDemand}
