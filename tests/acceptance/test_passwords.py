"""The password in the URL of Redis: who looks at processes, errors and crashes does not see it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hubq.cli.dead import dead
from hubq.cli.main import app

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = pytest.mark.acceptance

SECRET = "s3cret-adm1n"


def with_secret(shell: Shell) -> str:
    """A URL that works: the server's default user takes any password."""
    return shell.environment["HUBQ_REDIS_URL"].replace("redis://", f"redis://default:{SECRET}@")


def arguments_of(pid: str) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


@pytest.mark.long
def test_worker_processes_are_not_given_the_url_as_an_argument(shell: Shell) -> None:
    url = with_secret(shell)
    shell.environment["HUBQ_REDIS_URL"] = "redis://127.0.0.1:1/0"  # the option goes before the variable, there too
    parent = shell.spawn("basic:hub", "--name", "w", "--processes", "2", "--redis", url)
    for name in ("w-1", "w-2"):
        pid = parent.wait_line(rf"hubq worker {name}: hub .*, pid (\d+)").group(1)
        assert name in arguments_of(pid) and SECRET not in arguments_of(pid)
    assert not [line for line in parent.lines if SECRET in line]


@pytest.mark.long
def test_nor_is_one_that_is_started_again_when_its_code_changes(shell: Shell, tmp_path: Path) -> None:
    url = with_secret(shell)
    shell.environment["HUBQ_REDIS_URL"] = "redis://127.0.0.1:1/0"
    worker = shell.spawn("basic:hub", "--name", "r", "--reload", "--redis", url)
    pid = worker.wait_line(r"hubq worker r: hub .*, pid (\d+)").group(1)
    assert SECRET not in arguments_of(pid)


@pytest.mark.parametrize("url", ["localhost:7811", f"http://u:{SECRET}@h/0", f"redis://:{SECRET}#@h/0"])
def test_a_wrong_url_is_one_line_without_its_password(shell: Shell, url: str) -> None:
    shell.environment["HUBQ_REDIS_URL"] = url
    line = shell.fails(2, "nodes", "chat")
    assert "Redis URL" in line and SECRET not in line


@pytest.mark.long
def test_what_needs_no_redis_goes_on_with_a_wrong_url_and_all_else_says_so(shell: Shell) -> None:
    shell.environment["HUBQ_REDIS_URL"] = f"http://u:{SECRET}@h/0"
    for command in (["dead", "list", "chat"], ["bench"], ["worker", "basic:hub"]):
        line = shell.fails(2, *command)
        assert "Redis URL" in line and SECRET not in line
    assert shell.ok("version").startswith("hubq ")
    assert "Usage" in shell.ok("--help")


def test_a_crash_shows_no_variables() -> None:
    assert app.pretty_exceptions_show_locals is False and dead.pretty_exceptions_show_locals is False
