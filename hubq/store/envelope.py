"""A saved state in ``msk``: a line people can read, then the tagged bytes of the state."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1


@dataclass(frozen=True, slots=True)
class Envelope:
    """``form`` is "attributes" (the child's attributes) or "handed" (what ``prepare_handover_state`` returned).

    ``cursor`` is the mailbox entry of the last message the state holds.

    >>> Envelope.read(Envelope("attributes", "7-0", b"p...").written())
    Envelope(form='attributes', cursor='7-0', data=b'p...')
    """

    form: str
    cursor: str
    data: bytes

    def written(self) -> bytes:
        """The envelope as bytes for the ``msk`` hash."""
        return f"{VERSION} {self.form} {self.cursor}\n".encode() + self.data

    @classmethod
    def read(cls, data: bytes) -> Envelope:
        """The reverse of :meth:`written`."""
        line, _, state = data.partition(b"\n")
        version, form, cursor = line.decode().split(" ")
        if version != str(VERSION):
            raise ValueError(f"saved state of version {version}: it was written by a newer hubq")
        return cls(form, cursor, state)
