"""Values as pickles: the codec of a hub that says nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubq.core.arguments import method_of, start_of
from hubq.core.child import Child
from hubq.store import codec
from hubq.store.data_reading import read_arguments, read_state, read_value, upgraded_state
from hubq.store.shapes import check_comes_back
from hubq.store.values import DATA, Arguments

#: What is written for a call without arguments, as many are.
NO_ARGUMENTS = codec.encode(((), {}))
#: What is written for the result of a method that returns nothing, as many do.
NO_RESULT = codec.encode(None)


class PickledValues:
    """Writes pickles. Reads them, and data: a hub may be on its way from one to the other."""

    codec = "pickle"

    def encode(self, value: object, function: Callable[..., Any] | None = None) -> bytes:
        """See :class:`Values`."""
        return codec.encode(value)

    def encode_result(self, kind: type[Child], method: str, value: object) -> bytes:
        """See :class:`Values`."""
        return NO_RESULT if value is None else codec.encode(value)

    def encode_value(self, value: object, what: str) -> bytes:
        """See :class:`Values`."""
        return codec.encode_value(value, what)

    def encode_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], what: str, function: Callable[..., Any] | None = None
    ) -> bytes:
        """See :class:`Values`."""
        if not args and not kwargs:
            return NO_ARGUMENTS
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
        if data == NO_RESULT:
            return None
        return codec.decode(data) if data[:1] != DATA else read_value(data, function)

    def arguments(self, kind: type[Child], method: str, data: bytes) -> Arguments:
        """See :class:`Values`."""
        if data == NO_ARGUMENTS:
            return (), {}
        if data[:1] == b"p":
            return codec.decode(data)  # type: ignore[no-any-return]
        return self._other_arguments(codec.unwrapped(data), kind, method)

    def start_arguments(self, kind: type[Child], data: bytes, *, by_worker: bool = False) -> Arguments:
        """See :class:`Values`."""
        if data[:1] == b"p":
            return codec.decode(data)  # type: ignore[no-any-return]
        return self._other_arguments(codec.unwrapped(data), kind, "")

    def typed(self, function: Callable[..., Any], args: Any, kwargs: Any, skipped: int) -> Arguments:
        """See :class:`Values`."""
        return args, kwargs

    def _other_arguments(self, data: bytes, kind: type[Child], method: str) -> Arguments:
        if data[:1] != DATA:
            return codec.decode(data)  # type: ignore[no-any-return]
        return read_arguments(data, (method_of(kind, method) if method else None) or start_of(kind))

    def encode_state(
        self, kind: type[Child], state: Any, limit: int, child: str, *, handed: bool = False, surely: bool = False,
        known: bytes | None = None,
    ) -> bytes:  # fmt: skip
        """See :class:`Values`."""
        data = codec.encode_state(state, limit, child, kind.state_version)
        if data != known:
            check_comes_back(kind, state, data, child)
        return data

    def encode_older_state(self, state: Any, limit: int, child: str, version: int) -> bytes:
        """See :class:`Values`."""
        return codec.encode_state(state, limit, child, version)

    def decode_state(self, kind: type[Child], data: bytes, *, handed: bool = False, older: bool = False) -> Any:
        """See :class:`Values`."""
        value = codec.unwrapped(data)
        return read_state(kind, value, handed, older) if value[:1] == DATA else codec.decode(value)

    def upgraded(self, kind: type[Child], data: bytes, state: Any, *, handed: bool) -> Any:
        """See :class:`Values`."""
        return upgraded_state(kind, state, handed) if codec.unwrapped(data)[:1] == DATA else state
