"""A feeder of the demo: a client process that sends its share of the words.

``python -m hubq.cli.demo_feed '{"feeder": 0, "feeders": 2, ...}'`` prints a line of JSON now and then (:class:`Progress`)
and one at the end (:class:`Ledger`).
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import msgspec

from hubq.cli.demo_child import child_of
from hubq.cli.demo_words import chunks, count_words, source_files, split
from hubq.client.hub import Hub
from hubq.errors import HubqError

#: One message in so many is cast, without a reply; the others are calls.
CAST_EVERY = 8

#: Seconds between two lines of progress.
TELL_EVERY = 0.1


class Task(msgspec.Struct, frozen=True):
    """What one feeder has to do. ``seconds``: at least so long, so that there is time for things to happen."""

    feeder: int
    feeders: int
    buckets: int
    chunks: int
    in_flight: int
    seconds: float
    timeout: float = 30.0


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How far a feeder is. ``done``: messages answered, or not needed since their chunk has no word of that bucket."""

    feeder: int
    done: int
    of: int


class Ledger(msgspec.Struct, frozen=True, tag="ledger"):
    """What became of a feeder's messages. ``accepted``: bucket -> bits of the messages that were sent well (hex)."""

    feeder: int
    messages: int
    calls: int
    failed: int
    accepted: dict[int, str]
    errors: list[str]
    slowest_ms: float


class Feeder:
    """Sends messages, so many in flight at once, at an even pace."""

    def __init__(self, task: Task, hub: Hub) -> None:
        self.task = task
        self._hub = hub.aio
        self.done = 0
        self.messages = 0
        self.calls = 0
        self.slowest = 0.0
        self.errors: list[str] = []
        self.failed = 0
        self.accepted = [0] * task.buckets
        self._room = asyncio.Semaphore(task.in_flight)

    @property
    def total(self) -> int:
        """Messages there are, had every chunk words of every bucket."""
        return self.task.chunks * self.task.buckets

    async def run(self) -> Ledger:
        """Send everything; returns when the last one has been answered."""
        task, loop = self.task, asyncio.get_running_loop()
        telling = asyncio.create_task(self._tell())
        began, passed = loop.time(), 0
        async with asyncio.TaskGroup() as group:
            for number, files in enumerate(chunks(source_files(), task.feeder, task.feeders, task.chunks)):
                for bucket, words in enumerate(split(count_words(files), task.buckets)):
                    passed += 1
                    if not words:
                        self.done += 1
                        continue
                    early = began + task.seconds * passed / self.total - loop.time()
                    if early > 0.005:
                        await asyncio.sleep(early)
                    await self._room.acquire()
                    group.create_task(self._send(bucket, number, words))
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await self._hub.close()
        accepted = {bucket: f"{bits:x}" for bucket, bits in enumerate(self.accepted) if bits}
        return Ledger(
            task.feeder, self.messages, self.calls, self.failed, accepted, self.errors[:5], self.slowest * 1000
        )

    async def _send(self, bucket: int, number: int, words: dict[str, int]) -> None:
        ref, now = self._hub.ref(child_of(bucket)), asyncio.get_running_loop().time
        self.messages += 1
        cast = self.messages % CAST_EVERY == 0
        began = now()
        try:
            if cast:
                await ref.cast("add", self.task.feeder, number, words)
            else:
                self.calls += 1
                await ref.call("add", self.task.feeder, number, words, timeout=self.task.timeout)
            self.accepted[bucket] |= 1 << number
        except HubqError as error:
            self.failed += 1
            self.errors.append(f"{'cast' if cast else 'call'} {number} to {ref.child_id}: {error!r}")
        finally:
            self.slowest = max(self.slowest, now() - began)
            self.done += 1
            self._room.release()

    async def _tell(self) -> None:
        while True:
            tell(Progress(self.task.feeder, self.done, self.total))
            await asyncio.sleep(TELL_EVERY)


def tell(line: Progress | Ledger) -> None:
    """Print a line for the demo, which listens."""
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    from hubq.cli.demo_app import hub

    tell(asyncio.run(Feeder(msgspec.json.decode(sys.argv[1], type=Task), hub).run()))
