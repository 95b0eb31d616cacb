"""What a user of Redis must be allowed for each role: ACL rules (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/)."""

from __future__ import annotations

import re

from hubq.store.keys import Keys
from hubq.store.scripts import SCRIPTS

#: What reading takes. CONFIG GET and INFO are for ``hubq doctor``; SCAN sees the names of all keys of the database.
READING = (
    "ping", "hello", "auth", "select", "client|setname", "time", "get", "ttl", "exists", "type", "hget",
    "hgetall", "hmget", "hlen", "hexists", "hscan", "hstrlen", "hkeys", "hvals", "zrange", "zscore", "zrangebyscore", "xlen", "xrange",
    "xrevrange", "xread", "llen", "lrange", "scan", "info", "config|get",
)  # fmt: skip
#: What sending, starting and waiting for replies takes besides.
TALKING = ("evalsha", "script|load", "blpop", "lpop", "wait", "unlink", "set", "pexpire")
#: What a worker does outside of scripts. It ends a connection that it has lost with CLIENT KILL: what is still on its way
#: there must not arrive late.
WORKING = ("xadd", "del", "hdel", "hset", "client|id", "client|kill")

#: What jobs take besides, of workers and of clients: RQ's keys, which all hubs and queues of this Redis share.
JOBS = (
    "~rq:*", "&rq:pubsub:*", "+@read", "+@write", "+@transaction", "+@scripting", "+@pubsub", "-@dangerous",
    "+client|info",
)  # fmt: skip

#: What looking at jobs takes besides, of inspectors.
LOOKING_AT_JOBS = ("+@read", "+@transaction", "-@dangerous")

_CALL = re.compile(r"redis\.p?call\(\s*'(\w+)'")

ROLES = ("worker", "client", "inspector")


def script_commands() -> tuple[str, ...]:
    """Every command that a script calls: Redis checks those, too, against the user's rules."""
    return tuple(sorted({found.lower() for script in SCRIPTS.values() for found in _CALL.findall(script.text)}))


def acl_rules(keys: Keys, role: str, *, read_only_keys: bool = True, jobs: bool = False) -> list[str]:
    """The rules of one role, without ``on`` and the password. ``read_only_keys``: with ``%R~`` of Redis 7; ``jobs``: with
    what RQ's jobs take.

    >>> acl_rules(Keys("chat"), "inspector")[:4]
    ['resetkeys', 'resetchannels', '-@all', '%R~hubq:{chat}:*']
    """
    everything = keys.prefix + "*"
    rules = ["resetkeys", "resetchannels", "-@all", *(JOBS if jobs and role != "inspector" else ())]
    looking = ("%R~rq:*" if read_only_keys else "~rq:*", *LOOKING_AT_JOBS) if jobs else ()
    if role == "worker":
        return [*rules, f"~{everything}", *_allowed(READING, TALKING, WORKING, script_commands())]
    if role == "inspector":
        pattern = f"%R~{everything}" if read_only_keys else f"~{everything}"
        return [*rules, *looking, pattern, *_allowed(READING)]
    if not read_only_keys:
        return [*rules, f"~{everything}", *_allowed(READING, TALKING, script_commands())]
    # A web app writes messages, starts and its own replies; it cannot change owners, members or states.
    # (It may ask a node about a call that it has given up, in the node's mailbox; nodes believe ``owners``, not messages.)
    written = ("config", "sender:*", "reply:*", "bulk:*", "shard:*:mailbox", "shard:*:children", "shard:*:backlog",
               "shard:*:batches", "batch:*", "node:*:mailbox", "result:*")  # fmt: skip
    patterns = [f"%R~{everything}", *(f"~{keys.prefix}{pattern}" for pattern in written)]
    return [*rules, *patterns, *_allowed(READING, TALKING, script_commands())]


def _allowed(*groups: tuple[str, ...]) -> list[str]:
    return [f"+{command}" for command in sorted({command for group in groups for command in group})]
