"""What a message carries besides its method and arguments, if it carries anything: who waits behind it, and its key.

It stands in front of the payload of a message of the kind ``headed``. A message without it is as if there were no headers.
"""

from __future__ import annotations

import msgspec

#: The tag of a payload with a header in front: ``h``, a line of JSON, then the payload proper.
TAG = b"h"
#: The longest header that is read, bytes: a chain of a thousand children.
MOST = 1_000_000


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A child that waits for an answer, at most until ``until`` (ms, by the clock of its node)."""

    child: str
    until: int


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """``chain``: the children that wait for this call, the first caller first. ``key``: the message is run once under it (empty:
    it has none); its outcome is kept for ``keep`` ms.

    >>> Header.split(Header(key="order-7", keep=1000).before(b"p..."))
    (Header(chain=(), key='order-7', keep=1000), b'p...')
    """

    chain: tuple[Waiting, ...] = ()
    key: str = ""
    keep: int = 0

    def before(self, payload: bytes) -> bytes:
        """A payload with this header in front."""
        return TAG + msgspec.json.encode(self) + b"\n" + payload

    @classmethod
    def split(cls, data: bytes) -> tuple[Header, bytes]:
        """The reverse of :meth:`before`. Raises ``ValueError``: there is no header in front.

        >>> Header.split(b"garbage")
        Traceback (most recent call last):
        ValueError: no header in front of the payload
        """
        end = data.find(b"\n", 0, MOST)
        if data[:1] != TAG or end < 0:
            raise ValueError("no header in front of the payload")
        try:
            header = msgspec.json.decode(memoryview(data)[1:end], type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(f"no header in front of the payload ({error})") from None
        if not 0 <= header.keep < 1 << 53 or (header.key and not header.keep):
            raise ValueError(f"a key that is kept for {header.keep} ms")
        return header, data[end + 1 :]
