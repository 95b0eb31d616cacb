"""Every key of a hub belongs to something alive or has a TTL: the walk that finds those that do not."""

from __future__ import annotations

import re
from typing import Any

from hubq.core.hashing import shard_of
from hubq.core.layout import shards_of
from hubq.store.command import pairs, plain, text
from hubq.store.connection import SyncRedis
from hubq.store.keys import Keys, split_owner_field

#: Keys that a hub has for as long as it exists (docs/keys.md).
FIXED = {"config", "epoch", "owners", "events", "quorum", "partitioned", "pauses"}
SHARD = re.compile(r"^shard:(\d+):(mailbox|children|msk|backlog|parked|dead)$")
NUMBER = re.compile(r"^shard:(\d+):outbox:(\d+):number$")
#: What a node has as long as it is a member.
SAID = re.compile(r"^node:(.+):said$")
FEED = re.compile(r"^shard:(\d+):feed:(.+)$")


def stray_keys(redis: SyncRedis, hub_id: str, shards: int, group: int = 0, groups: int = 1) -> list[str]:
    """One line for each key, or field of a key, that belongs to nothing alive and will not go by itself.

    Call it when nothing is sent and no node is in the middle of something. Of a hub with several groups it reads one: ``redis`` is
    where that group is.
    """
    keys, own = Keys(hub_id, group, groups), shards_of(group, groups, shards)
    found: list[str] = []
    for key in _scan(redis, keys.prefix.replace("[", "\\[") + "*"):
        name = key[len(keys.prefix) :]
        if name in FIXED or _run(redis, "PTTL", key) > 0:
            continue
        if name in ("nodes", "leases"):
            continue  # compared below
        if (feed := FEED.match(name)) is not None and _run(redis, "HEXISTS", keys.children(int(feed[1])), feed[2]):
            continue
        if (said := SAID.match(name)) is not None and _run(redis, "HEXISTS", keys.nodes, said[1]):
            continue
        far = NUMBER.match(name)
        if far is not None and int(far[1]) in own and int(far[2]) in range(groups) and int(far[2]) != group:
            continue
        match = SHARD.match(name)
        if match is None or int(match[1]) not in own:
            found.append(f"{name}: nothing that lives has such a key, and it has no TTL{_held(redis, key)}")
        elif match[2] == "backlog":
            found += _backlog(redis, keys, int(match[1]))
        elif match[2] in ("children", "msk", "parked"):
            found += _fields(redis, keys, int(match[1]), match[2], shards)
    return found + _members(redis, keys, own)


def _run(redis: SyncRedis, *args: Any) -> Any:
    return redis.run(plain(*args, read=lambda answer: answer))


def _held(redis: SyncRedis, key: str) -> str:
    """The content of a hash, to help to find the reason."""
    if text(_run(redis, "TYPE", key)) != "hash":
        return ""
    return (
        f" ({', '.join(f'{name}: {value!r}' for name, value in list(pairs(_run(redis, 'HGETALL', key)).items())[:5])})"
    )


def _scan(redis: SyncRedis, pattern: str) -> list[str]:
    cursor, keys = "0", set[str]()
    while True:
        answer = _run(redis, "SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        keys.update(text(key) for key in answer[1])
        cursor = text(answer[0])
        if cursor == "0":
            return sorted(keys)


def _names(redis: SyncRedis, key: str) -> list[str]:
    return [text(field) for field in _run(redis, "HKEYS", key)]


def _fields(redis: SyncRedis, keys: Keys, shard: int, what: str, shards: int) -> list[str]:
    children = set(_names(redis, keys.children(shard)))
    there = children if what == "children" else set(_names(redis, f"{keys.prefix}shard:{shard}:{what}"))
    found = [f"shard:{shard}:{what}: {child!r} is no child" for child in sorted(there - children)]
    return found + [
        f"shard:{shard}:{what}: {child!r} is of another shard"
        for child in sorted(there) if shard_of(child, shards) != shard
    ]  # fmt: skip


def _backlog(redis: SyncRedis, keys: Keys, shard: int) -> list[str]:
    waiting: dict[str, int] = {}
    for _, fields in _run(redis, "XRANGE", keys.mailbox(shard), "-", "+"):
        child = text(fields[3])
        waiting[child] = waiting.get(child, 0) + 1
    said = {name: int(_run(redis, "HGET", keys.backlog(shard), name)) for name in _names(redis, keys.backlog(shard))}
    return [] if said == waiting else [f"shard:{shard}:backlog says {said}, the mailbox has {waiting}"]


def _members(redis: SyncRedis, keys: Keys, own: range) -> list[str]:
    nodes = set(_names(redis, keys.nodes))
    leases = {text(name) for name in _run(redis, "ZRANGE", keys.leases, 0, -1)}
    found = [f"node {name!r} has no lease, or a lease has no node" for name in sorted(nodes ^ leases)]
    for field in _names(redis, keys.owners):
        shard, child = split_owner_field(field)
        node = text(_run(redis, "HGET", keys.owners, field)).split(" ")[0]
        if child is not None and node not in nodes:
            found.append(f"owners: pin {field!r} belongs to {node!r}, who is gone")
        if shard not in own:
            found.append(f"owners: {field!r} is no shard of these")
    return found
