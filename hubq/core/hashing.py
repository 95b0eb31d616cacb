"""Which shard a child belongs to, and where points lie on the ring."""

from __future__ import annotations

from hashlib import blake2b
from zlib import crc32

from hubq.errors import InvalidChildId

#: The longest child id, in bytes of UTF-8.
MAX_CHILD_ID_BYTES = 512
#: Of so many children the shards are kept at hand. (Each takes some 150 bytes.)
AT_HAND = 10_000


def shard_of(child_id: str, shards: int) -> int:
    """The shard of a child: ``crc32(child_id) % shards``, fixed for the life of the hub.

    >>> shard_of("room-1", 64)
    6
    """
    return crc32(child_id.encode()) % shards


class ShardsAtHand(dict[str, int]):
    """The shards of the children that a client has sent to lately. To ask for a child checks its id, as :func:`checked_child_id` does.

    >>> at_hand = ShardsAtHand(64)
    >>> at_hand["room-1"], list(at_hand)
    (6, ['room-1'])
    >>> at_hand[""]
    Traceback (most recent call last):
    hubq.errors.InvalidChildId: child id is empty: give the child a name of 1 to 512 bytes
    """

    __slots__ = ("_shards",)

    def __init__(self, shards: int) -> None:
        super().__init__()
        self._shards = shards

    def __missing__(self, child_id: str) -> int:
        shard = shard_of(checked_child_id(child_id), self._shards)
        if len(self) >= AT_HAND:
            self.clear()
        self[child_id] = shard
        return shard


def checked_child_id(child_id: str) -> str:
    """The id itself, or :class:`InvalidChildId`.

    >>> checked_child_id("room-1")
    'room-1'
    >>> checked_child_id("")
    Traceback (most recent call last):
    hubq.errors.InvalidChildId: child id is empty: give the child a name of 1 to 512 bytes
    """
    plain = type(child_id) is str and child_id.isascii() and child_id.isprintable()
    if plain and 0 < len(child_id) <= MAX_CHILD_ID_BYTES:  # as nearly all are: a byte for each letter
        return child_id
    if not isinstance(child_id, str):
        raise InvalidChildId(f"child id {child_id!r} is a {type(child_id).__name__}: give the child a name (str)")
    if not child_id:
        raise InvalidChildId(f"child id is empty: give the child a name of 1 to {MAX_CHILD_ID_BYTES} bytes")
    try:
        size = len(child_id.encode())
    except UnicodeEncodeError:
        raise InvalidChildId(f"child id {child_id!r} cannot be written as UTF-8: use another name") from None
    if size > MAX_CHILD_ID_BYTES:
        raise InvalidChildId(
            f"child id {child_id[:24]!r}... has {size} bytes, the most is {MAX_CHILD_ID_BYTES}: use a shorter name"
        )
    if not child_id.isprintable():
        raise InvalidChildId(f"child id {child_id!r} has unprintable characters: use another name")
    return child_id


def ring_point(*parts: object) -> int:
    """A place on the ring: 64 bits of BLAKE2b over the parts (the same on every machine and Python)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
