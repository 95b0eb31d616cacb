"""``hubq rollout`` with real workers under load: a bad version is given back by itself, and nothing is lost."""

from __future__ import annotations

import threading
from collections import Counter as Counts
from typing import TYPE_CHECKING

import pytest

from hubq import Child, ChildSpec, Hub
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
    assert done.stdout.splitlines() == ["25% of the shards go to version v2", "0% of the shards go to version v2"]

    def given_back() -> bool:
        loads = {node.name: node.shards for node in hub.nodes()}
        return loads["new-1"] == 0 and sum(loads.values()) == SHARDS

    until(hub, given_back, "all shards are with the old version again")
    sender.end()
    totals = {child: hub.ref(child).call("total", timeout=30) for child in CHILDREN}
    assert totals == dict(sender.sent)
    assert [child.child_id for child in hub.children() if child.status != "running"] == []
    hub.close()
