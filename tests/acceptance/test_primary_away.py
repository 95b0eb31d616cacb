"""A worker starts while one of several plain primaries is away: it serves the groups of the other, and joins the rest when it is back."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from hubq import ChildSpec, Hub, RedisUnavailable
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


def test_commands_show_the_groups_that_answer_and_name_the_others(
    redis_server: EmbeddedServer, away: EmbeddedServer, hub_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With half of the groups on a primary that is frozen. Each group for itself would take longer than the test may."""
    module = "rooms_half_frozen"
    (tmp_path / f"{module}.py").write_text(APP.format(hub_id=hub_id))
    monkeypatch.syspath_prepend(str(tmp_path))
    room_class = importlib.import_module(module).Room
    shell = Shell(hub_id, f"{redis_server.url},{away.url}")
    leave, come_back = ways("silent", away)
    try:
        shell.spawn(f"{module}:hub", "--name", "first", cwd=tmp_path).wait_line("hubq worker first: ")
        with closing(Hub(hub_id, redis=[redis_server.url, away.url], groups=4, shards=16)) as hub:
            rooms = [f"room-{n}" for n in range(16)]
            hub.start_children([ChildSpec(room, room_class) for room in rooms]).result(timeout=20)
            there = sorted(room for room in rooms if hub.driver.context.group_of(room) % 2 == 0)
            assert 0 < len(there) < len(rooms)
            leave()
            said = (
                f"hubq: groups 1, 3 do not answer and are left out: cannot reach Redis at {away.url}",
                3,
            )
            listed = shell.run("ps", hub_id, "--json")
            assert [child["child_id"] for child in json.loads(listed.stdout)] == there
            assert one_line(listed) == said
            nodes = shell.run("nodes", hub_id)
            assert [line.split()[:3] for line in nodes.stdout.splitlines()[1:]] == [["first", "up", "8"]]
            assert one_line(nodes) == said
            picture = shell.run("top", hub_id, "--once")
            assert "first" in picture.stdout and one_line(picture) == said
            doctor = shell.run("doctor", hub_id, "--json")
            findings = {each["topic"]: each["seen"] for each in json.loads(doctor.stdout)}
            assert doctor.returncode == 1 and findings["groups do not answer"].startswith(
                said[0].removeprefix("hubq: ")
            )
            assert "shards without an owner" not in findings
            with hub.inspect.reachable() as left_out:
                assert sorted(child.child_id for child in hub.children()) == there
                assert set(hub.inspect.vitals()) == {"first"}
            assert set(left_out) == {1, 3}
            with pytest.raises(RedisUnavailable):
                hub.nodes()
            come_back()
            assert len(json.loads(shell.ok("ps", hub_id, "--json"))) == len(rooms)
    finally:
        come_back()
        for each in shell.workers:
            each.end()


#: Commands that look at a whole hub.
WHOLE = (
    ("ps", "--json"), ("nodes", "--json"), ("top", "--once"), ("events", "--json"), ("mailbox",), ("dead", "list"),
    ("reminders",), ("pauses",), ("config",), ("keys", "status"), ("rollout",),
)  # fmt: skip


@pytest.mark.timeout(300)
def test_commands_open_a_hub_by_its_id_though_the_first_primary_is_frozen(
    redis_server: EmbeddedServer, away: EmbeddedServer, hub_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the other one says is shown, and the groups of the first are named."""
    module = "rooms_first_frozen"
    (tmp_path / f"{module}.py").write_text(APP.format(hub_id=hub_id))
    monkeypatch.syspath_prepend(str(tmp_path))
    room_class = importlib.import_module(module).Room
    shell = Shell(hub_id, f"{away.url},{redis_server.url}")
    leave, come_back = ways("silent", away)
    try:
        worker = shell.spawn(f"{module}:hub", "--name", "first", cwd=tmp_path)
        worker.wait_line("hubq worker first: ")
        with closing(Hub(hub_id, redis=[away.url, redis_server.url], groups=4, shards=16)) as hub:
            rooms = [f"room-{n}" for n in range(16)]
            hub.start_children([ChildSpec(room, room_class) for room in rooms]).result(timeout=20)
            there = sorted(room for room in rooms if hub.driver.context.group_of(room) % 2)
            assert 0 < len(there) < len(rooms)
            leave()
            with ThreadPoolExecutor(4) as pool:
                asked = list(pool.map(lambda args: shell.run(*_on(hub_id, args)), WHOLE))
            for args, done in zip(WHOLE, asked, strict=True):
                said = f"hubq: groups 0, 2 do not answer and are left out: cannot reach Redis at {away.url}"
                assert done.returncode == 3 and last_line(done) == said, (args, done.stderr)
            answers = {args: done.stdout for args, done in zip(WHOLE, asked, strict=True)}
            assert [child["child_id"] for child in json.loads(answers["ps", "--json"])] == there
            (node,) = json.loads(answers["nodes", "--json"])
            assert (node["name"], node["shards"]) == ("first", 8)
            events = [json.loads(line) for line in answers["events", "--json"].splitlines()]
            assert {event["type"] for event in events} >= {"shards_claimed"}
            assert "shards " in answers["config",] and "16" in answers["config",]
            assert shell.ok("where", hub_id, there[0]).split()
            assert f"0 messages wait for {there[0]}" in shell.run("mailbox", hub_id, there[0]).stderr
            lost = next(room for room in rooms if room not in there)
            refused = shell.run("where", hub_id, lost)
            assert refused.returncode == 3 and refused.stderr.startswith(f"hubq: cannot reach Redis at {away.url}")
            come_back()
            assert len(json.loads(shell.ok("ps", hub_id, "--json"))) == len(rooms)
    finally:
        come_back()
        for each in shell.workers:
            each.end()


@pytest.mark.parametrize("first", [True, False])
def test_hubs_and_jobs_show_what_answers(
    first: bool, redis_server: EmbeddedServer, away: EmbeddedServer, hub_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """``first``: the primary that is frozen has the first group of the hub; the other one has a hub of its own all the same."""
    module = f"rooms_listed_{first}"
    (tmp_path / f"{module}.py").write_text(APP.format(hub_id=hub_id))
    primaries = (away, redis_server) if first else (redis_server, away)
    shell = Shell(hub_id, ",".join(server.url for server in primaries))
    shell.environment["HUBQ_JOBS_REDIS_URL"] = redis_server.url
    leave, come_back = ways("silent", away)
    try:
        shell.spawn(f"{module}:hub", "--name", "worker-1", cwd=tmp_path).wait_line("hubq worker worker-1: ")
        hub = Hub(hub_id, redis=[server.url for server in primaries], groups=4, shards=16, jobs_redis=redis_server.url)
        with (
            closing(hub),
            closing(Hub(f"{hub_id}-here", redis=redis_server.url)) as here,
            closing(Hub(f"{hub_id}-away", redis=away.url)) as elsewhere,
        ):
            assert here.nodes() == elsewhere.nodes() == []
            hub.enqueue(len, "abc")
            leave()
            left_out = f"hubq: hubs are left out: cannot reach Redis at {away.url}"
            listed = shell.run("hubs", "--json")
            assert one_line(listed) == (left_out, 3)
            ours = [found for found in json.loads(listed.stdout) if found["hub_id"].startswith(hub_id)]
            assert ours == [
                {"hub_id": hub_id, "shards": 16, "nodes": ["worker-1"], "groups": 4},
                {"hub_id": f"{hub_id}-here", "shards": 64, "nodes": [], "groups": 1},
            ]
            alone = shell.run("hubs", "--redis", away.url)
            assert (alone.returncode, alone.stdout) == (3, "")
            clock_is_away = hub.driver.context.group_of("hubq-clock") % 2 == (0 if first else 1)
            jobs = shell.run("jobs", hub_id)
            groups = "0, 2" if first else "1, 3"
            said = f"hubq: groups {groups} do not answer and are left out: cannot reach Redis at {away.url}"
            assert one_line(jobs) == (said, 3)
            queue = jobs.stdout.splitlines()[0]
            assert "1 queued" in queue
            assert queue.endswith("; the clock is not known" if clock_is_away else "; no clock")
            come_back()
            assert {f"{hub_id}-away", hub_id} <= {found["hub_id"] for found in json.loads(shell.ok("hubs", "--json"))}
            assert "; no clock" in shell.ok("jobs", hub_id)
    finally:
        come_back()
        for each in shell.workers:
            each.end()


def test_followed_events_go_on_while_a_primary_is_frozen(
    redis_server: EmbeddedServer, away: EmbeddedServer, hub_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "rooms_followed"
    (tmp_path / f"{module}.py").write_text(APP.format(hub_id=hub_id))
    monkeypatch.syspath_prepend(str(tmp_path))
    room_class = importlib.import_module(module).Room
    shell = Shell(hub_id, f"{away.url},{redis_server.url}")
    leave, come_back = ways("silent", away)
    try:
        shell.spawn(f"{module}:hub", "--name", "first", cwd=tmp_path).wait_line("hubq worker first: ")
        with closing(Hub(hub_id, redis=[away.url, redis_server.url], groups=4, shards=16)) as hub:
            there = [room for n in range(32) if hub.driver.context.group_of(room := f"room-{n}") % 2]
            leave()
            with subprocess.Popen(
                [sys.executable, "-m", "hubq", "events", hub_id, "--follow", "--all", "-n", "0"], cwd=tmp_path,
                env={**shell.environment, "PYTHONFAULTHANDLER": "1"}, text=True, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ) as follower:  # fmt: skip
                assert follower.stdout is not None
                said = next(
                    line for line in follower.stdout if "left out" in line
                )  # (the test's time-out is the limit)
                assert said.startswith("hubq: groups 0, 2 do not answer and are left out: ")
                try:
                    hub.start_child(there[0], room_class).result(timeout=20)
                    hub.pause(child=there[0], timeout=20)
                    assert "paused" in next(line for line in follower.stdout if there[0] in line)
                finally:
                    follower.send_signal(signal.SIGINT)
                try:
                    assert follower.wait(20) == 0
                except subprocess.TimeoutExpired:
                    follower.send_signal(signal.SIGABRT)  # where it stands
                    pytest.fail(f"it goes on after SIGINT: {follower.stdout.read()}")
    finally:
        come_back()
        for each in shell.workers:
            each.end()


def _on(hub_id: str, args: tuple[str, ...]) -> list[str]:
    """The arguments with the hub behind the command."""
    command = 2 if args[0] in ("dead", "keys") else 1
    return [*args[:command], hub_id, *args[command:]]


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line on stderr, without the reason in brackets."""
    return done.stderr.splitlines()[-1].partition(" (")[0]


def one_line(done: subprocess.CompletedProcess[str]) -> tuple[str, int]:
    """What a command says on stderr, without the reason in brackets, and its exit code."""
    (line,) = done.stderr.splitlines()
    return line.partition(" (")[0], done.returncode


def ways(how: str, server: EmbeddedServer) -> tuple[Callable[[], None], Callable[[], None]]:
    """How the primary goes, and how it comes back."""
    if how == "ended":
        return (lambda: server.stop(keep=True)), server.start
    pid = server.pid
    if pid is None:
        pytest.skip("fakeredis has no process")
    return (lambda: os.kill(pid, signal.SIGSTOP)), (lambda: os.kill(pid, signal.SIGCONT))
