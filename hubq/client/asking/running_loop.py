"""Waiting is refused where it would make an event loop wait."""

from __future__ import annotations

from asyncio import _get_running_loop as running_loop

from hubq.errors import WaitsInEventLoop


def refuse_in_event_loop() -> None:
    """Raise :class:`~hubq.errors.WaitsInEventLoop` if an event loop runs in this thread.

    >>> refuse_in_event_loop()
    """
    if running_loop() is not None:
        raise WaitsInEventLoop(
            "this waits, and an event loop runs in this thread: all that runs in it would wait, too. Use `await hub.aio...` "
            "instead, which has the same names (in a child: `await current_hub().aio...`; a notebook can await as well), or run "
            "it in a thread: `await asyncio.to_thread(...)`"
        )
