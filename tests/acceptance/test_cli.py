"""The ``hubq`` command in real processes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from hubq import Child, Hub, __version__
from hubq.store.embedded import EmbeddedServer, free_port

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = pytest.mark.acceptance

T = TypeVar("T")
APP = "basic:hub"


class Counter(Child):
    """Workers know by this name the one in ``apps/basic.py``."""


def eventually(condition: Callable[[], T], timeout: float = 10.0) -> T:
    """The first true answer of ``condition``."""
    until = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < until, f"not within {timeout:g} s; the last answer was {answer!r}"
        threading.Event().wait(0.02)
    return answer


# -- what works ----------------------------------------------------------------------------------------------------


def test_version(shell: Shell) -> None:
    assert shell.ok("version") == f"hubq {__version__}"


def test_help_names_every_command(shell: Shell) -> None:
    text = shell.ok()
    for command in ("worker", "start", "stop", "ps", "nodes", "where", "call", "cast", "drain", "version"):
        assert f" {command} " in text


def test_a_group_alone_prints_its_help_and_nothing_else(shell: Shell) -> None:
    done = shell.run("dead")
    assert done.returncode == 2
    assert "replay" in done.stdout + done.stderr and "hubq:" not in done.stderr


def test_a_child_from_start_to_stop(shell: Shell, hub_id: str) -> None:
    shell.worker("a")
    assert shell.ok("start", APP, "c-1", "Counter", "3", "--tag", "tier=vip") == "c-1 runs on a"
    assert shell.ok("call", APP, "c-1", "add", "4") == "7"
    assert shell.ok("cast", hub_id, "c-1", "add", "-2") == ""
    assert shell.ok("call", hub_id, "c-1", "total") == "5"
    assert shell.ok("stop", hub_id, "c-1") == "c-1 stopped on a"
    assert shell.ok("ps", hub_id, "--json") == "[]"


@pytest.mark.long
def test_start_by_module_and_name(shell: Shell) -> None:
    shell.worker("a")
    assert shell.ok("start", APP, "c-1", "basic:Counter") == "c-1 runs on a"


@pytest.mark.long
def test_a_child_id_that_looks_like_an_option_is_no_question_for_help(shell: Shell) -> None:
    shell.worker("a")
    shell.ok("start", APP, "-dash", "Counter", "3")
    assert shell.ok("call", APP, "-dash", "total") == "3"
    assert "Usage" in shell.ok("call", "--help")


@pytest.mark.long
def test_arguments_are_json_or_text_and_results_too(shell: Shell, hub_id: str) -> None:
    shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    echoed = shell.ok("call", hub_id, "c-1", "echo", "3", "-1.5", "true", "[1, 2]", '{"a": null}', "two words", '"3"')
    assert json.loads(echoed) == [3, -1.5, True, [1, 2], {"a": None}, "two words", "3"]
    assert shell.ok("call", APP, "c-1", "itself") == "<opaque>"


@pytest.mark.long
def test_a_hub_whose_only_worker_was_killed_does_not_look_healthy(shell: Shell, hub: Hub, hub_id: str) -> None:
    worker = shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    worker.signal(signal.SIGKILL)
    worker.wait()
    eventually(lambda: not hub.is_alive())
    assert hub.is_locked()
    (node,) = shell.ok("nodes", hub_id).splitlines()[1:]
    assert node.split()[:2] == ["a", "gone"]
    (child,) = shell.ok("ps", hub_id).splitlines()[1:]
    assert child.split()[:4] == ["c-1", "Counter", "waiting", "-"] and child.endswith("its node a is gone")
    assert json.loads(shell.ok("where", hub_id, "c-1", "--json"))["node"] is None
    title = shell.ok("top", hub_id, "--once").splitlines()[0]
    assert title == f"{hub_id} 0 nodes, 1 gone  1 children  0 msg/s  0/64 shards served"


@pytest.mark.long
def test_ps_lists_and_filters(shell: Shell, hub_id: str) -> None:
    shell.worker("a")
    for child in ("c-2", "c-1"):
        shell.ok("start", APP, child, "Counter", "--tag", f"is={child}")
    header, *rows = shell.ok("ps", hub_id).splitlines()
    assert header.split() == ["CHILD", "CLASS", "STATUS", "NODE", "SHARD", "BACKLOG", "METADATA", "REASON"]
    assert [row.split()[:4] for row in rows] == [[child, "Counter", "running", "a"] for child in ("c-1", "c-2")]
    first, second = json.loads(shell.ok("ps", hub_id, "--json", "--node", "a", "--status", "running"))
    assert (first["child_id"], first["kind"], first["metadata"]) == ("c-1", "Counter", {"is": "c-1"})
    assert second["child_id"] == "c-2"
    assert json.loads(shell.ok("ps", hub_id, "--json", "--node", "b")) == []
    assert json.loads(shell.ok("ps", hub_id, "--json", "--status", "parked")) == []
    assert json.loads(shell.ok("ps", hub_id, "--json", "--class", "Room")) == []


@pytest.mark.long
def test_ps_sorts_pages_and_selects_by_tag_and_pattern(shell: Shell, hub: Hub, hub_id: str) -> None:
    worker = shell.worker("a")
    for n, colour in enumerate(("red", "blue", "red")):
        shell.ok("start", APP, f"c-{n}", "Counter", "--tag", f"tag={colour}", "--tag", f"n={n}")

    def ids(*options: str) -> list[str]:
        return [child["child_id"] for child in json.loads(shell.ok("ps", hub_id, "--json", *options))]

    assert ids("--tag", "red") == ids("--tag", "tag=red") == ["c-0", "c-2"]
    assert ids("--tag", "red", "--tag", "n=2") == ["c-2"]
    assert ids("*-1") == ["c-1"]
    hub.ref("c-2").cast("hold")
    hub.ref("c-2").cast("add")
    worker.wait_line("c-2 holds on")
    assert ids("--sort", "backlog") == ["c-2", "c-0", "c-1"]
    worker.signal(signal.SIGKILL)
    page = shell.run("ps", hub_id, "-n", "2")
    assert [line.split()[0] for line in page.stdout.splitlines()] == ["CHILD", "c-0", "c-1"]
    assert page.stderr == "2 of 3; the next ones: --after c-1\n"
    assert ids("--after", "c-1") == ["c-2"]
    assert "leave one of them out" in shell.fails(2, "ps", hub_id, "--after", "c-1", "--sort", "node")


@pytest.mark.long
def test_nodes_and_where(shell: Shell, hub_id: str) -> None:
    worker = shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    (node,) = json.loads(shell.ok("nodes", hub_id, "--json"))
    assert (node["name"], node["status"], node["shards"]) == ("a", "up", 64)
    assert worker.wait_line(r"pid (\d+)")[1] == str(node["pid"])
    # (It is ready when it has said that it can build what it serves.)
    eventually(lambda: shell.ok("nodes", hub_id).splitlines()[1].split()[:3] == ["a", "up", "64"])
    place = json.loads(shell.ok("where", hub_id, "c-1", "--json"))
    assert (place["child_id"], place["node"], place["pinned"]) == ("c-1", "a", False)
    assert shell.ok("where", hub_id, "c-1").splitlines()[1].split()[:2] == ["c-1", "a"]


def test_drain_moves_the_children_and_ends_the_worker(shell: Shell, hub: Hub, hub_id: str) -> None:
    a = shell.worker("a")
    children = [f"c-{number}" for number in range(10)]
    for number, child in enumerate(children):
        hub.start_child(child, Counter, number).result()
    shell.worker("b")
    assert shell.ok("drain", hub_id, "a") == "a has left"
    assert a.wait() == 0
    assert {status.node for status in hub.children()} == {"b"}
    assert [hub.ref(child).call("total") for child in children] == list(range(10))


@pytest.mark.long
def test_sigterm_to_the_only_worker_loses_nothing(shell: Shell, hub: Hub, hub_id: str) -> None:
    a = shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter", "100")
    shell.ok("call", hub_id, "c-1", "add", "10")
    a.signal(signal.SIGTERM)
    assert a.wait() == 0
    assert hub.nodes() == []
    shell.ok("cast", hub_id, "c-1", "add", "1")
    hub.ref("c-1").cast("add", 1)
    (child,) = json.loads(shell.ok("ps", hub_id, "--json"))
    assert (child["node"], child["status"], child["backlog"]) == (None, "waiting", 2)
    shell.worker("b")
    assert shell.ok("call", hub_id, "c-1", "total", "--timeout", "10") == "112"


@pytest.mark.long
def test_a_killed_worker_starts_again_under_its_name(shell: Shell, hub: Hub, hub_id: str) -> None:
    a = shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter", "5")
    a.signal(signal.SIGKILL)
    assert a.wait() == -signal.SIGKILL
    shell.worker("a")
    assert shell.ok("call", hub_id, "c-1", "total") == "5"


@pytest.mark.long
def test_a_second_signal_ends_at_once(shell: Shell, hub: Hub) -> None:
    worker = shell.worker("a")
    hub.start_child("c-1", Counter).result()
    hub.ref("c-1").cast("hold")
    worker.wait_line("c-1 holds on")
    worker.signal(signal.SIGTERM)
    worker.wait_line("SIGTERM: worker a hands its children over")

    def ended() -> bool:
        worker.signal(signal.SIGINT)  # (too soon after the first, it is the same wish)
        return not worker.running

    eventually(ended)
    assert worker.wait() == 128 + signal.SIGINT


@pytest.mark.long
def test_two_signals_at_once_are_one_wish(shell: Shell, hub: Hub) -> None:
    a = shell.worker("a")
    hub.start_child("c-1", Counter, 5).result()
    shell.worker("b")
    a.signal(signal.SIGINT)
    a.signal(signal.SIGTERM)
    assert a.wait() == 0
    assert hub.ref("c-1").call("total") == 5


@pytest.mark.long
def test_several_processes(shell: Shell, hub: Hub) -> None:
    parent = shell.spawn(APP, "--name", "a", "--processes", "2")
    for name in ("a-1", "a-2"):
        parent.wait_line(f"hubq worker {name}: hub ")
    nodes = hub.nodes()
    assert [node.name for node in nodes] == ["a-1", "a-2"]
    eventually(lambda: hub.nodes()[1].uptime > 1.0)  # sooner, its parent would give up
    os.kill(nodes[1].pid, signal.SIGKILL)
    parent.wait_line("worker a-2 ended with code 137; starting it again")
    eventually(lambda: any(node.name == "a-2" and node.pid != nodes[1].pid for node in hub.nodes()))
    parent.signal(signal.SIGTERM)
    assert parent.wait(30.0) == 0
    assert hub.nodes() == []


@pytest.mark.long
def test_several_processes_that_cannot_start_all_end(shell: Shell) -> None:
    parent = shell.spawn("basic:nothing", "--processes", "2")
    assert parent.wait() == 2


# -- what does not -------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("app", "says"),
    [
        ("basic", "'basic' does not name a Hub: give module:attribute"),
        ("absent:hub", "no module 'absent' here"),
        ("basic:nothing", "module 'basic' has no attribute 'nothing'"),
        ("basic:not_a_hub", "'basic:not_a_hub' is of type int, not a Hub"),
        ("basic:Counter", "'basic:Counter' is a class, not a Hub"),
        ("broken:hub", "module 'broken' cannot be imported: ZeroDivisionError"),
    ],
)
def test_wrong_module_or_attribute(shell: Shell, app: str, says: str) -> None:
    assert says in shell.fails(2, "worker", app)


def test_the_place_of_a_syntax_error_is_said(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text("from hubq import Hub\nhub = = Hub('typed')\n")
    told = shell.fails(2, "worker", "typed:hub", cwd=tmp_path)
    assert told.endswith(f"module 'typed' cannot be imported: SyntaxError: invalid syntax ({tmp_path / 'typed.py'}:2)")


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("worker",),
        ("worker", APP, "--processes", "0"),
        ("worker", APP, "--name", "no spaces"),
        ("ps", "hub", "--status", "asleep"),
        ("ps", "hub", "--colour"),
        ("ps", "no/hub"),
        ("start", APP, "c-1", "Absent"),
        ("start", APP, "c-1", "basic:Absent"),
        ("start", APP, "c-1", "Counter", "--tag", "novalue"),
        ("call", APP, "c-1", "total", "--timeout", "-1"),
    ],
    ids=" ".join,
)
def test_wrong_usage(shell: Shell, arguments: tuple[str, ...]) -> None:
    shell.fails(2, *arguments)


@pytest.mark.parametrize(
    "command",
    [
        ("worker", APP),
        ("ps", "chat"),
        pytest.param(("ps", APP), marks=pytest.mark.long),
        pytest.param(("call", APP, "c-1", "total"), marks=pytest.mark.long),
    ],
)
def test_redis_down(shell: Shell, command: tuple[str, ...]) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    line = shell.fails(3, *command, "--redis", url)
    assert f"cannot reach Redis at {url}" in line


def test_two_workers_with_one_name(shell: Shell) -> None:
    shell.worker("a")
    assert "has the name 'a' already" in shell.fails(1, "worker", APP, "--name", "a")


def test_unknown_hub_is_not_made(shell: Shell, hub_id: str, redis_server: EmbeddedServer) -> None:
    assert f"no hub {hub_id!r}" in shell.fails(1, "ps", hub_id)
    assert f"no hub {hub_id!r}" in shell.fails(1, "nodes", hub_id)


@pytest.mark.long
def test_unknown_names(shell: Shell, hub_id: str) -> None:
    shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    for command in (("call", hub_id, "c-9", "total"), ("cast", hub_id, "c-9", "total"), ("where", hub_id, "c-9")):
        assert "no child 'c-9'" in shell.fails(1, *command)
    assert "no child 'c-9'" in shell.fails(1, "stop", hub_id, "c-9")
    assert "has no method 'fly'; it has: add" in shell.fails(1, "call", hub_id, "c-1", "fly")
    assert "no node 'z'" in shell.fails(1, "drain", hub_id, "z")


@pytest.mark.long
def test_a_method_that_raises(shell: Shell, hub_id: str) -> None:
    shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    assert "raised ValueError on node a: it is broken on two lines" in shell.fails(1, "call", hub_id, "c-1", "fail")


@pytest.mark.long
def test_child_ids(shell: Shell) -> None:
    shell.worker("a")
    assert shell.ok("start", APP, "x" * 512, "Counter") == "x" * 512 + " runs on a"
    assert "child id is empty" in shell.fails(1, "start", APP, "", "Counter")
    assert "child id is empty" in shell.fails(1, "call", APP, "", "total")
    assert "has 513 bytes, the most is 512" in shell.fails(1, "start", APP, "x" * 513, "Counter")
    assert "has 514 bytes, the most is 512" in shell.fails(1, "call", APP, "é" * 257, "total")


@pytest.mark.long
def test_the_same_child_twice(shell: Shell) -> None:
    shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    assert "child 'c-1' exists already" in shell.fails(1, "start", APP, "c-1", "Counter")


def test_a_call_nobody_answers(shell: Shell, hub: Hub, hub_id: str) -> None:
    hub.start_child("c-1", Counter)
    assert "no node serves it, start a worker" in shell.fails(1, "call", hub_id, "c-1", "total", "--timeout", "0.1")


def test_other_number_of_shards(shell: Shell, hub: Hub) -> None:
    hub.nodes()
    for command in (("worker", "basic:fewer_shards"), ("ps", "basic:fewer_shards")):
        line = shell.fails(2, *command)
        assert "was created with shards=64" in line
        assert "not shards=8" in line
