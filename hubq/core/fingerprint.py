"""Whether two messages say the same: their method and arguments as a short text that is equal if these are."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

#: The types that are told apart by nothing but their value.
_PLAIN = (type(None), bool, int, float, complex, str, bytes)


def fingerprint(method: str, arguments: Any) -> str:
    """The same for the same method and equal arguments, in every process. Plain values and the containers of Python are compared
    by value, all else by how it pickles.

    >>> one, other = fingerprint("post", {"who": "ann", "tags": {"a", "b"}}), fingerprint("post", {"tags": {"b", "a"}, "who": "ann"})
    >>> one == other, one == fingerprint("post", {"who": "bob"}), one == fingerprint("read", {"who": "ann", "tags": {"a", "b"}})
    (True, False, False)

    Raises what pickle raises for a value that it cannot pickle.
    """
    return blake2b(_bytes([method, arguments]), digest_size=16).hexdigest()


def _bytes(value: Any) -> bytes:
    kind = type(value)
    if kind in _PLAIN:
        return _framed(kind.__name__, [repr(value).encode("utf-8", "surrogatepass")])
    if kind is list or kind is tuple:
        return _framed(kind.__name__, map(_bytes, value))
    if kind is dict:
        return _framed("dict", sorted(_bytes(key) + _bytes(each) for key, each in value.items()))
    if kind is set or kind is frozenset:
        return _framed(kind.__name__, sorted(map(_bytes, value)))
    return _framed("pickle", [pickle.dumps(value, protocol=5)])


def _framed(kind: str, parts: Iterable[bytes]) -> bytes:
    found = list(parts)
    return f"{kind}:{len(found)}:".encode() + b"".join(b"%d:" % len(part) + part for part in found)
