"""The users of ``hubq acl``: what each role can do, and what it cannot, on Redis 7 and on Redis 6.2."""

from __future__ import annotations

import ast
import asyncio
import shlex
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import hubq
from hubq.cli.main import outcome
from hubq.errors import HubqError, RedisRefused
from hubq.store.batches import end_batch, open_batch, renew_batch
from hubq.store.command import Command, plain, text
from hubq.store.connection import AsyncRedis, RedisServer, SyncRedis
from hubq.store.job_permissions import Jobs
from hubq.store.keys import Keys
from hubq.store.permissions import (
    ADMINISTRATOR_SCRIPTS,
    CLIENT_READ_KEYS,
    CLIENT_SCRIPTS,
    CLIENT_WRITES,
    OPERATOR_SCRIPTS,
    ROLES,
    acl_rules,
)
from hubq.store.replies import await_reply, more_replies
from hubq.store.results import forget_result

from .acl_users import Users, refused
from .script_drives import DRIVES, World


class WithUser(World):
    """Runs some scripts as a user, and all else as an administrator."""

    def __init__(self, keys: Keys, redis: SyncRedis, user: SyncRedis, scripts: set[str]) -> None:
        self._user, self._scripts = user, scripts
        self.as_user: set[str] = set()
        super().__init__(keys, redis)

    def run(self, command: Command[Any]) -> Any:
        if command.script is not None and command.script.name in self._scripts:
            self.as_user.add(command.script.name)
            return self._user.run(command)
        return super().run(command)


# -- what a client needs -----------------------------------------------------------------------------------------------


def scripts_by_function() -> dict[str, set[str]]:
    """The functions of ``hubq.store`` that make the command of a script, and which."""
    found: dict[str, set[str]] = {}
    for path in Path(hubq.__file__).parent.joinpath("store").glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "run_script":
                        assert isinstance(call.args[0], ast.Constant), f"{path.name}: run_script without a plain name"
                        found.setdefault(function.name, set()).add(str(call.args[0].value))
    return found


def scripts_of_clients() -> set[str]:
    """The scripts that ``hubq.client`` runs."""
    functions, found = scripts_by_function(), set()
    for path in Path(hubq.__file__).parent.joinpath("client").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hubq.store"):
                for name in node.names:
                    found |= functions.get(name.name, set())
    return found


def test_every_script_of_a_client_is_a_web_apps_or_an_operators() -> None:
    assert scripts_of_clients() - ADMINISTRATOR_SCRIPTS == {*CLIENT_SCRIPTS, *OPERATOR_SCRIPTS}, (
        "a new script of hubq.client: add it to CLIENT_SCRIPTS with the keys it declares, or to OPERATOR_SCRIPTS"
    )


@pytest.mark.parametrize("script", sorted(CLIENT_SCRIPTS))
def test_a_web_app_can_run_its_scripts(script: str, users: Users) -> None:
    users.run_as_admin("ACL", "LOG", "RESET")
    world = WithUser(users.keys, users.admin, users.of("client"), {script})
    DRIVES[script](world)
    assert world.as_user == {script}, "the drive did not run its script"
    assert users.run_as_admin("ACL", "LOG") == []


def test_a_web_app_can_do_the_rest(users: Users) -> None:
    client, keys = users.of("client"), users.keys
    for command in (
        open_batch(keys, "b", 1000), renew_batch(keys, "b", 1000), end_batch(keys, "b", "undo", 0),
        forget_result(keys, "job"), more_replies(keys, "me", 3), await_reply(keys, "me", 0.01),
    ):  # fmt: skip
        client.run(command)


@pytest.mark.parametrize("script", sorted(OPERATOR_SCRIPTS))
def test_a_worker_can_run_what_operators_do(script: str, users: Users) -> None:
    users.run_as_admin("ACL", "LOG", "RESET")
    DRIVES[script](WithUser(users.keys, users.admin, users.of("worker"), {script}))
    assert users.run_as_admin("ACL", "LOG") == []


@pytest.mark.parametrize(
    "script", sorted(set(DRIVES) - {"keep_job"} - ADMINISTRATOR_SCRIPTS)
)  # (that one is of RQ's jobs)
def test_a_worker_can_run_every_script(script: str, users: Users) -> None:
    DRIVES[script](WithUser(users.keys, users.admin, users.of("worker"), {script}))


# -- what nobody can ---------------------------------------------------------------------------------------------------

#: What no user of a hub may do, whatever its role, with or without jobs.
OF_NOBODY = [
    ("CONFIG", "GET", "requirepass"), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "maxmemory", "1"), ("ACL", "LIST"),
    ("ACL", "WHOAMI"), ("ACL", "SETUSER", "x"), ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("MONITOR",),
    ("SHUTDOWN",), ("SAVE",), ("REPLICAOF", "NO", "ONE"), ("SLOWLOG", "GET"), ("SWAPDB", 0, 1), ("RANDOMKEY",), ("SCRIPT", "FLUSH"),
    ("MODULE", "LIST"), ("CLIENT", "PAUSE", 100),
]  # fmt: skip
OF_NOBODY_7 = [("FUNCTION", "FLUSH"), ("FUNCTION", "LIST"), ("FUNCTION", "LOAD", "REPLACE", "x")]


@pytest.mark.parametrize("jobs", list(Jobs))
@pytest.mark.parametrize("role", ROLES)
def test_no_role_reaches_the_server_itself(role: str, jobs: Jobs, users: Users) -> None:
    redis = users.of(role, jobs=jobs)
    for words in [*OF_NOBODY, *(OF_NOBODY_7 if users.selectors else [])]:
        assert refused(redis, *words), f"{role} (jobs={jobs.value}) may {words}"


@pytest.mark.parametrize("jobs", list(Jobs))
@pytest.mark.parametrize("role", ROLES)
def test_no_role_reaches_another_hub(role: str, jobs: Jobs, users: Users) -> None:
    redis, other = users.of(role, jobs=jobs), Keys(users.keys.hub_id + "x")
    for words in (
        ("GET", other.epoch), ("HGETALL", other.nodes), ("HGETALL", other.msk(0)), ("XREAD", "STREAMS", other.mailbox(0), "0"),
        ("HSET", other.children(0), "c", "x"), ("XADD", other.mailbox(0), "*", "x", "y"), ("DEL", other.config),
        ("RPUSH", other.reply("x"), "x"), ("SET", "somebody's", "x"), ("GET", "somebody's"),
    ):  # fmt: skip
        assert refused(redis, *words), f"{role} (jobs={jobs.value}) may {words}"


def test_an_inspector_changes_nothing(users: Users) -> None:
    for jobs in Jobs:
        redis, keys = users.of("inspector", jobs=jobs), users.keys
        for words in (
            ("SET", keys.epoch, 1), ("DEL", keys.config), ("HSET", keys.msk(0), "c", "x"), ("HSET", keys.children(0), "c", "x"),
            ("XADD", keys.mailbox(0), "*", "x", "y"), ("LPOP", keys.reply("x")), ("BLPOP", keys.reply("x"), 0.1),
            ("EVAL", "return 1", 0), ("EVALSHA", "0" * 40, 0), ("SCRIPT", "LOAD", "return 1"), ("PEXPIRE", keys.owners, 1),
            ("PUBLISH", "rq:pubsub:x", "x"), ("SET", "rq:x", "x"), ("RPUSH", "rq:queue:x", "x"), ("DEL", "rq:job:x"),
        ):  # fmt: skip
            assert refused(redis, *words), f"an inspector (jobs={jobs.value}) may {words}"


def test_the_line_of_a_user_takes_away_what_it_had_before(users: Users, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed twice, with another password: the first password is over, and so is what was allowed by hand."""
    name = f"{users.keys.hub_id}-worker"

    def set_up(password: str) -> None:
        assert outcome(["acl", users.keys.hub_id, "worker", *([] if users.selectors else ["--redis6"])]) == 0
        line = capsys.readouterr().out.replace("#SHA256", f"#{sha256(password.encode()).hexdigest()}")
        assert users.run_as_admin(*shlex.split(line)) == b"OK"

    def may_come_in(password: str) -> bool:
        connection = SyncRedis(RedisServer(users.admin_url.replace("redis://", f"redis://{name}:{password}@")))
        try:
            return connection.run(plain("PING", read=text)) == "PONG"
        except RedisRefused:
            return False
        finally:
            connection.close()

    set_up("old")
    users.run_as_admin("ACL", "SETUSER", name, "+flushall", "~*")
    set_up("new")
    assert may_come_in("new") and not may_come_in("old")
    assert "flushall" not in str(users.run_as_admin("ACL", "GETUSER", name))


def test_a_connection_does_not_announce_itself(users: Users) -> None:
    """CLIENT SETINFO is in no rule: each connection would be refused it, and fill the ACL log."""

    async def asked() -> None:
        redis = AsyncRedis(RedisServer(users.admin_url))
        await redis.run(plain("PING", read=text))
        await redis.close()

    users.run_as_admin("CONFIG", "RESETSTAT")
    asyncio.run(asked())
    first = SyncRedis(RedisServer(users.admin_url))
    first.run(plain("PING", read=text))
    first.close()
    client = RedisServer(users.admin_url).sync_client(5.0)
    client.ping()
    client.close()
    counted = users.run_as_admin("INFO", "commandstats").decode()
    assert "cmdstat_ping:calls=3" in counted and "setinfo" not in counted.lower()
    assert "errorstat_ERR" not in users.run_as_admin("INFO", "errorstats").decode(), "6.2 knows no such subcommand"


# -- what a client cannot, where Redis has selectors -----------------------------------------------------------------


@pytest.fixture
def attacker(users: Users) -> SyncRedis:
    """A web app that was taken over, with the rules for jobs as well."""
    if not users.selectors:
        pytest.skip("Redis 6.2 has no selectors: a client may do what a worker may, which docs/security.md says")
    world = World(users.keys, users.admin)
    world.start(0, "room-1")
    world.send(0, "room-1")
    return users.of("client", jobs=Jobs.ALL)


def test_a_client_neither_reads_nor_forges_states_and_messages(users: Users, attacker: SyncRedis) -> None:
    keys = users.keys
    for words in (
        ("HGETALL", keys.dormant(0)), ("HGET", keys.dormant(0), "room-1"), ("HSET", keys.dormant(0), "room-1", "x"),
        ("HDEL", keys.dormant(0), "room-1"), ("HSCAN", keys.dormant(0), "0"), ("ZADD", keys.expiring(0), 1, "room-1"),
        ("HGETALL", keys.msk(0)), ("HGET", keys.msk(0), "room-1"), ("HSET", keys.msk(0), "room-1", "x"), ("HVALS", keys.msk(0)),
        ("XRANGE", keys.mailbox(0), "-", "+"), ("XREAD", "STREAMS", keys.mailbox(0), "0"), ("XREVRANGE", keys.mailbox(0), "+", "-"),
        ("XRANGE", keys.dead(0), "-", "+"), ("XREAD", "STREAMS", keys.log(0), "0"), ("XADD", keys.log(0), "*", "x", "y"),
        ("XREAD", "STREAMS", keys.control("a"), "0"), ("COPY", keys.msk(0), "rq:x"), ("RENAME", keys.msk(0), "rq:x"),
        ("XADD", keys.control("a"), "*", "kind", "wake", "from", "a"), ("PEXPIRE", keys.control("a"), 1),
        ("XREAD", "STREAMS", keys.asks("a"), "0"), ("XRANGE", keys.asks("a"), "-", "+"), ("XTRIM", keys.asks("a"), "MAXLEN", 0),
        ("SORT", keys.msk(0), "STORE", "rq:x"), ("DUMP", keys.msk(0)), ("OBJECT", "ENCODING", keys.msk(0)),
    ):  # fmt: skip
        assert refused(attacker, *words), f"a client may {words}"


def test_a_client_does_not_wipe_the_hub(users: Users, attacker: SyncRedis) -> None:
    keys = users.keys
    for key in (
        keys.children(0),
        keys.mailbox(0),
        keys.backlog(0),
        keys.config,
        keys.owners,
        keys.nodes,
        keys.msk(0),
        keys.dead(0),
    ):
        for words in (("SET", key, "x"), ("DEL", key), ("UNLINK", key), ("RENAME", key, "rq:x"), ("COPY", key, "rq:x"),
                      ("RESTORE", key, 0, "x", "REPLACE"), ("XTRIM", key, "MAXLEN", 0), ("XDEL", key, "1-0"), ("PERSIST", key),
                      ("PEXPIRE", key, 1), ("EXPIRE", key, 1), ("HDEL", key, "room-1")):  # fmt: skip
            assert refused(attacker, *words), f"a client may {words}"
    for words in (
        ("HSET", keys.config, "shards", 3), ("HSET", keys.owners, "0", "x 1 9"), ("HSET", keys.nodes, "x", "{}"), ("INCR", keys.epoch),
        ("ZADD", keys.leases, 1, "a"), ("SET", keys.partitioned, "why"), ("HSET", keys.pins, "room-1", "x"),
        ("XADD", keys.events, "*", "type", "x"), ("SET", keys.vitals("a"), "{}"),
    ):  # fmt: skip
        assert refused(attacker, *words), f"a client may {words}"
    assert attacker.run(plain("HSETNX", keys.config, "shards", 3, read=int)) == 0, "it begins a hub, and changes none"


def test_a_clients_own_lua_can_do_no_more(users: Users, attacker: SyncRedis) -> None:
    keys = users.keys
    for act in (
        f"return redis.call('DEL', '{keys.children(0)}')", f"return redis.call('XTRIM', '{keys.mailbox(0)}', 'MAXLEN', 0)",
        f"return redis.call('HGETALL', '{keys.msk(0)}')", f"return redis.call('PEXPIRE', '{keys.children(0)}', 1)",
        "return redis.call('CONFIG', 'GET', 'requirepass')", f"return redis.call('RPUSH', '{keys.reply('x')}', 'x')",
        "return redis.call('KEYS', '*')",
    ):  # fmt: skip
        assert refused(attacker, "EVAL", act, 0)
        sha = attacker.run(plain("SCRIPT", "LOAD", act, read=bytes))
        with pytest.raises(HubqError, match=r"user executing the script|permission|not allowed"):
            attacker.run(plain("EVALSHA", sha, 0, read=bytes))


def test_a_client_answers_nobody_and_finds_nobodys_name(users: Users, attacker: SyncRedis) -> None:
    keys = users.keys
    for words in (
        ("SCAN", 0), ("KEYS", "*"), ("RANDOMKEY",), ("RPUSH", keys.reply("x"), "x"), ("LPUSH", keys.reply("x"), "x"),
        ("LRANGE", keys.reply("x"), 0, -1), ("LMOVE", keys.reply("x"), "rq:x", "LEFT", "LEFT"), ("PUBLISH", "rq:pubsub:x", "x"),
        ("CLIENT", "LIST"), ("CLIENT", "KILL", "ID", 1), ("SUBSCRIBE", "rq:pubsub:x"), ("PSUBSCRIBE", "*"),
    ):  # fmt: skip
        assert refused(attacker, *words), f"a client may {words}"


def test_each_right_of_a_client_is_used() -> None:
    kinds = {kind for kinds in CLIENT_SCRIPTS.values() for kind in kinds} | {"reply:*", "result:*"}
    assert {kind for _, some in CLIENT_WRITES for kind in some} <= kinds
    assert not {"shard:*:msk", "shard:*:mailbox", "shard:*:dead", "shard:*:log"} & set(CLIENT_READ_KEYS)


def test_a_named_web_app_sends_and_is_answered_under_its_name_alone() -> None:
    rules = " ".join(acl_rules(Keys("chat"), "client", client="shop"))
    assert "~hubq:{chat}:sender:shop.*" in rules and "~hubq:{chat}:reply:shop.*" in rules
    assert "sender:*" not in rules and "reply:*" not in rules
    plain = " ".join(acl_rules(Keys("chat"), "client"))
    assert rules.replace("shop.*", "*") == plain
