"""Values as bytes with a one-byte format tag: ``p`` pickle, ``c`` cloudpickle, ``j`` JSON (written by the CLI), ``m`` MessagePack
(:mod:`hubq.store.data_values`).

A line may go before the value: ``v`` and the version of a state, ``t`` and the context of a trace.
"""

from __future__ import annotations

import pickle
from typing import Any

import msgspec

from hubq.core.shown import text_of
from hubq.errors import NotSendable, PayloadTooLarge, StateNotSavable, StateTooLarge

#: Tags of a line in front of a value: a trace (:mod:`hubq.tracing`), the version of a state, a header.
LINES = (b"t", b"v", b"h")


def unwrapped(data: bytes) -> bytes:
    """A value without the lines in front of it.

    >>> unwrapped(b"v3\\nj1"), unwrapped(b"j1")
    (b'j1', b'j1')
    """
    tag = data[:1]
    if tag not in LINES:
        return data
    value = _behind_line(data)
    if tag == b"h" and value[:1] == b"t":
        value = _behind_line(value)
    if value[:1] in LINES:  # to unwrap many would take time for each
        raise ValueError("value with two lines in front: it was not written by hubq")
    return value


def _behind_line(data: bytes) -> bytes:
    end = data.find(b"\n")
    if end < 0:
        raise ValueError("value whose first line has no end: it was not written by hubq")
    return data[end + 1 :]


def encode(value: Any) -> bytes:
    """A value as tagged bytes. pickle where it can, else cloudpickle (lambdas, classes of ``__main__``).

    Raises whatever cloudpickle raises when it cannot either.

    >>> decode(encode({"a": (1, 2)}))
    {'a': (1, 2)}
    """
    try:
        return b"p" + pickle.dumps(value, protocol=5)
    except Exception:
        import cloudpickle  # at the first value that needs it: few do

        return b"c" + bytes(cloudpickle.dumps(value, protocol=5))


def decode(data: bytes) -> Any:
    """The reverse of :func:`encode`."""
    tag = data[:1]
    if tag == b"p" or tag == b"c":
        return pickle.loads(memoryview(data)[1:])
    if tag == b"j":
        return msgspec.json.decode(memoryview(data)[1:])
    if tag == b"m":
        return msgspec.msgpack.decode(memoryview(data)[1:])
    if tag in LINES:
        return decode(unwrapped(data))
    if tag == b"x" or tag == b"s":
        raise ValueError("it is sealed, and this process has no keys: set HUBQ_KEYS or HUBQ_KEYS_FILE")
    raise ValueError(f"value with the unknown format tag {tag!r}: it was written by a newer hubq")


def encode_json(value: Any) -> bytes:
    """A JSON value as tagged bytes."""
    return b"j" + msgspec.json.encode(value)


def encode_arguments(args: tuple[Any, ...], kwargs: dict[str, Any], what: str) -> bytes:
    """Arguments of a call or a start, or :class:`NotSendable` that names ``what``."""
    try:
        return encode((args, kwargs))
    except BaseException as error:
        raise NotSendable(f"the arguments of {what} cannot be pickled ({text_of(error)}): send plain values") from error


def encode_value(value: object, what: str) -> bytes:
    """A value that others get, or :class:`NotSendable` that names ``what``."""
    try:
        return encode(value)
    except BaseException as error:
        raise NotSendable(f"{what} cannot be pickled ({text_of(error)}): give plain values") from error


def checked_size(payload: bytes, limit: int, what: str) -> bytes:
    """The payload, or :class:`PayloadTooLarge` that names ``what``.

    >>> checked_size(b"pabc", 3, "the arguments of room-1.post")
    Traceback (most recent call last):
    hubq.errors.PayloadTooLarge: the arguments of room-1.post: 4 bytes, the most is 3 (max_payload_bytes, or what Redis takes): \
send less at a time, or where it is kept
    """
    if len(payload) > limit:
        raise PayloadTooLarge(
            f"{what}: {len(payload)} bytes, the most is {limit} (max_payload_bytes, or what Redis takes): "
            "send less at a time, or where it is kept"
        )
    return payload


def encode_state(state: Any, limit: int, child: str, version: int = 1) -> bytes:
    """A child's state, or :class:`StateNotSavable` naming the attribute, or :class:`StateTooLarge`. A version above 1 is
    written in front of it.

    >>> version_of(encode_state({"n": 1}, 100, "room-1", 3)), version_of(encode_state({"n": 1}, 100, "room-1"))
    (3, 1)
    """
    try:
        data = encode(state)
    except BaseException as error:
        culprit = _culprit(state)
        where = f"attribute {culprit!r}" if culprit else "what it returned"
        raise StateNotSavable(
            f"the state of child {child!r} cannot be pickled: {where} ({text_of(error)}); "
            "name such attributes in `transient` and make them in on_start()"
        ) from error
    if version != 1:
        data = b"v%d\n" % version + data
    if len(data) > limit:
        raise StateTooLarge(
            f"the state of child {child!r} has {len(data)} bytes, the most is {limit} (max_state_bytes, or what Redis takes): "
            "keep less in the child, or raise the limit"
        )
    return data


def version_of(data: bytes) -> int:
    """The version of an encoded state: the ``state_version`` of the class that wrote it.

    Raises ValueError if what stands there is no version.
    """
    if data[:1] != b"v":
        return 1
    line = data[1 : len(data) - len(_behind_line(data))].strip()
    if not line.isdigit() or len(line) > 18:
        raise ValueError(f"the version {line[:20]!r} is no number")
    return int(line)


def _culprit(state: Any) -> str | None:
    if isinstance(state, dict):
        for name, value in state.items():
            try:
                encode(value)
            except BaseException:
                return str(name)
    return None


def sendable(text: str) -> str:
    """Text that can be written as UTF-8, whatever a user's exception had in it."""
    return text.encode("utf-8", "replace").decode("utf-8")
