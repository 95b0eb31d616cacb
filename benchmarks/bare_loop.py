"""What one would write with redis-py alone: streams, pipelines, objects in a process, and no guarantee at all.

No owner, no fence, no saved state, no repeat of a lost send, no bound on a backlog, no deadline, no second process.
``python -m benchmarks.bare_loop URL`` is the process that serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import sys
import zlib
from collections.abc import AsyncIterator

from redis.asyncio import Redis

from benchmarks.processes import ended, start
from hubq.cli.worker import fastest_loop

STREAMS = [f"bare:{number}" for number in range(16)]
UP = "bare:up"


class Idle:
    """The bare counterpart of the child that does nothing."""

    async def touch(self) -> None:
        """Do nothing."""


def stream_of(name: str) -> str:
    """The stream of an object."""
    return STREAMS[zlib.crc32(name.encode()) % len(STREAMS)]


def message(name: str, reply: str = "") -> dict[str, bytes | str]:
    """The fields of a message."""
    return {"c": name, "m": "touch", "p": pickle.dumps(((), {})), "r": reply}


async def serve(url: str) -> None:
    """Read 16 streams, call, delete and reply in one pipeline, for ever."""
    redis = Redis.from_url(url)
    objects: dict[bytes, Idle] = {}
    places = dict.fromkeys(STREAMS, "0")
    await redis.set(UP, 1)
    while True:
        found = await redis.xread(places, count=500, block=1000)
        pipeline = redis.pipeline(transaction=False)
        for stream, entries in found:
            for _, fields in entries:
                target = objects.setdefault(fields[b"c"], Idle())
                args, kwargs = pickle.loads(fields[b"p"])
                value = await getattr(target, fields[b"m"].decode())(*args, **kwargs)
                if fields[b"r"]:
                    pipeline.rpush(fields[b"r"], pickle.dumps(value))
            pipeline.xdel(stream, *[entry for entry, _ in entries])
            places[stream.decode()] = entries[-1][0]
        await pipeline.execute()


@contextlib.asynccontextmanager
async def served(url: str) -> AsyncIterator[tuple[Redis, int]]:
    """A client of a process that serves, and the id of that process."""
    redis: Redis = Redis.from_url(url)
    process = start("-m", "benchmarks.bare_loop", url)
    try:
        while not await redis.get(UP):
            if process.poll() is not None:
                raise RuntimeError(f"the bare loop ended with {process.returncode}")
            await asyncio.sleep(0.02)
        yield redis, process.pid
    finally:
        process.kill()
        await ended(process)
        await redis.aclose()


async def cast_all(redis: Redis, names: list[str]) -> None:
    """Send one message to each, in one pipeline."""
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        pipeline.xadd(stream_of(name), message(name))
    await pipeline.execute()


async def call(redis: Redis, name: str) -> None:
    """Send one message and wait for its reply."""
    await redis.xadd(stream_of(name), message(name, "bare:reply"))
    answer = await redis.blpop(["bare:reply"], timeout=5)
    assert answer is not None
    pickle.loads(answer[1])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(serve(sys.argv[1]))
