"""Workers and an app whose Redis is reached over TLS."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hubq import Child, Hub
from tests.tls import tls_redis

if TYPE_CHECKING:
    from conftest import Shell, WorkerProcess

pytestmark = pytest.mark.acceptance


class Counter(Child):
    """Workers know by this name the one in ``apps/basic.py``."""


def test_children_move_while_they_are_called(shell: Shell, tmp_path: Path) -> None:
    with tls_redis(tmp_path) as url:
        shell.environment["HUBQ_REDIS_URL"] = url
        first, second = (joined(shell, name) for name in ("a", "b"))
        with closing(Hub(shell.hub_id, redis=url)) as hub:
            children = [f"c{n}" for n in range(8)]
            for child in children:
                hub.start_child(child, Counter).result(timeout=20)
            called(hub, children, 1)
            first.signal(signal.SIGTERM)
            called(hub, children, 2)
            assert first.wait() == 0
            called(hub, children, 3)
            assert {hub.where(child).node for child in children} == {"b"}
        assert "c7" in shell.ok("ps", shell.hub_id)
        second.signal(signal.SIGTERM)
        assert second.wait() == 0


def joined(shell: Shell, name: str) -> WorkerProcess:
    worker = shell.spawn("basic:hub", "--name", name)
    worker.wait_line(f"hubq worker {name}: hub {shell.hub_id} at rediss://")
    return worker


def called(hub: Hub, children: list[str], total: int) -> None:
    assert [hub.ref(child).call("add") for child in children] == [total] * len(children)
