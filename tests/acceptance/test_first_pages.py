"""The pages that a new user follows are followed, with workers and job processes: what they print is what the pages say."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubq.store.embedded import EmbeddedServer

from .conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def python_blocks(page: str) -> list[str]:
    return [code for kind, code in blocks(ROOT / "docs" / page) if kind == "python"]


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of each block that a reader runs."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


#: What a browser would ask of the README's ``web.py``.
ASKED = """
from starlette.testclient import TestClient
from web import api

with TestClient(api) as client:
    print(*(client.post(f"/rooms/{room}?who=cleo&text=hi").json() for room in ("room-1", "room-9")))
"""


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


def block_of_readme(*words: str) -> str:
    """The block that has these words in it."""
    (found,) = (text for _, text in blocks(ROOT / "README.md") if all(word in text for word in words))
    return found


def test_the_first_screen_of_the_readme(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(block_of_readme('Hub("counters")'), encoding="utf-8")
    shell.spawn("app:hub", "--name", "a", cwd=tmp_path).wait_line("hubq worker a: ")
    call = block_of_readme("from app import Counter")
    assert [run(tmp_path, "-c", call, **reaching(shell, tmp_path)) for _ in range(2)] == ["2\n", "4\n"]


def test_the_thirty_lines_of_the_readme(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(block_of_readme('Hub("chat")'), encoding="utf-8")
    workers = {words[-1]: shell.spawn(*words[1:], cwd=tmp_path) for words in commands("hubq worker")}
    for name, worker in workers.items():
        worker.wait_line(f"hubq worker {name}: ")
    assert run(tmp_path, "-c", block_of_readme("Room", "redis", "room.cast"), **reaching(shell, tmp_path)) == "1\n"
    (nodes,) = commands("hubq nodes")
    assert {line.split()[0] for line in shell.ok(*nodes).splitlines()[1:]} == {"a", "b"}
    where, state = commands("hubq where")
    here = shell.ok(*where).splitlines()[1].split()[1]
    workers[here].signal(signal.SIGINT)  # Ctrl-C
    assert workers[here].wait() == 0
    assert shell.ok(*where).splitlines()[1].split()[1] == ({"a", "b"} - {here}).pop()
    assert "('ann', 'hi'), ('bob', 'hello')" in shell.run(*state).stdout
    (tmp_path / "web.py").write_text(block_of_readme("FastAPI"), encoding="utf-8")
    assert run(tmp_path, "-c", ASKED, **reaching(shell, tmp_path)) == "3 1\n"


def commands(words: str) -> list[list[str]]:
    """The words behind ``hubq`` in the README's block of commands that has these words."""
    return [line.split()[1:] for line in block_of_readme(words).splitlines()]


def reaching(shell: Shell, directory: Path) -> dict[str, str]:
    """The environment of a script that has the app of the page, and its Redis."""
    return {"HUBQ_REDIS_URL": shell.environment["HUBQ_REDIS_URL"], "PYTHONPATH": str(directory)}


def test_the_jobs_of_the_pages(shell: Shell, tmp_path: Path) -> None:
    mail, talk, charge, in_order, export, resume, clock, tested, _ = python_blocks("guide-jobs.md")
    room = "\nfrom hubq import Child\n@hub.child\nclass Room(Child):\n    def __init__(self, topic): ...\n"
    (tmp_path / "app.py").write_text(mail + charge + export.replace('hub = Hub("shop")', "") + room, encoding="utf-8")
    environment = reaching(shell, tmp_path)
    shell.spawn("app:hub", "--name", "a", "--jobs", "1", cwd=tmp_path).wait_line("node a is ready")
    assert run(tmp_path, "-c", talk, **environment).endswith("sent to ann@example.com\n")
    run(tmp_path, "-c", in_order, **environment)
    assert run(tmp_path, "-c", resume, **environment).splitlines()[-1] == "2"
    run(tmp_path, "-c", clock, **environment)
    assert re.search(r"app\.send_mail +scheduled", shell.ok("jobs", "shop"))
    run(tmp_path, "-c", tested, **environment)
    first, from_celery = python_blocks("guide-coming-from.md")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "shop.py").write_text(first.replace('"shop"', '"other"'), encoding="utf-8")
    shell.spawn("shop:hub", "--name", "b", "--jobs", "1", cwd=tmp_path / "other").wait_line("hubq worker b: ")
    assert run(tmp_path, "-c", from_celery, **reaching(shell, tmp_path / "other")) == "sent to ann@example.com\n"


def test_the_tests_of_the_testing_page(steps: Path) -> None:
    for number, block in enumerate(python_blocks("guide-testing.md")):
        (steps / f"test_{number}.py").write_text(block, encoding="utf-8")
    assert "3 passed" in run(steps, "-m", "pytest", "-q", PYTHONPATH=str(steps))
