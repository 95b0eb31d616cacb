"""A bad deploy is stopped: the worker that cannot run its children is not ready, says why, and the old one serves on."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from hubq import Child, ChildSpec, Hub

from .test_metrics import get, pages_of, until
from .test_workers import eventually

if TYPE_CHECKING:
    from conftest import Shell, WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

APP = "versions:hub"
CHILDREN = 40


class Room(Child):
    """Workers know by this name the one in ``apps/versions.py``."""


def version(shell: Shell, name: str, of: str, *options: str) -> WorkerProcess:
    """Start a worker with this version of the app."""
    shell.environment["HUBQ_TEST_VERSION"] = of
    return shell.spawn(APP, "--name", name, "--metrics-port", "0", *options)


def begin(shell: Shell, hub: Hub) -> WorkerProcess:
    """A healthy worker with children."""
    old = version(shell, "old", "good")
    until(pages_of(old), "/readyz", 200)
    hub.start_children([ChildSpec(f"room-{number}", Room) for number in range(CHILDREN)])
    all_answer(hub, 1)
    return old


def all_answer(hub: Hub, expected: int) -> None:
    """Call every child."""
    assert {hub.ref(f"room-{number}").call("add", timeout=30) for number in range(CHILDREN)} == {expected}


def is_refused(worker: WorkerProcess, cause: str) -> None:
    """Wait until a worker says that it is not ready, for this cause, in its log and on its page."""
    worker.wait_line(rf"node new is not ready: \d+ children cannot start on this worker: .*{cause}")
    status, said = get(pages_of(worker) + "/readyz")
    assert status == 503 and re.fullmatch(rf"\d+ children cannot start on this worker: .*{cause}.*\n", said), said


@pytest.mark.parametrize(
    ("bad", "cause"),
    [("renamed", "cannot import 'Room' from module"), ("raises", "NO_SUCH_SETTING is not set")],
)
def test_a_version_that_cannot_build_its_children_is_not_ready(shell: Shell, hub: Hub, bad: str, cause: str) -> None:
    old = begin(shell, hub)
    new = version(shell, "new", bad)
    is_refused(new, cause)
    all_answer(hub, 2)
    assert get(pages_of(old) + "/readyz") == (200, "ok\n")
    said = [line for line in new.lines if cause in line]
    assert len(said) < CHILDREN / 3, f"one cause is told in few lines: {said}"
    told = eventually(lambda: (done := shell.run("nodes", APP)).stderr and done)  # its account may be of 2 s ago
    assert re.search(r"^new +not ready ", told.stdout, re.MULTILINE), told.stdout
    assert re.match(rf"new is not ready: .*{cause}", told.stderr)
    finding = next(
        each for each in json.loads(shell.run("doctor", APP, "--json").stdout) if each["topic"] == "worker not ready"
    )
    assert cause in finding["seen"]
    # Even if somebody goes on and ends the old worker: the children are parked here, and the worker is not ready.
    shell.ok("drain", APP, "old")
    is_refused(new, cause)
    assert get(pages_of(new) + "/readyz")[0] == 503


def test_a_good_version_is_ready(shell: Shell, hub: Hub) -> None:
    begin(shell, hub)
    new = version(shell, "new", "good")
    until(pages_of(new), "/readyz", 200)
    new.wait_line("node new is ready")
    all_answer(hub, 2)


def test_children_that_are_parked_by_on_start_make_a_worker_unready(shell: Shell, hub: Hub) -> None:
    begin(shell, hub)
    is_refused(version(shell, "new", "cannot_begin"), "the database has no such table")


def test_so_many_children_may_be_unable_to_start(shell: Shell, hub: Hub) -> None:
    begin(shell, hub)
    new = version(shell, "new", "raises", "--ready-failures", str(CHILDREN))
    until(pages_of(new), "/readyz", 200)
    new.wait_line("cannot start here: Room cannot be built: RuntimeError: NO_SUCH_SETTING is not set")
