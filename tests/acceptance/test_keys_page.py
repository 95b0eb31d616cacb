"""Every command of docs/keys.md is run against a live hub, and what the page says of its answer is so."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from hubq import Hub
from hubq.store.embedded import EmbeddedServer

from .conftest import APPS, Shell
from .test_workers import eventually

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Hashes have no order; leases and the last two events come in either.
UNORDERED = ("HGETALL", "HKEYS", ":leases", "XREVRANGE")
AFTER = "## After `hubq drain chat b`"


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of the console blocks: (with their prompt, the lines of the answer)."""
    for block in CONSOLE.findall(text):
        for part in re.split(r"^(?=[>$] )", block, flags=re.MULTILINE):
            if part.strip():
                first, *rest = part.rstrip("\n").split("\n")
                yield first, rest


def as_redis_cli(answer: Any, indent: str = "") -> list[str]:
    """An answer as redis-cli shows it on a terminal."""
    if answer is None:
        return ["(nil)"]
    if isinstance(answer, int):
        return [f"(integer) {answer}"]
    if isinstance(answer, bytes):
        return ['"' + "".join(_shown(byte) for byte in answer) + '"']
    lines: list[str] = []
    width = len(str(len(answer)))
    for number, item in enumerate(answer, 1):
        label = f"{number:>{width}}) "
        inner = as_redis_cli(item, indent)
        lines.append(label + inner[0])
        lines += [" " * len(label) + line for line in inner[1:]]
    return lines or ["(empty array)"]


def _shown(byte: int) -> str:
    known = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x07: "\\a", 0x08: "\\b"}
    return known.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}")


def masked(lines: list[str]) -> list[str]:
    """What is different in every session is not compared: times, ids of senders, pauses."""
    text = "\n".join(lines)
    text = re.sub(r"\d{13}(-\d+)?", "<time>", text)
    text = re.sub(r"[0-9a-f]{16}[:#]\d+", "<request>", text)
    text = re.sub(r'"\d+\.\d\d"', '"<ms>"', text)
    return text.split("\n")


class Session:
    """Runs the commands of the page."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._client = redis.Redis.from_url(shell.environment["HUBQ_REDIS_URL"], protocol=2)
        self._client.response_callbacks.clear()

    def run(self, command: str) -> list[str]:
        words = shlex.split(command[2:])
        if command.startswith("> "):
            return as_redis_cli(self._client.execute_command(*words))
        if words[0] == "redis-cli":
            assert words[-3:] == ["|", "head", "-1"]
            answer: Any = self._client.execute_command(*words[1:-3])
            return [answer.split(b"\n")[0].decode()]
        if words[0] == "python":
            words[0] = sys.executable
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            return done.stdout.rstrip("\n").split("\n")
        assert words[0] == "hubq", command
        return self._shell.ok(*words[1:]).split("\n")

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def chat() -> Iterator[Shell]:
    with EmbeddedServer() as server:
        shell = Shell("chat", server.url)
        try:
            yield shell
        finally:
            for worker in shell.workers:
                worker.end()


def test_the_session_of_the_page(chat: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APPS))
    app = importlib.import_module("app")
    for name in ("a", "b"):
        chat.spawn("app:hub", "--name", name, cwd=APPS).wait_line(f"hubq worker {name}: ")
    hub = Hub("chat", redis=chat.environment["HUBQ_REDIS_URL"])
    eventually(lambda: [node.shards for node in hub.nodes()] == [32, 32])
    hub.close()
    session = Session(chat)
    begun = app.begin(chat.environment["HUBQ_REDIS_URL"])
    before, after = PAGE.read_text(encoding="utf-8").split(AFTER)
    try:
        compare(session, before)
        chat.ok("drain", "chat", "b")
        compare(session, after)
    finally:
        session.close()
        begun.close()


def compare(session: Session, text: str) -> None:
    found = list(commands(text))
    assert found
    for command, expected in found:
        got, wanted = masked(session.run(command)), masked(expected)
        if any(word in command for word in UNORDERED):
            got, wanted = unordered(got), unordered(wanted)
        assert got == wanted, command


def unordered(lines: list[str]) -> list[str]:
    """The values of a list, without their numbers."""
    return sorted(re.sub(r"^\s*(\d+\)\s+)*", "", line) for line in lines)
