"""How a child's spec stands in Redis: one line of JSON that people can read, then the pickled arguments."""

from __future__ import annotations

import re
from sys import intern

import msgspec
from msgspec.structs import replace

from hubq.core.malformed import reason
from hubq.core.wish import Wish

_NONE: dict[str, object] = {}
_START_ID = re.compile(rb'"start_id":"([^"]*)"')


class SpecRecord(
    msgspec.Struct, frozen=True, omit_defaults=True, gc=False
):  # (it refers to no object that could refer to it)
    """A stored spec. ``start_id`` is unique to the request that wrote it; ``place`` is the line of a ``Wish``, if it has one.

    ``malformed`` says why what stands there is no spec (empty: it is one). Such a child is parked, and can be stopped.

    >>> record = SpecRecord(name="Room", module="app", start_id="s:1", arguments=b"p...")
    >>> SpecRecord.read(record.written()) == record
    True
    """

    name: str
    module: str
    start_id: str
    restart: str = ""
    metadata: dict[str, object] = {}
    arguments: bytes = b""
    place: str = ""
    malformed: str = ""

    def started_by(self, start_id: str) -> SpecRecord:
        """The same with the id of the request that writes it."""
        return replace(self, start_id=start_id)

    def with_arguments(self, arguments: bytes) -> SpecRecord:
        """The same with other arguments: sealed ones."""
        return replace(self, arguments=arguments)

    def line(self) -> bytes:
        """The line that people can read."""
        return _encode_line(_Line(self.name, self.module, self.start_id, self.restart, self.metadata, self.place))

    def written(self) -> bytes:
        """The record as bytes for the ``children`` hash."""
        return self.line() + b"\n" + self.arguments

    @classmethod
    def read(cls, data: bytes) -> SpecRecord:
        """The reverse of :meth:`written`. It never raises.

        >>> SpecRecord.read(b'{"name": "Room"').malformed
        'DecodeError: Input data was truncated'
        """
        line, _, arguments = data.partition(b"\n")
        try:
            head = _decode_line(line)
            if head.place:
                Wish.read(head.place)
        except Exception as error:
            # The script that deletes a spec looks for its start id, wherever it stands.
            found = _START_ID.search(data)
            start_id = found[1].decode("utf-8", "backslashreplace") if found else ""
            return cls("?", "", start_id, malformed=reason(error))
        # Many children share these words: a node with a million of them keeps each word once.
        return cls(
            intern(head.name), intern(head.module), intern(head.start_id), intern(head.restart),
            head.metadata or _NONE, arguments, head.place,
        )  # fmt: skip


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    module: str
    start_id: str
    restart: str = ""
    metadata: dict[str, object] = {}
    place: str = ""


_encode_line = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(_Line).decode
