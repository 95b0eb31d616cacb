"""``hubq doctor`` against live hubs, well and ill."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from hubq import Hub
from hubq.store.command import plain
from hubq.store.connection import SyncRedis

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = pytest.mark.acceptance

APP = "basic:hub"
#: The Redis of the tests keeps nothing on disk, and doctor rightly says so.
BY_DESIGN = {"Redis may forget"}


def topics(shell: Shell, hub_id: str) -> set[str]:
    done = shell.run("doctor", hub_id, "--json")
    found = {finding["topic"] for finding in json.loads(done.stdout)}
    assert done.returncode == (1 if found else 0), done.stderr
    return found - BY_DESIGN


def test_a_hub_that_is_well(shell: Shell, hub_id: str) -> None:
    shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    shell.ok("call", APP, "c-1", "add", "4")
    assert topics(shell, hub_id) == set()


@pytest.mark.long
def test_a_hub_without_workers_and_with_a_stray_key(shell: Shell, hub: Hub, hub_id: str) -> None:
    worker = shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    redis = SyncRedis(hub.server)
    redis.run(plain("SET", hub.keys.prefix + "left-over", "1", read=lambda answer: answer))
    redis.close()
    assert topics(shell, hub_id) == {"no worker", "stray keys"}
    said = shell.run("doctor", hub_id).stdout
    assert "no worker: no worker runs, and the hub has 1 child\n  -> start a worker" in said


@pytest.mark.long
def test_a_worker_that_stands_still(shell: Shell, hub_id: str) -> None:
    worker = shell.worker("a")
    worker.signal(signal.SIGSTOP)
    try:
        found: set[str] = set()
        while not found & {"lease about to end", "lease over", "no worker"}:
            found = topics(shell, hub_id)
        if "no worker" in found:
            assert "the lease is over: a" in shell.run("doctor", hub_id).stdout
    finally:
        worker.signal(signal.SIGKILL)
