"""The beat of the event loop: one timer for all groups of a node, as long as one of them listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from hubq.node.runtime.beat import EVERY, Beat


def test_all_groups_of_a_node_share_one_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        loop, beat = asyncio.get_running_loop(), Beat()
        timers: list[tuple[float, Callable[[], None], asyncio.TimerHandle]] = []
        real = loop.call_later

        def call_later(delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
            timers.append((delay, callback, handle := real(delay, callback)))
            return handle

        monkeypatch.setattr(loop, "call_later", call_later)
        for group in (0, 1, 1):
            beat.start(group)
        assert [delay for delay, _, _ in timers] == [EVERY], "one timer, however many listen"
        for group in (0, 0):
            beat.stop(group)
        assert not timers[0][2].cancelled(), "another group listens"
        timers[0][2].cancel()
        before = beat.at
        timers[0][1]()  # the timer comes
        assert beat.at > before and len(timers) == 2
        beat.stop(1)
        assert timers[1][2].cancelled(), "nobody listens"
        beat.start(0)
        assert len(timers) == 3, "it listens again"
        beat.stop(0)
        monkeypatch.undo()

    asyncio.run(scenario())
