"""What functions take and return, and what children keep, as their annotations say: made into decoders once (docs/trust.md).

A value without an annotation is a *plain* one: None, bool, int, float, str, bytes, a datetime with its time zone, and lists and
dicts of these. (A tuple arrives as a list.)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, NoReturn, TypeVar, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary

import msgspec

from hubq.core.callable_methods import methods_of
from hubq.core.child import Child, FunctionChild, State
from hubq.errors import BadArguments, ConfigError

#: What stands in an error about an annotation that no data can be converted to.
HELP = (
    "give plain types, dataclasses, msgspec.Struct, TypedDict, Enum, datetime, UUID, Decimal, or tuple, set, list and dict of "
    "these; or leave the annotation out, for plain values"
)
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})


class Reader:
    """Reads one value that was encoded by itself: as MessagePack, or as JSON."""

    __slots__ = ("json", "msgpack")

    def __init__(self, kind: Any) -> None:
        self.msgpack: Callable[[Any], Any] = msgspec.msgpack.Decoder(kind, dec_hook=_own).decode
        self.json: Callable[[Any], Any] = msgspec.json.Decoder(kind, dec_hook=_own).decode


def _own(kind: type, value: Any) -> Any:
    if kind is State and isinstance(value, dict):
        return State(value)
    raise TypeError(f"{kind.__name__} cannot be made of a {type(value).__name__}")


#: Reads a value that has no annotation.
PLAIN = Reader(Any)


class Parameters:
    """What a function takes and returns. ``skipped``: so many parameters at its begin are given by hubq (``self``).

    >>> def post(self, text: str, times: int = 1, *rest: float) -> list[int]: ...
    >>> taken = Parameters(post, "Room.post", 1)
    >>> raw = [msgspec.Raw(msgspec.json.encode(value)) for value in ("hi", 2, 3)]
    >>> taken.read(raw, {}, json=True)
    (['hi', 2, 3.0], {})
    >>> taken.read([], {"times": msgspec.Raw(b'"2"')}, json=True)
    Traceback (most recent call last):
    hubq.errors.BadArguments: Room.post: argument 'times': Expected `int`, got `str`

    Raises :class:`~hubq.errors.ConfigError` for an annotation that no data can be converted to.
    """

    __slots__ = ("_by_name", "_by_place", "_names", "_rest", "_rest_named", "result", "typed", "what")

    def __init__(self, function: Callable[..., Any], what: str, skipped: int) -> None:
        self.what = what
        hints = _hints(function, what)
        self._by_place: list[Reader] = []
        self._names: list[str] = []
        self._by_name: dict[str, Reader] = {}
        self._rest = self._rest_named = PLAIN
        for parameter in list(inspect.signature(function).parameters.values())[skipped:]:
            name, kind = parameter.name, parameter.kind
            reader = reader_of(hints.get(name, Any), f"{what}({name})")
            if kind is parameter.VAR_POSITIONAL:
                self._rest = reader
            elif kind is parameter.VAR_KEYWORD:
                self._rest_named = reader
            else:
                if kind is not parameter.KEYWORD_ONLY:
                    self._by_place.append(reader)
                    self._names.append(name)
                if kind is not parameter.POSITIONAL_ONLY:
                    self._by_name[name] = reader
        returned = hints.get("return", Any)
        self.typed = returned is not Any
        self.result = PLAIN if returned is NoReturn else reader_of(returned, f"{what}, what it returns")

    def read(
        self, args: Sequence[msgspec.Raw], kwargs: Mapping[str, msgspec.Raw], *, json: bool
    ) -> tuple[list[Any], dict[str, Any]]:
        """Arguments, each as its annotation says. (Whether they fit the function is seen when it is called.)

        Raises :class:`~hubq.errors.BadArguments`.
        """
        name, taken, by_place = "", [], self._by_place
        try:
            for place, raw in enumerate(args):
                reader = by_place[place] if place < len(by_place) else self._rest
                taken.append(reader.json(raw) if json else reader.msgpack(raw))
            named: dict[str, Any] = {}
            for name, raw in kwargs.items():
                reader = self._by_name.get(name, self._rest_named)
                named[name] = reader.json(raw) if json else reader.msgpack(raw)
        except Exception as error:
            place = len(taken)
            shown = name or (self._names[place] if place < len(self._names) else f"number {place + 1}")
            raise BadArguments(f"{self.what}: argument {shown[:64]!r}: {error}") from None
        return taken, named

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError for a value that would arrive as something else: it is not plain, and its parameter has no annotation."""
        for place, value in enumerate(args):
            if (self._by_place[place] if place < len(self._by_place) else self._rest) is PLAIN:
                check_plain(value)
        for name, value in kwargs.items():
            if self._by_name.get(name, self._rest_named) is PLAIN:
                check_plain(value)


def _hints(function: Any, what: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception as error:
        raise ConfigError(
            f'{what}: its annotations cannot be read ({error}): with codec="data" their names must exist when the code runs '
            "(not only under TYPE_CHECKING, nor inside of a function)"
        ) from None


def reader_of(annotation: Any, where: str) -> Reader:
    """The decoder for an annotation, or :class:`~hubq.errors.ConfigError` that names it."""
    if annotation is Any or annotation is object or _is_of_any_type(annotation):
        return PLAIN
    try:
        _look(msgspec.inspect.type_info(annotation), set())
        return Reader(annotation)
    except Exception as error:
        shown = annotation.__qualname__ if isinstance(annotation, type) and not get_args(annotation) else annotation
        raise ConfigError(f"{where}: the annotation {shown} cannot be converted from data ({error}): {HELP}") from None


def _is_of_any_type(annotation: Any) -> bool:
    return isinstance(annotation, TypeVar) and annotation.__bound__ is None and not annotation.__constraints__


def _look(info: Any, seen: set[int]) -> None:
    """Raise for a class somewhere in a type that msgspec does not know."""
    if isinstance(info, msgspec.inspect.CustomType) and info.cls is not State:
        raise TypeError(f"{info.cls.__qualname__} is a class of its own")
    if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
        if id(info) in seen:
            return
        seen.add(id(info))
        for name in info.__struct_fields__:
            if name not in ("default", "default_factory"):
                _look(getattr(info, name), seen)
    elif isinstance(info, tuple):
        for each in info:
            _look(each, seen)


def check_plain(value: Any) -> None:
    """Raise TypeError for a value that would arrive as something else.

    >>> check_plain({"a": [1, b"x", (2, None)]})
    >>> check_plain([{1}])
    Traceback (most recent call last):
    TypeError: a set arrives as another type without an annotation
    """
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is list or kind is tuple:
        for each in value:
            check_plain(each)
    elif kind is dict or kind is State:
        for name, each in value.items():
            if type(name) not in _SCALARS:
                raise TypeError(
                    f"a dict with a {type(name).__name__} as key arrives as another one without an annotation"
                )
            check_plain(each)
    elif kind is not datetime or value.tzinfo is None:
        what = "datetime without a time zone" if kind is datetime else kind.__qualname__
        raise TypeError(f"a {what} arrives as another type without an annotation")


# -- of functions, methods and classes ---------------------------------------------------------------------------------

_of_functions: WeakKeyDictionary[Callable[..., Any], Parameters] = WeakKeyDictionary()
_of_methods: WeakKeyDictionary[type[Child], dict[str, Parameters]] = WeakKeyDictionary()
_of_starts: WeakKeyDictionary[type[Child], Parameters] = WeakKeyDictionary()
_of_states: WeakKeyDictionary[type[Child], dict[str, Reader]] = WeakKeyDictionary()


def parameters_of(function: Callable[..., Any], skipped: int = 1) -> Parameters:
    """Those of a method."""
    found = _of_functions.get(function)
    if found is None:
        found = _of_functions[function] = Parameters(
            function, str(getattr(function, "__qualname__", function)), skipped
        )
    return found


def method_of(kind: type[Child], name: str) -> Parameters | None:
    """Those of a method of this class, by its name; None: callers can call none of this name."""
    found = _of_methods.get(kind)
    if found is None:
        found = {name: parameters_of(method) for name, method in methods_of(kind).items()}
        _of_methods[kind] = found
    return found.get(name)


def start_of(kind: type[Child]) -> Parameters:
    """Those of ``__init__``; for a function, its own."""
    found = _of_starts.get(kind)
    if found is None:
        name = kind.__qualname__
        if issubclass(kind, FunctionChild) and kind.__init__ is FunctionChild.__init__:
            found = Parameters(kind.function, name, 1)
        elif kind.__init__ is object.__init__:
            found = Parameters(_nothing, f"{name}.__init__", 0)
        else:
            found = Parameters(kind.__init__, f"{name}.__init__", 1)
        _of_starts[kind] = found
    return found


def _nothing() -> None:
    """What a class without ``__init__`` takes."""


def attributes_of(kind: type[Child]) -> dict[str, Reader]:
    """The annotated attributes of a class of children, each with its decoder."""
    found = _of_states.get(kind)
    if found is None:
        found = {}
        own = [base for base in kind.__mro__ if base not in (Child, object)]
        names = [name for base in own for name in vars(base).get("__annotations__", {})]
        if names:
            hints = _hints(kind, kind.__qualname__)
            for name in names:
                if name in hints and get_origin(hints[name]) is not ClassVar and hints[name] is not ClassVar:
                    found[name] = reader_of(hints[name], f"{kind.__qualname__}.{name}")
        if issubclass(kind, FunctionChild):
            found.setdefault("state", reader_of(State, "state"))
        _of_states[kind] = found
    return found


def check_class(kind: type[Child]) -> None:
    """Raise :class:`~hubq.errors.ConfigError` that names the annotation of a class that no data can be converted to."""
    start_of(kind)
    method_of(kind, "")
    attributes_of(kind)
    if issubclass(kind, FunctionChild):
        parameters_of(kind.function)
    if kind.prepare_handover_state is not Child.prepare_handover_state:
        parameters_of(kind.prepare_handover_state)


def check_function(function: Callable[..., Any], *, resumable: bool) -> None:
    """The same for a function that is run as a job. (The first argument of a resumable one is its context.)"""
    Parameters(function, function.__qualname__, 1 if resumable else 0)
