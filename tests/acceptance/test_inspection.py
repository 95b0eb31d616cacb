"""``hubq state``, ``mailbox``, ``events``, ``config`` against a live hub: they show what is there and change nothing."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hubq import Child, Hub
from tests.unit.pages.test_json_page import documented

from .test_workers import eventually

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

APP = "basic:hub"


@pytest.fixture
def busy(shell: Shell, hub: Hub) -> Iterator[Shell]:
    """A worker with ``c-1`` (a total of 7), and with ``c-2``, which is held up with three casts behind it."""
    worker = shell.worker("a")
    for child in ("c-1", "c-2"):
        shell.ok("start", APP, child, "Counter", "3")
    shell.ok("call", APP, "c-1", "add", "4")
    hub.ref("c-2").cast("hold")
    for n in range(3):
        hub.ref("c-2").cast("add", n)
    worker.wait_line("c-2 holds on")
    yield shell
    for each in shell.workers:
        each.signal(signal.SIGKILL)  # a drain would wait for the one that is held up


def test_state_is_shown_decoded_and_raw(busy: Shell, hub_id: str) -> None:
    done = busy.run("state", hub_id, "c-1")
    assert (done.returncode, done.stdout) == (0, "value = 7\n")
    assert "last message sent " in done.stderr
    record = json.loads(busy.ok("state", hub_id, "c-1", "--json"))
    assert record["state"] == {"value": 7}
    assert (record["form"], record["format"]) == ("attributes", "p")
    raw = subprocess.run(
        [sys.executable, "-m", "hubq", "state", hub_id, "c-1", "--raw"],
        env=busy.environment,
        capture_output=True,
        check=True,
    ).stdout
    assert pickle.loads(raw[1:]) == {"value": 7}
    assert len(raw) == record["size"]


@pytest.mark.parametrize("kind", ["tuple_keys", "cycle", "not_a_number"])
def test_state_is_json_whatever_it_is(shell: Shell, hub_id: str, kind: str) -> None:
    shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    shell.ok("call", hub_id, "c-1", "keep", kind)
    record = json.loads(shell.ok("state", hub_id, "c-1", "--json"), parse_constant=pytest.fail)
    expected = {
        "tuple_keys": {"value": "{(1, 2): 3}"},
        "cycle": {"value": ["..."]},
        "not_a_number": {"value": "nan"},
    }
    assert record["state"] == expected[kind] and record["size"] > 0


def test_state_of_a_child_that_has_saved_none(busy: Shell, hub_id: str) -> None:
    assert "'c-2' has no saved state yet" in busy.fails(1, "state", hub_id, "c-2")
    assert "no child 'c-9'" in busy.fails(1, "state", hub_id, "c-9")


def test_mailbox_shows_what_waits_and_consumes_nothing(busy: Shell, hub_id: str) -> None:
    for _ in range(2):
        box = json.loads(busy.ok("mailbox", hub_id, "c-2", "--json"))
        assert box["messages"] == 4
        assert [head["method"] for head in box["heads"]] == ["hold", "add", "add", "add"]
        assert all(head["age"] >= 0 and head["deadline"] is None for head in box["heads"])
    (line,) = busy.ok("mailbox", hub_id).splitlines()[1:]
    assert line.split()[1] == "4" and line.endswith("c-2 (4)")
    done = busy.run("mailbox", hub_id, "c-2", "-n", "1")
    assert "4 messages wait for c-2" in done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert json.loads(busy.ok("mailbox", hub_id, "c-1", "--json"))["heads"] == []
    assert "no child 'c-9'" in busy.fails(1, "mailbox", hub_id, "c-9")


def test_heads_are_found_behind_the_messages_of_neighbours(shell: Shell, hub: Hub) -> None:
    one_shard = Hub(hub.hub_id, redis=hub.server, shards=1)

    class Idle(Child):
        """The same."""

    for child in ("first", "second"):
        one_shard.start_child(child, Idle)
    for _ in range(700):
        one_shard.ref("first").cast("m")
    one_shard.ref("second").cast("last")
    box = one_shard.inspect.mailbox("second")
    assert [head.method for head in box.heads][-1] == "last"
    assert one_shard.inspect.mailboxes()[0].messages == 703
    one_shard.close()


def test_events_are_listed_filtered_and_followed(busy: Shell, hub: Hub, hub_id: str) -> None:
    joined = json.loads(busy.ok("events", hub_id, "--type", "node_joined", "--json"))
    assert (joined["type"], joined["fields"]["node"]) == ("node_joined", "a")
    following = subprocess.Popen(
        [sys.executable, "-m", "hubq", "events", hub_id, "--follow"],
        env=busy.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert following.stdout is not None
        busy.worker("b")
        assert any("node=b" in line for line in iter(following.stdout.readline, ""))
    finally:
        following.kill()
        following.wait()
        assert following.stdout is not None
        following.stdout.close()


def test_a_join_is_among_the_last_events(shell: Shell, hub: Hub, hub_id: str) -> None:
    shell.worker("a")
    shell.worker("b")
    eventually(lambda: [node.shards for node in hub.nodes()] == [32, 32])
    kinds = ("shard_migrated", "shard_adopted")
    eventually(lambda: sum(event.fields["node"] == "b" for event in hub.inspect.events(500, kinds)[1]) == 32)
    said = [line.split(maxsplit=2)[2].split()[0] for line in shell.ok("events", hub_id).splitlines()]
    assert said.count("node_joined") == 2 and "token_passed" not in said
    assert any(" shard_migrated  node=b source=a shards=" in line for line in shell.ok("events", hub_id).splitlines())
    assert shell.ok("events", hub_id, "-n", "0") == ""
    every = shell.ok("events", hub_id, "--all", "-n", "500")
    assert every.count(" token_passed ") >= 32 and every.count(" shard=") >= 64


def test_json_has_the_documented_fields(busy: Shell, hub_id: str) -> None:
    """For those that are put together by hand; docs/json.md itself is compared with the dataclasses."""
    tables = documented()

    def fields_of(*command: str) -> list[str]:
        found = json.loads(busy.run(*command, "--json").stdout)
        return list(found[0] if isinstance(found, list) else found)

    assert fields_of("state", hub_id, "c-1") == list(tables["state"][0])
    assert fields_of("config", APP) == list(tables["config"][0])
    assert fields_of("ps", hub_id) == list(tables["ps"][0])
    whole, _, elsewhere = tables["mailbox show"][:3]
    assert fields_of("mailbox", hub_id) == list(whole)
    assert fields_of("mailbox", hub_id, "c-2") == [*whole, *elsewhere]
    assert fields_of("events", hub_id, "-n", "1") == list(tables["events"][0])
    assert fields_of("doctor", hub_id) == list(tables["doctor"][0])
    assert fields_of("jobs", hub_id) == list(tables["jobs"][0])


def test_config_shows_what_is_fixed_and_what_the_app_says(busy: Shell, hub_id: str) -> None:
    fixed = json.loads(busy.ok("config", hub_id, "--json"))
    assert fixed["fixed"]["shards"] == "64" and fixed["settings"] == {}
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in busy.run("config", APP).stdout.splitlines()}
    assert rows["lease"] == ["2.0", "the app's"]
    assert rows["threads"] == ["16", "default"]


def test_what_a_child_is_busy_with_is_said(busy: Shell, hub_id: str) -> None:
    eventually(lambda: "busy with hold for" in busy.ok("ps", hub_id))
    (node,) = json.loads(busy.ok("nodes", hub_id, "--json"))
    assert node["busy"]["c-2"].startswith("busy with hold for ") and "c-1" not in node["busy"]
    assert node["backlog"] == 4 and node["unready"] == ""
