"""How a hub writes values and reads them: by pickle (:mod:`hubq.store.pickled_values`), or as data (:mod:`hubq.store.data_values`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hubq.core.child import Child

#: The tag of data, before MessagePack.
DATA = b"m"
#: ``True`` and ``None`` as every codec reads them: answers of the node itself.
TRUE, NOTHING = b"jtrue", b"jnull"

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
        self, kind: type[Child], state: Any, limit: int, child: str, *, handed: bool = False, surely: bool = False,
        known: bytes | None = None,
    ) -> bytes:  # fmt: skip
        """The attributes of a child, or what it hands over. ``surely``: it is tried whether the state comes back, however often
        one like it has. ``known``: this very state, encoded, need not be tried.

        Raises :class:`~hubq.errors.StateNotSavable`, :class:`~hubq.errors.StateTooLarge`.
        """

    def encode_older_state(self, state: Any, limit: int, child: str, version: int) -> bytes:
        """What ``downgrade_state`` has returned for this version.

        Raises :class:`~hubq.errors.StateNotSavable`, :class:`~hubq.errors.StateTooLarge`.
        """

    def decode_state(self, kind: type[Child], data: bytes, *, handed: bool = False, older: bool = False) -> Any:
        """The reverse of :meth:`encode_state`. ``older``: an older version of the class has written it, and ``upgrade_state`` gets it.

        Raises :class:`~hubq.errors.Unreadable`.
        """

    def upgraded(self, kind: type[Child], data: bytes, state: Any, *, handed: bool) -> Any:
        """What ``upgrade_state`` has made of a state that was read from these bytes, as the class has it.

        Raises :class:`~hubq.errors.Unreadable`.
        """
