"""How a hub writes values and reads them: by pickle, or as data (docs/trust.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import msgspec

from hubq.core.arguments import PLAIN, Parameters, attributes_of, check_plain, method_of, parameters_of, start_of
from hubq.core.child import Child
from hubq.errors import BadArguments, NotSendable, StateNotSavable, StateTooLarge, Unreadable
from hubq.store import codec
from hubq.store.shapes import check_comes_back

#: The tag of data, before MessagePack.
DATA = b"m"
#: ``True`` and ``None`` as every codec reads them: answers of the node itself.
TRUE, NOTHING = b"jtrue", b"jnull"

#: A state of at most so many bytes is small: to read it takes a few microseconds.
SMALL = 512

_encode = msgspec.msgpack.Encoder().encode
_split = msgspec.msgpack.Decoder(tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]).decode
_split_json = msgspec.json.Decoder(tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]).decode
_attributes = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode

Arguments = tuple[Any, Any]


class Values(Protocol):
    """How a hub writes values and reads them."""

    codec: str

    def encode(self, value: object, function: Callable[..., Any] | None = None) -> bytes:
        """A value, perhaps the one that this function has returned. Raises whatever raises."""

    def encode_result(self, kind: type[Child], method: str, value: object) -> bytes:
        """What a method has returned. Raises whatever raises."""

    def encode_value(self, value: object, what: str) -> bytes:
        """A value that others get, or :class:`~hubq.errors.NotSendable` that names ``what``."""

    def encode_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], what: str, function: Callable[..., Any] | None = None
    ) -> bytes:
        """Arguments of a call (of this method, if it is known) or a start, or :class:`~hubq.errors.NotSendable`."""

    def encode_start(self, kind: type[Child], args: tuple[Any, ...], kwargs: dict[str, Any], what: str) -> bytes:
        """Arguments of a start, or :class:`~hubq.errors.NotSendable` that names ``what``."""

    def encode_any(self, value: object) -> bytes:
        """A value for this process alone. Raises whatever raises."""

    def decode_any(self, data: bytes) -> Any:
        """The reverse of :meth:`encode_any`."""

    def decode(self, data: bytes, function: Callable[..., Any] | None = None) -> Any:
        """A value, perhaps the one that this method has returned."""

    def arguments(self, kind: type[Child], method: str, data: bytes) -> Arguments:
        """The arguments for a method of a child."""

    def start_arguments(self, kind: type[Child], data: bytes, *, by_worker: bool = False) -> Arguments:
        """The arguments for a start. ``by_worker``: a worker has sealed them."""

    def typed(self, function: Callable[..., Any], args: Any, kwargs: Any, skipped: int) -> Arguments:
        """Arguments that were read as plain values, as the annotations of this function say."""

    def encode_state(
        self, kind: type[Child], state: Any, limit: int, child: str, *, handed: bool = False, surely: bool = False
    ) -> bytes:
        """The attributes of a child, or what it hands over. ``surely``: it is tried whether the state comes back, however often
        one like it has.

        Raises :class:`~hubq.errors.StateNotSavable`, :class:`~hubq.errors.StateTooLarge`.
        """

    def decode_state(self, kind: type[Child], data: bytes, *, handed: bool = False) -> Any:
        """The reverse of :meth:`encode_state`."""


class PickledValues:
    """Writes pickles. Reads them, and data: a hub may be on its way from one to the other."""

    codec = "pickle"

    def encode(self, value: object, function: Callable[..., Any] | None = None) -> bytes:
        """See :class:`Values`."""
        return codec.encode(value)

    def encode_result(self, kind: type[Child], method: str, value: object) -> bytes:
        """See :class:`Values`."""
        return codec.encode(value)

    def encode_value(self, value: object, what: str) -> bytes:
        """See :class:`Values`."""
        return codec.encode_value(value, what)

    def encode_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], what: str, function: Callable[..., Any] | None = None
    ) -> bytes:
        """See :class:`Values`."""
        return codec.encode_arguments(args, kwargs, what)

    def encode_start(self, kind: type[Child], args: tuple[Any, ...], kwargs: dict[str, Any], what: str) -> bytes:
        """See :class:`Values`."""
        return codec.encode_arguments(args, kwargs, what)

    def encode_any(self, value: object) -> bytes:
        """See :class:`Values`."""
        return codec.encode(value)

    def decode_any(self, data: bytes) -> Any:
        """See :class:`Values`."""
        return codec.decode(data)

    def decode(self, data: bytes, function: Callable[..., Any] | None = None) -> Any:
        """See :class:`Values`."""
        return codec.decode(data) if data[:1] != DATA else _read_value(data, function)

    def arguments(self, kind: type[Child], method: str, data: bytes) -> Arguments:
        """See :class:`Values`."""
        if data[:1] == b"p":
            return codec.decode(data)  # type: ignore[no-any-return]
        return self._other_arguments(codec.unwrapped(data), kind, method)

    def start_arguments(self, kind: type[Child], data: bytes, *, by_worker: bool = False) -> Arguments:
        """See :class:`Values`."""
        return self._other_arguments(codec.unwrapped(data), kind, "")

    def typed(self, function: Callable[..., Any], args: Any, kwargs: Any, skipped: int) -> Arguments:
        """See :class:`Values`."""
        return args, kwargs

    def _other_arguments(self, data: bytes, kind: type[Child], method: str) -> Arguments:
        if data[:1] != DATA:
            return codec.decode(data)  # type: ignore[no-any-return]
        return _read_arguments(data, (method_of(kind, method) if method else None) or start_of(kind))

    def encode_state(
        self, kind: type[Child], state: Any, limit: int, child: str, *, handed: bool = False, surely: bool = False
    ) -> bytes:
        """See :class:`Values`."""
        data = codec.encode_state(state, limit, child, kind.state_version)
        check_comes_back(kind, state, data, child)
        return data

    def decode_state(self, kind: type[Child], data: bytes, *, handed: bool = False) -> Any:
        """See :class:`Values`."""
        value = codec.unwrapped(data)
        return _read_state(kind, value, handed) if value[:1] == DATA else codec.decode(value)


class DataValues:
    """Writes MessagePack, and reads it as annotations say. ``reads_pickles``: what was pickled before is read, too.

    ``sealed`` (``seal="require"``): what is read as a state, or as the arguments of a start that a worker has sealed, no one but a
    worker has written. It may be a pickle of the time before.
    """

    codec = "data"

    def __init__(self, reads_pickles: bool = False, sealed: bool = False) -> None:
        self._reads_pickles = reads_pickles
        self._sealed = sealed
        self._states = DataStates()

    def encode(self, value: object, function: Callable[..., Any] | None = None) -> bytes:
        """See :class:`Values`."""
        if function is None or not parameters_of(function).typed:
            check_plain(value)
        return DATA + _encode(value)

    def encode_result(self, kind: type[Child], method: str, value: object) -> bytes:
        """See :class:`Values`."""
        parameters = method_of(kind, method)
        if parameters is None or not parameters.typed:
            check_plain(value)
        return DATA + _encode(value)

    def encode_any(self, value: object) -> bytes:
        """See :class:`Values`."""
        return _encode(value)

    def decode_any(self, data: bytes) -> Any:
        """See :class:`Values`."""
        return msgspec.msgpack.decode(data)

    def encode_value(self, value: object, what: str) -> bytes:
        """See :class:`Values`."""
        try:
            return self.encode(value)
        except BaseException as error:
            raise NotSendable(f"{what} is no data ({error}): give plain values") from error

    def encode_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], what: str, function: Callable[..., Any] | None = None
    ) -> bytes:
        """See :class:`Values`."""
        return self._encode_arguments(args, kwargs, what, None if function is None else parameters_of(function))

    def encode_start(self, kind: type[Child], args: tuple[Any, ...], kwargs: dict[str, Any], what: str) -> bytes:
        """See :class:`Values`."""
        return self._encode_arguments(args, kwargs, what, start_of(kind))

    def _encode_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], what: str, parameters: Parameters | None
    ) -> bytes:
        try:
            if parameters is not None:
                parameters.check(args, kwargs)
            return DATA + _encode((args, kwargs))
        except BaseException as error:
            raise NotSendable(
                f"the arguments of {what} are no data ({error}): send plain values, or annotate the parameters"
            ) from error

    def decode(self, data: bytes, function: Callable[..., Any] | None = None) -> Any:
        """See :class:`Values`."""
        return _read_value(self._checked(codec.unwrapped(data)), function)

    def arguments(self, kind: type[Child], method: str, data: bytes) -> Arguments:
        """See :class:`Values`."""
        parameters = method_of(kind, method)
        if parameters is None:
            raise BadArguments(f"{kind.__name__} has no method {method!r}")
        return self._arguments(data, parameters)

    def start_arguments(self, kind: type[Child], data: bytes, *, by_worker: bool = False) -> Arguments:
        """See :class:`Values`."""
        return self._arguments(data, start_of(kind), by_worker and self._sealed)

    def typed(self, function: Callable[..., Any], args: Any, kwargs: Any, skipped: int) -> Arguments:
        """See :class:`Values`."""
        return _read_arguments(DATA + _encode((args, kwargs)), parameters_of(function, skipped))

    def _arguments(self, data: bytes, parameters: Parameters, own: bool = False) -> Arguments:
        try:
            data = self._checked(codec.unwrapped(data), own)
        except ValueError as error:
            raise BadArguments(f"{parameters.what}: its arguments cannot be read: {error}") from None
        return _read_arguments(data, parameters)

    def _checked(self, data: bytes, own: bool = False) -> bytes:
        """Data with a tag that this hub reads. ``own``: a worker has written it, and sealed it."""
        tag = data[:1]
        if tag == DATA or tag == b"j" or ((own or self._reads_pickles) and (tag == b"p" or tag == b"c")):
            return data
        if tag == b"p" or tag == b"c":
            raise ValueError('a pickle, and codec="data" unpickles nothing: its writer has codec="pickle" still')
        if tag == b"x" or tag == b"s":
            raise ValueError("it is sealed, and this process has no keys: set HUBQ_KEYS or HUBQ_KEYS_FILE")
        raise ValueError(f"value with the unknown format tag {tag!r}: it was written by a newer hubq")

    def encode_state(
        self, kind: type[Child], state: Any, limit: int, child: str, *, handed: bool = False, surely: bool = False
    ) -> bytes:
        """See :class:`Values`."""
        try:
            data = DATA + _encode(state)
        except BaseException as error:
            raise StateNotSavable(
                f"the state of child {child!r} is no data: {_culprit(state)} ({error}); keep plain values, dataclasses or Structs, "
                "or name such attributes in `transient` and make them in on_start()"
            ) from error
        if kind.state_version != 1:
            data = b"v%d\n" % kind.state_version + data
        if len(data) > limit:
            raise StateTooLarge(
                f"the state of child {child!r} has {len(data)} bytes, the most is {limit} (max_state_bytes, or what Redis takes): "
                "keep less in the child, or raise the limit"
            )
        self._states.check(kind, state, data, child, handed, surely)
        return data

    def decode_state(self, kind: type[Child], data: bytes, *, handed: bool = False) -> Any:
        """See :class:`Values`."""
        value = self._checked(codec.unwrapped(data), self._sealed)
        if value[:1] == b"j":
            raise ValueError("JSON: no state is written so")
        return _read_state(kind, value, handed) if value[:1] == DATA else codec.decode(value)


def values_of(name: str, *, reads_pickles: bool, sealed: bool = False) -> Values:
    """The values of a hub with this codec."""
    return PickledValues() if name == "pickle" else DataValues(reads_pickles, sealed)


# -- reading data ------------------------------------------------------------------------------------------------------


def _read_value(data: bytes, function: Callable[..., Any] | None) -> Any:
    reader = PLAIN if function is None else parameters_of(function).result
    if data[:1] == DATA:
        return reader.msgpack(memoryview(data)[1:])
    if data[:1] == b"j":
        return PLAIN.json(memoryview(data)[1:])
    return codec.decode(data)


def _read_arguments(data: bytes, parameters: Parameters) -> Arguments:
    tag = data[:1]
    if tag != DATA and tag != b"j":
        return codec.decode(data)  # type: ignore[no-any-return]
    try:
        args, kwargs = (_split if tag == DATA else _split_json)(memoryview(data)[1:])
    except Exception as error:
        raise BadArguments(f"{parameters.what}: its arguments are malformed ({error})") from None
    return parameters.read(args, kwargs, json=tag == b"j")


def _read_state(kind: type[Child], data: bytes, handed: bool) -> Any:
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


class DataStates:
    """Sees to it that a state comes back as it was. A small one is tried each time; a larger one in a handover, when it is saved
    for the first time in a new shape, and when it has become twice as large. The *shape* is its attributes, each with its type.
    """

    def __init__(self) -> None:
        self._tried: WeakKeyDictionary[type[Child], dict[tuple[Any, ...], int]] = WeakKeyDictionary()

    def check(self, kind: type[Child], state: Any, data: bytes, child: str, handed: bool, surely: bool) -> None:
        """Raise :class:`~hubq.errors.StateNotSavable` that names the attribute."""
        tried = self._tried.get(kind)
        if tried is None:
            tried = self._tried[kind] = {}
        shape = (handed, type(state)) if not isinstance(state, dict) else (*state, *map(type, state.values()), handed)
        if SMALL < len(data) <= tried.get(shape, 0) and not surely:
            return
        try:
            back = _read_state(kind, codec.unwrapped(data), handed)
        except Exception as error:
            raise StateNotSavable(
                f"the state of child {child!r} does not come back: {error}; keep in each attribute what its annotation says"
            ) from error
        if handed or not isinstance(state, dict):
            pairs = [("what it returned", state, back)]
        else:
            pairs = [(f"attribute {name!r}", value, back.get(name)) for name, value in state.items()]
        for where, value, read in pairs:
            if not same(value, read):
                raise StateNotSavable(
                    f"the state of child {child!r} would come back changed: {where} is a {type(value).__name__}, and what it holds "
                    f"comes back as a {type(read).__name__} of plain values; annotate it in the class ({kind.__name__}), or keep plain "
                    "values"
                )
        if len(tried) > 1000:
            tried.clear()
        tried[shape] = 2 * len(data)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, types and all.

    >>> same({"a": [1, float("nan")]}, {"a": [1, float("nan")]}), same((1,), [1]), same([1], [1.0])
    (True, False, False)
    """
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is list or kind is tuple:
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(map(same, one, other)) and all(map(same, one.values(), other.values()))
    if kind is float:
        return bool(one == other or one != one)
    if isinstance(one, set | frozenset):
        return bool(one == other)
    fields = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", None)
    if fields:
        return all(same(getattr(one, name, None), getattr(other, name, None)) for name in fields)
    return bool(one == other)


def _culprit(state: Any) -> str:
    if isinstance(state, dict):
        for name, value in state.items():
            try:
                _encode(value)
            except Exception:
                return f"attribute {name!r}"
    return "what it returned"
