"""A saved state in ``msk``: a line people can read, then the tagged bytes of the state."""

from __future__ import annotations

import re

import msgspec
from msgspec.structs import replace

VERSION = 1

_VERSION = b"%d" % VERSION
_LINE = re.compile(rb"(\d{1,9}) (attributes|handed) (\d{1,20}-\d{1,20}|[-0]?)")


def written(form: str, cursor: str, data: bytes) -> bytes:
    """An envelope as bytes for the ``msk`` hash.

    >>> written("attributes", "7-0", b"p...")
    b'1 attributes 7-0\np...'
    """
    return f"{VERSION} {form} {cursor}\n".encode() + data


class Envelope(msgspec.Struct, frozen=True, gc=False):  # (it refers to no object that could refer to it)
    """``form`` is "attributes" (the child's attributes) or "handed" (what ``prepare_handover_state`` returned).

    ``cursor`` is the mailbox entry of the last message the state holds. ``malformed`` says why it is no saved state (empty:
    it is one): then ``data`` is all that stands there. Its child is parked, and what stands there is left alone.

    >>> Envelope.read(Envelope("attributes", "7-0", b"p...").written())
    Envelope(form='attributes', cursor='7-0', data=b'p...', malformed='')
    >>> Envelope.read(b"garbage").malformed
    'no saved state (version form cursor)'
    """

    form: str
    cursor: str
    data: bytes
    malformed: str = ""

    @property
    def has_version(self) -> bool:
        """Whether a version stands before the data, if that has no seal. Without one it is of version 1, which each class knows."""
        return self.data[:1] == b"v"

    def with_data(self, data: bytes) -> Envelope:
        """The same with other data: sealed, or opened."""
        return replace(self, data=data)

    def written(self) -> bytes:
        """The envelope as bytes for the ``msk`` hash."""
        return written(self.form, self.cursor, self.data)

    @classmethod
    def read(cls, data: bytes) -> Envelope:
        """The reverse of :meth:`written`. It never raises."""
        line, _, state = data.partition(b"\n")
        found = _LINE.fullmatch(line)
        if found is None:
            return cls("", "", data, "no saved state (version form cursor)")
        version, form, cursor = found.groups()
        if version != _VERSION:
            return cls("", "", data, f"a saved state of version {version.decode()}: it was written by a newer hubq")
        return cls(form.decode(), cursor.decode(), state)
