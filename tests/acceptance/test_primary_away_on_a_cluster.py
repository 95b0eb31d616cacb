"""A hub on a Redis Cluster of which only the id is given, while the primary of its first group is away and no replica has its place."""

from __future__ import annotations

import importlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hubq import ChildSpec, Hub
from hubq.core.layout import slot, tag_of
from hubq.store.embedded import find_server
from hubq.store.embedded_cluster import EmbeddedCluster
from tests.real_redis import no_real_redis

from .conftest import Shell
from .test_primary_away import APP, last_line

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(120)]

GROUPS = 4
#: A command waits once for what does not answer (5 s), and once more for who has the slots. With what the process takes to start, seconds.
LONGEST = 20.0


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    """Three primaries, and no replica that would take over."""
    if find_server()[0] is None:
        no_real_redis()
    with EmbeddedCluster(3) as cluster:
        yield cluster


@pytest.mark.parametrize(
    ("how", "named"), [("there", "first"), ("killed", "first"), ("frozen", "first"), ("frozen", "last")]
)
def test_a_hub_is_opened_by_its_id(
    how: str, named: str, cluster: EmbeddedCluster, hub_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``named``: where in the URL the one that is away stands."""
    module = f"rooms_on_a_cluster_{how}_{named}"
    (tmp_path / f"{module}.py").write_text(APP.format(hub_id=hub_id))
    monkeypatch.syspath_prepend(str(tmp_path))
    homes = {group: cluster.owner(slot(tag_of(hub_id, group, GROUPS))) for group in range(GROUPS)}
    away = homes[0]
    lost = sorted(group for group, home in homes.items() if home == away) if how != "there" else []
    assert len(lost) < GROUPS
    ports = sorted(cluster.ports, key=lambda port: (port == away) is (named == "last"))
    shell = Shell(hub_id, "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports))
    try:
        shell.spawn(f"{module}:hub", "--name", "a", cwd=tmp_path).wait_line("hubq worker a: ")
        room_class = importlib.import_module(module).Room
        with closing(Hub(hub_id, redis=cluster.url, groups=GROUPS, shards=16)) as hub:
            rooms = [f"room-{n}" for n in range(16)]
            hub.start_children([ChildSpec(room, room_class) for room in rooms]).result(timeout=20)
            there = sorted(room for room in rooms if hub.driver.context.group_of(room) not in lost)
            if how == "killed":
                cluster.kill(away)
            elif how == "frozen":
                cluster.freeze(away)
            for command, shown in (("ps", there), ("nodes", ["a"])):
                began = time.monotonic()
                done = shell.run(command, hub_id, "--json")
                took = time.monotonic() - began
                assert done.returncode == (3 if lost else 0), done.stderr
                assert [each.get("child_id", each.get("name")) for each in json.loads(done.stdout)] == shown
                told = last_line(done).partition(" left out: ")[0] if lost else ""
                assert [int(number) for number in re.findall(r"\d+", told)] == lost
                assert took < LONGEST
            hubs = shell.run("hubs", "--json")
            assert hubs.returncode == (3 if lost else 0), hubs.stderr
            assert json.loads(hubs.stdout) == [{"hub_id": hub_id, "shards": 16, "nodes": ["a"], "groups": GROUPS}]
            assert len(hubs.stderr.splitlines()) == (1 if lost else 0)
    finally:
        if how == "frozen":
            cluster.thaw(away)
        for each in shell.workers:
            each.end()
