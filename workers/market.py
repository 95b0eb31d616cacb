"""A market feed: ticks from a file, minute bars per symbol: ``hubq worker workers.market:hub``.

One function child reads the file and casts each tick to the child of its symbol. It commits how far it got every
``BATCH`` ticks, so after a crash it sends the last ones again; each tick has a number, and a symbol passes over those it
has already. So every tick counts once, whatever happens to the workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hubq import AlreadyStarted, Child, Hub

hub = Hub("market")

#: Ticks between two commits of the feed.
BATCH = 50


@hub.child
class Symbol(Child):
    """The bars of one symbol: open, high, low, close and volume of each minute."""

    def __init__(self) -> None:
        self.last = -1  # the number of the last tick taken in
        self.ticks = 0
        self.bars: dict[int, list[float]] = {}

    async def tick(self, number: int, at: float, price: float, size: float) -> None:
        """One trade; ``number`` grows along the feed."""
        if number <= self.last:
            return  # sent again after a crash of the feed
        self.last, self.ticks = number, self.ticks + 1
        minute = int(at // 60)
        bar = self.bars.get(minute)
        if bar is None:
            self.bars[minute] = [price, price, price, price, size]
        else:
            bar[1], bar[2], bar[3] = max(bar[1], price), min(bar[2], price), price
            bar[4] += size

    async def summary(self) -> dict[str, Any]:
        """What has come in."""
        return {"ticks": self.ticks, "last": self.last, "bars": self.bars}


@hub.child
async def feed(ctx: Any, path: str, pause: float = 0.0) -> None:
    """Send the ticks of a file; ``pause`` seconds between batches. Ends with the file."""
    ctx.state.setdefault("sent", 0)
    known: set[str] = set()
    for number, symbol, at, price, size in read_ticks(path, ctx.state.sent):
        if symbol not in known:
            known.add(symbol)
            with contextlib.suppress(AlreadyStarted):
                await hub.aio.start_child(symbol, Symbol)
        await hub.aio.ref(symbol).cast("tick", number, at, price, size)
        ctx.state.sent = number + 1
        if ctx.state.sent % BATCH == 0:
            await ctx.commit()
            await asyncio.sleep(pause)


def read_ticks(path: str, first: int = 0) -> Iterator[tuple[int, str, float, float, float]]:
    """The ticks of a file from the ``first`` on: number, symbol, time, price, size."""
    with Path(path).open(newline="") as file:
        for number, row in enumerate(csv.reader(file)):
            if number >= first:
                symbol, at, price, size = row
                yield number, symbol, float(at), float(price), float(size)


def write_ticks(path: str, count: int, symbols: tuple[str, ...] = ("AAA", "BBB", "CCC"), seed: int = 1) -> None:
    """Make a file of ticks: random walks, the same for the same seed."""
    chance = random.Random(seed)
    prices = dict.fromkeys(symbols, 100.0)
    with Path(path).open("w", newline="") as file:
        rows = csv.writer(file)
        for number in range(count):
            symbol = chance.choice(symbols)
            prices[symbol] = round(max(1.0, prices[symbol] + chance.gauss(0, 0.1)), 2)
            rows.writerow([symbol, number * 0.5, prices[symbol], chance.randint(1, 100)])
