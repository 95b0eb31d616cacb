"""Processes that serve: hubq workers and the bare loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.app import HUB_ID, make_hub
from hubq import ChildSpec, Hub

ROOT = Path(__file__).resolve().parent.parent
#: What the processes say; for when one of them ends.
LOG = Path(tempfile.gettempdir(), f"hubq-benchmarks-{os.getpid()}.log")


def start(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start ``python arguments`` in the root of this repository."""
    with LOG.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def start_worker(
    hub: Hub, url: str, name: str, *options: str, app: str = "benchmarks.app:hub", **environment: str
) -> subprocess.Popen[bytes]:
    """Start a worker as users do."""
    return start(
        "-m", "hubq", "worker", app, "--name", name, *options,
        HUBQ_REDIS_URL=url, **{HUB_ID: hub.hub_id}, **environment,
    )  # fmt: skip


async def ended(process: subprocess.Popen[bytes], patience: float = 30.0) -> None:
    """End a process and wait for it; by force once patience is over."""
    process.terminate()
    # Not wait(timeout): that looks only every 50 ms, which is a good part of a drain.
    gone = asyncio.create_task(asyncio.to_thread(process.wait))
    await asyncio.wait([gone], timeout=patience)
    if not gone.done():
        process.kill()
    await gone


async def wait_for_node(hub: Hub, name: str, process: subprocess.Popen[bytes], shards: int) -> None:
    """Until the node is up and owns so many shards."""
    while not any(node.name == name and node.shards >= shards for node in await hub.aio.nodes()):
        if process.poll() is not None:
            raise RuntimeError(f"worker {name} ended with {process.returncode}: see {LOG}")
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def served_hub(url: str, hub_id: str) -> AsyncIterator[tuple[Hub, subprocess.Popen[bytes]]]:
    """A new hub with one worker, ``a``."""
    hub = make_hub(hub_id, url)
    worker = start_worker(hub, url, "a")
    try:
        await wait_for_node(hub, "a", worker, hub.config.shards)
        yield hub, worker
    finally:
        await ended(worker)
        await hub.aio.close()


async def start_children(hub: Hub, kind: type, count: int, *args: object) -> list[str]:
    """Start children; their ids. Every one must start."""
    names = [f"c{number}" for number in range(count)]
    result = await hub.aio.start_children([ChildSpec(name, kind, args=args) for name in names], timeout=60)
    if len(result.started) != count:
        raise RuntimeError(f"only {len(result.started)} of {count} children started")
    return names
