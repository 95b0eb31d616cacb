"""``hubq worker --metrics-port``: metrics and health over real HTTP; log formats; ``--reload``."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hubq import Hub

if TYPE_CHECKING:
    from conftest import Shell, WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

APP = "basic:hub"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def pages_of(worker: WorkerProcess) -> str:
    return worker.wait_line(r"(http://127\.0\.0\.1:\d+): /metrics").group(1)


def until(base: str, page: str, status: int) -> None:
    """Ask until a page answers with this status."""
    give_up = time.monotonic() + 15
    while (answer := get(base + page))[0] != status:
        assert time.monotonic() < give_up, answer
        threading.Event().wait(0.02)


def until_metric(base: str, line: str) -> None:
    """Ask until the metrics have this line (a node counts its children every two seconds)."""
    give_up = time.monotonic() + 15
    while line not in get(base + "/metrics")[1].splitlines():
        assert time.monotonic() < give_up, line
        threading.Event().wait(0.05)


def test_metrics_and_health_of_a_working_node(shell: Shell, hub: Hub) -> None:
    base = pages_of(shell.worker("a", "--metrics-port", "0"))
    until(base, "/readyz", 200)
    shell.ok("start", APP, "c-1", "Counter")
    for n in range(5):
        hub.ref("c-1").call("add", n)
    assert get(base + "/healthz") == (200, "ok\n")
    until_metric(base, f'hubq_children{{hub="{hub.hub_id}",life="running",node="a"}} 1.0')
    until_metric(base, f'hubq_messages_total{{hub="{hub.hub_id}",node="a"}} 5.0')  # the account may be from in between
    status, text = get(base + "/metrics")
    assert status == 200
    samples = {
        (sample.name, sample.labels.get("life", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("node") == "a" and sample.labels["hub"] == hub.hub_id
    }
    assert samples["hubq_messages_total", ""] == 5
    assert samples["hubq_handler_seconds_count", ""] == 5
    assert samples["hubq_children", "running"] == 1
    assert samples["hubq_shards", ""] == 64
    assert samples["hubq_ready", ""] == 1
    assert samples["hubq_commits_total", ""] >= 5
    assert get(base + "/nothing")[0] == 404


def test_a_node_that_drains_is_alive_and_not_ready(shell: Shell, hub: Hub) -> None:
    worker = shell.worker("a", "--metrics-port", "0")
    base = pages_of(worker)
    until(base, "/readyz", 200)
    shell.ok("start", APP, "c-1", "Counter")
    hub.ref("c-1").cast("hold")
    worker.wait_line("c-1 holds on")
    worker.signal(signal.SIGTERM)
    until(base, "/readyz", 503)
    assert get(base + "/healthz")[0] == 200


def test_a_loop_that_stands_still_for_longer_than_the_lease_is_alive_and_not_ready(
    shell: Shell, hub: Hub, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    worker = shell.worker("a", "--metrics-port", "0")
    base = pages_of(worker)
    until(base, "/readyz", 200)
    shell.ok("start", APP, "c-1", "Counter")
    hub.ref("c-1").cast("block", str(go_on))
    worker.wait_line("c-1 blocks the loop")
    until(base, "/readyz", 503)
    assert get(base + "/healthz") == (200, "ok\n"), "it is no reason to restart it"
    assert "hubq_loop_blocked_total{" in get(base + "/metrics")[1]
    go_on.touch()
    until(base, "/readyz", 200)


def test_a_port_that_is_taken_is_one_clear_line(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = shell.fails(1, "worker", APP, "--name", "a", "--metrics-port", port)
    assert f"cannot serve metrics at 127.0.0.1:{port}" in line
    assert shell.ok("nodes", APP, "--json") == "[]"


def test_json_log_lines(shell: Shell) -> None:
    worker = shell.spawn(APP, "--name", "a", "--log-format", "json")
    line = worker.wait_line("hubq worker a: ").string
    assert json.loads(line)["level"] == "info"
    assert json.loads(line)["logger"] == "hubq.worker"


def test_reload_begins_anew_with_new_code_and_the_old_state(shell: Shell, hub: Hub, tmp_path: Path) -> None:
    source = tmp_path / "growing.py"
    code = """
import os
from hubq import Child, Hub
hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=2.0, lease_margin=0.5)

@hub.child
class Counter(Child):
    def __init__(self): self.value = 0
    async def add(self, n): self.value += n; return self.value
"""
    source.write_text(code)
    worker = shell.spawn("growing:hub", "--name", "a", "--reload", cwd=tmp_path)
    worker.wait_line("hubq worker a: ")
    shell.ok("start", "growing:hub", "c-1", "Counter", cwd=tmp_path)
    assert hub.ref("c-1").call("add", 3) == 3
    source.write_text(code.replace("self.value += n", "self.value += 10 * n"))
    worker.wait_line(r"growing\.py changed")
    worker.wait_line("worker a has left")
    assert hub.ref("c-1").call("add", 4, timeout=20) == 43
    source.write_text("broken = =")
    worker.wait_line(r"SyntaxError: invalid syntax \(.*growing\.py:1\)")
    worker.wait_line(r"the worker has ended \(exit code 2\): it is started again at the next change")
    source.write_text(code)
    worker.wait_line("node a is ready")
    assert hub.ref("c-1").call("add", 4, timeout=20) == 47


def test_connections_that_say_nothing_hold_nobody_up(shell: Shell) -> None:
    worker = shell.worker("a", "--metrics-port", "0")
    base = pages_of(worker)
    until(base, "/healthz", 200)
    place = ("127.0.0.1", int(base.rpartition(":")[2]))
    half_open = [socket.create_connection(place, timeout=5) for _ in range(250)]
    for number, connection in enumerate(half_open):
        with suppress(OSError):  # it may be closed already, for a younger one
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: "[: number % 36])
    for _ in range(20):
        assert get(base + "/healthz")[0] == 200
    assert get(base + "/metrics")[0] == 200
    threads = int(Path(f"/proc/{worker.pid}/status").read_text().partition("Threads:")[2].split()[0])
    assert threads < 32 + 20, "each connection took a thread, and kept it"
    for connection in half_open:
        connection.close()


def test_a_connection_that_says_nothing_is_closed(shell: Shell) -> None:
    base = pages_of(shell.worker("a", "--metrics-port", "0"))
    with socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert connection.recv(100) == b"", "within its 5 s, not the test's 20"
