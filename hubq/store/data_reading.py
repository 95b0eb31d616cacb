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

_split = msgspec.msgpack.Decoder(tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]).decode
_split_json = msgspec.json.Decoder(tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]).decode
_encode = msgspec.msgpack.Encoder().encode
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


# -- states of an earlier version of their class -------------------------------------------------------------------


def read_older_state(kind: type[Child], data: bytes, handed: bool) -> Any:
    """The attributes of a child, or what it has handed over, under an earlier version of its class: each value as it is annotated now,
    or plain where it does not fit. Raises :class:`~hubq.errors.Unreadable` for what is no MessagePack.
    """
    body = memoryview(data)[1:]
    if handed:
        return _as_annotated_or_plain(parameters_of(kind.prepare_handover_state).result, body)
    readers = attributes_of(kind)
    state: dict[str, Any] = {}
    name = ""
    try:
        for name, raw in _attributes(body).items():
            state[name] = _as_annotated_or_plain(readers.get(name, PLAIN), raw)
    except Exception as error:
        raise Unreadable(f"attribute {name!r} of {kind.__name__} cannot be read ({error})") from None
    return state


def _as_annotated_or_plain(reader: Reader, raw: Any) -> Any:
    try:
        return reader.msgpack(raw)
    except Exception:  # whatever the __post_init__ of a dataclass raises is a reason, too
        if reader is PLAIN:
            raise
        return PLAIN.msgpack(raw)


def fit_state(kind: type[Child], state: Any, handed: bool) -> Any:
    """What ``upgrade_state`` has returned, each value as it is annotated: plain ones are converted, and real objects are taken, too. One
    without an annotation stays as it is.

    Raises :class:`~hubq.errors.Unreadable`.
    """
    if handed and kind.prepare_handover_state is not Child.prepare_handover_state:
        reader = parameters_of(kind.prepare_handover_state).result
        return _fitted(
            reader,
            state,
            f"the state of {kind.__name__} does not fit what prepare_handover_state is annotated to return",
        )
    if not isinstance(state, dict):
        return state
    readers, transient = attributes_of(kind), kind.transient
    fitted: dict[str, Any] = {}
    for name, value in state.items():
        reader = PLAIN if name in transient else readers.get(name, PLAIN)
        fitted[name] = _fitted(reader, value, f"attribute {name!r} of {kind.__name__} does not fit its annotation")
    return fitted


def _fitted(reader: Reader, value: Any, misfit: str) -> Any:
    if reader is PLAIN:
        return value
    try:
        return reader.msgpack(_encode(value))
    except Exception as error:
        raise Unreadable(f"{misfit}: upgrade_state returned a {type(value).__name__} ({error})") from None
