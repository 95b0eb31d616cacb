"""Values as data: MessagePack, read as annotations say (docs/trust.md). Nothing of what is read runs code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hubq.core.arguments import Parameters, check_plain, method_of, parameters_of, start_of
from hubq.core.child import Child
from hubq.errors import BadArguments, NotSendable, StateNotSavable, StateTooLarge
from hubq.store import codec
from hubq.store.data_reading import read_arguments, read_state, read_value, upgraded_state
from hubq.store.data_states import DataStates
from hubq.store.pickled_values import PickledValues
from hubq.store.values import DATA, Arguments, Values

_encode = msgspec.msgpack.Encoder().encode


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
        return read_value(self._checked(codec.unwrapped(data)), function)

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
        return read_arguments(DATA + _encode((args, kwargs)), parameters_of(function, skipped))

    def _arguments(self, data: bytes, parameters: Parameters, own: bool = False) -> Arguments:
        try:
            data = self._checked(codec.unwrapped(data), own)
        except ValueError as error:
            raise BadArguments(f"{parameters.what}: its arguments cannot be read: {error}") from None
        return read_arguments(data, parameters)

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
        self, kind: type[Child], state: Any, limit: int, child: str, *, handed: bool = False, surely: bool = False,
        known: bytes | None = None,
    ) -> bytes:  # fmt: skip
        """See :class:`Values`."""
        data = self.encode_older_state(state, limit, child, kind.state_version)
        if surely or data != known:
            self._states.check(kind, state, data, child, handed, surely)
        return data

    def encode_older_state(self, state: Any, limit: int, child: str, version: int) -> bytes:
        """See :class:`Values`."""
        try:
            data = DATA + _encode(state)
        except BaseException as error:
            raise StateNotSavable(
                f"the state of child {child!r} is no data: {_culprit(state)} ({error}); keep plain values, dataclasses or Structs, "
                "or name such attributes in `transient` and make them in on_start()"
            ) from error
        if version != 1:
            data = b"v%d\n" % version + data
        if len(data) > limit:
            raise StateTooLarge(
                f"the state of child {child!r} has {len(data)} bytes, the most is {limit} (max_state_bytes, or what Redis takes): "
                "keep less in the child, or raise the limit"
            )
        return data

    def decode_state(self, kind: type[Child], data: bytes, *, handed: bool = False, older: bool = False) -> Any:
        """See :class:`Values`."""
        value = self._checked(codec.unwrapped(data), self._sealed)
        if value[:1] == b"j":
            raise ValueError("JSON: no state is written so")
        return read_state(kind, value, handed, older) if value[:1] == DATA else codec.decode(value)

    def upgraded(self, kind: type[Child], data: bytes, state: Any, *, handed: bool) -> Any:
        """See :class:`Values`."""
        return upgraded_state(kind, state, handed)


def values_of(name: str, *, reads_pickles: bool, sealed: bool = False) -> Values:
    """The values of a hub with this codec."""
    return PickledValues() if name == "pickle" else DataValues(reads_pickles, sealed)


def _culprit(state: Any) -> str:
    if isinstance(state, dict):
        for name, value in state.items():
            try:
                _encode(value)
            except Exception:
                return f"attribute {name!r}"
    return "what it returned"
