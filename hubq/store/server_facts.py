"""What Redis says of itself, and which keys of a hub there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import Any

from hubq.store.command import Command, plain, text
from hubq.store.keys import Keys

_OF_SHARD = re.compile(r"shard:(\d{1,6}):")


def read_server_info(section: str) -> Command[dict[str, str]]:
    """A section of INFO. (CONFIG GET would say more, and the password of Redis as well: no user of a hub may have it.)"""

    def read(answer: Any) -> dict[str, str]:
        lines = (line.partition(":") for line in text(answer).splitlines() if ":" in line)
        return {name: value for name, _, value in lines}

    return plain("INFO", section, read=read)


def scan_keys(keys: Keys, cursor: str) -> Command[tuple[str, list[str]]]:
    """Some keys of the hub, of whichever group, without blocking Redis: (next cursor, keys); the cursor ``0`` begins and ends."""
    pattern = _escaped(f"hubq:{{{keys.hub_id}") + "[:}]*"
    return plain(
        "SCAN", cursor, "MATCH", pattern, "COUNT", 1000,
        read=lambda answer: (text(answer[0]), [text(key) for key in answer[1]]),
    )  # fmt: skip


def read_ttl(key: str) -> Command[int]:
    """Seconds until a key expires; -1: never, -2: it is gone."""
    return plain("TTL", key, read=int)


def is_known(keys: Keys, key: str, shards: int, nodes: Callable[[str], bool]) -> bool:
    """Whether a key of the hub belongs to something: a fixed key, one of an existing shard, or of a live node.

    >>> known = lambda key: is_known(Keys("chat"), "hubq:{chat}:" + key, 64, {"a"}.__contains__)
    >>> [known(key) for key in ("owners", "shard:3:msk", "shard:64:msk", "node:a:mailbox", "node:b:mailbox", "x")]
    [True, True, False, True, False, False]
    """
    rest = key.removeprefix(keys.prefix)
    family, _, named = rest.partition(":")
    if family == "shard":
        number, _, what = named.partition(":")
        return number.isdigit() and int(number) < shards and bool(what)
    if family == "node":
        return nodes(named.rpartition(":")[0])
    if family in ("aside", "coming", "regroup"):  # (see hubq.store.moves)
        return True
    return family in ("batch", "result") or rest in keys.fixed  # (a result may be kept for ever: result_ttl=-1)


def is_misplaced(keys: Keys, key: str, shards: range, tags: Container[str]) -> bool:
    """Whether a key is of a shard that is in another group, or of a group that the hub does not have. ``shards``: those of the group;
    ``tags``: those of all groups.

    >>> keys, tags = Keys("chat", 1, 4), {"chat", "chat:1.25", "chat:2.8", "chat:3.65"}
    >>> of_other, own, of_neighbour, of_none = ("{chat:1.25}:shard:2:msk", "{chat:1.25}:owners", "{chat:2.8}:owners", "{chat:1.7}:owners")
    >>> [is_misplaced(keys, f"hubq:{key}", range(1, 64, 4), tags) for key in (of_other, own, of_neighbour, of_none)]
    [True, False, False, True]
    """
    tag = key.removeprefix("hubq:{").partition("}")[0]
    if tag != keys.tag:
        return tag not in tags
    found = _OF_SHARD.match(key.removeprefix(keys.prefix))
    return found is not None and int(found[1]) not in shards


def _escaped(literal: str) -> str:
    return "".join("\\" + character if character in "*?[]\\^" else character for character in literal)
