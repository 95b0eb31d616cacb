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

    again: Callable[[list[str]], Command[T_co]] | None = None
    """For a script that may need keys which only data names: the command with the keys of these names."""


def run_script(
    name: str,
    keys: Sequence[str],
    args: Sequence[Arg],
    read: Callable[[Any], T],
    again: Callable[[list[str]], Command[T]] | None = None,
) -> Command[T]:
    """The command that runs one of our scripts.

    ``keys``: every key that it writes, and one at least (docs/adr/0008). A key that a web app may only read (``owners``,
    ``partitioned``: ``hubq acl``) goes to its scripts as an argument: Redis asks for the right to write every key that is
    given to EVALSHA.

    ``again``: a script that finds out from data what else it must write (the mailbox of an owner, the replies of a caller)
    writes nothing and answers ``needs`` with the names; the executor then sends the command that ``again`` makes of them.
    """
    script = SCRIPTS[name]
    return Command(("EVALSHA", script.sha, len(keys), *keys, *args), read, script, again=again)


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
