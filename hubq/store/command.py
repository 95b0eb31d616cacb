"""A command is described once, as data; :mod:`hubq.store.connection` runs it, waiting or awaiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from hubq.core.malformed import Malformed, Table
from hubq.store.scripts import SCRIPTS, Script

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
T_co = TypeVar("T_co", covariant=True)
Arg = bytes | str | int | float


def text(value: Any) -> str:
    """What Redis answered, as text. Bytes that are not UTF-8 are shown, so that no listing and no loop fails on them.

    >>> text(b"ok"), text(3), text(b"a\xff")
    ('ok', '3', 'a\\xff')
    """
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("utf-8", "backslashreplace")


class Command(
    msgspec.Struct, Generic[T_co], frozen=True
):  # (several for each message: a dataclass takes 20 times as long)
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

    data: bytes | None = None
    """``args`` as they travel, if they are packed already."""


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


def table(
    key: str, items: Iterable[tuple[Any, bytes | None]], read: Callable[[str, bytes], tuple[K, V] | None]
) -> Table[K, V]:
    """What can be read of a hash: ``read`` makes an entry of a field and its value, None for one to be passed over. A field
    for which it raises, or which is no UTF-8, is malformed; the others are not touched by it.

    >>> table("k", [(b"a", b"1"), (b"b", b"x"), (b"c", None)], lambda field, value: (field, int(value))).malformed
    (Malformed(place="field 'b' of k", why="ValueError: invalid literal for int() with base 10: b'x'"),)
    """
    found: list[tuple[K, V]] = []
    malformed: list[Malformed] = []
    for field, value in items:
        if value is None:
            continue
        try:
            entry = read(field if isinstance(field, str) else field.decode(), value)
        except Exception as error:
            malformed.append(Malformed.of(f"field {text(field)!r} of {key}", error))
            continue
        if entry is not None:
            found.append(entry)
    return Table(found, malformed)


def whole_table(key: str, flat: Sequence[Any] | None, read: Callable[[str, bytes], tuple[K, V] | None]) -> Table[K, V]:
    """The same for the flat answer of HGETALL or HSCAN."""
    items = flat or ()
    return table(key, zip(items[::2], items[1::2], strict=True), read)


def one_of(read: Callable[[Any], T], default: T) -> Callable[[Any], T]:
    """Reads one value; the default if there is none, or none that can be read.

    >>> one_of(int, 0)(b"7"), one_of(int, 0)(b"x"), one_of(int, 0)(None)
    (7, 0, 0)
    """

    def read_it(data: Any) -> T:
        if data is None:
            return default
        try:
            return read(data)
        except Exception:
            return default

    return read_it


def pairs(flat: Sequence[Any] | None) -> dict[str, bytes]:
    """The flat answer of HGETALL as a dict.

    >>> pairs([b"a", b"1"])
    {'a': b'1'}
    """
    items = flat or []
    return {text(items[i]): items[i + 1] for i in range(0, len(items), 2)}
