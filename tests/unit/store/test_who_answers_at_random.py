"""Whatever primaries do, and in whatever order: what was decided on when one history of Redis was known never reaches a later one.

A history is what a primary has, and what goes on where its slot moves to. A replica that takes over begins a new one: it may lack the last
writes of the one before.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from hubq.errors import RedisUnavailable
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.primary import PrimaryWatch
from hubq.store.server import RedisServer
from tests.unit.store.primaries import SLOT, Primary

STEPS = 80


class Histories:
    """Primaries that take the slot from one another. The last one has it."""

    def __init__(self) -> None:
        self.history = 0
        self.histories: dict[str, int] = {}  # run id -> history
        self.all = [self._made("0")]
        self._successors: dict[int, Primary] = {}  # of those that were taken over from: their replica that did

    @property
    def last(self) -> Primary:
        return self.all[-1]

    def _made(self, replid2: str) -> Primary:
        number = len(self.histories)
        primary = Primary(f"run{number}", f"{number + 1}", replid2)
        self.histories[f"run{number}"] = self.history
        return primary

    def moves(self) -> None:
        """The slot moves, with all that is in it."""
        before, new = self.last, self._made("0")
        self.all.append(new)
        before.owner = new

    def is_taken_over(self) -> None:
        """By a replica. The one before does not know of it: it was frozen, and wakes now."""
        before = self.last
        self.history += 1
        self.all.append(self._made(before.info["master_replid"]))
        self._successors[before.port] = self.last

    def moves_and_is_taken_over(self) -> None:
        """Before anybody connects. The one that had the slot hears of both."""
        before = self.last
        self.moves()
        self.is_taken_over()
        before.owner = self.last

    def one_hears(self, random: random.Random) -> None:
        self._hears(random.choice(self.all))

    def all_hear(self) -> None:
        for primary in self.all:
            primary.breaks_off_at = set()
            self._hears(primary)

    def _hears(self, former: Primary) -> None:
        """A former primary hears who has the slot. If it was taken over from, it is a replica from then on."""
        if former is self.last:
            return
        if former.port in self._successors:
            former.becomes_replica_of(self._successors[former.port])
        former.owner = self.last

    def puts(self) -> list[tuple[int, str]]:
        """All that has arrived, and in which history."""
        return [(self.histories[primary.info["run_id"]], put) for primary in self.all for put in primary.puts]

    def one_hangs_up(self, random: random.Random) -> None:
        random.choice(self.all).hang_up()

    def one_does_not_say_all(self, random: random.Random) -> None:
        """One former primary breaks off at a question; all others answer."""
        former = random.choice(self.all)
        for primary in self.all:
            primary.breaks_off_at = set()
        if former is not self.last:
            former.breaks_off_at = random.choice([{b"CLUSTER"}, {b"INFO"}])

    def close(self) -> None:
        for primary in self.all:
            primary.close()


class Node:
    """Two clients with one watch, as a node has them. What it has in memory is of the history that has answered since it found that another
    Redis answers. What it puts is marked with the history of its memory when it decided to.
    """

    def __init__(self, histories: Histories) -> None:
        self._histories = histories
        self.watch = PrimaryWatch()
        self.watch.subscribe(lambda was, now: self._forget())
        self._memory: int | None = None
        server = RedisServer(f"redis+cluster://127.0.0.1:{histories.last.port}", slot=SLOT)
        self._clients = [AsyncRedis(server, timeout=0.3, watch=self.watch) for _ in range(2)]
        self._number = 0

    def _forget(self) -> None:
        self._memory = None

    def knows_the_last(self) -> bool:
        """Whether it has found the one that has the slot."""
        return self._known == self._histories.last.info["run_id"]

    def knows_of_each_failover(self) -> bool:
        return self._histories.histories.get(self._known) == self._histories.history

    @property
    def _known(self) -> str:
        return self.watch.known.partition(" ")[0]

    async def put(self, client: int, retry_for: float) -> None:
        self._number += 1
        changes, key = self.watch.changes, f"{self._memory} {self._number}"
        try:
            await self._clients[client].run(plain("SET", key, "1", read=bool), retry_for=retry_for)
        except RedisUnavailable:
            return
        if self._memory is None and self.watch.changes == changes:
            self._memory = next(history for history, put in self._histories.puts() if put == key)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


@pytest.mark.parametrize("seed", range(12))
def test_what_was_decided_on_before_another_redis_was_known_does_not_reach_it(seed: int) -> None:
    chance = random.Random(seed)
    histories = Histories()

    async def run() -> None:
        node = Node(histories)
        await node.put(0, 0.0)
        under_way: list[asyncio.Task[None]] = []
        often: list[Callable[[], None]] = [lambda: histories.one_hears(chance)] * 3
        often += [lambda: histories.one_hangs_up(chance), lambda: histories.one_does_not_say_all(chance)]
        for _ in range(STEPS):
            for _ in range(chance.randrange(4)):
                under_way.append(asyncio.create_task(node.put(chance.randrange(2), chance.choice([0.0, 0.1]))))
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            if under_way and chance.random() < 0.5:
                await chance.choice(under_way)
            if chance.random() < 0.4:
                if chance.random() < (0.5 if node.knows_the_last() else 0.1):
                    # (Nobody can tell that a slot that has moved on was taken over on its way.)
                    rarely = [histories.is_taken_over]
                    if node.knows_of_each_failover():
                        rarely += [histories.moves, histories.moves_and_is_taken_over]
                    chance.choice(rarely)()
                else:
                    chance.choice(often)()
        await asyncio.gather(*under_way)
        histories.all_hear()
        for _ in range(10):
            if not histories.last.puts:
                await node.put(0, 1.0)  # each other Redis that it meets refuses one
        await node.close()

    try:
        asyncio.run(run())
    finally:
        histories.close()
    puts = histories.puts()
    assert histories.last.puts, "who has the slot is found at last"
    assert [put for history, put in puts if put[0] != "N" and history > int(put.split()[0])] == []
