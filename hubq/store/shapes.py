"""Whether a state comes back: tried when it is saved for the first time in a new shape.

The *shape* of a state is the set of classes and functions that its pickle names. A state of plain values names none, and comes
back for certain. Reading the names costs far less than reading the state, so a state whose names have all come back before, in
a state of the same class, is not tried again. Of a large state only the two ends are looked at: what is missed there is
found when the state is needed for a roll-back.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

from hubq.core.shown import text_of
from hubq.errors import StateNotSavable
from hubq.store.codec import decode, encode

#: Opcodes of pickle's protocol 5: what stands before the name of a class or function (its length follows), and behind it.
_TEXT, _NAMED = b"\x8c", b"\x94\x93"
#: How much of each end of a state is looked at, bytes.
END = 16_384
#: Names that are remembered for one class of children. (A state may have bytes in it that look like names.)
MOST_NAMES = 1000

_come_back: WeakKeyDictionary[type, set[bytes]] = WeakKeyDictionary()


def names_in(data: bytes) -> Iterator[bytes]:
    """The classes and functions that a pickle names, each by its own name without its module.

    >>> list(names_in(encode([1, "two"]))), list(names_in(encode(ValueError(3))))
    ([], [b'ValueError'])
    """
    at = data.find(_NAMED)
    while at >= 0:
        start = data.rfind(_TEXT, max(0, at - 257), at)
        if start >= 0 and data[start + 1] == at - start - 2:
            yield data[start + 2 : at]
        at = data.find(_NAMED, at + 2)


def check_comes_back(kind: type, state: object, data: bytes, child: str) -> None:
    """Read a state that was encoded as ``data``, if it has a shape that is new for this class of children.

    Raises :class:`~hubq.errors.StateNotSavable` that names the attribute.
    """
    seen = data if len(data) <= 2 * END else data[:END] + data[-END:]
    if _NAMED not in seen:
        return
    known = _come_back.get(kind)
    if known is not None and known.issuperset(names_in(seen)):
        return
    try:
        decode(data)
    except BaseException as error:
        culprit = _culprit(state)
        where = f"attribute {culprit!r}" if culprit else "what it returned"
        raise StateNotSavable(
            f"the state of child {child!r} can be pickled, but not unpickled: {where} ({type(error).__name__}: {text_of(error)}); "
            "keep plain values, or give its class a __reduce__ that fits its __init__"
        ) from error
    if known is None or len(known) > MOST_NAMES:
        known = _come_back[kind] = set()
    known.update(names_in(seen))


def _culprit(state: object) -> str | None:
    if isinstance(state, dict):
        for name, value in state.items():
            try:
                decode(encode(value))
            except BaseException:
                return str(name)
    return None
