"""A hub with several groups under the users that ``hubq acl`` prints: its main paths, and what they may not do."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from hubq import CallTimeout, ChildSpec, Hub, RedisRefused
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.store.keys import Keys

from .conftest import APPS
from .waiting import soon, until

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

APP = "grouped:hub"
GROUPS, SHARDS = 4, 16
CHILDREN = [f"c-{n}" for n in range(16)]


def run(redis: SyncRedis, *words: str) -> Any:
    return redis.run(plain(*words, read=lambda answer: answer))


@pytest.fixture
def admin(redis_server: EmbeddedServer) -> Iterator[SyncRedis]:
    admin = SyncRedis(RedisServer(redis_server.url))
    run(admin, "ACL", "LOG", "RESET")
    yield admin
    admin.close()


@pytest.fixture
def urls(redis_server: EmbeddedServer, admin: SyncRedis, shell: Shell) -> dict[str, str]:
    """The URL of Redis for each role, its user set up from what ``hubq acl`` prints for the app."""
    if int(run(admin, "INFO", "server").decode().partition("redis_version:")[2].partition(".")[0]) < 7:
        pytest.skip("the rules of Redis 7")
    found: dict[str, str] = {}
    for line in shell.run("acl", APP, "--jobs").stdout.splitlines():
        words = shlex.split(line.replace("#SHA256", f"#{sha256(b'secret').hexdigest()}"))
        run(admin, *words)
        found[words[2].rpartition("-")[2]] = redis_server.url.replace("redis://", f"redis://{words[2]}:secret@")
    return found


def refused(admin: SyncRedis) -> list[dict[str, str]]:
    """What Redis has refused its users."""
    entries = [dict(zip(each[::2], each[1::2], strict=True)) for each in run(admin, "ACL", "LOG")]
    return [{name: str(entry[name.encode()]) for name in ("username", "object", "context")} for entry in entries]


def test_the_main_paths(
    shell: Shell, urls: dict[str, str], admin: SyncRedis, hub_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBQ_TEST_HUB", hub_id)
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "grouped", raising=False)
    from grouped import Counter, add_up, double

    def ok(*words: str) -> str:
        return shell.ok(*words, "--redis", urls["inspector"])

    def worker(name: str) -> None:
        spawned = shell.spawn(APP, "--name", name, "--jobs", "1", "--redis", urls["worker"])
        spawned.wait_line(f"hubq worker {name}: hub {hub_id} at .*, {SHARDS} shards in {GROUPS} groups, pid ")

    worker("a")
    web = Hub(hub_id, redis=urls["client"], groups=GROUPS, shards=SHARDS)
    total = dict.fromkeys(CHILDREN, 0)

    def totals() -> dict[str, int]:
        return {child: web.ref(child).call("total", timeout=20) for child in CHILDREN}

    # -- starts, calls, casts, what children say to one another ------------------------------------------------------
    undone = web.start_children(
        [*(ChildSpec(child, Counter) for child in CHILDREN), ChildSpec("bad", Counter, args=(1, 2))],
        on_failure="rollback",
    ).result(20)
    assert (
        undone.rollback and list(undone.errors) == ["bad"] and {each.kind for each in web.children()} == {"HubqClock"}
    )
    started = web.start_children([ChildSpec(child, Counter) for child in CHILDREN], on_failure="rollback").result(20)
    assert len(started.started) == len(CHILDREN)
    assert {web.driver.context.group_of(child) for child in CHILDREN} == set(range(GROUPS))
    for n, child in enumerate(CHILDREN):
        total[child] += n
        assert web.ref(child).call("add", n, timeout=20) == n
        total[child] += 1
        web.ref(child).cast("add", 1)
    for child in CHILDREN:
        web.ref(child).cast("tell", CHILDREN, 1)
        total = {each: value + 1 for each, value in total.items()}
    soon(lambda: totals() == total, "what children of all groups say to one another has arrived", 30)
    web.ref("c-3").cast_in(0.05, "add", 1)
    assert web.ref("c-5").cast_in(60.0, "add", 1).cancel()
    total["c-3"] += 1
    soon(lambda: totals() == total, "a message for later has come", 30)
    web.ref("c-2").cast("hold")
    with pytest.raises(CallTimeout) as waited:
        web.ref("c-2").call("add", timeout=0.3)
    assert waited.value.may_run is False, "it was withdrawn"
    assert shell.ok("kill", hub_id, "c-2", "--redis", urls["worker"])

    # -- workers join and drain --------------------------------------------------------------------------------------
    worker("b")
    until(
        web,
        lambda: {node.name: node.shards for node in web.nodes()} == {"a": SHARDS // 2, "b": SHARDS // 2},
        "b has its part",
        30,
    )
    assert totals() == total
    away = next(child for child in CHILDREN if web.where(child).node == "a")
    shell.ok("move", hub_id, away, "b", "--redis", urls["worker"])
    shell.ok("pause", hub_id, "--class", "Counter", "--redis", urls["worker"])
    shell.ok("resume", hub_id, "--class", "Counter", "--redis", urls["worker"])
    shell.ok("drain", hub_id, "a", "--redis", urls["worker"])
    assert totals() == total

    # -- jobs, of the web app and of children of all groups ----------------------------------------------------------
    assert web.enqueue(double, 5).latest_result(timeout=30).return_value == 10
    assert web.enqueue(add_up, [1, 2, 3]).result(30) == 6
    total["c-0"] += 5
    for child in CHILDREN:
        web.ref(child).cast("work", 1, "k" if child < "c-2" else "")
    total["c-0"] += len(CHILDREN)
    soon(lambda: totals() == total, "the jobs that children have enqueued have run", 60)
    assert web.stop_child("c-1").stopped

    # -- looking -----------------------------------------------------------------------------------------------------
    assert [node["name"] for node in json.loads(ok("nodes", hub_id, "--json"))] == ["b"]
    assert {each["child_id"] for each in json.loads(ok("ps", hub_id, "--json"))} >= {*CHILDREN} - {"c-1"}
    assert json.loads(ok("state", hub_id, "c-4", "--json"))["state"] == {"value": total["c-4"]}
    assert json.loads(ok("mailbox", hub_id, "c-4", "--json"))["held_back"] == 0
    for command in (
        ("mailbox",),
        ("events",),
        ("config", "--json"),
        ("jobs", "--json"),
        ("pauses",),
        ("top", "--once"),
        ("where", "c-4"),
    ):
        ok(command[0], hub_id, *command[1:])
    web.close()
    assert refused(admin) == []


def test_what_a_client_may_not_do(urls: dict[str, str], hub_id: str) -> None:
    client = SyncRedis(RedisServer(urls["client"]))
    for group in range(GROUPS):
        keys = Keys(hub_id, group, GROUPS)
        for words in (
            ("HGETALL", keys.msk(group)), ("XRANGE", keys.mailbox(group), "-", "+"), ("DEL", keys.config), ("SET", keys.owners, "x"),
            ("XADD", keys.control("a"), "*", "x", "y"), ("RPUSH", keys.reply("x"), "x"),
        ):  # fmt: skip
            with pytest.raises(RedisRefused, match="permission"):
                run(client, *words)
        with pytest.raises(RedisRefused, match="permission"):
            run(client, "GET", Keys(hub_id + "x", group, GROUPS).epoch)
    client.close()
