"""``hubq acl``: a hub's main paths under the users that it prints, and what they may not do."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from hubq import CallTimeout, Child, ChildSpec, Hub, JobFailed, NotReplicated, RedisRefused
from hubq.store.codec import encode
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer

from .conftest import APPS

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = pytest.mark.acceptance

APP = "basic:hub"


class Counter(Child):
    """Workers know by this name the one in ``apps/basic.py``."""


def run(redis: SyncRedis, *words: str) -> Any:
    return redis.run(plain(*words, read=lambda answer: answer))


@pytest.fixture(params=["redis7", "redis6"])
def urls(request: pytest.FixtureRequest, redis_server: EmbeddedServer, shell: Shell, hub_id: str) -> dict[str, str]:
    """The URL of Redis for each role, its user set up from what ``hubq acl`` prints."""
    admin = SyncRedis(RedisServer(redis_server.url))
    major = run(admin, "INFO", "server").decode().partition("redis_version:")[2].partition(".")[0]
    if request.param == "redis7" and int(major) < 7:
        pytest.skip("Redis 6.2 does not know these rules")
    options = ["--redis6"] if request.param == "redis6" else []
    found: dict[str, str] = {}
    run(admin, "ACL", "LOG", "RESET")
    found["admin"], found["rules"] = redis_server.url, "redis6" if options else "redis7"
    for line in shell.run("acl", hub_id, *options).stdout.splitlines():
        words = shlex.split(line.replace("#SHA256", f"#{sha256(b'secret').hexdigest()}"))
        run(admin, *words)
        user = words[2]
        found[user.rpartition("-")[2]] = redis_server.url.replace("redis://", f"redis://{user}:secret@")
    admin.close()
    return found


@pytest.mark.long
def test_the_main_paths_under_restricted_users(shell: Shell, urls: dict[str, str], hub_id: str) -> None:
    def ok(*words: str) -> str:
        return shell.ok(*words, "--redis", urls["inspector"])

    for name in ("a", "b"):
        worker = shell.spawn(APP, "--name", name, "--redis", urls["worker"])
        worker.wait_line(f"hubq worker {name}: ")
    web = Hub(hub_id, redis=urls["client"])
    specs = [ChildSpec(f"c-{n}", Counter) for n in range(20)]
    assert len(web.start_children(specs).result(timeout=20).started) == 20
    assert [web.ref(f"c-{n}").call("add", n, timeout=20) for n in range(20)] == list(range(20))
    web.ref("c-1").cast("add", 1)
    assert web.ref("c-1").call("total") == 2
    assert web.where("c-1").node in ("a", "b")
    assert len(web.nodes()) == 2
    assert web.stop_child("c-0").stopped

    assert {node["name"] for node in json.loads(ok("nodes", hub_id, "--json"))} == {"a", "b"}
    assert len(json.loads(ok("ps", hub_id, "--json"))) == 19
    assert json.loads(ok("state", hub_id, "c-1", "--json"))["state"] == {"value": 2}
    assert "c-1" in ok("where", hub_id, "c-1")
    for command in (("mailbox",), ("events",), ("config", "--json"), ("top", "--once")):
        ok(command[0], hub_id, *command[1:])
    findings = shell.run("doctor", hub_id, "--json", "--redis", urls["inspector"])
    assert {finding["topic"] for finding in json.loads(findings.stdout)} <= {"Redis may forget"}, findings.stderr
    findings = shell.run("doctor", hub_id, "--json", "--redis", urls["worker"])  # (which may not look for stray keys)
    assert {finding["topic"] for finding in json.loads(findings.stdout)} <= {"Redis may forget"}, findings.stderr

    # Every connection breaks: workers ask who answers now, and end the connections that they have lost.
    admin = SyncRedis(RedisServer(urls["admin"]))
    assert int(run(admin, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")) > 4
    assert [web.ref(f"c-{n}").call("total", timeout=20) for n in range(2, 20)] == list(range(2, 20))
    shell.ok("drain", hub_id, "b", "--redis", urls["worker"])
    assert [web.ref(f"c-{n}").call("total", timeout=20) for n in range(2, 20)] == list(range(2, 20))
    web.close()
    sure = Hub(hub_id, redis=urls["client"], wait_replicas=1, wait_timeout=0.05)
    with pytest.raises(NotReplicated):  # there is no replica; but it may ask
        sure.ref("c-1").cast("add", 1)
    sure.close()
    refused = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in run(admin, "ACL", "LOG")]
    objects = {entry[b"object"].decode() for entry in refused}
    # (The doctor looks for jobs, which need the rules of `hubq acl --jobs`, and does without.)
    of_jobs = {"llen", "scan", "smembers", "zcard", *(name for name in objects if name.startswith("rq:"))}
    assert objects <= of_jobs, "they were refused this, and went on without"
    admin.close()


def test_a_web_apps_call_that_has_timed_out_is_withdrawn(shell: Shell, urls: dict[str, str], hub_id: str) -> None:
    worker = shell.spawn(APP, "--name", "a", "--redis", urls["worker"])
    worker.wait_line("hubq worker a: ")
    web = Hub(hub_id, redis=urls["client"])
    web.start_child("c-1", Counter).result(timeout=20)
    web.ref("c-1").cast("hold")
    worker.wait_line("c-1 holds on")
    with pytest.raises(CallTimeout) as waited:
        web.ref("c-1").call("add", timeout=0.3)
    assert waited.value.may_run is False

    async def call() -> None:
        try:
            await web.aio.ref("c-1").call("add", timeout=0.3)
        finally:
            await web.aio.close()

    with pytest.raises(CallTimeout) as awaited:
        asyncio.run(call())
    assert awaited.value.may_run is False
    assert web.children()[0].backlog == 1, "what holds on"
    web.close()
    worker.signal(signal.SIGKILL)  # no patience for what holds on
    worker.wait()


@pytest.mark.long
def test_what_a_web_app_may_do_and_what_takes_the_rules_of_a_worker(
    shell: Shell, urls: dict[str, str], hub_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBQ_TEST_HUB", hub_id)
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "basic", raising=False)
    from basic import add_up

    for name in ("a", "b"):
        worker = shell.spawn(APP, "--name", name, "--redis", urls["worker"])
        worker.wait_line(f"hubq worker {name}: ")
    web = Hub(hub_id, redis=urls["client"])
    specs = [ChildSpec(f"c-{n}", Counter) for n in range(5)]
    undone = web.start_children([*specs, ChildSpec("bad", Counter, args=(1, 2))], on_failure="rollback").result(20)
    assert undone.rollback and set(undone.errors) == {"bad"}
    assert len(web.start_children(specs, on_failure="rollback").result(20).started) == 5
    assert web.enqueue(add_up, [1, 2, 3]).result(20) == 6
    canceled = web.enqueue(add_up, [1, 2, 3], 60.0)
    assert canceled.cancel()
    with pytest.raises(JobFailed, match="canceled"):
        canceled.result(20)

    place = web.where("c-1")
    there = "b" if place.node == "a" else "a"
    admin = SyncRedis(RedisServer(urls["admin"]))
    letter = {
        "kind": "cast", "child": "c-1", "method": "add", "id": "1", "reply_to": "", "deadline": "0",
        "payload": encode(((7,), {})), "entry": "1-0", "class": "Counter", "tries": "3", "crashes": "x#1 y#2 z#3",
    }  # fmt: skip
    admin.run(
        plain("XADD", web.keys.dead(place.shard), "*", *(part for pair in letter.items() for part in pair), read=str)
    )
    move, drain = ("move", hub_id, "c-1", there), ("drain", hub_id, str(place.node))
    replay = ("dead", "replay", hub_id, "--all")
    if urls["rules"] == "redis7":  # (Redis 6 cannot tell reading a key from writing it.)
        for command in (move, replay, drain):
            assert "refuses" in shell.fails(3, *command, "--redis", urls["client"])
        client = SyncRedis(RedisServer(urls["client"]))
        for key in (web.keys.partitioned, web.keys.owners, web.keys.msk(0)):
            with pytest.raises(RedisRefused, match="permission"):
                run(client, "SET", key, "x")
        client.close()
    shell.ok(*move, "--redis", urls["worker"])
    assert web.where("c-1").node == there
    operator = Hub(hub_id, redis=urls["worker"])
    assert len(operator.dead_letters()) == 1
    shell.ok(*replay, "--redis", urls["worker"])
    assert operator.dead_letters() == [] and web.ref("c-1").call("total", timeout=20) == 7
    shell.ok(*drain, "--redis", urls["worker"])
    admin.close()
    operator.close()
    web.close()


@pytest.mark.long
def test_what_an_inspector_may_not_do(shell: Shell, urls: dict[str, str], hub_id: str) -> None:
    shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter")
    for command in (["call", hub_id, "c-1", "add"], ["stop", hub_id, "c-1"], ["drain", hub_id, "a"]):
        assert "refuses" in shell.fails(3, *command, "--redis", urls["inspector"])
    assert shell.ok("call", hub_id, "c-1", "total") == "0"


def test_no_user_reaches_another_hub(shell: Shell, urls: dict[str, str], hub_id: str) -> None:
    other = Hub(hub_id + "x", redis=urls["client"])
    with pytest.raises(RedisRefused, match="permission"):
        other.nodes()
    other.close()
