"""What is imported when: modules are counted, and CPU is compared with that of ``import redis``, since times depend on the machine."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import hubq
from hubq.cli.commands import COMMANDS, every_command

#: What a process that only calls never imports.
NOT_FOR_CALLERS = {
    "rq", "typer", "click", "rich", "textual", "cloudpickle", "starlette", "fastapi", "flask", "django", "fakeredis", "pytest",
    "prometheus_client", "watchfiles", "hubq.node", "hubq.jobs", "hubq.cli", "hubq.testing", "hubq.contrib", "hubq.web",
    "hubq.core.messages", "hubq.core.facts", "hubq.hooks.payloads",
}  # fmt: skip
#: hubq's own modules that a caller needs, and what these import beyond redis: about 175. A few more are no fault.
MOST_FOR_CALLERS = 230

#: What no command that only asks imports. (pydantic comes with recent versions of typer: hubq/cli/conversion.py.)
NOT_FOR_ASKING = {
    "pydantic",
    "rich",
    "rq",
    "textual",
    "cloudpickle",
    "hubq.node",
    "hubq.cli.worker",
    "hubq.testing",
    "hubq.web",
}
#: hubq's own modules that such a command needs before it asks Redis: about 185. A few more are no fault.
MOST_FOR_ASKING = 200
#: Those commands, with options that typer would have pydantic convert.
ASKING = [
    "ps chat room-* --status parked --sort backlog -n 5 --tag vip --json",
    "nodes chat --wide",
    "where chat room-1",
    "state chat room-1",
    "events chat -n 3 --type node_joined",
    "doctor chat",
    "hubs --json",
    "mailbox chat",
    "mailbox show chat room-1 -n 5",
    "dead list chat --why raised",
    "reminders chat",
    "jobs chat",
    "pauses chat",
    "config chat",
    "feed chat room-1",
]

CALLER = """
import redis, redis.asyncio, sys
before = set(sys.modules)
from hubq import Child, Hub
class Room(Child):
    async def post(self, text): ...
hub = Hub("chat", redis="redis://127.0.0.1:1/0")
room = hub.ref(Room, "room-1")
try:
    room.call(Room.post, "hi", timeout=0.1)
except Exception as error:
    assert type(error).__name__ == "RedisUnavailable", error
print(*(set(sys.modules) - before))
"""


def modules(code: str, *arguments: str) -> set[str]:
    """What a process prints: the modules that it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n")[-2].split())


def test_import_hubq_imports_next_to_nothing() -> None:
    found = modules("import sys; before = set(sys.modules); import hubq; print(*(set(sys.modules) - before))")
    assert {name for name in found if name.startswith("hubq")} == {"hubq", "hubq.client", "hubq.client.jobs_maker"}
    assert "redis" not in found and "asyncio" not in found


def test_who_only_calls_imports_neither_a_worker_nor_a_command_line() -> None:
    found = modules(CALLER)
    assert "hubq.client.hub" in found
    assert found & NOT_FOR_CALLERS == set()
    assert len(found) < MOST_FOR_CALLERS, sorted(found)


@pytest.mark.parametrize(
    ("arguments", "not_needed"),
    [
        (["--version"], {"redis", "rich", "asyncio", "hubq.client.hub"}),
        (
            ["ps", "chat", "--redis", "redis://127.0.0.1:1/0"],
            {"rq", "rich", "textual", "hubq.node", "hubq.cli.worker", "hubq.core.facts"},
        ),
        (["top", "chat", "--redis", "redis://127.0.0.1:1/0"], {"rq", "textual", "hubq.node"}),
        (["--help"], {"redis", "hubq.cli.worker", "hubq.client.hub"}),
        (["events", "--type"], {"redis", "rich", "hubq.client.hub"}),
        (["hubs", "--redis", "redis://127.0.0.1:1/0"], {"rq", "rich", "hubq.node", "hubq.jobs"}),
    ],
)
def test_a_command_imports_its_own_module_only(arguments: list[str], not_needed: set[str]) -> None:
    code = "import sys; from hubq.cli.main import outcome; outcome(sys.argv[1:]); print(); print(*sys.modules)"
    found = modules(code, *arguments)
    assert "hubq.cli.main" in found
    assert found & not_needed == set()


@pytest.mark.parametrize("words", [ASKING[0], *(pytest.param(words, marks=pytest.mark.long) for words in ASKING[1:])])
def test_a_command_that_only_asks_imports_little(words: str) -> None:
    code = "import sys; from hubq.cli.main import outcome; print(outcome(sys.argv[1:])); print(*sys.modules)"
    arguments = [*words.split(), "--redis", "redis://127.0.0.1:1/0"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    code_of_exit, found = done.stdout.split("\n")[-3:-1]
    assert code_of_exit == "3" and "cannot reach Redis" in done.stderr, done.stderr  # so its arguments were right
    needed = {"rq"} if words == "jobs chat" else set()
    assert set(found.split()) & NOT_FOR_ASKING == needed
    assert len([name for name in found.split() if name.startswith("hubq.")]) < MOST_FOR_ASKING


def cpu(*arguments: str) -> float:
    """The least CPU of a process in five, seconds: what it takes on a machine that nobody else uses."""
    taken: list[float] = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, timeout=60, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


@pytest.mark.alone
@pytest.mark.long
def test_an_import_and_a_command_are_quick() -> None:
    """``import redis`` takes 0.1 to 0.17 s on machines of today. So a caller is ready within 0.2 s of that, and a command has ended
    after 0.4 s: they were 2.1 and 2.9 times as much when this was written."""
    redis = cpu("-c", "import redis")
    assert cpu("-c", "import hubq") < 0.5 * redis
    assert cpu("-c", "from hubq import Hub; Hub('chat')") < 2.7 * redis
    assert cpu("-m", "hubq", "ps", "chat", "--redis", "redis://127.0.0.1:1/0") < 3.8 * redis
    assert cpu("-m", "hubq", "--version") < 1.2 * redis


def test_the_options_of_a_command_are_told_without_redis() -> None:
    code = """
import sys, typer
from hubq.cli.commands import COMMANDS, command
before = set(sys.modules)
dear = {"redis", "rq", "textual", "uvicorn", "cloudpickle", "hubq.client.hub", "hubq.node"}
found = []
for listed in COMMANDS:
    command(listed)
    found += [f"{listed.name}:{name}" for name in dear & set(sys.modules) - before]
    before |= set(sys.modules)
print(*found)
"""
    assert modules(code) == set()


def test_help_loses_no_word_in_brackets() -> None:
    """What stands in brackets is markup for rich, which would swallow it: ``hubq[web]``."""
    from rich.text import Text

    for name, command in every_command():
        for each in [command, *getattr(command, "commands", {}).values()]:
            for text in [each.help or "", *(getattr(param, "help", None) or "" for param in each.params)]:
                assert Text.from_markup(text).plain == text.replace("\\[", "["), f"hubq {name} --help: {text}"


def test_every_command_is_where_the_table_says() -> None:
    commands = dict(every_command())
    assert list(commands) == [listed.name for listed in COMMANDS]
    assert all(command.name == name and command.help for name, command in commands.items())


def test_a_public_name_has_one_home() -> None:
    """``hubq/__init__.py`` names each for type checkers, for its users, and for itself."""
    path = Path(hubq.__file__)
    assert path is not None
    imported = {
        alias.name: node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module is not None
        and node.col_offset == 4
        and node.module != "hubq.jobs.of_hub"
        for alias in node.names
    }
    assert set(imported) == set(hubq.__all__) - {"__version__"}
    for name, module in imported.items():
        assert getattr(hubq, name) is getattr(import_module(module), name), name
    assert set(hubq.__all__) <= set(dir(hubq))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hubq' has no attribute 'Hubb'"):
        getattr(hubq, "Hubb")  # noqa: B009
    with pytest.raises(ImportError, match="cannot import name 'Hubb'"):
        exec("from hubq import Hubb")
