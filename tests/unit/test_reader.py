"""What was being read when a child came is not believed: it may hold messages that have been handled since."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq.core.lifecycle import Life
from hubq.node.holding import Cell, Holding
from hubq.node.reader import Reader
from hubq.store.keys import Keys
from hubq.store.mailbox import Message
from hubq.store.owners import Owner
from hubq.store.spec_record import SpecRecord


class Pages:
    """Redis as the reader sees it: the first page was made before the second child came."""

    def __init__(self, old: Message) -> None:
        self.old, self.asked, self.coming = old, 0, asyncio.Event()
        self.may_answer = asyncio.Event()

    async def run(self, command: Any) -> list[Message]:
        self.asked += 1
        if self.asked > 1:
            return []
        self.coming.set()
        await self.may_answer.wait()
        return [self.old]


class Offers:
    """A dispatcher that only listens."""

    def __init__(self) -> None:
        self.offered: list[tuple[str, bytes]] = []

    def offer(self, cell: Cell, message: Message) -> None:
        self.offered.append((cell.child_id, message.entry))


@pytest.mark.parametrize(
    ("full", "bytes_each", "count"),
    [(0, 10, 100), (1, 10, 2000), (4, 10, 500), (50, 10, 100), (1, 10_000, 100), (1, 1000, 1000), (2, 0, 1000)],
)
def test_more_is_read_at_once_behind_a_flood_within_bounds(full: int, bytes_each: int, count: int) -> None:
    message = Message(b"5-0", "cast", "late", "record", "1", "", 0, bytes(bytes_each))
    made = Reader(
        Pages(message), Keys("h"), "a", Offers(), count=100, queue_limit=10, queue_bytes=1_000_000,  # type: ignore[arg-type]
        start_children=lambda *a: None, nobody=lambda *a: None, stop_parked=lambda *a: None,
    )  # fmt: skip
    assert made._next_count([[message] * 100] * full) == count


def test_a_page_that_was_asked_for_before_a_child_came_back_tells_nothing_about_it() -> None:
    async def scenario() -> None:
        pages, offers = Pages(Message(b"5-0", "call", "late", "record", "1", "c", 0, b"")), Offers()
        reader = Reader(
            pages, Keys("h"), "a", offers, count=100, queue_limit=10, queue_bytes=1000,  # type: ignore[arg-type]
            start_children=lambda *a: None, nobody=lambda *a: None, stop_parked=lambda *a: None,
        )  # fmt: skip
        holding = Holding(0, Owner("a", 1, 1))
        for child in ("neighbour", "late"):
            cell = holding.cells[child] = Cell(None, holding, child, SpecRecord("", "", ""))
            cell.life = Life.RUNNING
        reader.add(holding)
        reader._cursors[0] = b"9-0"
        reader.again(holding.cells["neighbour"])
        await pages.coming.wait()
        reader.again(holding.cells["late"])  # its last owner has handled 5-0 meanwhile, and gives it back now
        pages.may_answer.set()
        await reader._catching[holding]
        assert offers.offered == [] and pages.asked == 2 and holding.behind == {}
        await reader.stop()

    asyncio.run(scenario())
