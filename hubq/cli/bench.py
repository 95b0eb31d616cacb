"""``hubq bench``: how fast hubq is on your own Redis: one worker, one client, a hub that is removed again."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hubq.cli.loading import AsJson, RedisUrl
from hubq.cli.output import print_json, print_table, say
from hubq.cli.worker import fastest_loop
from hubq.client.operations.removal import delete_hub
from hubq.config import redis_url
from hubq.core.spec import ChildSpec
from hubq.errors import HubqError

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: Casts that are under way at the same time.
IN_FLIGHT = 500
#: How long the worker may take to join and to leave, seconds.
PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured. Times in milliseconds."""

    casts_per_second: int
    call_p50_ms: float
    call_p99_ms: float
    starts_per_second: int
    children: int
    casts: int
    calls: int


def bench_command(
    redis: RedisUrl = None,
    children: Annotated[int, typer.Option(min=1, max=1_000_000, help="Children to start.")] = 2_000,
    casts: Annotated[int, typer.Option(min=1, help="Messages to send, 500 at a time.")] = 20_000,
    calls: Annotated[int, typer.Option(min=1, help="Calls to make, one after another.")] = 1_000,
    groups: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Groups of its hub. Default: one for each primary in --redis.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure casts, calls and starts with one worker on your Redis, in a hub of its own that is removed afterwards.

    It writes some MB and keeps Redis busy for a few seconds.
    """
    from hubq.cli.bench_app import GROUPS, HUB_ID, make_hub  # here: it makes a hub, which no other command needs
    from hubq.client.groups import servers_of

    url = redis_url(redis)
    hub_id = f"bench-{secrets.token_hex(6)}"
    if groups is None:
        groups = len(servers_of(url))
    hub = make_hub(hub_id, groups, url)
    hub.nodes()  # Redis cannot be reached: say so before anything else
    environment = {**os.environ, "HUBQ_REDIS_URL": url, HUB_ID: hub_id, GROUPS: str(groups)}
    command = [sys.executable, "-m", "hubq", "worker", "hubq.cli.bench_app:hub", "--name", "bench"]
    worker = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with asyncio.Runner(loop_factory=fastest_loop()) as runner:
            found = runner.run(_measure(hub, worker, children, casts, calls))
    finally:
        _end(worker)
        _remove(hub)
    if as_json:
        print_json(asdict(found))
        return
    rows = [
        ("casts, 500 in flight", f"{found.casts_per_second} per second"),
        ("call, idle, p50", f"{found.call_p50_ms:.2f} ms"),
        ("call, idle, p99", f"{found.call_p99_ms:.2f} ms"),
        ("children started", f"{found.starts_per_second} per second"),
    ]
    print_table(("what", "figure"), rows)


async def _measure(hub: Hub, worker: subprocess.Popen[bytes], children: int, casts: int, calls: int) -> Figures:
    from hubq.cli.bench_app import Idle

    try:
        give_up = time.monotonic() + PATIENCE
        while not any(node.shards == hub.config.shards for node in await hub.aio.nodes()):
            if worker.poll() is not None or time.monotonic() > give_up:
                raise HubqError("the worker of the bench does not come up: try `hubq worker hubq.cli.bench_app:hub -v`")
            await asyncio.sleep(0.05)
        names = [f"c{number}" for number in range(children)]
        began = time.perf_counter()
        await hub.aio.start_children([ChildSpec(name, Idle) for name in names], timeout=60.0)
        starting = time.perf_counter() - began
        refs = [hub.aio.ref(name) for name in names]
        began = time.perf_counter()
        for first in range(0, casts, IN_FLIGHT):
            some = range(first, min(first + IN_FLIGHT, casts))
            await asyncio.gather(*[refs[number % children].cast("touch") for number in some])
        # A child answers once all that was sent to it before is done: the same for its whole shard's mailbox.
        await asyncio.gather(*[ref.call("touch", timeout=60.0) for ref in refs[-min(children, casts, 1000) :]])
        casting = time.perf_counter() - began
        times: list[float] = []
        for number in range(calls):
            began = time.perf_counter()
            await refs[number % children].call("touch", timeout=10.0)
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
    finally:
        await hub.aio.close()
    return Figures(
        round(casts / casting), round(times[calls // 2], 3), round(times[calls * 99 // 100], 3),
        round(children / starting), children, casts, calls,
    )  # fmt: skip


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    try:
        worker.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def _remove(hub: Hub) -> None:
    try:
        hub.driver.drive(delete_hub(hub.driver.context))
    except HubqError as error:
        say(f"hub {hub.hub_id} is left over ({error}): hubq delete-hub {hub.hub_id}", sys.stderr)
    finally:
        hub.close()
