"""``python -m benchmarks.view``: what the web view costs a hub, and how soon a page is there (docs/guide-web.md).

*The cost*: calls at a steady rate, by turns without a page and with ``--pages`` open ones. Each page is what a browser makes of it: it
reads the stream of events, and asks for its parts as often as its script does. What Redis and the worker use is compared.

*The paint*: a hub with ``--children`` children, and one Chromium with an empty cache for each visit. (The specs and states of all but one
are written into Redis as a start writes them. The view reads nothing else of them.)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn
from playwright.async_api import async_playwright

from benchmarks.app import Account, make_hub
from benchmarks.pace import Pace
from benchmarks.processes import ended, served_hub, start, start_children
from benchmarks.usage import cpu_seconds
from hubq import Hub
from hubq.cli.worker import fastest_loop
from hubq.core.hashing import shard_of
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.embedded import EmbeddedServer, free_port
from hubq.testing import eventually
from hubq.web import dashboard, open_to_all

#: Fields of one command, and children of the hub that is called.
AT_ONCE, CALLED = 1_000, 200
#: Visits of a page by which its CPU is measured.
VISITS = 5
#: Open pages, of ten: where each is, its part, and how often that is asked for, seconds (as ``data-every`` says).
OPEN = (
    *(("", "hub", 2.0),) * 4, *(("child?id=c{n}", "child", 3.0),) * 3, ("children", "children", 10.0), ("dead", "dead", 10.0),
    ("metrics", "metrics", 10.0),
)  # fmt: skip
#: The pages whose paint is measured.
PAINTED = {
    "hub": "", "children": "children", "search": "children?match=c123", "child": "child?id=c0", "dead letters": "dead",
    "events": "events", "jobs": "jobs", "metrics": "metrics",
}  # fmt: skip
#: First contentful paint in ms, and the bytes that came over the network.
PAINT = """() => new Promise(done => {
    const tell = () => {
        const [paint] = performance.getEntriesByName("first-contentful-paint");
        if (!paint) return setTimeout(tell, 20);
        const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
        const page = all.filter(each => !each.name.includes("/stream") && !each.name.includes("part="));
        done([paint.startTime, page.reduce((sum, each) => sum + each.transferSize, 0)]);
    };
    tell();
})"""


def serve(hub_id: str, url: str, port: int) -> None:
    """The view, in a process of its own."""
    app: Any = dashboard(make_hub(hub_id, url), auth=open_to_all("ann"))
    uvicorn.run(app, port=port, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)


@contextlib.asynccontextmanager
async def view_of(hub: Hub, url: str) -> AsyncIterator[tuple[str, int]]:
    """The address of a view of the hub, and its process."""
    port = free_port()
    process = start("-m", "benchmarks.view", "--serve", hub.hub_id, url, str(port))
    base = f"http://127.0.0.1:{port}/"
    try:
        async with httpx.AsyncClient() as client:

            async def answers() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return bool((await client.get(base + "api/hub", timeout=60)).status_code == 200)
                return False

            await eventually(answers, 120, "the view")
        yield base, process.pid
    finally:
        await ended(process)


# -- the cost -------------------------------------------------------------------------------------------------------


async def open_page(client: httpx.AsyncClient, base: str, number: int) -> None:
    """What the script of a page does, until it is cancelled."""
    where, part, every = OPEN[number % len(OPEN)]
    where = where.format(n=number)
    address = f"{base}{where}{'&' if '?' in where else '?'}part={part}"

    async def parts() -> None:
        await asyncio.sleep(every * (number * 0.618 % 1))  # pages were not opened at the same moment
        while True:
            answer = await client.get(address, timeout=60)
            answer.raise_for_status()
            await asyncio.sleep(every)

    async def events() -> None:
        async with client.stream("GET", base + "api/events/stream", timeout=None) as stream:
            async for _ in stream.aiter_bytes():
                pass

    async with asyncio.TaskGroup() as group:
        group.create_task(parts())
        group.create_task(events())


async def calls(hub: Hub, names: list[str], rate: int, seconds: float) -> int:
    """Call at this rate; how many were answered."""
    pace, until = Pace(rate, 50, time.monotonic()), time.monotonic() + seconds
    under_way: set[asyncio.Task[Any]] = set()
    answered = 0

    def done(task: asyncio.Task[Any]) -> None:
        nonlocal answered
        under_way.discard(task)
        answered += task.exception() is None

    while (now := time.monotonic()) < until:
        for _ in range(pace.due(now)):
            task = asyncio.create_task(hub.aio.ref(names[pace.total * 7 % len(names)]).call("add", 1, timeout=60))
            under_way.add(task)
            task.add_done_callback(done)
        await asyncio.sleep(0.005)
    await asyncio.gather(*under_way)
    return answered


async def redis_use(redis: AsyncRedis) -> tuple[float, int]:
    """Seconds of the main thread of Redis, and commands, so far."""
    info = dict(
        line.split(b":", 1)
        for line in (await redis.run(plain("INFO", "everything", read=bytes))).splitlines()
        if line.startswith((b"used_cpu_user:", b"used_cpu_sys:", b"total_commands_processed:"))
    )
    return float(info[b"used_cpu_user"]) + float(info[b"used_cpu_sys"]), int(info[b"total_commands_processed"])


async def cost(pages: int, rate: int, seconds: float, rounds: int) -> None:
    """Measure and tell what open pages cost: seconds of CPU in a second, by turns of nothing, pages, calls, and both."""
    with EmbeddedServer() as server:
        async with served_hub(server.url, "view") as (hub, worker), view_of(hub, server.url) as (base, view):
            names = await start_children(hub, Account, CALLED)
            redis = AsyncRedis(hub.server)
            found: dict[tuple[bool, bool], list[list[float]]] = {}
            await calls(hub, names, rate, 2.0)
            for called, opened in [(c, o) for _ in range(rounds) for c in (False, True) for o in (False, True)]:
                async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None)) as client:
                    browsers = [asyncio.create_task(open_page(client, base, n)) for n in range(pages if opened else 0)]
                    await asyncio.sleep(1.0)
                    before = (*await redis_use(redis), cpu_seconds(worker.pid), cpu_seconds(view))
                    if called:
                        answered = await calls(hub, names, rate, seconds)
                    else:
                        answered = 0
                        await asyncio.sleep(seconds)
                    after = (*await redis_use(redis), cpu_seconds(worker.pid), cpu_seconds(view))
                    for browser in browsers:
                        if browser.done():
                            browser.result()
                        browser.cancel()
                    await asyncio.gather(*browsers, return_exceptions=True)
                used = [(b - a) / seconds for a, b in zip(before, after, strict=True)]
                found.setdefault((called, opened), []).append([*used, answered / seconds])
            await redis.close()
    told = {key: [statistics.median(column) for column in zip(*seen, strict=True)] for key, seen in found.items()}
    idle, only_pages, only_calls, both = (told[c, o] for c in (False, True) for o in (False, True))
    print(
        f"{pages} pages; {only_calls[4]:.0f} of {rate} calls/s answered, {both[4]:.0f} beside pages; {rounds} rounds of {seconds:g} s"
    )
    for name, places in (("Redis", (0,)), ("worker", (2,)), ("Redis and worker", (0, 2))):
        nothing, pages_use, calls_use, both_use = (
            sum(use[p] for p in places) * 1e3 for use in (idle, only_pages, only_calls, both)
        )
        share = (pages_use - nothing) / (calls_use - nothing)
        print(
            f"{name}, ms of CPU in a second: {nothing:.1f} idle, {pages_use:.1f} with pages, {calls_use:.1f} with calls,"
        )
        print(f"    {both_use:.1f} with both")
        print(f"    the pages take {share * 100:.1f} % of what the calls take")
    print(f"commands in a second: {idle[1]:.0f} idle, {only_pages[1]:.0f} with pages, {only_calls[1]:.0f} with calls")
    print(f"the process of the view: {only_pages[3]:.2f} of a core")


# -- the paint ------------------------------------------------------------------------------------------------------


async def fill(hub: Hub, redis: AsyncRedis, count: int) -> None:
    """Write the spec and the state of child ``c0`` once for each other child."""
    keys, shards = hub.keys, hub.config.shards
    home = shard_of("c0", shards)
    places = [(key, await redis.run(plain("HGET", key(home), "c0", read=bytes))) for key in (keys.children, keys.msk)]
    waiting: dict[int, list[str]] = {shard: [] for shard in range(shards)}

    async def write(shard: int) -> None:
        for key, data in places:
            fields = [each for child in waiting[shard] for each in (child, data)]
            await redis.run(plain("HSET", key(shard), *fields, read=int))
        waiting[shard].clear()

    for number in range(1, count):
        shard = shard_of(child := f"c{number}", shards)
        waiting[shard].append(child)
        if len(waiting[shard]) == AT_ONCE:
            await write(shard)
    for shard, left in waiting.items():
        if left:
            await write(shard)


async def by_page(base: str, view: int, redis: AsyncRedis) -> dict[str, tuple[float, float]]:
    """Milliseconds of CPU that a visit of each page takes, of the view and of Redis: whatever else the machine does, this is the same."""
    found: dict[str, tuple[float, float]] = {}
    async with httpx.AsyncClient(timeout=60) as client:
        for name, where in PAINTED.items():
            await client.get(base + where)
            uses: list[tuple[float, float]] = []
            for _ in range(VISITS):
                await asyncio.sleep(1.2)  # so that nothing is left of what was asked before
                before = cpu_seconds(view), (await redis_use(redis))[0]
                (await client.get(base + where)).raise_for_status()
                uses.append((cpu_seconds(view) - before[0], (await redis_use(redis))[0] - before[1]))
            found[name] = tuple(statistics.median(part) * 1e3 for part in zip(*uses, strict=True))
    return found


async def paint(children: int, visits: int) -> None:
    """Measure and tell how soon pages are there, and how large they are."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with EmbeddedServer() as server:
        async with served_hub(server.url, "paint") as (hub, _), view_of(hub, server.url) as (base, view):
            await start_children(hub, Account, 1)
            await hub.aio.ref("c0").call("add", 1)
            redis = AsyncRedis(hub.server)
            await fill(hub, redis, children)
            used = await by_page(base, view, redis)
            await redis.close()
            async with async_playwright() as driver:
                browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
                found: dict[str, list[list[float]]] = {name: [] for name in PAINTED}
                for _ in range(visits + 1):  # the first one warms both
                    for name, where in PAINTED.items():
                        context = await browser.new_context()
                        page = await context.new_page()
                        await page.goto(base + where)
                        found[name].append(await page.evaluate(PAINT))
                        await context.close()
                await browser.close()
    print(f"{children:,} children, {visits} visits with an empty cache")
    for name, seen in found.items():
        times, sizes = zip(*seen[1:], strict=True)
        of_view, of_redis = used[name]
        print(f"{name}: {of_view:.1f} ms of CPU of the view, {of_redis:.1f} of Redis")
        print(
            f"    first paint p50 {statistics.median(times):.0f} ms, max {max(times):.0f} ms; {max(sizes) / 1000:.0f} KB"
        )


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("cost", "paint"))
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--children", type=int, default=1_000_000)
    parser.add_argument("--visits", type=int, default=10)
    parser.add_argument("--serve", nargs=3, metavar=("HUB", "URL", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], options.serve[1], int(options.serve[2]))
        return
    make_loop = fastest_loop()
    with asyncio.Runner(loop_factory=make_loop) as runner:
        if options.only != "paint":
            runner.run(cost(options.pages, options.rate, options.seconds, options.rounds))
        if options.only != "cost":
            runner.run(paint(options.children, options.visits))


if __name__ == "__main__":
    main()
