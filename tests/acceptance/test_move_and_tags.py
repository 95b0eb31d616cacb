"""``hubq move`` between real workers while the child is in use, and ``hubq worker --tag`` with a strategy that goes by it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable

import pytest

from hubq import Hub
from hubq.testing import eventually

from .conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]
APP = "basic:hub"


def test_move_takes_a_child_to_another_worker_while_it_is_in_use(shell: Shell, hub: Hub, hub_id: str) -> None:
    shell.worker("a")
    assert shell.ok("start", APP, "c-1", "Counter", "100") == "c-1 runs on a"
    shell.worker("b")
    stop, sent = threading.Event(), list[int]()

    def use() -> None:
        user = Hub(hub_id, redis=hub.server.address)
        while not stop.is_set():
            sent.append(user.ref("c-1").call("add", timeout=30))
        user.close()

    thread = threading.Thread(target=use)
    thread.start()
    try:
        for node in ("b", "a", "b"):
            said = shell.ok("move", hub_id, "c-1", node, "--timeout", "30")
            place = hub.where("c-1")
            assert place.node == node and said == f"c-1 is on {node}" + (" (pinned)" if place.pinned else "")
        home = shell.ok("move", hub_id, "c-1", "--back", "--timeout", "30")
        assert home in ("c-1 is on a", "c-1 is on b")
    finally:
        stop.set()
        thread.join(60.0)
    assert sent == [*range(101, 101 + len(sent))] and len(sent) > 3, "each was handled once, in order"
    assert hub.ref("c-1").call("total", timeout=30) == 100 + len(sent)
    assert "no node 'x'" in shell.fails(1, "move", hub_id, "c-1", "x")
    assert "'c-2'" in shell.fails(1, "move", hub_id, "c-2", "a")
    assert "give either NODE" in shell.fails(2, "move", hub_id, "c-1")
    assert "give either NODE" in shell.fails(2, "move", hub_id, "c-1", "a", "--back")
    assert hub.where("c-1").pinned is False


def test_tags_of_workers_are_shown_and_decide_where_children_live(shell: Shell, hub: Hub, hub_id: str) -> None:
    """Children live in region eu while it has a worker, and in the others only then."""
    shell.fails(2, "worker", "region_app:hub", "--name", "x", "--tag", "eu")
    workers = {}
    for name, region in (("a", "us"), ("b", "eu")):
        options = ("--name", name, "--tag", f"region={region}", "--tag", "size=big")
        workers[name] = shell.spawn("region_app:hub", *options)
        workers[name].wait_line(rf"hubq worker {name}: hub ", 60.0)
    assert {node.name: node.tags for node in hub.nodes()} == {
        "a": {"region": "us", "size": "big"}, "b": {"region": "eu", "size": "big"}
    }  # fmt: skip
    assert "region=eu,size=big" in shell.ok("nodes", hub_id)
    for n in range(4):
        shell.ok("start", "region_app:hub", f"c-{n}", "Counter", str(n))

    def all_on(node: str) -> bool:
        shards = {each.name: each.shards for each in hub.nodes()}
        return shards[node] == 64 and {child.node for child in hub.children()} == {node}

    wait_until(lambda: all_on("b"), "everything is in eu")
    workers["b"].signal(signal.SIGTERM)
    assert workers["b"].wait(60.0) == 0
    wait_until(lambda: all_on("a"), "nobody is left in eu")
    assert [hub.ref(f"c-{n}").call("total", timeout=30) for n in range(4)] == [0, 1, 2, 3]


def wait_until(happened: Callable[[], bool], what: str) -> None:
    async def asked() -> bool:
        return await asyncio.to_thread(happened)

    asyncio.run(eventually(asked, 60.0, what))
