"""What is to be closed when an event loop ends, if nobody has closed it before.

A loop that ends closes the asynchronous generators that were begun in it, while it still turns (``asyncio.run``, ``asyncio.Runner``,
asgiref). So what is to be done then is the end of one.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable


async def at_loop_end(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Call ``close`` when this event loop ends, or earlier by ``aclose()``; not in a fork, where what is open is of the parent.

    >>> import asyncio
    >>> async def close() -> None:
    ...     print("closed")
    >>> async def main() -> None:
    ...     global kept
    ...     kept = await at_loop_end(close)
    ...     print("ends")
    >>> asyncio.run(main())
    ends
    closed
    """
    guard = _guard(close, os.getpid())
    await anext(guard)
    return guard


async def _guard(close: Callable[[], Awaitable[None]], process: int) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        if os.getpid() == process:
            await close()
