"""Whatever others write into a hub, no command sends it to the terminal as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hubq import Child, ChildSpec, Hub
from hubq.store.codec import encode
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

NASTY = "\x1b]0;OWNED\x07\x1b[2J\r\n2026-01-01 00:00:00,000 INFO forged \x9b31m\u202e"

#: All that list what others wrote. ({hub} and {letter} are filled in.)
COMMANDS = (
    "nodes {hub}", "ps {hub}", "ps {hub} --json", "where {hub} c-1", "state {hub} c-1", "state {hub} c-1 --json", "mailbox {hub}",
    "mailbox {hub} c-1", "mailbox {hub} c-1 --json", "events {hub}", "events {hub} --json", "events {hub} --all", "dead list {hub}",
    "dead list {hub} --json", "dead show {hub} {letter}", "dead show {hub} {letter} --json", "top {hub} --once", "doctor {hub}",
    "doctor {hub} --json", "config {hub}", "jobs {hub}",
)  # fmt: skip


class Counter(Child):
    """Workers know by this name the one in ``apps/basic.py``."""


def test_no_command_prints_what_a_terminal_acts_on(
    shell: Shell, hub: Hub, redis_server: EmbeddedServer, hub_id: str
) -> None:
    hub.start_children([ChildSpec("c-1", Counter, metadata={"title": NASTY})])
    shard, keys = hub.where("c-1").shard, hub.keys
    redis = SyncRedis(RedisServer(redis_server.url))

    def write(*words: object) -> str:
        return redis.run(plain(*words, read=lambda answer: answer.decode() if isinstance(answer, bytes) else ""))  # type: ignore[arg-type]

    message = {
        "kind": "cast", "child": "c-1", "method": NASTY, "id": f"{NASTY}#1", "reply_to": "", "deadline": "0",
        "payload": encode(((NASTY,), {})),
    }  # fmt: skip
    write("XADD", keys.mailbox(shard), "*", *(part for pair in message.items() for part in pair))
    write("XADD", keys.events, "*", "type", NASTY, "child", NASTY)
    letter = {
        "kind": "cast", "child": "c-1", "method": NASTY, "id": "1", "reply_to": "", "deadline": "0",
        "payload": encode(((NASTY,), {"x": NASTY})), "entry": "1-0", "class": NASTY, "tries": "3", "crashes": f"{NASTY}#1",
        "why": "raised", "error": f"Traceback:\n{NASTY}", "sender": NASTY,
    }  # fmt: skip
    entry = write("XADD", keys.dead(shard), "*", *(part for pair in letter.items() for part in pair))
    write("HSET", keys.msk(shard), "c-1", b"1 attributes 0\n" + encode({"value": NASTY, NASTY: [NASTY]}))
    write("HSET", keys.parked(shard), "c-1", f"its __init__ raised {NASTY}")
    write("HSET", keys.stragglers, "c-1", NASTY)
    write("SET", keys.partitioned, f"1 {NASTY}")
    seen = 0
    for command in COMMANDS:
        done = shell.run(*command.format(hub=hub_id, letter=f"{shard}/{entry}").split())
        assert done.returncode in (0, 1) and "Traceback (most recent" not in done.stderr, f"{command}: {done.stderr}"
        for line in (done.stdout + done.stderr).split("\n"):
            assert line.isprintable(), f"{command}: {line!r}"
            assert not line.startswith("2026-01-01"), f"{command}: {line!r}"
            seen += "OWNED" in line
    assert seen > 10, "the commands had it before them"
    redis.close()
