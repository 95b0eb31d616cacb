"""Restarts under crash loops, and deploys whose code cannot start a child: real workers, several versions of an app."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubq import Child, ChildSpec, Hub

from .conftest import Shell, WorkerProcess
from .waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

HEAD = """
import asyncio, logging, os
from hubq import Child, Hub, HotSwap

hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=1.5, lease_margin=0.4, heartbeat=0.1)

@hub.child
class Steady(Child):
    def __init__(self): self.n = 0
    async def add(self): self.n += 1; return self.n
"""
FEED = """
@hub.child
class Feed(Child):
    def __init__(self): self.n = 0
    async def add(self): self.n += 1; return self.n
    async def version(self): return {version}
"""
BROKEN = """
@hub.child
class Feed(Child):
    def __init__(self):
        import a_module_that_was_not_deployed
"""
LOOPING = """
@hub.child(max_restarts=3, restart_within=60.0)
class Loop(Child):
    def __init__(self): self.runs = 0
    async def run(self):
        self.runs += 1
        await self.commit()
        raise RuntimeError("again")
    async def add(self): return self.runs

@hub.child
async def fleeting(ctx, path):
    with open(path, "a") as file: file.write("x")
    raise RuntimeError("once")
"""


CLINGING = """
hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=60.0, stop_timeout=0.5, migration=HotSwap(retention=0.5))

@hub.child
class Clinging(Child):
    async def cling(self):
        logging.getLogger("shop").warning("x clings")
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass
"""


@pytest.fixture
def deploy(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], WorkerProcess]:
    """Start a worker with its own version of the app."""

    def start(name: str, source: str, wait: str = r"hubq worker") -> WorkerProcess:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "shop.py").write_text(HEAD + source)
        popen = subprocess.Popen

        def there(*args: Any, **options: Any) -> Any:
            return popen(*args, **{**options, "cwd": folder})

        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", there)
            worker = shell.spawn("shop:hub", "--name", name)
        worker.wait_line(rf"hubq worker {name}: hub ")
        return worker

    return start


def listed(shell: Shell, hub: Hub) -> dict[str, dict[str, Any]]:
    return {child["child_id"]: child for child in json.loads(shell.ok("ps", hub.hub_id, "--json"))}


def start(shell: Shell, hub: Hub, tmp_path: Path, folder: str, child: str, name: str, *args: str) -> None:
    """`hubq start` with the app of one of the workers."""
    done = subprocess.run(
        [sys.executable, "-m", "hubq", "start", "shop:hub", child, name, *args],
        cwd=tmp_path / folder, env=shell.environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_child_whose_code_was_not_deployed_waits_for_the_version_that_works(
    shell: Shell, hub: Hub, tmp_path: Path, deploy: Any
) -> None:
    old = deploy("old", FEED.format(version=1))
    start(shell, hub, tmp_path, "old", "feed", "Feed")
    start(shell, hub, tmp_path, "old", "steady", "Steady")
    assert [hub.ref("feed").call("add") for _ in range(3)] == [1, 2, 3]

    # The bad deploy: the new worker cannot build the child, the old one leaves.
    bad = deploy("bad", BROKEN)
    old.signal(signal.SIGTERM)
    assert old.wait(30) == 0
    parked = until(hub, lambda: (c := listed(shell, hub)["feed"])["status"] == "parked" and c, "feed is parked")
    assert "a_module_that_was_not_deployed" in parked["reason"]
    assert hub.ref("steady").call("add", timeout=10) == 1, "its neighbours are served"
    for _ in range(4):
        hub.ref("feed").cast("add")
    table = shell.ok("ps", hub.hub_id)
    assert "parked" in table
    assert "a_module_that_was_not_deployed" in table

    # A crash of the bad worker changes nothing, nor does the same code again.
    bad.signal(signal.SIGKILL)
    bad.wait(10)
    again = deploy("again", BROKEN)
    until(hub, lambda: listed(shell, hub)["feed"]["node"] == "again", "the shard has been taken over")
    assert listed(shell, hub)["feed"]["backlog"] == 4

    # The fixed version replaces it: state and messages are all there.
    deploy("fixed", FEED.format(version=2))
    again.signal(signal.SIGTERM)
    assert again.wait(30) == 0
    assert hub.ref("feed").call("add", timeout=20) == 8
    assert hub.ref("feed").call("version") == 2
    assert listed(shell, hub)["feed"]["status"] == "running"
    assert listed(shell, hub)["feed"]["reason"] == ""


def test_children_of_a_bad_deploy_find_the_worker_that_has_the_right_version(
    shell: Shell, hub: Hub, tmp_path: Path, deploy: Any
) -> None:
    names = [f"feed-{n}" for n in range(6)]
    old = deploy("old", FEED.format(version=1))
    feed = type("Feed", (Child,), {"__module__": "shop"})
    assert not hub.start_children([ChildSpec(name, feed) for name in names]).result().errors
    assert [hub.ref(name).call("add") for name in names] == [1] * len(names)
    bad = deploy("bad", BROKEN)
    old.signal(signal.SIGTERM)
    assert old.wait(30) == 0

    def parked() -> bool:
        return all(listed(shell, hub)[name]["status"] == "parked" for name in names)

    until(hub, parked, "all are parked")
    for name in names:
        hub.ref(name).cast("add")

    # The right version comes beside the bad one, which keeps half of the shards: nobody waits for them to move.
    deploy("good", FEED.format(version=2))
    assert [hub.ref(name).call("add", timeout=20) for name in names] == [3] * len(names)
    away = until(
        hub, lambda: [c for c in listed(shell, hub).values() if c["pin"] == "straggler" and c["reason"]], "pins"
    )
    for child in away:
        assert (child["node"], child["status"]) == ("good", "running")
        assert child["reason"].startswith("cannot start on bad: "), child
        assert "a_module_that_was_not_deployed" in child["reason"]
    bad.signal(signal.SIGTERM)
    assert bad.wait(30) == 0
    assert [hub.ref(name).call("add", timeout=20) for name in names] == [4] * len(names)
    until(
        hub,
        lambda: not [c for c in listed(shell, hub).values() if c["pin"] or c["reason"]],
        "all are with their shards",
    )


def test_a_run_that_fails_again_and_again_is_parked_and_its_restart_policy_holds(
    shell: Shell, hub: Hub, tmp_path: Path, deploy: Any
) -> None:
    worker = deploy("w", LOOPING)
    start(shell, hub, tmp_path, "w", "loop", "Loop")
    start(shell, hub, tmp_path, "w", "steady", "Steady")
    parked = until(hub, lambda: (c := listed(shell, hub)["loop"])["status"] == "parked" and c, "loop is parked")
    assert parked["reason"] == "run() ended more than 3 times in 60 s"
    assert hub.ref("steady").call("add") == 1
    hub.ref("loop").cast("add")
    assert listed(shell, hub)["loop"]["backlog"] == 1, "its messages wait"
    saved = hub.inspect.state("loop")
    assert saved is not None
    assert saved.value() == {"runs": 4}, "the first run and three restarts, each committed"

    # temporary: it ends at its first failure, and does not come back.
    traces = tmp_path / "traces"
    future = hub.start_child("fleeting", _fleeting(tmp_path), str(traces), restart="temporary")
    assert future.result().started == {"fleeting": "w"}
    until(hub, lambda: "fleeting" not in listed(shell, hub), "it has ended")
    assert traces.read_text() == "x"

    # Fixed code: the loop goes on from its last commit.
    deploy("fixed", LOOPING.replace('raise RuntimeError("again")', "await asyncio.Event().wait()"))
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert hub.ref("loop").call("add", timeout=20) == 5
    assert hub.stop_child("loop").stopped == {"loop": "fixed"}


def _fleeting(tmp_path: Path) -> Any:
    async def fleeting(ctx: Any, path: str) -> None:
        raise AssertionError("only its name is used")

    fleeting.__module__ = "shop"
    fleeting.__qualname__ = fleeting.__name__
    return fleeting


def test_a_worker_ends_though_a_child_does_not(shell: Shell, hub: Hub, tmp_path: Path, deploy: Any) -> None:
    worker = deploy("a", CLINGING)
    start(shell, hub, tmp_path, "a", "x", "Clinging")
    hub.ref("x").cast("cling")
    worker.wait_line("x clings")
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    worker.wait_line("a handler on node a goes on though it was cancelled: let CancelledError through")
    worker.wait_line("worker a has left")
    assert hub.nodes() == []
