"""A command is described once, as data; :mod:`hubq.store.connection` runs it, waiting or awaiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hubq.store.scripts import SCRIPTS, Script

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Arg = bytes | str | int | float


def text(value: Any) -> str:
    """What Redis answered, as text.

    >>> text(b"ok"), text(3)
    ('ok', '3')
    """
    return value.decode() if isinstance(value, bytes) else str(value)


@dataclass(frozen=True, slots=True)
class Command(Generic[T_co]):
    """What to send to Redis, and how to read the answer (RESP2, unparsed).

    Every script of hubq may be sent twice: the second time changes nothing, or tells that it was the second.
    """

    args: Sequence[Arg]
    read: Callable[[Any], T_co]
    script: Script | None = None
    blocks: bool = False
    """Whether Redis may hold the answer back (``BLOCK``, ``BLPOP``): it must not share a connection."""


def run_script(name: str, keys: Sequence[str], args: Sequence[Arg], read: Callable[[Any], T]) -> Command[T]:
    """The command that runs one of our scripts.

    ``keys``: those that it writes, and one at least. What it only reads it names by itself: Redis asks for the right to write
    every key that is given to EVALSHA, and a web app has none to ``owners`` or ``partitioned`` (``hubq acl``).
    """
    script = SCRIPTS[name]
    return Command(("EVALSHA", script.sha, len(keys), *keys, *args), read, script)


def plain(*args: Arg, read: Callable[[Any], T], blocks: bool = False) -> Command[T]:
    """Any other Redis command."""
    return Command(args, read, None, blocks)


def pairs(flat: Sequence[Any] | None) -> dict[str, bytes]:
    """The flat answer of HGETALL as a dict.

    >>> pairs([b"a", b"1"])
    {'a': b'1'}
    """
    items = flat or []
    return {text(items[i]): items[i + 1] for i in range(0, len(items), 2)}
