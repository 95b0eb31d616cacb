"""Whether a hub has its quorum: the roll that its nodes keep, and the key that stands while it has not."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hubq.core.malformed import whole_number
from hubq.core.quorum import Roll
from hubq.store.command import Arg, Command, plain, run_script, text
from hubq.store.keys import Keys


def read_epoch(keys: Keys) -> Command[int]:
    """The membership epoch, 0 for a hub that is new. Read it before the members: they are then not older."""
    return plain("GET", keys.epoch, read=whole_number)


def read_roll(keys: Keys) -> Command[bytes]:
    """The roll as it stands there; empty: none."""
    return plain("GET", keys.quorum, read=lambda answer: answer or b"")


def roll_of(data: bytes) -> Roll:
    """The roll that stands there; an empty one, as in a hub that is new, if it cannot be read.

    >>> roll_of(b"").changes, roll_of(written(Roll(changes=7, sizes=((1000, 2),)))).sizes
    (0, ((1000, 2),))
    """
    try:
        return msgspec.json.decode(data, type=Roll) if data else Roll()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Roll()


def written(roll: Roll) -> bytes:
    """The reverse of :func:`roll_of`."""
    return msgspec.json.encode(roll)


def read_partitioned(keys: Keys) -> Command[str]:
    """Since when the hub has no quorum, with how many nodes, and how many it needs; empty while it has one."""
    return plain("GET", keys.partitioned, read=lambda answer: text(answer or b""))


def settle_quorum(
    keys: Keys, epoch: int, before: bytes, after: Roll, why: str, event: Mapping[str, object], events_kept: int
) -> Command[bool]:
    """Write down the roll, and whether the hub is partitioned (``why`` not empty). False: the members have changed since
    ``epoch``, or somebody else has written; look again.
    """
    args: list[Arg] = [epoch, before, written(after), why, events_kept]
    for name, value in event.items():
        args += (name, str(value))
    names = [keys.epoch, keys.quorum, keys.partitioned, keys.events]
    return run_script("settle_quorum", names, args, lambda answer: text(answer) == "ok")


def forget_quorum(keys: Keys) -> Command[None]:
    """The hub keeps no quorum (any more)."""
    return plain("DEL", keys.partitioned, keys.quorum, read=lambda answer: None)
