"""Waiting for something to become true, without guessing how long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], T | Awaitable[T]], within: float = 10.0, what: str = "") -> T:
    """The first true answer of ``condition``, asked again and again for at most ``within`` seconds.

    Raises :class:`TimeoutError` that says what was waited for.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + within
    while True:
        answer = condition()
        value: T = await answer if isawaitable(answer) else answer
        if value:
            return value
        if loop.time() > until:
            raise TimeoutError(f"{what or condition} did not become true within {within:g} s (last answer: {value!r})")
        await asyncio.sleep(0.005)
