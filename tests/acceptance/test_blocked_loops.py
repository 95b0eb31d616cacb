"""A handler that blocks its event loop costs its child, not its node; past the stall limit it costs its worker, three times."""

from __future__ import annotations

import contextlib
import importlib
import re
import signal
import threading
import time
from typing import Any

import pytest

from hubq import Hub
from hubq.errors import HubqError

from .conftest import APPS, Shell
from .test_workers import eventually

pytestmark = pytest.mark.acceptance

#: Lease of the app in seconds, and how long its handlers block: as 12 s with the default lease.
LEASE, BLOCKED = 1.0, 2.6


def events(hub: Hub, kind: str) -> list[dict[str, str]]:
    """The fields of all events of a kind."""
    _, found = hub.inspect.events(1000, [kind])
    return [event.fields for event in found]


@pytest.fixture
def app(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The app's module, for its class."""
    monkeypatch.setenv("HUBQ_TEST_HUB", hub.hub_id)
    monkeypatch.syspath_prepend(str(APPS))
    return importlib.import_module("blocking")


def apart(hub: Hub, app: Any) -> tuple[str, str]:
    """Two children on different workers."""
    for number in range(40):
        hub.start_child(f"c{number}", app.Blocker).result(timeout=20)
    eventually(lambda: [node.shards for node in hub.nodes()] == [32, 32])
    places = {f"c{number}": hub.ref(f"c{number}").call("where", timeout=10) for number in range(40)}
    first = next(iter(places))
    return first, next(child for child, node in places.items() if node != places[first])


def test_a_blocked_loop_evicts_nobody_and_is_named(shell: Shell, hub: Hub, app: Any) -> None:
    workers = {name: shell.spawn("blocking:hub", "--name", name) for name in ("a", "b")}
    for name, worker in workers.items():
        worker.wait_line(f"hubq worker {name}: ")
    blocked, other = apart(hub, app)
    node = workers[hub.ref(blocked).call("where")]
    results: list[Any] = []
    caller = threading.Thread(target=lambda: results.append(hub.ref(blocked).call("sleeps", BLOCKED, timeout=20)))
    caller.start()
    slowest = 0.0
    while caller.is_alive():
        began = time.monotonic()
        hub.ref(other).call("where", timeout=10)
        slowest = max(slowest, time.monotonic() - began)
        caller.join(0.05)
    assert results == [1], "the answer has come, and the message was handled once"
    assert slowest < LEASE, "the other worker has answered meanwhile"
    assert hub.ref(blocked).call("sleeps", 0) == 2
    line = node.wait_line("has stood still").string
    assert f"in {blocked}.sleeps" in line and "WARNING" in line
    assert any("time.sleep(seconds)" in text for text in node.lines), "and where it stands"
    assert events(hub, "node_evicted") == []
    (event,) = events(hub, "loop_blocked")
    assert (event["child"], event["method"]) == (blocked, "sleeps")
    eventually(lambda: len(events(hub, "loop_unblocked")) == 1)


def test_a_stalled_worker_ends_itself_and_the_third_time_the_message_is_a_dead_letter(
    shell: Shell, hub: Hub, app: Any
) -> None:
    shell.environment["HUBQ_TEST_STALL"] = "2"
    parent = shell.spawn("blocking:hub", "--name", "w", "--processes", "2")
    for number in (1, 2):
        parent.wait_line(rf"hubq worker w-{number}: ")
    blocked, other = apart(hub, app)
    hub.ref(blocked).cast("sleeps", 3600)
    eventually(lambda: hub.dead_letters(), 60)
    (letter,) = hub.dead_letters()
    assert (letter.child, letter.method, letter.tries) == (blocked, "sleeps", 3)
    assert len(events(hub, "loop_stalled")) == 3
    assert events(hub, "node_evicted") == [], "each has given its lease up"
    parent.wait_line(r"ended with code 70; starting it again")
    assert hub.ref(blocked).call("sleeps", 0, timeout=20) == 1
    assert hub.ref(other).call("sleeps", 0, timeout=20) == 1


@pytest.mark.long
@pytest.mark.alone
def test_only_the_message_that_holds_the_interpreter_past_the_lease_is_counted(
    shell: Shell, hub: Hub, app: Any
) -> None:
    for name in ("a", "b"):
        shell.spawn("blocking:hub", "--name", name).wait_line(f"hubq worker {name}: ")
    blocked, other = apart(hub, app)
    hub.ref(blocked).cast("holds_the_interpreter", 2 * LEASE)

    def condemned() -> bool:
        with contextlib.suppress(HubqError):
            hub.ref(other).call("where", timeout=1)
        return bool(hub.dead_letters())

    eventually(condemned, 100)
    (letter,) = hub.dead_letters()
    assert (letter.child, letter.method, letter.tries) == (blocked, "holds_the_interpreter", 3)
    assert hub.ref(blocked).call("sleeps", 0, timeout=20) >= 1


@pytest.mark.long
def test_the_listings_say_what_blocks_a_worker(shell: Shell, hub: Hub, app: Any) -> None:
    shell.environment["HUBQ_TEST_STALL"] = "0"
    worker = shell.spawn("blocking:hub", "--name", "a")
    worker.wait_line("hubq worker a: ")
    hub.start_child("c", app.Blocker).result(timeout=20)
    hub.ref("c").cast("sleeps", 3600.0)
    said = eventually(lambda: next((node for node in hub.nodes() if node.blocked_by), None))
    assert said.blocked_by == "c.sleeps" and said.blocked_for > 0
    words = r"a: blocked for \d+ s by c\.sleeps"
    listed = shell.run("nodes", hub.hub_id)
    assert re.search(words, listed.stderr) and re.search(r"^a +blocked ", listed.stdout, re.MULTILINE)
    assert re.search(words, shell.run("ps", hub.hub_id).stderr)
    assert re.search(words, shell.run("top", hub.hub_id, "--once").stdout)
    assert re.search(words, shell.run("doctor", hub.hub_id).stdout)
    worker.signal(signal.SIGKILL)  # it would not end otherwise
