"""All that reads what others have written, for :mod:`tests.simulation.fuzz_coverage`: nothing is raised but what is meant to be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hubq import BadArguments, Child
from hubq.core.feed import RETRACT
from hubq.core.messages import from_fields
from hubq.errors import Unreadable, Unsealed
from hubq.jobs.serializer import read
from hubq.store import viewer
from hubq.store.data_values import DataValues
from hubq.store.dormant import parted
from hubq.store.envelope import Envelope
from hubq.store.feeds import read_item
from hubq.store.keyring import Keyring, new_keys
from hubq.store.message import message_of
from hubq.store.replies import read_reply, read_started
from hubq.store.seal import Seal
from hubq.store.spec_record import SpecRecord


class Room(Child):
    posts: list[str]

    async def post(self, text: str, times: int = 1, *, tags: dict[str, list[int]] | None = None) -> str:
        return text * times


VALUES = DataValues(sealed=True)
ROOT = Keyring.read(new_keys())
SEALS = [Seal("chat", ROOT, writes=True, required=required) for required in (True, False)]
NAMES = (b"kind", b"child", b"method", b"id", b"reply_to", b"deadline", b"payload")


def _message(data: bytes) -> None:
    fields = [part for pair in zip(NAMES, data.split(b"\xff", 6), strict=False) for part in pair]
    for seal in SEALS:
        seal.opens([message_of(b"7-0", fields)])


def _control(data: bytes) -> None:
    parts = data.decode("utf-8", "replace").split("\x00")
    message: Any = from_fields(dict(zip(parts[::2], parts[1::2], strict=False)))
    if hasattr(message, "asked"):
        SEALS[0].proves(message)


def _reply(data: bytes) -> None:
    if (found := read_reply(data)) is not None:
        read_reply(data, "shop.5f", SEALS[1])
        read_started(found[3])


def _kept(data: bytes) -> None:
    envelope, record = Envelope.read(data), SpecRecord.read(data)
    if not envelope.malformed:
        VALUES.decode_state(Room, SEALS[1].opens_state("room-1", "s:1", envelope.form, envelope.cursor, envelope.data))
    if not record.malformed:
        VALUES.start_arguments(Room, SEALS[1].opens_spec("room-1", record)[0])


def _feed(data: bytes) -> None:
    topic, _, rest = data.partition(b"\xff")
    item = read_item(
        b"7-1", [b"topic", topic or RETRACT.encode(), b"data", rest], lambda _, payload: VALUES.decode(payload)
    )
    if item is not None:
        _ = item.data  # type: ignore[union-attr]


#: Each reader, and what it may raise: its callers expect that.
READERS: list[tuple[Callable[[bytes], object], tuple[type[Exception], ...]]] = [
    (_message, ()),
    (_control, (ValueError, Unsealed)),
    (_reply, (Unsealed, ValueError)),
    (_kept, (Unsealed, Unreadable, BadArguments, ValueError)),
    (_feed, (ValueError,)),
    (lambda data: VALUES.arguments(Room, "post", data), (BadArguments,)),
    (lambda data: read(data, False), (ValueError,)),
    (viewer.look, (ValueError,)),
    (parted, (ValueError,)),
]


def one(data: bytes) -> None:
    """The first byte says who reads the rest."""
    if not data:
        return
    reader, expected = READERS[data[0] % len(READERS)]
    with contextlib.suppress(*expected):
        reader(data[1:])
