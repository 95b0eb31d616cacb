"""A worker starts while one of several plain primaries is away: it serves the groups of the other, and joins the rest when it is back."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hubq import Hub
from hubq.store.embedded import EmbeddedServer

from .conftest import Shell
from .test_metrics import get, pages_of, until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(120)]

APP = """
from hubq import Child, Hub
hub = Hub({hub_id!r}, groups=4, shards=16, lease=1.0, lease_margin=0.2, heartbeat=0.1)
@hub.child
class Room(Child):
    def __init__(self): self.posts = 0
    async def post(self): self.posts += 1; return self.posts
"""


@pytest.fixture
def away() -> Iterator[EmbeddedServer]:
    """A primary of this test alone."""
    with EmbeddedServer(appendonly=True) as server:
        yield server


@pytest.mark.parametrize("how", ["ended", "silent"])
def test_a_worker_starts_and_joins_the_rest_later(
    how: str, redis_server: EmbeddedServer, away: EmbeddedServer, hub_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    module = f"rooms_while_{how}"
    (tmp_path / f"{module}.py").write_text(APP.format(hub_id=hub_id))
    monkeypatch.syspath_prepend(str(tmp_path))
    room_class = importlib.import_module(module).Room
    shell = Shell(hub_id, f"{redis_server.url},{away.url}")
    leave, come_back = ways(how, away)
    try:
        first = shell.spawn(f"{module}:hub", "--name", "first", cwd=tmp_path)
        first.wait_line("hubq worker first: ")
        with closing(Hub(hub_id, redis=[redis_server.url, away.url], groups=4, shards=16)) as hub:
            rooms = [f"room-{n}" for n in range(16)]
            for room in rooms:
                hub.start_child(room, room_class).result(timeout=20)
                assert hub.ref(room).call("post", timeout=20) == 1
            of_others = [room for room in rooms if hub.driver.context.group_of(room) % 2 == 0]
            first.signal(signal.SIGTERM)
            assert first.wait(20) == 0
            leave()
            worker = shell.spawn(f"{module}:hub", "--name", "a", "--metrics-port", "0", cwd=tmp_path)
            base = pages_of(worker)
            assert 0 < len(of_others) < len(rooms)
            assert [hub.ref(room).call("post", timeout=20) for room in of_others] == [2] * len(of_others)
            status, why = get(base + "/readyz")
            assert status == 503 and "group 1 is not joined: " in why and "group 3 is not joined: " in why
            assert get(base + "/healthz")[0] == 200
            come_back()
            until(base, "/readyz", 200)
            others = [room for room in rooms if room not in of_others]
            assert [hub.ref(room).call("post", timeout=20) for room in others] == [2] * len(others)
            for number in (1, 3):
                lines = [line for line in worker.lines if f"does not join group {number} yet" in line]
                assert len(lines) == 1, worker.lines
            leave()
            worker.signal(signal.SIGKILL)
            late = shell.spawn(f"{module}:hub", "--name", "b", cwd=tmp_path)
            late.wait_line("hubq worker b: ")
            late.signal(signal.SIGTERM)
            assert late.wait(20) == 0, "it does not wait for what it has not joined"
            come_back()
    finally:
        for each in shell.workers:
            each.end()


def ways(how: str, server: EmbeddedServer) -> tuple[Callable[[], None], Callable[[], None]]:
    """How the primary goes, and how it comes back."""
    if how == "ended":
        return (lambda: server.stop(keep=True)), server.start
    pid = server.pid
    if pid is None:
        pytest.skip("fakeredis has no process")
    return (lambda: os.kill(pid, signal.SIGSTOP)), (lambda: os.kill(pid, signal.SIGCONT))
