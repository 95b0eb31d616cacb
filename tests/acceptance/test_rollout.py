"""``hubq rollout`` with real workers under load: a bad version is given back by itself, and nothing is lost."""

from __future__ import annotations

import re
import threading
from collections import Counter as Counts
from typing import TYPE_CHECKING

import pytest

from hubq import CallFailed, CallTimeout, Child, ChildSpec, Hub
from hubq.core.hashing import shard_of

from .waiting import until

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

SHARDS, CHILDREN = 16, [f"c-{number}" for number in range(40)]


class Counter(Child):
    """Workers know by this name the one in ``apps/state_versions.py``."""


class Sender(threading.Thread):
    """Sends without a pause; ``sent``: what each child has been sent."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(daemon=True)
        self._hub = hub
        self._over = threading.Event()
        self.sent: Counts[str] = Counts()

    def run(self) -> None:
        number = 0
        while not self._over.wait(0.002):
            child = CHILDREN[number % len(CHILDREN)]
            self._hub.ref(child).cast("add", 1)
            self.sent[child] += 1
            number += 1

    def end(self) -> None:
        self._over.set()
        self.join(30.0)
        assert not self.is_alive()


def test_a_bad_version_is_given_back_with_nothing_lost_and_no_step_by_hand(shell: Shell, hub_id: str) -> None:
    assert {shard_of(child, SHARDS) for child in CHILDREN} == set(range(SHARDS)), "a child in each shard"
    for name in ("old-1", "old-2"):
        shell.spawn("state_versions:hub", "--name", name, "--app-version", "v1").wait_line(f"hubq worker {name}: ")
    hub = Hub(hub_id, redis=shell.environment["HUBQ_REDIS_URL"], shards=SHARDS)
    started = hub.start_children([ChildSpec(child, Counter) for child in CHILDREN]).result(30)
    assert len(started.started) == len(CHILDREN)
    for child in CHILDREN:
        hub.ref(child).call("add", 0, timeout=20)  # each has a state of the old version
    sender = Sender(hub)
    sender.start()
    shell.environment["HUBQ_TEST_VERSION"] = "bad"
    shell.spawn("state_versions:hub", "--name", "new-1", "--app-version", "v2").wait_line("hubq worker new-1: ")
    done = shell.run("rollout", hub_id, "v2", "--ramp", "25%,100%", "--watch", "30")
    assert done.returncode == 1 and done.stderr.startswith("hubq: the shards go back to the other versions: "), done
    said = done.stdout.splitlines()
    assert said[0].startswith("Counter: states go from version 1 to 2, and older code cannot read them"), said
    assert said[1:] == ["25% of the shards go to version v2", "0% of the shards go to version v2"]

    def given_back() -> bool:
        loads = {node.name: node.shards for node in hub.nodes()}
        return loads["new-1"] == 0 and sum(loads.values()) == SHARDS

    until(hub, given_back, "all shards are with the old version again")
    sender.end()
    totals = {child: hub.ref(child).call("total", timeout=30) for child in CHILDREN}
    assert totals == dict(sender.sent)
    assert [child.child_id for child in hub.children() if child.status != "running"] == []
    hub.close()


class Caller(threading.Thread):
    """Calls without a pause, each child in turn; ``done``: what each child has confirmed, ``unsure``: what it has not answered."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(daemon=True)
        self._hub = hub
        self._over = threading.Event()
        self.done: dict[str, list[int]] = {child: [] for child in CHILDREN}
        self.unsure: dict[str, set[int]] = {child: set() for child in CHILDREN}
        self.refused = 0

    def run(self) -> None:
        number = 0
        while not self._over.wait(0.001):
            child = CHILDREN[number % len(CHILDREN)]
            number += 1
            try:
                self._hub.ref(child).call("add", number // len(CHILDREN), timeout=20)
                self.done[child].append(number // len(CHILDREN))
            except CallFailed:
                self.refused += 1
            except CallTimeout:
                self.unsure[child].add(number // len(CHILDREN))

    def end(self) -> None:
        self._over.set()
        self.join(60.0)
        assert not self.is_alive()


@pytest.mark.parametrize("version", ["raised", "raised with a way back"])
def test_a_version_that_has_raised_state_version_is_given_back(shell: Shell, hub_id: str, version: str) -> None:
    for name in ("old-1", "old-2"):
        shell.spawn("raised_versions:hub", "--name", name, "--app-version", "v2").wait_line(f"hubq worker {name}: ")
    hub = Hub(hub_id, redis=shell.environment["HUBQ_REDIS_URL"], shards=SHARDS)
    hub.start_children([ChildSpec(child, Counter) for child in CHILDREN]).result(30)
    caller = Caller(hub)
    caller.start()
    shell.environment["HUBQ_TEST_VERSION"] = version
    shell.spawn("raised_versions:hub", "--name", "new-1", "--app-version", "v3").wait_line("hubq worker new-1: ")
    done = shell.run("rollout", hub_id, "v3", "--ramp", "25%,100%", "--watch", "30")
    assert done.returncode == 1 and "the shards go back to the other versions: handlers raise" in done.stderr, done
    until(hub, lambda: {n.name: n.shards for n in hub.nodes()}["new-1"] == 0, "the shards are with the old version")
    places = {child.child_id: child.node for child in hub.children()}
    stay = [child for child, node in places.items() if node == "new-1"]
    said = done.stdout.splitlines()
    if version == "raised":
        assert said[0].startswith("Counter: states go from version 2 to 3, and older code cannot read them"), said
        told = [re.match(r"(\d+) child(?:ren stay| stays) on the workers of version v3", line) for line in said]
        assert stay and sum(int(line[1]) for line in told if line) == len(stay), (said, stay)
        assert "its state has version 3, and New.state_version is 2 on old-" in done.stdout
    else:
        assert said == ["25% of the shards go to version v3", "0% of the shards go to version v3"] and not stay
        shell.workers[-1].end()  # nothing needs it
    assert [child.child_id for child in hub.children() if child.status != "running"] == []
    assert [node.unready for node in hub.nodes() if node.name.startswith("old")] == ["", ""]
    caller.end()
    assert caller.refused
    for child in CHILDREN:
        seen = hub.ref(child).call("all", timeout=30)
        assert [n for n in seen if n not in caller.unsure[child]] == caller.done[child] and len(set(seen)) == len(seen)
    hub.close()
