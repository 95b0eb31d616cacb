"""``hubq feed`` against a live hub: what is kept, what comes, by id of the hub alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hubq import Hub
from workers.chat import Room

if TYPE_CHECKING:
    from conftest import Shell

    from hubq.store.embedded import EmbeddedServer

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

ROOT = Path(__file__).parents[2]


def test_the_feed_of_a_child_is_shown_and_followed_to_its_end(shell: Shell, redis_server: EmbeddedServer) -> None:
    shell.spawn("workers.chat:hub", "--name", "a", cwd=ROOT).wait_line("hubq worker a: ")
    hub, room = Hub("rooms", redis=redis_server.url), f"feed-{shell.hub_id}"
    hub.start_child(room, Room).result()
    for n in range(3):
        hub.ref(room).call("post", "ann", f"post {n}")
    lines = shell.ok("feed", "rooms", room).splitlines()
    assert len(lines) == 3 and "  posts  {'number': 1, " in lines[0] and "'text': 'post 0'}" in lines[0]
    events = [json.loads(line) for line in shell.ok("feed", "rooms", room, "--json").splitlines()]
    assert [event["data"]["number"] for event in events] == [1, 2, 3]
    nothing = shell.run("feed", "rooms", room, "--topic", "none")
    assert (nothing.returncode, nothing.stdout) == (
        0,
        "",
    ) and f"no such event of {room} is kept" in nothing.stderr
    follower = subprocess.Popen(
        [sys.executable, "-m", "hubq", "feed", "rooms", room, "--after", events[0]["id"], "--follow", "--json"],
        env=shell.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert follower.stdout is not None
    with follower.stdout:
        assert json.loads(follower.stdout.readline())["data"]["number"] == 2
        hub.ref(room).call("post", "ann", "post 3")
        hub.stop_child(room)
        assert [json.loads(line)["data"]["number"] for line in follower.stdout] == [3, 4]
    assert follower.wait(20) == 0
    wrong = shell.run("feed", "rooms", room, "--after", "yesterday")
    assert wrong.returncode != 0 and "is no id of an event" in wrong.stderr
    hub.close()
