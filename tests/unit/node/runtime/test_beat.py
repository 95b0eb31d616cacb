"""The beat that the parts of a node share."""

from __future__ import annotations

import asyncio

from hubq.node.runtime.beat import Beat


def timers(beat: Beat) -> int:
    return int(beat._timer is not None and not beat._timer.cancelled())


def test_it_beats_while_a_part_listens() -> None:
    async def scenario() -> None:
        beat = Beat()
        beat.start(0)
        beat.start(1)
        beat.start(1)
        beat.stop(1)
        assert timers(beat), "the other part listens"
        beat.stop(1)
        beat.stop(0)
        assert not timers(beat)
        beat.stop(0)
        beat.start(1)
        assert timers(beat), "it may begin again"
        beat.stop(1)

    asyncio.run(scenario())


def test_a_part_that_begins_to_listen_finds_a_loop_that_turns() -> None:
    async def scenario() -> None:
        beat = Beat()
        beat.start(0)
        beat.at -= 60.0  # as after a loop that was blocked
        before = beat.at
        beat.start(1)
        assert beat.at >= before + 60.0
        beat.stop(0)
        beat.stop(1)

    asyncio.run(scenario())
