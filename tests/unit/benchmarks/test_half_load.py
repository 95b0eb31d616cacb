"""The load behind the calls of a benchmark: it ends with them, and its failure is theirs."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from benchmarks.messages import half_load


def test_the_load_ends_even_if_its_client_loses_a_cancellation() -> None:
    async def scenario() -> int:
        sizes: list[int] = []
        begun = asyncio.Event()

        async def send(names: list[str]) -> None:  # as redis-py's pipelines do at times
            sizes.append(len(names))
            begun.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.001)

        async with asyncio.timeout(10), half_load(send, 2_000) as pace:
            await begun.wait()
        assert pace.total == sum(sizes) > 0
        return len(asyncio.all_tasks())

    assert asyncio.run(scenario()) == 1, "nothing goes on"


def test_a_load_that_fails_is_no_measurement() -> None:
    async def scenario() -> None:
        failed = asyncio.Event()

        async def send(names: list[str]) -> None:
            failed.set()
            raise ConnectionError("gone")

        async with half_load(send, 2_000):
            await failed.wait()

    with pytest.raises(ConnectionError, match="gone"):
        asyncio.run(scenario())
