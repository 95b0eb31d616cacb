"""What a typed reference brings along to start its child, if that is not there (docs/guide-on-demand.md)."""

from __future__ import annotations

import inspect
from typing import Any
from weakref import WeakKeyDictionary

from hubq.client.operations.starts import record_of
from hubq.core.child import Child
from hubq.core.classes import as_child_class
from hubq.core.spec import ChildSpec
from hubq.errors import ConfigError
from hubq.store.codec import checked_size
from hubq.store.spec_record import SpecRecord
from hubq.store.values import Values


def activation_of(
    values: Values, most_bytes: int, target: Any, child_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> SpecRecord | None:
    """The spec by which a message to this child starts it (its start id is still to be given); None: its class has no
    ``activate=True``.

    Raises :class:`~hubq.errors.ConfigError`: ``target`` is no child, the arguments do not fit its ``__init__``, or there are
    some and it has no ``activate=True``; :class:`~hubq.errors.NotSendable` and :class:`~hubq.errors.PayloadTooLarge`.
    """
    kind = as_child_class(target)
    if not kind.activate:
        if args or kwargs:
            raise ConfigError(
                f"reference to child {child_id!r}: {kind.__name__} has no activate=True, so no message starts it, and arguments for "
                f"its __init__ are for nothing. Say @hub.child(activate=True), or hub.ref({kind.__name__}, {child_id!r})"
            )
        return None
    check_init(
        kind, args, kwargs, f"reference to child {child_id!r}, which a message would start",
        f". Give its arguments, hub.ref({kind.__name__}, {child_id!r}, ...); to a child that is there write by its name, "
        f"hub.ref({child_id!r})",
    )  # fmt: skip
    record = record_of(ChildSpec(child_id, target, args, kwargs), values)
    checked_size(record.arguments, most_bytes, f"the arguments of child {child_id!r}")
    return record


def check_init(kind: type[Child], args: tuple[Any, ...], kwargs: dict[str, Any], what: str, advice: str = "") -> None:
    """Raise :class:`~hubq.errors.ConfigError` unless these arguments fit ``__init__`` of a class. ``what`` is said before the reason,
    ``advice`` behind it.

    >>> class Room(Child):
    ...     def __init__(self, topic): ...
    >>> check_init(Room, (), {}, "child 'a' cannot be started")
    Traceback (most recent call last):
    hubq.errors.ConfigError: child 'a' cannot be started: Room.__init__ says: missing a required argument: 'topic'
    """
    if kind.__init__ is object.__init__:
        if args or kwargs:
            raise ConfigError(f"{what}: {kind.__name__} has no __init__: it takes no arguments{advice}")
        return
    try:
        _signature(kind).bind(None, *args, **kwargs)
    except TypeError as error:
        raise ConfigError(f"{what}: {kind.__name__}.__init__ says: {error}{advice}") from None


_signatures: WeakKeyDictionary[type[Child], inspect.Signature] = WeakKeyDictionary()


def _signature(kind: type[Child]) -> inspect.Signature:
    """That of its ``__init__``. (Looking it up takes longer than sending a message.)"""
    found = _signatures.get(kind)
    if found is None:
        found = _signatures[kind] = inspect.signature(kind.__init__)
    return found
