"""Specs and states as they stand in Redis, sealed: by which keys, and how they are sealed anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hubq.store.command import Arg, Command, plain, run_script, text
from hubq.store.dormant import parted
from hubq.store.envelope import Envelope
from hubq.store.frames import ENCRYPTED, SIGNED
from hubq.store.seal import Seal
from hubq.store.spec_record import SpecRecord

#: Fields that one command looks at.
PAGE = 200


def scan(key: str, cursor: str) -> Command[tuple[str, dict[str, bytes]]]:
    """Some fields of a hash, and where to go on ("0": these were the last)."""

    def read(answer: Sequence[Any]) -> tuple[str, dict[str, bytes]]:
        after, flat = answer
        pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return text(after), {text(name): value for name, value in pairs}

    return plain("HSCAN", key, cursor, "COUNT", PAGE, read=read)


def write_anew(key: str, changed: Mapping[str, tuple[bytes, bytes]]) -> Command[int]:
    """Write fields anew that stand there still: field -> (before, after). How many."""
    args: list[Arg] = []
    for name, (before, after) in changed.items():
        args += (name, before, after)
    return run_script("reseal_fields", [key], args, int)


def sealed_by(value: bytes) -> tuple[int, bytes]:
    """The number of the key of a spec or a state, and the tag of its form: behind its line. (0, b""): it is not sealed.

    >>> sealed_by(b"1 attributes 7-0\\nx" + bytes([2, 0])), sealed_by(b"1 attributes 7-0\\np..."), sealed_by(b"")
    ((2, b'x'), (0, b''), (0, b''))
    """
    sealed = value.partition(b"\n")[2]
    return (sealed[1], sealed[:1]) if sealed[:1] in (ENCRYPTED, SIGNED) and len(sealed) > 1 else (0, b"")


def parts_of(what: str, value: bytes) -> list[tuple[str, bytes]]:
    """A dormant child is a spec and a state."""
    if what != "dormant":
        return [(what, value)]
    spec, state = parted(value)
    return [("spec", spec), *([("state", state)] if state else [])]


def spec_anew(seal: Seal, child: str, value: bytes) -> bytes:
    """A spec, sealed with the key that writes. Raises :class:`~hubq.errors.Unsealed`."""
    record = SpecRecord.read(value)
    if record.malformed:
        return value
    _, arguments = seal.opens_any(record.arguments, "spec", child, record.line().decode())
    return seal.spec(child, record.with_arguments(arguments)).written()


def state_anew(seal: Seal, child: str, start_id: str, value: bytes) -> bytes:
    """A state, sealed with the key that writes. Raises :class:`~hubq.errors.Unsealed`."""
    envelope = Envelope.read(value)
    if envelope.malformed:
        return value
    place = (child, start_id, envelope.form, envelope.cursor)
    data = seal.opens_state(*place, envelope.data)
    return envelope.with_data(seal.state(*place, data)).written()


def dormant_anew(seal: Seal, child: str, value: bytes) -> bytes:
    """A dormant child, sealed with the key that writes. Raises :class:`~hubq.errors.Unsealed`."""
    spec, state = parted(value)
    start_id = SpecRecord.read(spec).start_id
    spec = spec_anew(seal, child, spec)
    return b"%d " % len(spec) + spec + (state_anew(seal, child, start_id, state) if state else b"")
