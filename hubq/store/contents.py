"""What is in a key, whatever its type: read in parts, written somewhere else, and summed up. It is for keys that nobody else changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from hubq.errors import HubqError
from hubq.store.command import Command, plain, text
from hubq.store.connection import SyncRedis

#: Entries that are read and written at a time.
AT_ONCE = 200
_BYTES = 1 << 20

_LENGTHS = {"hash": "HLEN", "zset": "ZCARD", "stream": "XLEN", "list": "LLEN"}


class About(NamedTuple):
    """A key: its type ("none": it is not there), and the ms that it lives still (-1: for good)."""

    type: str
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Part:
    """Some entries of a key. ``last_id``: of a stream whose last entry may be gone, and only in the last part of it.

    An entry of a hash is (field, value), of a sorted set (member, score), of a stream (id, name, value, name, value...), of a list or a
    string (value,).
    """

    type: str
    entries: Sequence[tuple[bytes, ...]]
    last_id: bytes = b""


def about(redis: SyncRedis, keys: Sequence[str]) -> list[About]:
    """Type and life of each key."""
    asked = [plain(word, key, read=_as_it_is) for key in keys for word in ("TYPE", "PTTL")]
    found = redis.run_many(asked) if asked else []
    return [About(text(kind), int(ttl)) for kind, ttl in zip(found[::2], found[1::2], strict=True)]


def _as_it_is(found: Any) -> Any:
    return found


def scanned(redis: SyncRedis, prefix: str) -> list[str]:
    """The names of all keys with this prefix, without it."""
    pattern = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in prefix) + "*"
    names: set[str] = set()
    for page in _pages(redis, "SCAN", "MATCH", pattern):
        names.update(text(key).removeprefix(prefix) for key in page)
    return sorted(names)


def parts_of(redis: SyncRedis, key: str, kind: str) -> Iterator[Part]:
    """What is in a key of this type. Raises :class:`~hubq.errors.HubqError` if not all could be read."""
    read = 0
    for part in _READ[kind](redis, key) if kind in _READ else _refused(key, kind):
        read += len(part.entries)
        yield part
    if kind in _LENGTHS:
        length = redis.run(plain(_LENGTHS[kind], key, read=int))
        # (A key with a time to live may have gone meanwhile.)
        if length not in (read, 0):
            raise HubqError(
                f"{key} has {length} entries, and {read} could be read: somebody writes to it; run it again"
            )


def writing(key: str, part: Part) -> list[Command[Any]]:
    """The commands that add a part to a key."""
    entries = part.entries
    match part.type:
        case "hash" if entries:
            return [
                plain("HSET", key, *(each for entry in some for each in entry), read=int) for some in _bounded(entries)
            ]
        case "zset" if entries:
            return [plain("ZADD", key, *(each for member, score in entries for each in (score, member)), read=int)]
        case "list" if entries:
            return [plain("RPUSH", key, *(value for (value,) in entries), read=int)]
        case "string":
            return [plain("SET", key, value, read=text) for (value,) in entries]
        case "stream":
            adds = [plain("XADD", key, *entry, read=_as_it_is) for entry in entries]
            if part.last_id:
                adds += [
                    plain("XADD", key, part.last_id, "x", "", read=_as_it_is),
                    plain("XDEL", key, part.last_id, read=_as_it_is),
                ]
            return adds
    return []


def _bounded(entries: Sequence[tuple[bytes, ...]]) -> Iterator[list[tuple[bytes, ...]]]:
    """Entries for one command each: of at most a megabyte, if they are not larger by themselves."""
    some: list[tuple[bytes, ...]] = []
    size = 0
    for entry in entries:
        size += sum(map(len, entry))
        if some and size > _BYTES:
            yield some
            some, size = [], sum(map(len, entry))
        some.append(entry)
    yield some


def digest(*parts: bytes) -> int:
    """A number for what these parts are. Those of all entries, added up, stand for all of them in any order."""
    made = blake2b(digest_size=16)
    for part in parts:
        made.update(b"%d:" % len(part))
        made.update(part)
    return int.from_bytes(made.digest(), "big")


def _pages(redis: SyncRedis, command: str, *arguments: str) -> Iterator[list[bytes]]:
    before = arguments[:1] if command != "SCAN" else ()
    cursor = "0"
    while True:
        asked = plain(command, *before, cursor, *arguments[len(before) :], "COUNT", AT_ONCE, read=_as_it_is)
        at, page = redis.run(asked)
        yield page
        cursor = text(at)
        if cursor == "0":
            return


def _scanned_pairs(command: str, kind: str) -> Any:
    def read(redis: SyncRedis, key: str) -> Iterator[Part]:
        seen: set[bytes] = set()  # the command may name a field twice
        for page in _pages(redis, command, key):
            new = [
                (bytes(page[n]), _score(page[n + 1]) if kind == "zset" else bytes(page[n + 1]))
                for n in range(0, len(page), 2)
                if bytes(page[n]) not in seen
            ]
            seen.update(name for name, _ in new)
            for first in range(0, len(new), AT_ONCE):
                yield Part(kind, new[first : first + AT_ONCE])

    return read


def _score(found: Any) -> bytes:
    """Versions of Redis write the same number in several ways."""
    value = float(found)
    return b"%d" % value if value.is_integer() and abs(value) < 1 << 53 else repr(value).encode()


def _stream(redis: SyncRedis, key: str) -> Iterator[Part]:
    last = b""
    while True:
        first = f"({text(last)}" if last else "-"
        page = redis.run(plain("XRANGE", key, first, "+", "COUNT", AT_ONCE, read=lambda found: found or []))
        if not page:
            break
        last = bytes(page[-1][0])
        yield Part("stream", [(bytes(entry), *map(bytes, fields or ())) for entry, fields in page])
    told = redis.run(plain("XINFO", "STREAM", key, read=_as_it_is))
    ended = bytes(dict(zip(map(text, told[::2]), told[1::2], strict=True))["last-generated-id"])
    yield Part("stream", [], b"" if ended in (last, b"0-0") else ended)


def _list(redis: SyncRedis, key: str) -> Iterator[Part]:
    first = 0
    while True:
        asked = plain("LRANGE", key, first, first + AT_ONCE - 1, read=_as_it_is)
        page = redis.run(asked)
        if not page:
            return
        yield Part("list", [(bytes(value),) for value in page])
        first += len(page)


def _string(redis: SyncRedis, key: str) -> Iterator[Part]:
    found = redis.run(plain("GET", key, read=_as_it_is))
    if found is not None:
        yield Part("string", [(bytes(found),)])


def _refused(key: str, kind: str) -> Iterator[Part]:
    raise HubqError(f"{key} is a {kind}: hubq writes no such key; rename or delete it, and run it again")


_READ: dict[str, Any] = {
    "hash": _scanned_pairs("HSCAN", "hash"),
    "zset": _scanned_pairs("ZSCAN", "zset"),
    "stream": _stream,
    "list": _list,
    "string": _string,
    "none": lambda redis, key: iter(()),
}
