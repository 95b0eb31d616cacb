"""Every command on a hub whose keys hold what hubq has not written: it shows the rest, or says in one line what is wrong."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from acceptance.test_every_command import CASES
from redis import Redis

from hubq import Child, Hub
from hubq.cli.main import outcome
from hubq.store import keys as schema
from hubq.store.connection import RedisServer
from hubq.store.message import LAST_ID
from hubq.testing import Cluster

_numbers = count()

#: They read no hub, or measure a hub of their own.
WITHOUT_HUB = {"init", "deploy", "acl", "bench", "version", "check", "start"}
#: Those that wait do not wait for long.
SOON = {
    "call": ["--timeout", "0.3"], "cast": [], "move": ["--timeout", "0.3"], "stop": ["--timeout", "0.3"],
    "kill": ["--timeout", "0.3"], "mailbox drop": ["--timeout", "0.3"], "pause": ["--timeout", "0.3"],
}  # fmt: skip
#: Two that are tried in a terminal of their own elsewhere.
MORE = {"top": ["{hub}", "--once"], "drain": ["{hub}", "a", "--timeout", "0.3"]}
ROWS = re.findall(r"^``(hubq:\S+)``\s+(\w+)", schema.__doc__ or "", re.MULTILINE)


class Counter(Child):
    def __init__(self) -> None:
        self.value = 0

    async def add(self, n: int) -> int:
        self.value += n
        return self.value

    async def fail(self) -> None:
        raise ValueError("broken")


@pytest.fixture
def url(real_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"redis://{real_server.address.removeprefix('redis://')}"
    monkeypatch.setenv("HUBQ_REDIS_URL", url)
    return url


@pytest.fixture
def hub(real_server: RedisServer) -> Iterator[Hub]:
    """A hub with a child, a dead letter, and a message that waits; its only node was killed."""
    hub = Hub(
        f"spoilt-{os.getpid()}-{next(_numbers)}",
        redis=real_server,
        shards=2,
        lease=1.0,
        lease_margin=0.2,
        heartbeat=0.1,
    )
    hub.child(Counter)

    async def live() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c-1", Counter)
            await hub.aio.ref("c-1").call("add", 1)
            await hub.aio.ref("c-1").cast("fail")
            await hub.aio.ref("c-1").call("add", 1)
            await cluster.kill("a")
            await hub.aio.ref("c-1").cast("add", 1)

    asyncio.run(live())
    yield hub
    hub.close()


def everywhere(hub_id: str) -> Iterator[tuple[str, str]]:
    """Each key that a hub may have, and its type."""
    for key, kind in ROWS:
        for shard in ("0", "1"):
            yield (
                key.replace("{chat}", f"{{{hub_id}}}").replace("<n>", shard).replace("<node>", "a").replace("<child>", "c-1")
                .replace("<c>", "Counter").replace("<l>", "1").replace("<k>", "k").replace("<id>", "x")
                .replace("<client>", "x").replace("<job>", "j")
            ), kind  # fmt: skip


def with_garbage_beside(redis: Redis, hub_id: str) -> None:
    """Keys have their types, but what stands in them is garbage, beside what was there."""
    for key, kind in everywhere(hub_id):
        if key.endswith(":config"):
            continue
        if kind == "hash":
            for field in [*redis.hkeys(key), b"c-1", b"\xff\xfe", "1", "a"]:  # type: ignore[misc]
                redis.hset(key, field, b"\xff{garbage \x1b[31m")
        elif kind == "stream":
            redis.xadd(key, {b"\xff": b"\xfe", b"kind": b"nonsense"})
        elif kind == "zset":
            redis.zadd(key, {b"\xff": "inf", "ghost": "-inf", "c-1": 3})  # type: ignore[dict-item]
        elif kind == "list":
            redis.rpush(key, b"\xffgarbage")
        else:
            redis.set(key, b"\xff\xfe garbage")


def of_another_type(redis: Redis, hub_id: str) -> None:
    """Each key is of a type that hubq does not give it."""
    for key, kind in everywhere(hub_id):
        if not key.endswith(":config"):
            redis.delete(key)
            if kind == "string":
                redis.sadd(key, "garbage")
            else:
                redis.set(key, "garbage")


def with_another_config(redis: Redis, hub_id: str) -> None:
    """What a hub is fixed to is garbage."""
    redis.hset(f"hubq:{{{hub_id}}}:config", mapping={"shards": b"\xff", "wire": "soon", "began": "never"})


def with_a_config_of_another_type(redis: Redis, hub_id: str) -> None:
    redis.set(f"hubq:{{{hub_id}}}:config", "garbage")


@pytest.mark.parametrize(
    "spoil", [with_garbage_beside, of_another_type, with_another_config, with_a_config_of_another_type]
)
def test_every_command_shows_the_rest_or_says_in_one_line_what_is_wrong(
    spoil: Callable[[Redis, str], None], hub: Hub, url: str, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    assert len(ROWS) > 40
    there = {"hub": hub.hub_id, "node": "a", "shard": hub.where("c-1").shard}
    with Redis.from_url(url) as redis:
        spoil(redis, hub.hub_id)
        wrong = []
        for command, arguments in sorted({**{name: words for name, (words, _) in CASES.items()}, **MORE}.items()):
            if command in WITHOUT_HUB:
                continue
            words = [*command.split(), *(argument.format(**there) for argument in arguments), *SOON.get(command, [])]
            try:
                with caplog.at_level(logging.ERROR):
                    code = outcome(words)
            except Exception as error:
                wrong.append(f"{command}: raises {error!r}")
                continue
            said = capsys.readouterr()
            lines = said.err.splitlines()
            if code not in {0, 1, 2, 3} or "Traceback" in said.out + said.err or "\x1b[31m" in said.out + said.err:
                wrong.append(f"{command}: {code} {said.out[:300]} {said.err[:300]}")
            elif code and command != "doctor" and (not lines or not lines[-1].startswith("hubq: ")):
                wrong.append(f"{command}: {code} says {said.err!r}")
    assert not wrong, "\n".join(wrong)


def test_doctor_names_a_mailbox_whose_ids_are_used_up(hub: Hub, url: str) -> None:
    def found() -> list[str]:
        return [each.seen for each in hub.inspect.diagnosis() if each.topic == "ids used up"]

    client = Redis.from_url(url)
    assert found() == []
    client.xadd(hub.keys.mailbox(1), {"x": "y"}, id=LAST_ID)
    client.xdel(hub.keys.mailbox(1), LAST_ID)  # (it takes nothing even then)
    assert len(found()) == 1 and "mailbox of shard 1 takes no message" in found()[0]
    client.xadd(hub.keys.mailbox(0), {"x": "y"}, id=LAST_ID)
    assert "mailboxes of shards 0, 1 take no message" in found()[0]
    client.close()
