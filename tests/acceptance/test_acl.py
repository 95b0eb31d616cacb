"""``hubq acl``: a hub's main paths under the users that it prints, and what they may not do."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from hubq import Child, ChildSpec, Hub, NotReplicated, RedisRefused
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer

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
    options = ["--redis6"] if request.param == "redis6" or int(major) < 7 else []
    found: dict[str, str] = {}
    run(admin, "ACL", "LOG", "RESET")
    found["admin"] = redis_server.url
    for line in shell.ok("acl", hub_id, *options).splitlines():
        words = shlex.split(line.replace(">PASSWORD", "'>secret'"))
        run(admin, *words)
        user = words[2]
        found[user.rpartition("-")[2]] = redis_server.url.replace("redis://", f"redis://{user}:secret@")
    admin.close()
    return found


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
    of_jobs = {"smembers", "zcard", *(name for name in objects if name.startswith("rq:"))}
    assert objects <= of_jobs, "they were refused this, and went on without"
    admin.close()


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
