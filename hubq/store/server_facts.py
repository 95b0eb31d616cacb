"""What Redis says of itself, and which keys of a hub there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubq.store.command import Command, plain, text
from hubq.store.keys import Keys


def read_server_info(section: str) -> Command[dict[str, str]]:
    """A section of INFO. (CONFIG GET would say more, and the password of Redis as well: no user of a hub may have it.)"""

    def read(answer: Any) -> dict[str, str]:
        lines = (line.partition(":") for line in text(answer).splitlines() if ":" in line)
        return {name: value for name, _, value in lines}

    return plain("INFO", section, read=read)


def scan_keys(keys: Keys, cursor: str) -> Command[tuple[str, list[str]]]:
    """Some keys of the hub, without blocking Redis: (next cursor, keys); the cursor ``0`` begins and ends."""
    pattern = _escaped(keys.prefix) + "*"
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
    return family in ("batch", "result") or rest in keys.fixed  # (a result may be kept for ever: result_ttl=-1)


def _escaped(literal: str) -> str:
    return "".join("\\" + character if character in "*?[]\\^" else character for character in literal)
