"""A deploy that renames a method: the casts that wait for it are dead letters, and a rollback brings them back."""

from __future__ import annotations

import json
import signal

import pytest

from hubq import Hub

from .conftest import Shell, WorkerProcess

pytestmark = pytest.mark.acceptance


def deploy(shell: Shell, version: str) -> WorkerProcess:
    shell.environment["HUBQ_TEST_VERSION"] = version
    worker = shell.spawn("renamed:hub", "--name", f"v{version}")
    worker.wait_line(rf"hubq worker v{version}: hub ")
    return worker


def undeploy(worker: WorkerProcess) -> None:
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


@pytest.mark.long
def test_casts_to_a_method_that_was_renamed_are_not_lost(shell: Shell, hub: Hub) -> None:
    first = deploy(shell, "1")
    shell.ok("start", "renamed:hub", "t-1", "Tally")
    assert shell.ok("call", hub.hub_id, "t-1", "total") == "0"
    undeploy(first)
    hub.cast_many(("t-1", "add", 2) for _ in range(50))

    second = deploy(shell, "2")
    assert shell.ok("call", hub.hub_id, "t-1", "total") == "0"
    letters = hub.dead_letters()
    assert len(letters) == 50 and {(x.why, x.class_name, x.method) for x in letters} == {
        ("unknown-method", "Tally", "add")
    }
    assert len({letter.id for letter in letters}) == 50 and all(letter.sender for letter in letters)
    second.wait_line(
        r"ERROR .*child t-1: Tally\.add failed \(unknown-method\): there is no such method, only: plus, total"
    )

    told = shell.run("doctor", hub.hub_id).stdout
    assert "dead letters: 50 messages of Tally are for a method that the class does not have" in told
    shell.environment["COLUMNS"] = "80"
    listed = shell.ok("dead", "list", hub.hub_id).splitlines()
    assert len(listed) == 51 and "unknown-method" in listed[1] and max(map(len, listed)) <= 80
    (shown, *_) = json.loads(shell.ok("dead", "list", hub.hub_id, "--json", "--class", "Tally", "--child", "t-1"))
    assert (shown["why"], shown["error"]) == ("unknown-method", "there is no such method, only: plus, total")
    assert "2" in shell.ok("dead", "show", "renamed:hub", shown["letter"])
    assert shell.ok("dead", "list", hub.hub_id, "--why", "raised").splitlines()[1:] == []
    events = [event.fields for event in hub.inspect.events(100, ["message_failed"])[1]]
    assert events[0]["class"] == "Tally" and events[0]["why"] == "unknown-method"

    undeploy(second)
    third = deploy(shell, "1")
    assert len(shell.ok("dead", "replay", hub.hub_id, "--why", "unknown-method").splitlines()) == 50
    assert shell.ok("call", hub.hub_id, "t-1", "total") == "100"
    assert hub.dead_letters() == []
    assert "dead letters" not in shell.run("doctor", hub.hub_id).stdout
    undeploy(third)
