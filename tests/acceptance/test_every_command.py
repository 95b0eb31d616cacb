"""Every command in a terminal of 80 by 24: it works, says something, and its tables fit."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import redis

from hubq import Hub
from hubq.cli.commands import every_command

from .conftest import APPS
from .terminal import Terminal, too_wide

if TYPE_CHECKING:
    from .conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

APP = "basic:hub"

#: Command -> its arguments ({hub}: the hub's id; {node}: a live worker; {shard}: that of c-1) and the exit codes it may have.
CASES: dict[str, tuple[list[str], set[int]]] = {
    "hubs": ([], {0}),
    "delete-hub": (["{hub}", "--yes"], {1}),
    "regroup": (["{hub}", "--groups", "4"], {1}),
    "init": (["."], {2}),
    "nodes": (["{hub}"], {0}),
    "ps": (["{hub}"], {0}),
    "where": (["{hub}", "c-1"], {0}),
    "start": ([APP, "c-2", "Counter", "5"], {0}),
    "call": (["{hub}", "c-1", "add", "2"], {0}),
    "cast": (["{hub}", "c-1", "add", "2"], {0}),
    "move": (["{hub}", "c-1", "{node}"], {0}),
    "pause": (["{hub}", "--child", "c-1", "--why", "a test"], {0}),
    "pauses": (["{hub}"], {0}),
    "resume": (["{hub}", "--child", "c-1"], {0}),
    "stop": (["{hub}", "c-2"], {0}),
    "kill": (["{hub}", "c-1"], {0}),
    "state": (["{hub}", "c-1"], {0}),
    "mailbox show": (["{hub}"], {0}),
    "mailbox drop": (["{hub}", "c-1", "1-0"], {1}),
    "events": (["{hub}", "-n", "3"], {0}),
    "config": (["{hub}"], {0}),
    "doctor": (["{hub}"], {0, 1}),
    "dead list": (["{hub}"], {0}),
    "dead show": (["{hub}", "{shard}/1-0"], {0}),
    "dead replay": (["{hub}", "{shard}/1-0"], {0}),
    "dead drop": (["{hub}", "--all"], {0}),
    "jobs": (["{hub}"], {0}),
    "reminders": (["{hub}"], {0}),
    "keys new": ([], {0}),
    "keys derive": (["shop"], {2}),
    "keys status": (["{hub}"], {0}),
    "keys reseal": (["{hub}"], {2}),
    "feed": (["{hub}", "c-1"], {0}),
    "rollout": (["{hub}"], {0}),
    "check": ([APP, "--states"], {0, 1}),
    "acl": (["{hub}"], {0}),
    "deploy": (["k8s", APP], {0}),
    "bench": (["--children", "20", "--casts", "200", "--calls", "20"], {0}),
    "version": ([], {0}),
}
#: They go on until a key is pressed, or for a while: each has a test below.
LONG = {"worker", "dev", "demo", "top", "drain", "web"}
#: What is meant for a file or for redis-cli may be wide.
WIDE = {"acl", "deploy", "events", "bench"}


@pytest.fixture
def terminals(shell: Shell) -> Iterator[Any]:
    """Makes terminals with a command in them; what still runs at the end is killed."""
    made: list[Terminal] = []

    def make(*arguments: str) -> Terminal:
        made.append(Terminal(shell.environment, APPS, *arguments))
        return made[-1]

    yield make
    for terminal in made:
        terminal.close()


def commands(group: Any, name: str) -> set[str]:
    """All commands, those of groups too."""
    if not hasattr(group, "commands"):
        return {name.strip()}
    return {each for key, command in group.commands.items() for each in commands(command, f"{name} {key}")}


def test_every_command_is_tried_here() -> None:
    assert {each for name, command in every_command() for each in commands(command, name)} == set(CASES) | LONG


@pytest.mark.timeout(300)  # some thirty processes, one after another
def test_the_commands_in_a_terminal(shell: Shell, hub: Hub, hub_id: str, terminals: Any) -> None:
    for name in ("a", "b"):
        shell.worker(name)
    shell.ok("start", APP, "c-1", "Counter", "--tag", "tier=vip")
    place = hub.where("c-1")
    put_dead_letters(shell, hub, place.shard)
    there = {"hub": hub_id, "node": "b" if place.node == "a" else "a", "shard": place.shard}
    for command, (arguments, codes) in CASES.items():
        terminal = terminals(*command.split(), *[argument.format(**there) for argument in arguments])
        code, plain = terminal.end(), terminal.plain
        assert code in codes, f"{command}: {code}\n{plain}"
        assert "Traceback" not in plain, plain
        if command not in WIDE:
            assert too_wide(plain) == [], command
    assert hub.where("c-1").node == there["node"]
    assert hub.dead_letters() == []


def put_dead_letters(shell: Shell, hub: Hub, shard: int) -> None:
    """Two messages that took their workers down, as ``claim_shards`` leaves them."""
    letter = {
        "kind": "cast", "child": "c-1", "method": "total", "id": "3", "reply_to": "", "deadline": "0", "payload": b"",
        "entry": "1-0", "class": "Counter", "tries": "3", "crashes": "worker-on-a-host-with-a-long-name#1 b#2 c#3",
    }  # fmt: skip
    with redis.Redis.from_url(shell.environment["HUBQ_REDIS_URL"]) as client:
        for number in (1, 2):
            client.xadd(hub.keys.dead(shard), letter, id=f"{number}-0")  # type: ignore[arg-type]


def test_a_worker_in_a_terminal_says_what_it_is_and_leaves_at_ctrl_c(hub: Hub, hub_id: str, terminals: Any) -> None:
    terminal = terminals("worker", APP, "--name", "a", "--tag", "region=eu", "--drain-timeout", "20")
    for line in (
        f"hubq worker a: hub {hub_id} at redis://.*, 64 shards, pid ",
        "worker a: lease 2 s, drain within 20 s, tags region=eu\n",
        r"worker a: jobs: none \(--jobs\)\n",
        "worker a: HotSwap, ConsistentHashing\n",
        "worker a: children of the app: Counter, add_up\n",
    ):
        terminal.wait_for(line)
    terminal.type("\x03")
    assert terminal.end() == 0, terminal.plain
    assert "worker a has left" in terminal.plain and "Traceback" not in terminal.plain
    assert hub.nodes() == []


def test_top_in_a_terminal_shows_the_hub_and_ends_at_q(shell: Shell, hub_id: str, terminals: Any) -> None:
    shell.worker("a")
    terminal = terminals("top", hub_id)
    terminal.wait_for("64/64 shards served")
    terminal.type("s")
    terminal.wait_for("sorted by load")
    terminal.type("q")
    assert terminal.end() == 0, terminal.plain
    assert "Traceback" not in terminal.plain
    once = terminals("top", hub_id, "--once")
    assert once.end() == 0 and too_wide(once.plain) == []


def test_web_in_a_terminal_lets_one_browser_in_and_ends_at_ctrl_c(shell: Shell, hub_id: str, terminals: Any) -> None:
    shell.worker("a")
    terminal = terminals("web", hub_id, "--port", "0")
    terminal.wait_for(r"token=[\w-]{32}\n")
    address = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+", terminal.plain)
    assert address is not None
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(address[0], timeout=20) as page:
        assert "a serves 64" in page.read().decode()
    terminal.wait_for("For another one: http")
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(address[0], timeout=20)
    refused.value.close()
    terminal.type("\x03")
    assert terminal.end() == 0, terminal.plain
    assert "Traceback" not in terminal.plain


def test_drain_in_a_terminal_says_how_far_it_is(shell: Shell, hub: Hub, hub_id: str, terminals: Any) -> None:
    shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    hub.ref("c-1").cast("hold")  # it gives the drain something to wait for: its retention
    shell.worker("b")
    shell.ok("move", hub_id, "c-1", "a")
    terminal = terminals("drain", hub_id, "a")
    terminal.wait_for(r"draining a: \d+ shards, 1 pinned children left")
    assert terminal.end() == 0, terminal.plain
    assert terminal.plain.rstrip().endswith("a has left") and too_wide(terminal.plain) == []
    assert [node.name for node in hub.nodes()] == ["b"]


@pytest.mark.timeout(180)
def test_the_demo_in_a_terminal(shell: Shell, terminals: Any) -> None:
    shell.environment.pop("HUBQ_REDIS_URL")  # one of its own
    terminal = terminals("demo", "--buckets", "8")
    code = terminal.end(170)
    assert code == 0, terminal.plain
    assert re.search(r"same as a count by one process +yes, exactly", terminal.plain)
    assert too_wide(terminal.plain) == []


def test_help_fits_and_names_every_command_in_one_line(terminals: Any) -> None:
    terminal = terminals("--help")
    assert terminal.end() == 0
    for command in {name.split()[0] for name in (*CASES, *LONG)}:
        found = re.search(rf"^│ {command} +[A-Z].*\. +│$", terminal.plain, re.MULTILINE)
        assert found, f"{command} in\n{terminal.plain}"
    assert too_wide(terminal.plain) == []


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
