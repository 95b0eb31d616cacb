"""One round of one peer: enqueue with no worker, then a worker that takes them all, then round trips one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from redis import Redis

from benchmarks.environments import HERE, PEERS, Peer, installed

ROUND_TRIPS = 150
#: How long a worker may take for all its jobs, seconds.
PATIENCE = 60.0
LOG = Path(tempfile.gettempdir(), f"hubq-benchmarks-peers-{os.getpid()}.log")


@contextlib.contextmanager
def running(peer: Peer, environment: dict[str, str]) -> Iterator[None]:
    """Its worker, as its docs start it."""
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            [peer.python, *peer.worker], cwd=HERE, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def measure(peer: Peer, url: str, jobs: int) -> dict[str, float]:
    """Jobs enqueued and handled per second, and the round trip of one."""
    environment = {**os.environ, "PEER_REDIS": url, "PEER_JOBS": str(jobs), "PYTHONPATH": str(HERE)}

    def drive(*arguments: str) -> dict[str, float]:
        done = subprocess.run(
            [peer.python, "drive.py", f"{peer.name}_peer", *arguments], cwd=HERE, env=environment,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["its client failed"])[-1])
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    found = drive("enqueue", str(jobs))
    with running(peer, environment), Redis.from_url(url) as redis:
        done = redis.blpop(["peer:done"], timeout=PATIENCE)
        if done is None:
            raise RuntimeError(f"its worker did not handle {jobs} jobs within {PATIENCE:g} s: see {LOG}")
        found["handled_per_s"] = (jobs - 1) / json.loads(done[1])["seconds"]
        return found | drive("calls", str(ROUND_TRIPS))


def present() -> tuple[dict[str, str], dict[str, str]]:
    """The peers that install, with their versions, and those that do not, with the reason."""
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for peer in PEERS:
        print(f"environment of {peer.name}", file=sys.stderr)
        try:
            versions[peer.name] = installed(peer)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            missing[peer.name] = str(error)
    return versions, missing


async def measure_one(name: str, url: str, jobs: int | None = None) -> dict[str, float]:
    """One round of a peer; empty if it failed, with a word on stderr."""
    peer = next(peer for peer in PEERS if peer.name == name)
    try:
        return await asyncio.to_thread(measure, peer, url, jobs or peer.jobs)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"{name} failed: {error}", file=sys.stderr)
        return {}
