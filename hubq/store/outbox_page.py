"""A part of an outbox as it was read: what others wrote into it is passed over by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hubq.core.malformed import Malformed
from hubq.store.command import Command, pairs, plain, text

T = TypeVar("T")

#: What an entry must have.
FIELDS = ("shard", "sender", "child", "method", "payload", "spec")


@dataclass(frozen=True, slots=True)
class OutboxPage(Generic[T]):
    """``found``: entry -> what was read of it. ``malformed``: entry -> what is wrong with it. ``last``: the last entry that was read;
    empty if there was none.
    """

    found: dict[str, T]
    malformed: dict[str, Malformed]
    last: str


def read_page(
    key: str, answer: Any, shards: range, parse: Callable[[str, int, Mapping[str, bytes]], T]
) -> OutboxPage[T]:
    """Read entries. ``shards``: those that messages may be for. ``parse(entry, shard, fields)`` may raise ``ValueError`` or ``KeyError``.

    >>> page = read_page("k", [(b"1-0", [b"shard", b"x"]), (b"2-0", [b"x", b"y"])], range(2), lambda entry, shard, fields: shard)
    >>> page.found, sorted(page.malformed), page.last
    ({}, ['1-0', '2-0'], '2-0')
    """
    found: dict[str, T] = {}
    malformed: dict[str, Malformed] = {}
    last = ""
    for entry, fields in answer or ():
        last = text(entry)
        try:
            given = pairs(fields)
            missing = [name for name in FIELDS if name not in given]
            if missing:
                raise ValueError(f"no {missing[0]}")
            shard = int(given["shard"])
            if shard not in shards:
                raise ValueError(f"shard {shard} is none that it could be for")
            found[last] = parse(last, shard, given)
        except (ValueError, KeyError) as error:
            malformed[last] = Malformed.of(f"entry {last} of {key}", error)
    return OutboxPage(found, malformed, last)


def delete_malformed(key: str, page: OutboxPage[Any]) -> Command[int]:
    """Delete what could not be read: it would be read again for ever."""
    return plain("XDEL", key, *page.malformed, read=int)
