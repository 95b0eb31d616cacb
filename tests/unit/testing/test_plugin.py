"""The pytest plugin as a user of hubq would use it: own children, no server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hubq import Child, Hub
from hubq.testing import Cluster, FakeServer


class Lamp(Child):
    def __init__(self) -> None:
        self.lit = False

    async def press(self) -> bool:
        self.lit = not self.lit
        return self.lit


def test_a_users_own_child(hubq_server: FakeServer, hubq_run: Callable[[Any], Any]) -> None:
    async def scenario() -> list[bool]:
        hub = Hub("lamps", redis=hubq_server)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("hall", Lamp)
            first = await hub.aio.ref("hall").call("press")
            await cluster.start("b")
            await cluster.drain("a")
            return [first, await hub.aio.ref("hall").call("press")]

    assert hubq_run(scenario()) == [True, False]


#: pytest as it runs where hubq is installed without its extras.
WITHOUT_FAKEREDIS = "import sys; sys.modules['fakeredis'] = None; import pytest; sys.exit(pytest.main(sys.argv[1:]))"


def test_pytest_runs_where_fakeredis_is_not_installed_and_says_what_a_test_lacks(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_well(): pass\ndef test_lacks(hubq_server): pass\n")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FAKEREDIS, "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed, 1 error" in done.stdout
    assert "FakeServer needs fakeredis: pip install 'hubq[testing]'" in done.stdout
