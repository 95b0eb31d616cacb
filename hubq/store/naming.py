"""How a node names its mailboxes in a read, as it travels: what has not changed since the last read is not packed anew.

A read names every mailbox of the node, and the place in each from which to read. After a message one of the places has changed.
Packing all of them again took half of what a node spends on reading (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Mapping

from hubq.store.command import Arg
from hubq.store.keys import Keys


def chunk(word: Arg) -> bytes:
    """A word of a command as it travels.

    >>> chunk("GET"), chunk(10)
    (b'$3\\r\\nGET\\r\\n', b'$2\\r\\n10\\r\\n')
    """
    data = word if isinstance(word, bytes) else str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


class Naming:
    """The mailboxes that were named last. ``wake`` is one more stream; empty: there is none."""

    def __init__(self, keys: Keys, wake: str) -> None:
        self.wake = wake
        self.names: dict[str, int] = {}
        """Mailbox -> shard."""
        self._keys = keys
        self._shards: tuple[int, ...] | None = None
        self._streams: tuple[str, ...] = ()
        self._head = b""
        self._words: tuple[Arg, ...] = ()
        self._start = b""
        self._places: list[bytes | None] = []
        self._chunks: list[bytes] = []

    def read(self, words: tuple[Arg, ...], cursors: Mapping[int, bytes], woken: bytes) -> tuple[tuple[Arg, ...], bytes]:
        """A command of these words, then all streams, then the place in each: its words, and how it travels."""
        shards = tuple(cursors)
        if shards != self._shards:
            self._name(shards)
        places, chunks = self._places, self._chunks
        for number, place in enumerate(cursors.values()):
            if place is not places[number]:
                places[number], chunks[number] = place, chunk(place)
        if words != self._words:
            self._words, self._start = words, b"".join(map(chunk, words))
        if not self.wake:
            args = (*words, *self._streams, *cursors.values())
            return args, b"".join((b"*%d\r\n" % len(args), self._start, self._head, *chunks))
        args = (*words, *self._streams, *cursors.values(), woken)
        return args, b"".join((b"*%d\r\n" % len(args), self._start, self._head, *chunks, chunk(woken)))

    def _name(self, shards: tuple[int, ...]) -> None:
        self._shards = shards
        self.names = {self._keys.send_keys(shard)[0]: shard for shard in shards}
        self._streams = (*self.names, self.wake) if self.wake else tuple(self.names)
        self._head = b"".join(map(chunk, self._streams))
        self._places = [None] * len(shards)
        self._chunks = [b""] * len(shards)
