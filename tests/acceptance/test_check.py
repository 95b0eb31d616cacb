"""``hubq check``: the code of the next deploy is tried with what the hub has saved, before it is deployed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hubq import Hub
from hubq.store.keyring import Keyring, new_keys

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

NEXT = """
from hubq import Child, Hub

hub = Hub("{hub}", lease=2.0, lease_margin=0.5)


@hub.child
class Counter(Child):
    state_version = 2

    def __init__(self, value=0):
        self.total = value

    def upgrade_state(self, state, version):
        if state["value"] > 100:
            raise ValueError("too much")
        return {{"total": state["value"]}}
"""


SEALED = """
from hubq import Child, Hub

hub = Hub("{hub}", lease=2.0, lease_margin=0.5)


@hub.child
class Counter(Child):
    total: int

    def __init__(self) -> None:
        self.total = 0

    async def add(self, more: int) -> int:
        self.total += more
        return self.total
"""


def check(shell: Shell, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hubq", "check", "following:hub", *arguments]
    return subprocess.run(command, cwd=folder, env=shell.environment, capture_output=True, text=True, check=False)


def test_a_version_is_tried_before_it_is_deployed(shell: Shell, hub: Hub, hub_id: str, tmp_path: Path) -> None:
    app = tmp_path / "following.py"
    app.write_text(NEXT.format(hub=hub_id))
    worker = shell.worker("a")
    for number in range(3):
        shell.ok("start", "basic:hub", f"c-{number}", "Counter", "3")
        hub.ref(f"c-{number}").call("add", 1)
    done = check(shell, tmp_path)
    assert (done.returncode, done.stdout) == (
        0, "3 children looked at: the class of each is known (--states tries their states, too)\n"
    )  # fmt: skip
    done = check(shell, tmp_path, "--states")
    assert (done.returncode, done.stdout) == (
        0, "3 children looked at: all were built, 3 saved states restored\n"
    )  # fmt: skip
    hub.ref("c-1").call("add", 200)
    done = check(shell, tmp_path, "--states")
    assert done.returncode == 1 and done.stdout.splitlines() == [
        "1 child of class Counter cannot run with this code: c-1: its state cannot be restored: ValueError: too much",
        "3 children looked at: 1 cannot run with this code",
    ]
    found = json.loads(check(shell, tmp_path, "--states", "--json").stdout)
    assert (found["children"], found["with_state"], found["failed"]) == (3, 3, 1)
    assert found["causes"][0]["children"] == ["c-1"]
    assert json.loads(check(shell, tmp_path, "--states", "--json", "--sample", "1").stdout)["children"] == 1
    assert check(shell, tmp_path, "--sample", "1").stdout.startswith("1 child of a sample looked at: ")
    assert hub.ref("c-1").call("total") == 204, "nothing was changed"
    app.write_text(NEXT.format(hub=hub_id).replace("class Counter", "class Sum"))
    (tmp_path / "basic.py").write_text("")
    done = check(shell, tmp_path)
    assert done.returncode == 1 and "cannot import 'Counter' from module 'basic'" in done.stdout
    worker.end()


def test_sealed_states_are_tried_with_the_root_keys(shell: Shell, hub_id: str, tmp_path: Path) -> None:
    root = new_keys()
    shell.environment |= {"HUBQ_KEYS": root, "HUBQ_SEAL": "require", "HUBQ_CODEC": "data"}
    app = tmp_path / "following.py"
    app.write_text(SEALED.format(hub=hub_id))
    worker = shell.spawn("following:hub", "--name", "a", cwd=tmp_path)
    worker.wait_line("hubq worker a: hub")
    for arguments in (("start", "following:hub", "c-1", "Counter"), ("call", "following:hub", "c-1", "add", "3")):
        command = [sys.executable, "-m", "hubq", *arguments]
        subprocess.run(command, cwd=tmp_path, env=shell.environment, check=True, capture_output=True)
    done = check(shell, tmp_path, "--states")
    assert (done.returncode, done.stdout) == (0, "1 child looked at: all were built, 1 saved state restored\n"), done
    app.write_text(SEALED.format(hub=hub_id).replace("total: int", "total: str"))
    done = check(shell, tmp_path, "--states")
    assert done.returncode == 1 and "attribute 'total'" in done.stdout
    shell.environment["HUBQ_KEYS"] = Keyring.read(root).derive("shop")
    done = check(shell, tmp_path, "--states")
    assert done.returncode == 2 and "has the keys of the app 'shop'" in done.stderr and not done.stdout
    worker.end()


def test_a_hub_that_is_not_there_is_no_success_and_is_not_begun(
    shell: Shell, hub: Hub, hub_id: str, tmp_path: Path
) -> None:
    (tmp_path / "following.py").write_text(NEXT.format(hub=hub_id))
    done = check(shell, tmp_path, "--states")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"hubq: no hub {hub_id!r} in Redis at ") and len(done.stderr.splitlines()) == 1
    redis = hub.jobs_server.sync_client(5.0)
    assert redis.keys(f"hubq:{{{hub_id}}}:*") == []
    redis.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sample", "0"], "hubq: --sample 0: give a number from 1 on"),
        (["--redis", "redis://localhost:1"], "hubq: cannot reach Redis"),
    ],
)
def test_bad_input_is_one_line(shell: Shell, hub_id: str, tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "following.py").write_text(NEXT.format(hub=hub_id))
    done = check(shell, tmp_path, *arguments)
    assert done.returncode in (2, 3) and done.stderr.startswith(said) and len(done.stderr.splitlines()) == 1
