"""Each command on a hub with several groups: it does what it does on one with a single group, for all groups."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hubq import Hub
from hubq.cli.main import outcome
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.keys import Keys
from hubq.testing import Cluster

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

APP = """
from hubq import Child, Hub
hub = Hub({hub_id!r}, redis={url!r}, groups=4, shards=16, max_backlog=3)
@hub.child
class Room(Child):
    def __init__(self, topic="none"): self.topic = topic
    async def post(self, text): self.publish("said", text); return text
    async def tell(self, others): [self.ref(other).cast("post", "told") for other in others]
    async def fail(self): raise ValueError("on purpose")
"""
ROOMS = [f"room-{n}" for n in range(8)]

#: Arguments, the exit code, and what is in the output. In this order.
CASES: list[tuple[str, int, list[str]]] = [
    ("hubs", 0, ["GROUPS", "{hub}", "4"]),
    ("nodes {hub}", 0, ["a ", "b ", "8"]),
    ("nodes {hub} --json", 0, ['"shards": 8']),
    (
        "top {hub} --once",
        0,
        ["2 nodes", "16/16 shards served in 4 groups", "shards_claimed node=", "node_joined node=b"],
    ),
    ("config {hub}", 0, ["groups   4"]),
    ("ps {hub}", 0, ROOMS),
    ("ps {hub} --json", 0, ROOMS),
    ("where {hub} room-3", 0, ["room-3"]),
    ("start app_of_groups:hub room-9 Room jazz", 0, ["room-9 runs on"]),
    ("call {hub} room-9 post hello", 0, ["hello"]),
    ("call {hub} room-3 post hello", 0, ["hello"]),
    ("cast {hub} room-4 post hello", 0, []),
    ("call {hub} room-5 fail", 1, ["on purpose"]),
    ("state {hub} room-9", 0, ["jazz"]),
    ("mailbox {hub}", 0, ["SHARD"]),
    ("mailbox {hub} room-3", 0, ["0 messages wait for room-3"]),
    ("events {hub} -n 30", 0, ["node_joined"]),
    ("feed {hub} room-3", 0, ["hello"]),
    ("reminders {hub}", 0, []),
    ("dead list {hub}", 0, []),
    ("jobs {hub}", 0, []),
    ("pause {hub} --class Room --why deploy", 0, ["Room"]),
    ("pauses {hub}", 0, ["deploy"]),
    ("cast {hub} room-4 post later", 0, []),
    ("mailbox {hub} room-4", 0, ["1 messages wait for room-4", "post"]),
    ("resume {hub} --class Room", 0, ["Room"]),
    ("pause {hub} --child room-4", 0, ["room-4"]),
    ("cast {hub} room-4 post first", 0, []),
    ("cast {hub} room-4 post second", 0, []),
    ("cast {hub} room-4 post third", 0, []),
    ('call {hub} room-3 tell ["room-4"]', 0, []),
    ("mailbox {hub} room-4", 0, ["3 messages wait for room-4"]),
    ("mailbox {hub} room-3 --json", 0, ['"outbox": {', '"child": "room-4"', '"held_back": 0']),
    ("resume {hub} --child room-4", 0, ["room-4"]),
    ("move {hub} room-3 b", 0, ["room-3", "b"]),
    ("kill {hub} room-3", 0, ["room-3"]),
    ("rollout {hub}", 0, ["VERSION", "(none)", "16"]),
    ("bench --groups 2 --children 20 --casts 100 --calls 10", 0, ["call, idle, p50"]),
    ("hubs", 0, ["{hub}"]),
    ("keys status {hub}", 0, []),
    ("check app_of_groups:hub", 0, []),
    ("acl app_of_groups:hub", 0, ["hubq:{{hub}}:*", "hubq:{{hub}:*}:*"]),
    ("acl {hub} --groups 4", 0, ["hubq:{{hub}:*}:*"]),
    ("deploy k8s app_of_groups:hub", 0, ["app_of_groups:hub"]),
    ("doctor {hub}", 1, ["keys of another group: 1 key is"]),
    ("stop {hub} room-9", 0, ["room-9"]),
    ("regroup {hub} --groups 8", 1, ["is served by a, b"]),
    ("delete-hub {hub} --yes", 1, ["is served by a, b"]),
]


def test_each_command(
    real_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_id = "each-command"
    (tmp_path / "app_of_groups.py").write_text(APP.format(hub_id=hub_id, url=real_server.url))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUBQ_REDIS_URL", real_server.url)
    redis = SyncRedis(real_server)
    # What a process with one group has written, say.
    redis.run(plain("HSET", Keys(hub_id).msk(1), "lost", "x", read=int))
    redis.close()
    wrong: list[str] = []

    def run_all() -> None:
        for line, code, expected in CASES:
            said, found = run(line.replace("{hub}", hub_id), capsys)
            wanted = [each.replace("{hub}", hub_id) for each in expected]
            missing = [each for each in wanted if each not in said]
            if found != code or missing or "Traceback" in said:
                wrong.append(f"hubq {line}: exit code {found}, lacks {missing}\n{said}")

    async def scenario() -> None:
        hub = app_of_groups()
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled(60)
            for room in ROOMS:
                await hub.aio.start_child(room, hub.classes.registered["Room"])
            await asyncio.to_thread(run_all)

    asyncio.run(scenario())
    assert not wrong, "\n".join(wrong)


def app_of_groups() -> Hub:
    from hubq.cli.loading import load_hub

    return load_hub("app_of_groups:hub")


def run(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, int]:
    capsys.readouterr()
    try:
        code = outcome(line.split())
    except SystemExit as ended:
        code = int(ended.code or 0)
    found: Any = capsys.readouterr()
    return found.out + found.err, code
