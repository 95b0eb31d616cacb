"""Looking at a stored value without running anything: no class is imported, nothing is called, nothing is hashed but text.

A pickle is a program. Here its steps are read one by one (``pickletools``, which only decodes) and build plain descriptions.
"""

from __future__ import annotations

import math
import pickletools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from hubq.core.shown import shown
from hubq.store.codec import unwrapped
from hubq.store.frames import ENCRYPTED, SIGNED, described, signed

#: The most steps of a pickle that are read, the deepest nesting that is shown, and the longest text.
MOST_STEPS, DEEPEST, LONGEST = 1_000_000, 30, 300_000
#: The longest name of a module or class.
LONGEST_NAME = 200

_PUSH = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "FLOAT", "BINFLOAT",
})  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_LIST": "list", "EMPTY_TUPLE": "tuple", "EMPTY_DICT": "dict", "EMPTY_SET": "set"}
_MARKED = {"LIST": "list", "TUPLE": "tuple", "DICT": "dict", "FROZENSET": "frozenset"}
_BRACKETS = {"list": "[]", "tuple": "()", "dict": "{}", "set": "{}", "frozenset": ("frozenset({", "})")}


@dataclass(slots=True, eq=False, repr=False)
class Seen:
    """A container, or an object of the class ``name``. A dict has its keys and values in turn.

    ``items`` of an object: the arguments it is made of; ``state``: what is laid into it; ``more``: what is put into it.
    """

    kind: str
    name: str = ""
    items: list[Any] = field(default_factory=list)
    more: list[Any] = field(default_factory=list)
    state: Any = None

    def build(self, state: Any) -> None:
        """Lay a state into it."""
        self.state = state

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"  # what is in it may hold another many times, and so be endless


def look(data: bytes) -> Any:
    """What a tagged value (:mod:`hubq.store.codec`) says, as plain scalars and :class:`Seen`; ValueError if it says nothing."""
    data = unwrapped(data)  # a trace, the version of a state, or a header goes before the value
    if data[:1] == SIGNED:
        data = unwrapped(signed(data))
    tag = data[:1]
    try:
        if tag == b"j":
            return _of_json(msgspec.json.decode(memoryview(data)[1:]))
        if tag == b"m":
            return _of_data(msgspec.msgpack.decode(memoryview(data)[1:]))
    except (msgspec.MsgspecError, ValueError, RecursionError, TypeError) as error:
        kind = "JSON" if tag == b"j" else "MessagePack"
        raise ValueError(f"it is no {kind} that can be shown ({type(error).__name__}: {error})") from None
    if tag == ENCRYPTED:
        raise ValueError(f"it is sealed ({described(data)}): set HUBQ_KEYS, or HUBQ_KEYS_FILE, to keys that open it")
    if tag not in (b"p", b"c"):
        raise ValueError(f"value with the unknown format tag {tag!r}: it was written by a newer hubq")
    try:
        return _Machine().run(data[1:])
    except (IndexError, KeyError, AttributeError, TypeError, UnicodeError, OverflowError) as error:
        raise ValueError(f"it is no whole pickle ({type(error).__name__}: {error})") from None


def words(seen: Any, longest: int = LONGEST) -> str:
    """A value as text, cut at ``longest`` characters.

    >>> import datetime, pickle
    >>> words(look(b"p" + pickle.dumps({"a": (1, [2.5, "x"]), "b": datetime.timedelta(1)})))
    "{'a': (1, [2.5, 'x']), 'b': <datetime.timedelta(1, 0, 0)>}"
    """
    pieces, length = [], 0
    for piece in _pieces(seen, [], longest):
        pieces.append(piece)
        length += len(piece)
        if length > longest:
            return "".join(pieces)[:longest] + " ... (cut)"
    return "".join(pieces)


def plain(seen: Any) -> Any:
    """A value as JSON can say it: lists, and dicts whose keys are text; all else as :func:`words` has it.

    >>> plain(look(b'j{"a": [1, null]}'))
    {'a': [1, None]}
    """
    return _plain(seen, [], [LONGEST])


def _plain(seen: Any, path: list[Seen], left: list[int]) -> Any:
    left[0] -= 1  # a list may hold another many times, and so be more than its pickle
    if left[0] <= 0 or len(path) > DEEPEST or any(seen is outer for outer in path):
        return "..."
    if isinstance(seen, Seen):
        within = [*path, seen]
        if seen.kind in ("list", "tuple"):
            return [_plain(item, within, left) for item in seen.items]
        if seen.kind == "dict" and all(isinstance(key, str) for key in seen.items[::2]):
            return {key: _plain(value, within, left) for key, value in _pairs(seen.items)}
    if seen is None or isinstance(seen, str | bool | int) or (isinstance(seen, float) and math.isfinite(seen)):
        return seen
    text = words(seen, left[0])
    left[0] -= len(text)
    return text


def arguments(payload: bytes, longest: int = LONGEST) -> str:
    """The arguments of a message, as a call would be written. Raises ValueError if it says nothing.

    >>> arguments(b'j[[1, "a"], {"late": true}]')
    "1, 'a', late=True"
    """
    seen = look(payload)
    if not isinstance(seen, Seen) or len(seen.items) != 2 or not isinstance(seen.items[0], Seen):
        return words(seen, longest)
    args, kwargs = seen.items
    named = (f"{name}={words(value, longest)}" for name, value in fields_of(kwargs) or ())
    return ", ".join([*(words(value, longest) for value in args.items), *named])


def fields_of(seen: Any) -> list[tuple[str, Any]] | None:
    """The names and values of a dict whose keys are text; None for any other value."""
    if isinstance(seen, Seen) and seen.kind == "dict" and all(isinstance(key, str) for key in seen.items[::2]):
        return list(_pairs(seen.items))
    return None


def _pairs(flat: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=False)


def _of_json(value: Any) -> Any:
    if isinstance(value, list):
        return Seen("list", items=[_of_json(item) for item in value])
    if isinstance(value, dict):
        return Seen("dict", items=[part for name, item in value.items() for part in (name, _of_json(item))])
    return value


def _of_data(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return Seen("list", items=[_of_data(item) for item in value])
    if isinstance(value, dict):
        return Seen("dict", items=[_of_data(part) for pair in value.items() for part in pair])
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str | bytes) else repr(value)


def _pieces(seen: Any, path: list[Seen], longest: int) -> Iterator[str]:
    if not isinstance(seen, Seen):
        yield _scalar(seen, longest)
        return
    if len(path) > DEEPEST or any(seen is outer for outer in path):
        yield "..."
        return
    within = [*path, seen]
    if seen.kind != "object":
        opening, closing = _BRACKETS[seen.kind] if seen.items or seen.kind != "set" else ("set(", ")")
        yield opening
        yield from _listed(seen.items, seen.kind == "dict", within, longest)
        yield "," + closing if seen.kind == "tuple" and len(seen.items) == 1 else closing
        return
    yield "<" + shown(seen.name)
    if seen.items:
        yield "("
        yield from _listed(seen.items, False, within, longest)
        yield ")"
    for name, value in fields_of(seen.state) or ([("state", seen.state)] if seen.state is not None else []):
        yield f" {shown(name)}="
        yield from _pieces(value, within, longest)
    if seen.more:
        yield " ["
        yield from _listed(seen.more, False, within, longest)
        yield "]"
    yield ">"


def _listed(items: list[Any], paired: bool, within: list[Seen], longest: int) -> Iterator[str]:
    for number, item in enumerate(items):
        if number:
            yield ": " if paired and number % 2 else ", "
        yield from _pieces(item, within, longest)


def _scalar(value: Any, longest: int) -> str:
    if isinstance(value, str | bytes | bytearray) and len(value) > longest:
        return f"{value[:longest]!r}..."
    try:
        return repr(value)
    except ValueError:  # an int of more digits than Python prints
        return f"<int of {value.bit_length()} bits>"


class _Machine:
    """Carries a pickle out on descriptions."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._left = MOST_STEPS

    def run(self, data: bytes) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a strange escape sequence in what is looked at is nobody's fault here
            return self._run(data)

    def _run(self, data: bytes) -> Any:
        for number, (step, argument, _) in enumerate(pickletools.genops(data)):
            if number >= MOST_STEPS:
                raise ValueError(f"it has more than {MOST_STEPS} parts: take --raw")
            if step.name == "STOP":
                return self._stack.pop()
            self._do(step.name, argument)
        raise ValueError("it has no end")

    def _do(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _PUSH:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(Seen(_EMPTY[name]))
        elif name in _MARKED:
            items = self._since_mark()
            stack.append(Seen(_MARKED[name], items=items))
        elif name == "MARK":
            self._marks.append(len(stack))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            items = stack[-count:]
            del stack[-count:]
            stack.append(Seen("tuple", items=items))
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name not in ("PROTO", "FRAME", "READONLY_BUFFER"):
            self._other(name, argument)

    def _other(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in ("APPENDS", "ADDITEMS", "SETITEMS"):
            items = self._since_mark()
            self._put(stack[-1], items)
        elif name == "APPEND":
            item = stack.pop()
            self._put(stack[-1], [item])
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self._put(stack[-1], [key, value])
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], Seen):
                stack[-1].build(state)
        elif name == "GLOBAL":
            stack.append(Seen("object", argument.replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            of_module, module = stack.pop(), stack.pop()
            stack.append(Seen("object", f"{_name(module)}.{_name(of_module)}"))
        elif name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX"):
            keywords = [stack.pop()] if name == "NEWOBJ_EX" else []
            arguments, made = stack.pop(), stack.pop()
            given = _items(arguments)
            self._left -= len(given)  # a pickle may give the same arguments many times
            if self._left < 0:
                raise ValueError(f"it has more than {MOST_STEPS} parts: take --raw")
            stack.append(_made(made, [*given, *(each for each in keywords if _items(each))]))
        elif name in ("INST", "OBJ"):
            arguments = self._since_mark()
            made = Seen("object", argument.replace(" ", ".")) if name == "INST" else arguments.pop(0)
            stack.append(_made(made, arguments))
        elif name == "POP_MARK" or (name == "POP" and self._marks[-1:] == [len(stack)]):
            self._since_mark()
        elif name == "POP":
            stack.pop()
        elif name == "DUP":
            stack.append(stack[-1])
        else:  # persistent ids, the extension registry, buffers out of band
            if name == "BINPERSID":
                argument = stack.pop()
            stack.append(Seen("object", name.lower(), [] if argument is None else [argument]))

    def _since_mark(self) -> list[Any]:
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items

    def _put(self, into: Any, items: list[Any]) -> None:
        (into.items if into.kind != "object" else into.more).extend(items)


def _name(part: Any) -> str:
    """A part of the name of a class: a text, unless somebody has made the pickle by hand."""
    return (
        part[:LONGEST_NAME]
        if isinstance(part, str)
        else repr(part)
        if isinstance(part, Seen)
        else _scalar(part, LONGEST_NAME)
    )


def _items(seen: Any) -> list[Any]:
    return seen.items if isinstance(seen, Seen) and seen.kind != "object" else [seen]


def _made(what: Any, arguments: list[Any]) -> Seen:
    """The object that calling something would make. (copyreg's ways of making one are those of its first argument.)"""
    name = what.name if isinstance(what, Seen) else _scalar(what, LONGEST_NAME)
    if name in _MAKERS and arguments and isinstance(arguments[0], Seen) and arguments[0].kind == "object":
        return Seen("object", arguments[0].name, _MAKERS[name](arguments[1:]))
    return Seen("object", name, arguments)


_MAKERS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "copyreg.__newobj__": lambda rest: rest,
    "copyreg._reconstructor": lambda rest: [],
    "copy_reg._reconstructor": lambda rest: [],
}
