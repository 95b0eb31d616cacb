"""The states of a hub with ``codec="data"``: whether one comes back as it was saved is tried where it is saved."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from hubq.core.child import Child
from hubq.errors import StateNotSavable
from hubq.store import codec
from hubq.store.data_reading import read_state

#: A state of at most so many bytes is small: to read it takes a few microseconds.
SMALL = 512


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
            back = read_state(kind, codec.unwrapped(data), handed)
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
