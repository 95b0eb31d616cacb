"""Reading data: MessagePack and JSON, converted as annotations say. Nothing that stands there names a type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hubq.core.arguments import PLAIN, Parameters, attributes_of, parameters_of
from hubq.core.child import Child
from hubq.errors import BadArguments, Unreadable
from hubq.store import codec
from hubq.store.values import DATA, Arguments

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


def read_state(kind: type[Child], data: bytes, handed: bool) -> Any:
    """The attributes of a child, or what it has handed over. Raises :class:`~hubq.errors.Unreadable`."""
    body = memoryview(data)[1:]
    if handed:
        return parameters_of(kind.prepare_handover_state).result.msgpack(body)
    readers = attributes_of(kind)
    state: dict[str, Any] = {}
    name = ""
    try:
        for name, raw in _attributes(body).items():
            state[name] = readers.get(name, PLAIN).msgpack(raw)
    except Exception as error:
        raise Unreadable(f"attribute {name!r} of {kind.__name__} cannot be read as it is annotated ({error})") from None
    return state
