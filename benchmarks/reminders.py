"""``python -m benchmarks.reminders [--waiting 1000000] [--rounds 3]``: what reminders cost, and how late they are.

Idle: one reminder at a time, on a worker that has nothing else to do; how late its handler begins. Rush: 1,000 calls per second go on,
and 10,000 reminders are due in one second; how long the calls take then, and without, in turn. Waiting: the memory of worker and
Redis, the processor time of the idle worker, and the same calls, before and after so many reminders are set for next year.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

from redis.asyncio import Redis

from benchmarks.app import Account, Minder
from benchmarks.pace import Pace
from benchmarks.processes import served_hub, start_children
from hubq import ChildSpec, Hub
from hubq.store.embedded import EmbeddedServer

#: Children that have the reminders, and reminders that one message sets.
MINDERS, EACH = 500, 200
#: Calls per second, and how many are called.
RATE, CALLED = 1_000, 100
#: Reminders that are due in one second, and how long calls are made around it, seconds.
RUSH, AROUND = 10_000, 3.0
YEAR = 365 * 86_400.0


def shown(times: Sequence[float]) -> str:
    """In milliseconds."""
    cuts = quantiles(times, n=100)
    return f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms, worst {max(times) * 1000:.1f} ms"


async def set_reminders(hub: Hub, times: Sequence[float], first: int = 0) -> None:
    """Set a reminder for each time, evenly over the minders."""
    tasks = []
    for n in range(MINDERS):
        mine = list(times[n::MINDERS])
        for at in range(0, len(mine), EACH):
            words = (first + at, mine[at : at + EACH])
            tasks.append(hub.aio.ref(f"m{n}").call("remind_at", *words, timeout=600))
        if len(tasks) >= 50:
            await asyncio.gather(*tasks)
            tasks = []
    await asyncio.gather(*tasks)


async def taken_late(hub: Hub, count: int) -> list[float]:
    """How late these reminders were handled, once all have been."""
    found: list[float] = []
    while len(found) < count:
        for answer in await asyncio.gather(
            *(hub.aio.ref(f"m{n}").call("take_late", timeout=60) for n in range(MINDERS))
        ):
            found += answer
        await asyncio.sleep(0.05)
    if len(found) != count:
        raise RuntimeError(f"{count} reminders were set, and {len(found)} were handled")
    return found


async def calls(hub: Hub, names: Sequence[str], seconds: float) -> list[float]:
    """Call at a steady rate; how long each call took."""
    times: list[float] = []
    running: set[asyncio.Task[None]] = set()

    async def one(name: str) -> None:
        began = time.perf_counter()
        await hub.aio.ref(name).call("add", 1, timeout=60)
        times.append(time.perf_counter() - began)

    pace, until = Pace(RATE, 50, time.monotonic()), time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        for _ in range(pace.due(now)):
            task = asyncio.create_task(one(names[len(times) % len(names)]))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.sleep(0.002)
    await asyncio.gather(*running)
    return times


async def idle(hub: Hub) -> None:
    """One reminder at a time."""
    begin = time.time() + 2
    times = [begin + n * 0.025 for n in range(400)]
    await set_reminders(hub, times)
    await asyncio.sleep(max(0.0, times[-1] - time.time()))
    print(f"idle: 400 reminders, 25 ms apart: late by {shown(await taken_late(hub, 400))}")


async def rush(hub: Hub, names: Sequence[str], rounds: int) -> None:
    """Calls, with and without reminders."""
    without: list[float] = []
    during: list[float] = []
    late: list[float] = []
    for _ in range(rounds):
        without += await calls(hub, names, AROUND)
        begin = time.time() + 20.0
        await set_reminders(hub, [begin + n / RUSH for n in range(RUSH)])
        await asyncio.sleep(max(0.0, begin - 1.0 - time.time()))
        during += await calls(hub, names, AROUND)
        late += await taken_late(hub, RUSH)
    ratio = quantiles(during, n=100)[98] / quantiles(without, n=100)[98]
    print(f"{RATE:,} calls/s: {shown(without)}")
    print(
        f"{RATE:,} calls/s, {RUSH:,} reminders in a second: {shown(during)}; p99 {ratio:.2f} times; late by {shown(late)}"
    )


def process_of(pid: int) -> tuple[float, float]:
    """Resident memory in MB, and processor time in seconds."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    kilobytes = next(
        line
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        if line.startswith("VmRSS")
    )
    return int(kilobytes.split()[1]) / 1024, (int(words[11]) + int(words[12])) / 100


async def costs(hub: Hub, redis: Redis, pid: int, names: Sequence[str], what: str) -> None:
    """What it takes now."""
    await asyncio.sleep(2.0)
    _, before = process_of(pid)
    await asyncio.sleep(5.0)
    memory, after = process_of(pid)
    used = int((await redis.info("memory"))["used_memory"]) / 1e6
    times = await calls(hub, names, AROUND)
    print(
        f"{what}: worker {memory:.0f} MB, {(after - before) / 5 * 100:.1f}% of a processor when idle; Redis {used:.0f} MB; "
        f"calls p50 {median(times) * 1000:.2f} ms"
    )


async def main(options: argparse.Namespace) -> None:
    """Measure all three."""
    with EmbeddedServer() as server:
        async with served_hub(server.url, "reminders") as (hub, worker), Redis.from_url(server.url) as redis:
            names = await start_children(hub, Account, CALLED)
            await hub.aio.start_children([ChildSpec(f"m{n}", Minder) for n in range(MINDERS)], timeout=60)
            await calls(hub, names, 1.0)
            await idle(hub)
            await rush(hub, names, options.rounds)
            if options.waiting:
                await costs(hub, redis, worker.pid, names, "none waits")
                begin = time.time() + YEAR
                for first in range(0, options.waiting, MINDERS * EACH):
                    await set_reminders(hub, [begin + n for n in range(MINDERS * EACH)], first)
                await costs(hub, redis, worker.pid, names, f"{options.waiting:,} wait")
                await idle(hub)


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reminders")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="how many wait (0: that part is left out)")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(options()))
