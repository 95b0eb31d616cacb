"""What a user of Redis must be allowed for each role: ACL rules (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/).

A worker and an inspector have one list of commands on all keys of the hub. A client (a web app) has a list of commands for
each kind of key, by selectors of Redis 7: so it can send a message, but neither read one nor delete one.
"""

from __future__ import annotations

import re

from hubq.store.job_permissions import Jobs, job_rules, job_rules_of_redis6
from hubq.store.keys import Keys
from hubq.store.rules import allowed, selector
from hubq.store.scripts import SCRIPTS

ROLES = ("worker", "client", "inspector")

#: What every connection takes. (On a Redis Cluster it asks first who has the slot of the hub.)
CONNECTING = ("auth", "hello", "ping", "select", "client|setname", "cluster|slots")

# -- worker ---------------------------------------------------------------------------------------------------------

#: What a worker does outside of scripts. It ends a connection that it has lost with CLIENT KILL: what is still on its way
#: there must not arrive late. INFO says whether Redis is the one that it was. TYPE says which key is of another type. XSETID
#: mends a mailbox that takes nothing more, and XINFO finds it.
WORKING = (
    "blpop", "client|id", "client|kill", "del", "evalsha", "exists", "get", "hdel", "hexists", "hget", "hgetall", "hlen",
    "hmget", "hscan", "hset", "hsetnx", "hstrlen", "info", "lpop", "pexpire", "script|load", "set", "time", "unlink",
    "wait", "xadd", "xdel", "xinfo|stream", "xlen", "xrange", "xread", "xrevrange", "zrange", "zrangebylex", "zscore", "type",
    "xsetid",
)  # fmt: skip

# -- inspector ------------------------------------------------------------------------------------------------------

#: What looking takes. SCAN sees the names of all keys of the database; INFO has what ``hubq doctor`` says of Redis. CONFIG
#: GET is in no role: it tells the password of Redis.
LOOKING = (
    "cluster|nodes", "exists", "get", "hexists", "hget", "hgetall", "hlen", "hmget", "hscan", "hstrlen", "info", "scan", "time", "ttl",
    "xinfo|stream", "xlen", "xrange", "xread", "xrevrange", "zrange", "zrangebylex", "zscore",
)  # fmt: skip

# -- client ---------------------------------------------------------------------------------------------------------

#: The scripts that a web app runs, and the kinds of keys that each declares: Redis asks for the right to write all of them.
CLIENT_SCRIPTS: dict[str, tuple[str, ...]] = {
    "check_config": ("config",),
    "end_batch": ("batch:*",),
    "send_reminders": (
        "sender:*",
        "shard:*:reminders",
        "shard:*:reminders:what",
        "shard:*:reminders:names",
        "shard:*:mailbox",
        "shard:*:children",
    ),
    "send_messages": ("sender:*", "shard:*:mailbox", "shard:*:children", "shard:*:backlog", "shard:*:dormant"),
    "start_children": (
        "sender:*",
        "shard:*:mailbox",
        "shard:*:children",
        "shard:*:backlog",
        "shard:*:dormant",
        "shard:*:batches",
    ),
    "void_numbers": ("sender:*",),
    "withdraw_call": ("shard:*:mailbox", "node:*:asks"),
}
#: Scripts of ``hub.move``, ``hub.kill``, ``hubq drain``, ``hubq dead`` and of an end of a partition by hand: whoever runs them needs the
#: rules of a worker.
OPERATOR_SCRIPTS = frozenset(
    {
        "delete_keys",
        "drain_node",
        "intervene",
        "replay_dead",
        "reseal_fields",
        "set_pause",
        "settle_quorum",
        "want_place",
    }
)

#: Scripts of ``hubq regroup``: it is for an administrator of Redis.
ADMINISTRATOR_SCRIPTS = frozenset({"mark_moving", "rename_keys"})

#: What a web app may read.
CLIENT_READ_KEYS = (
    "config", "nodes", "leases", "epoch", "owners", "pins", "pins_epoch", "stragglers", "pauses", "partitioned", "quorum",
    "assignment", "events", "static", "shard:*:children", "shard:*:backlog", "shard:*:parked", "shard:*:progress", "shard:*:replicas",
    "shard:*:batches", "shard:*:feed:*", "batch:*", "result:*", "sender:*", "node:*:vitals",
)  # fmt: skip
CLIENT_READS = (
    "exists", "get", "hexists", "hget", "hgetall", "hlen", "hmget", "hscan", "xlen", "xread", "xrevrange", "zrange",
    "zscore",
)  # fmt: skip
#: What a web app may ask of dormant children: whether one is there, and how many. Their states stand there, too.
CLIENT_DORMANT_KEYS, CLIENT_DORMANT_READS = ("shard:*:dormant",), ("hexists", "hlen")
#: What a web app may write: which commands, on which kinds of keys. ``config`` it can begin (HSETNX), never change.
CLIENT_WRITES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("xadd",), ("shard:*:mailbox", "node:*:asks")),
    (("memory|usage",), ("shard:*:mailbox",)),
    (("hset", "hincrby"), ("sender:*", "shard:*:children", "shard:*:backlog", "shard:*:batches")),
    (("zadd", "zrem", "zrange"), ("shard:*:reminders", "shard:*:reminders:names")),
    (("hset", "hdel"), ("shard:*:reminders:what",)),
    (("pexpire",), ("sender:*", "node:*:asks", "batch:*")),
    (("set", "del"), ("batch:*",)),
    (("unlink",), ("result:*",)),
    (("hsetnx",), ("config",)),
    (("blpop", "lpop"), ("reply:*",)),
)
#: What a web app does without a key.
CLIENT_PLAIN = ("time", "script|load", "wait")

_CALL = re.compile(r"redis\.p?call\(\s*'(\w+)'")


def script_commands() -> tuple[str, ...]:
    """Every command that a script of a worker calls: Redis checks those, too, against the user's rules."""
    run = [script for name, script in SCRIPTS.items() if name not in ADMINISTRATOR_SCRIPTS]
    found = {found.lower() for script in run for found in _CALL.findall(script.text)}
    return tuple(sorted("memory|usage" if command == "memory" else command for command in found))


def acl_rules(
    keys: Keys, role: str, *, read_only_keys: bool = True, jobs: Jobs = Jobs.NONE, client: str = "", groups: int = 1
) -> list[str]:
    """The rules of one role, without its password. ``read_only_keys``: with what Redis 7 has, selectors and ``%R~``;
    ``jobs``: with what jobs take; ``client``: the name of the web app, which then can send under its name alone, and take its
    own answers alone; ``groups``: how many groups the hub has.

    >>> acl_rules(Keys("chat"), "inspector")[:5]
    ['reset', 'resetchannels', '-@all', '%R~hubq:{chat}:*', '+auth']
    """
    rules = _rules(keys, role, read_only_keys, jobs, client)
    return rules if groups == 1 else [each for rule in rules for each in _in_all_groups(keys, rule)]


def _in_all_groups(keys: Keys, rule: str) -> list[str]:
    """A rule about keys is about those of the other groups, too.

    >>> _in_all_groups(Keys("chat"), "~hubq:{chat}:*"), _in_all_groups(Keys("chat"), "(%R~hubq:{chat}:config +get)")
    (['~hubq:{chat}:*', '~hubq:{chat:*}:*'], ['(%R~hubq:{chat}:config %R~hubq:{chat:*}:config +get)'])
    """
    of_groups = f"hubq:{{{keys.hub_id}:*}}:"
    if rule.startswith("("):
        words = [each for word in rule[1:-1].split(" ") for each in _in_all_groups(keys, word)]
        return [f"({' '.join(words)})"]
    return [rule, rule.replace(keys.prefix, of_groups)] if keys.prefix in rule else [rule]


def _rules(keys: Keys, role: str, read_only_keys: bool, jobs: Jobs, client: str) -> list[str]:
    rules = ["reset", "resetchannels", "-@all"]
    if not read_only_keys:
        return [*rules, *_rules_of_redis6(keys, role, jobs)]
    if role == "client":
        return [
            *rules,
            *allowed(CONNECTING, CLIENT_PLAIN),
            *_client_selectors(keys, client),
            *job_rules(keys.hub_id, role, jobs),
        ]
    everything = f"{keys.prefix}*"
    if role == "inspector":
        return [*rules, f"%R~{everything}", *allowed(CONNECTING, LOOKING), *job_rules(keys.hub_id, role, jobs)]
    return [
        *rules,
        f"~{everything}",
        *allowed(CONNECTING, WORKING, script_commands()),
        *job_rules(keys.hub_id, role, jobs),
    ]


def _client_selectors(keys: Keys, client: str) -> list[str]:
    def of(kind: str) -> str:
        named = client and kind in ("sender:*", "reply:*")
        return f"{keys.prefix}{kind[:-1]}{client}.*" if named else f"{keys.prefix}{kind}"

    declared = tuple(dict.fromkeys(kind for kinds in CLIENT_SCRIPTS.values() for kind in kinds))
    reading = [
        selector([f"%R~{of(kind)}" for kind in kinds], commands)
        for kinds, commands in ((CLIENT_READ_KEYS, CLIENT_READS), (CLIENT_DORMANT_KEYS, CLIENT_DORMANT_READS))
    ]
    writing = [
        selector([f"~{of(kind)}" for kind in kinds], commands)
        for commands, kinds in ((("evalsha",), declared), *CLIENT_WRITES)
    ]
    return [*reading, *writing]


def _rules_of_redis6(keys: Keys, role: str, jobs: Jobs) -> list[str]:
    """Redis 6.2 has no selectors: whoever may send may do all that a worker may. An inspector has no command that writes."""
    patterns, of_jobs = job_rules_of_redis6(keys.hub_id, role, jobs)
    patterns = [f"~{keys.prefix}*", *patterns]
    if role == "inspector":
        return [*patterns, *allowed(CONNECTING, LOOKING, of_jobs)]
    return [*patterns, *allowed(CONNECTING, WORKING, script_commands(), of_jobs)]
