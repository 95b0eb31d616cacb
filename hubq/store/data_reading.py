"""Reading data: MessagePack and JSON, converted as annotations say. Nothing that stands there names a type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hubq.core.arguments import PLAIN, Parameters, Reader, attributes_of, parameters_of
from hubq.core.child import Child
from hubq.errors import BadArguments, Unreadable
from hubq.store import codec
from hubq.store.values import DATA, Arguments

_encode = msgspec.msgpack.Encoder().encode
_split = msgspec.msgpack.Decoder(tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]).decode
_split_json = msgspec.json.Decoder(tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]).decode
_attributes = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


def read_value(data: bytes, function: Callable[..., Any] | None) -> Any:
    """A value, as this function is annotated to return it. (One that is no data is what its tag says: the caller has looked at it.)"""
    reader = PLAIN if function is None else parameters_of(function).result
    if data[:1] == DATA:
        return reader.msgpack(memoryview(data)[1:])
    if data[:1] == b"j":
        return PLAIN.json(memoryview(data)[1:])
    return codec.decode(data)


def read_arguments(data: bytes, parameters: Parameters) -> Arguments:
    """Arguments for these parameters, or :class:`~hubq.errors.BadArguments`."""
    tag = data[:1]
    if tag != DATA and tag != b"j":
        return codec.decode(data)  # type: ignore[no-any-return]
    try:
        args, kwargs = (_split if tag == DATA else _split_json)(memoryview(data)[1:])
    except Exception as error:
        raise BadArguments(f"{parameters.what}: its arguments are malformed ({error})") from None
    return parameters.read(args, kwargs, json=tag == b"j")


def read_state(kind: type[Child], data: bytes, handed: bool, older: bool = False) -> Any:
    """The attributes of a child, or what it has handed over. ``older``: an older version of the class has written it, and what its
    annotations do not read now, or not wholly, is plain. Raises :class:`~hubq.errors.Unreadable`.
    """
    body = memoryview(data)[1:]
    if handed:
        result = parameters_of(kind.prepare_handover_state).result
        return older_value(result, body) if older else result.msgpack(body)
    readers = attributes_of(kind)
    state: dict[str, Any] = {}
    name = ""
    try:
        for name, raw in _attributes(body).items():
            reader = readers.get(name, PLAIN)
            state[name] = older_value(reader, raw) if older else reader.msgpack(raw)
    except Exception as error:
        raise Unreadable(f"attribute {name!r} of {kind.__name__} cannot be read as it is annotated ({error})") from None
    return state


# -- of an older version of the class ------------------------------------------------------------------------------


def older_value(reader: Reader, raw: Any) -> Any:
    """A value as its annotation says now. A plain one, if the annotation does not read it, or would drop fields of it."""
    plain = PLAIN.msgpack(raw)
    if reader is PLAIN:
        return plain
    try:
        value = reader.msgpack(raw)
        return plain if _drops(plain, PLAIN.msgpack(_encode(value))) else value
    except Exception:
        return plain


def _drops(plain: Any, kept: Any) -> bool:
    """Whether a dict somewhere in a value has a key that it has not in what is kept of it.

    >>> _drops([{"price": 1.5}], [{"cents": 0}]), _drops([{"price": 1.5}], [{"price": 1.5, "note": ""}])
    (True, False)
    """
    if isinstance(plain, dict) and isinstance(kept, dict):
        return any(name not in kept or _drops(value, kept[name]) for name, value in plain.items())
    if isinstance(plain, list) and isinstance(kept, list):
        return len(plain) == len(kept) and any(map(_drops, plain, kept))
    return False


def upgraded_state(kind: type[Child], state: Any, handed: bool) -> Any:
    """What ``upgrade_state`` has returned, as the annotations of the class say. Raises :class:`~hubq.errors.Unreadable`."""
    if handed:
        reader = parameters_of(kind.prepare_handover_state).result
        return _converted(reader, state, lambda: f"upgrade_state of {kind.__name__} returned")
    readers, transient = attributes_of(kind), kind.transient
    return {
        name: _converted(
            PLAIN if name in transient else readers.get(name, PLAIN),
            value,
            lambda name=name: f"attribute {name!r} of {kind.__name__}: upgrade_state returned",  # type: ignore[misc]
        )
        for name, value in state.items()
    }


def _converted(reader: Reader, value: Any, where: Callable[[], str]) -> Any:
    if reader is PLAIN:
        return value
    try:
        return reader.msgpack(_encode(value))
    except Exception as error:
        raise Unreadable(f"{where()} a {type(value).__name__} that does not fit its annotation ({error})") from None
