"""``handler_timeout``: a handler that runs for longer is undone, and its caller told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from hubq.core.child import Child
from hubq.errors import HandlerOverdue

log = logging.getLogger("hubq.node")

#: How long a handler may take to end once it was cancelled before the log says that it goes on, seconds.
ENDS_WITHIN = 1.0


def within(method: Callable[..., Any], is_async: bool, seconds: float) -> Callable[..., Any]:
    """The method with a time-out: an ``async def`` is cancelled, a plain ``def`` is only found to have taken too long."""
    name = method.__name__

    def overdue(child: Child, note: str) -> HandlerOverdue:
        return HandlerOverdue(f"{child.child_id}.{name} {note}, its handler_timeout is {seconds:g} s: it was undone")

    async def limited(child: Child, *args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        patience = loop.call_later(seconds + ENDS_WITHIN, _goes_on, child.child_id, name, seconds)
        try:
            async with asyncio.timeout(seconds) as limit:
                result = await method(child, *args, **kwargs)
        except TimeoutError as error:
            if not limit.expired():
                raise  # its own
            raise overdue(child, "was cancelled") from error
        finally:
            patience.cancel()
        if limit.expired():
            raise overdue(child, "went on though it was cancelled")
        return result

    def limited_in_thread(child: Child, *args: Any, **kwargs: Any) -> Any:
        began = time.monotonic()
        result = method(child, *args, **kwargs)
        took = time.monotonic() - began
        if took > seconds:
            raise overdue(child, f"took {took:.1f} s in its thread, which cannot be cancelled")
        return result

    return limited if is_async else limited_in_thread


def _goes_on(child_id: str, name: str, seconds: float) -> None:
    log.warning(
        "child %s: %s goes on though it was cancelled after %g s (handler_timeout): let CancelledError through. "
        "The child handles nothing else until it ends", child_id, name, seconds,
    )  # fmt: skip
