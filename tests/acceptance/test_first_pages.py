"""The pages that a new user follows are followed: first steps with a worker, and the tests that docs/guide-testing.md shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubq.store.embedded import EmbeddedServer

from .conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def python_blocks(page: str) -> list[str]:
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """A directory with ``steps.py``."""
    (tmp_path / "steps.py").write_text(python_blocks("guide-first-steps.md")[0], encoding="utf-8")
    return tmp_path


@pytest.fixture
def shell() -> Iterator[Shell]:
    with EmbeddedServer() as server:
        shell = Shell("first-steps", server.url)
        try:
            yield shell
        finally:
            for worker in shell.workers:
                worker.end()


def run(directory: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_first_steps(shell: Shell, steps: Path) -> None:
    shell.spawn("steps:hub", "--name", "a", cwd=steps).wait_line("hubq worker a: ")
    talk, awaited, several, end = python_blocks("guide-first-steps.md")[1:]
    environment = {"HUBQ_REDIS_URL": shell.environment["HUBQ_REDIS_URL"], "PYTHONPATH": str(steps)}
    assert run(steps, "-c", talk, **environment) == "a\n2\n[('ann', 'hi')]\n"
    assert run(steps, "-c", awaited, **environment) == "1\n"
    assert run(steps, "-c", several, **environment) == f"ok {['a'] * 10}\n"
    assert "room-1" in shell.ok("ps", "first-steps")
    run(steps, "-c", end, **environment)
    assert shell.ok("ps", "first-steps", "room-1").splitlines()[1:] == []


def test_the_tests_of_the_testing_page(steps: Path) -> None:
    for number, block in enumerate(python_blocks("guide-testing.md")):
        (steps / f"test_{number}.py").write_text(block, encoding="utf-8")
    assert "3 passed" in run(steps, "-m", "pytest", "-q", PYTHONPATH=str(steps))
