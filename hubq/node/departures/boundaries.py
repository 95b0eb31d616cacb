"""Waiting until children that leave are between two messages, and undoing the messages that they have in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from hubq.node.held.holding import HostedChild

T = TypeVar("T")

#: How long a message that is being undone is waited for, seconds.
UNDONE_WITHIN = 1.0


def in_thread(hosted: HostedChild) -> bool:
    """Whether a plain ``def`` handler is at work: its thread cannot be cancelled."""
    return hosted.in_hand is not None and hosted.in_hand.in_thread


async def at_boundaries(children: Iterable[HostedChild], within: float) -> list[HostedChild]:
    """Wait until these children are at a boundary, at most so many seconds. The answer: those that are not."""
    waits = {asyncio.ensure_future(hosted.at_boundary()): hosted for hosted in children}
    if not waits:
        return []
    late = await until_done(waits, within)
    return [hosted for wait, hosted in waits.items() if wait in late]


async def until_done(tasks: Collection[asyncio.Task[T]], within: float) -> set[asyncio.Task[T]]:
    """Wait for tasks, at most so many seconds, and cancel those that are not done by then. If the caller is cancelled (the
    node ends), all of them are.
    """
    try:
        await asyncio.wait(tasks, timeout=within)
    finally:
        late = {task for task in tasks if not task.done()}
        for task in late:
            task.cancel()
    return late


async def undo(children: Sequence[HostedChild]) -> None:
    """Undo the messages that these have in hand: they move with their children."""
    for hosted in children:
        if hosted.in_hand is not None:
            hosted.in_hand.cancel()
    await at_boundaries(children, UNDONE_WITHIN)
