"""Constant calls and casts, from threads and from an event loop, and the book of what was acknowledged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import cast

from hubq import CallTimeout, Hub, NotReplicated, RedisUnavailable
from hubq.errors import Poisoned


@dataclass
class Book:
    """What the senders know, by (sender, child)."""

    last: dict[tuple[str, str], int] = field(default_factory=dict)
    acknowledged: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    unsure: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    versions: dict[str, list[int]] = field(default_factory=dict)
    told: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """The last number that was answered, and the nonce that was told."""
    counts: Counter[str] = field(default_factory=Counter)
    worst: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def next(self, sender: str, child: str) -> int:
        """The number of the next message."""
        number = self.last[sender, child] = self.last.get((sender, child), 0) + 1
        return number

    def done(self, kind: str, sender: str, child: str, number: int, answer: object, seconds: float) -> None:
        """A send has returned."""
        self.counts[kind] += 1
        self.acknowledged.setdefault((sender, child), []).append(number)
        if kind == "calls":
            self.worst = max(self.worst, seconds)
            version, nonce, before = cast(tuple[int, int, tuple[int, int]], answer)
            self.versions.setdefault(child, []).append(version)
            self.compare(sender, child, before)
            self.told[sender, child] = (number, nonce)

    def compare(self, sender: str, child: str, known: tuple[int, int]) -> None:
        """What a sender was told must be what the child's state knows, if nothing came after it."""
        number, nonce = self.told.get((sender, child), (0, 0))
        # A child that is saved now and then answers before it is saved.
        if number and number == known[0] and nonce != known[1] and not child.startswith("lazy"):
            self.wrong.append(f"{sender} -> {child}: {number} was answered, and then handled again")

    def failed(self, sender: str, child: str, number: int, error: BaseException) -> None:
        """A send has raised."""
        self.errors[type(error).__name__] += 1
        if isinstance(error, CallTimeout) and not error.may_run:
            self.counts["certainly not run"] += 1
        elif isinstance(error, CallTimeout | RedisUnavailable | NotReplicated):
            self.counts["may have run"] += 1
            self.unsure.setdefault((sender, child), set()).add(number)
        elif isinstance(error, Poisoned):
            # In hand three times when its worker was killed: condemned by chance. It is sent again when there is peace.
            self.counts["condemned"] += 1
            self.unsure.setdefault((sender, child), set()).add(number)
        else:
            self.wrong.append(f"{sender} -> {child} {number}: {type(error).__name__}: {error}")


class Clients:
    """Senders: ``threads`` that wait, and as many tasks that await, each with a sender name of its own."""

    def __init__(
        self, hub: Hub, children: list[str], book: Book, seed: int, *, threads: int, tasks: int, pause: float
    ) -> None:
        self.book = book
        self._hub = hub
        self._children = children
        self._pause = pause
        self._seed = seed
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._wait, args=(f"thread{n}",)) for n in range(threads)]
        self._threads.append(threading.Thread(target=lambda: asyncio.run(self._await(tasks))))

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; returns once every send has come back."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _choice(self, random: Random) -> tuple[str, bool]:
        return random.choice(self._children), random.random() < 0.4

    def _wait(self, sender: str) -> None:
        random = Random(f"{self._seed} {sender}")
        while not self._stop.is_set():
            child, is_cast = self._choice(random)
            number, began = self.book.next(sender, child), time.monotonic()
            try:
                ref, answer = self._hub.ref(child), None
                if is_cast:
                    ref.cast("record", sender, number)
                else:
                    answer = ref.call("record", sender, number, timeout=20)
            except Exception as error:
                self.book.failed(sender, child, number, error)
            else:
                kind = "casts" if is_cast else "calls"
                self.book.done(kind, sender, child, number, answer, time.monotonic() - began)
            self._stop.wait(self._pause * random.random() * 2)

    async def _await(self, tasks: int) -> None:
        try:
            await asyncio.gather(*(self._send(f"task{n}") for n in range(tasks)))
        finally:
            await self._hub.aio.close()

    async def _send(self, sender: str) -> None:
        random = Random(f"{self._seed} {sender}")
        while not self._stop.is_set():
            child, is_cast = self._choice(random)
            number, began = self.book.next(sender, child), time.monotonic()
            try:
                ref, answer = self._hub.aio.ref(child), None
                if is_cast:
                    await ref.cast("record", sender, number)
                else:
                    answer = await ref.call("record", sender, number, timeout=20)
            except Exception as error:
                self.book.failed(sender, child, number, error)
            else:
                kind = "casts" if is_cast else "calls"
                self.book.done(kind, sender, child, number, answer, time.monotonic() - began)
            await asyncio.sleep(self._pause * random.random() * 2)
