"""Every command in a terminal of 80 by 24: it works, says something, and its tables fit."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest
import typer.main

from hubq import Hub
from hubq.cli.main import app

from .conftest import APPS

if TYPE_CHECKING:
    from .conftest import Shell

pytestmark = pytest.mark.acceptance

APP = "basic:hub"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x07\x0f]")

#: Command -> its arguments ({hub}: the hub's id; {node}: a live worker) and the exit codes it may have.
CASES: dict[str, tuple[list[str], set[int]]] = {
    "nodes": (["{hub}"], {0}),
    "ps": (["{hub}"], {0}),
    "where": (["{hub}", "c-1"], {0}),
    "start": ([APP, "c-2", "Counter", "5"], {0}),
    "call": (["{hub}", "c-1", "add", "2"], {0}),
    "cast": (["{hub}", "c-1", "add", "2"], {0}),
    "move": (["{hub}", "c-1", "{node}"], {0}),
    "stop": (["{hub}", "c-2"], {0}),
    "state": (["{hub}", "c-1"], {0}),
    "mailbox": (["{hub}"], {0}),
    "events": (["{hub}", "-n", "3"], {0}),
    "config": (["{hub}"], {0}),
    "doctor": (["{hub}"], {0, 1}),
    "dead": (["list", "{hub}"], {0}),
    "jobs": (["{hub}"], {0}),
    "top": (["{hub}", "--once"], {0}),
    "acl": (["{hub}"], {0}),
    "deploy": (["k8s", APP], {0}),
    "bench": (["--children", "20", "--casts", "200", "--calls", "20"], {0}),
    "version": ([], {0}),
    "drain": (["{hub}", "{node}"], {0}),
}
#: They have tests of their own: they run on and on, or for a minute.
ELSEWHERE = {"worker", "demo"}
#: What is meant for a file or for redis-cli may be wide.
WIDE = {"acl", "deploy", "events", "bench"}


def in_terminal(shell: Shell, *arguments: str) -> tuple[int, str]:
    """Run a command in a terminal of 80 by 24; its exit code, and what it wrote there without escape sequences."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in shell.environment.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "hubq", *arguments], cwd=APPS, env={**environment, "TERM": "xterm-256color"},
        stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
    )  # fmt: skip
    os.close(theirs)
    parts: list[bytes] = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(ours)
    return process.wait(60), ESCAPES.sub("", b"".join(parts).decode()).replace("\r\n", "\n")


def too_wide(written: str) -> list[str]:
    """The lines that a terminal of 80 columns would break. A lone carriage return draws a line over the one before it."""
    return [line for line in re.split("[\r\n]", written) if len(line) > 80]


def test_every_command_is_tried_here() -> None:
    commands = set(getattr(typer.main.get_command(app), "commands", {}))
    assert commands == set(CASES) | ELSEWHERE


def test_the_commands_in_a_terminal(shell: Shell, hub: Hub, hub_id: str) -> None:
    for name in ("a", "b"):
        shell.worker(name)
    shell.ok("start", APP, "c-1", "Counter", "--tag", "tier=vip")
    node = hub.where("c-1").node
    assert node is not None
    for command, (arguments, codes) in CASES.items():
        filled = [argument.format(hub=hub_id, node="b" if node == "a" else "a") for argument in arguments]
        code, plain = in_terminal(shell, command, *filled)
        assert code in codes, f"{command}: {code}\n{plain}"
        assert "Traceback" not in plain, plain
        if command not in WIDE:
            assert too_wide(plain) == [], command
    assert [each.name for each in hub.nodes()] == [node]


def test_help_fits_and_names_every_command_in_one_line(shell: Shell) -> None:
    _, plain = in_terminal(shell, "--help")
    for command in set(CASES) | ELSEWHERE:
        assert re.search(rf"^│ {command} +[A-Z].*\. +│$", plain, re.MULTILINE), f"{command} in\n{plain}"
    assert too_wide(plain) == []


def test_no_colours_in_a_pipe(shell: Shell, hub_id: str) -> None:
    shell.worker("a")
    for command in ("nodes", "ps", "doctor", "mailbox", "jobs", "config"):
        assert "\x1b" not in shell.run(command, hub_id).stdout


def test_completion_is_there(shell: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hubq"], cwd=APPS, capture_output=True, text=True, check=False,
        env={**shell.environment, "_HUBQ_COMPLETE": "complete_bash", "COMP_WORDS": "hubq doc", "COMP_CWORD": "1"},
    )  # fmt: skip
    assert done.stdout.split() == ["doctor"]
