"""Lines that come for many children at once are few."""

from __future__ import annotations

import asyncio
import logging

import pytest

from hubq.node.runtime.gathered_log import GatheredLog


def test_fifty_children_of_one_cause_are_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        gathered = GatheredLog()
        for number in range(50):
            gathered.add(logging.ERROR, f"room-{number}", "is parked", "no network")
        gathered.add(logging.ERROR, "desk", "is parked", "no disk")
        gathered.add(logging.ERROR, "desk-2", "is parked", "no disk")
        assert caplog.messages == ["child room-0 is parked: no network", "child desk is parked: no disk"]
        caplog.clear()
        gathered.tell()
        gathered.tell()

    with caplog.at_level(logging.INFO, "hubq.node"):
        asyncio.run(scenario())
    assert caplog.messages == [
        "the same for 49 more children (room-1, room-2, room-3 and 46 more): is parked: no network",
        "child desk-2 is parked: no disk",
    ]


def test_what_is_gathered_is_told_after_a_while_and_the_next_line_comes_at_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubq.node.runtime.gathered_log.GATHERED", 0.001)
    told = asyncio.Event()

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "same" in record.getMessage():
                told.set()

    async def scenario() -> None:
        gathered = GatheredLog()
        for child in ("a", "b", "c"):
            gathered.add(logging.INFO, child, "was parked on x and moves to y")
        await asyncio.wait_for(told.wait(), 5)
        gathered.add(logging.INFO, "d", "was parked on x and moves to y")

    handler = Heard()
    logging.getLogger("hubq.node").addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, "hubq.node"):
            asyncio.run(scenario())
    finally:
        logging.getLogger("hubq.node").removeHandler(handler)
    assert caplog.messages == [
        "child a was parked on x and moves to y",
        "the same for 2 more children (b, c): was parked on x and moves to y",
        "child d was parked on x and moves to y",
    ]
