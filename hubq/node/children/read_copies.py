"""What a ``@read`` runs on: a copy of its child, made of the state at the last message boundary."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NoReturn

from hubq.core.child import Child
from hubq.errors import OutsideHandler
from hubq.node.held.holding import HostedChild
from hubq.node.held.state import take_state
from hubq.node.runtime.sizes import Sizes

#: Copies are kept until their child has another state; of all children so many at most, of so many bytes of state.
MOST_COPIES, MOST_BYTES = 64, 32 << 20


class ReadHost:
    """The node as a ``@read`` sees it: it may look, and do nothing."""

    def __init__(self, hosted: HostedChild) -> None:
        self._hosted = hosted
        self.child_id = hosted.child_id

    @property
    def node_name(self) -> str:
        return self._hosted.node_name

    @property
    def metadata(self) -> dict[str, Any]:
        return self._hosted.metadata

    @property
    def redundancy_mode(self) -> str:
        return self._hosted.redundancy_mode

    def __getattr__(self, name: str) -> NoReturn:
        raise OutsideHandler(
            f"child {self.child_id!r}: a @read runs on a copy and only looks; what it says, commits or stops would never leave "
            f"({name}). Make it an ordinary method"
        )


class ReadCopy:
    """A copy of a child at one state."""

    def __init__(self, hosted: HostedChild, boundary: bytes) -> None:
        self.boundary = boundary
        self._values = hosted.services.values
        self.instance: Child = hosted.copy_with(ReadHost(hosted), self._values.decode_state(hosted.kind, boundary))
        # Not the boundary itself: a set that is built anew may have another order.
        self._as_made = self._encoded()

    def _encoded(self) -> bytes:
        return self._values.encode_any(vars(self.instance))

    @property
    def changed(self) -> bool:
        """Whether what ran on it has changed it."""
        try:
            return self._encoded() != self._as_made
        except Exception:
            return True  # it has something now that cannot be saved


class ReadCopies:
    """The copies of a node's children."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._copies: OrderedDict[HostedChild, ReadCopy] = OrderedDict()
        self._bytes = 0

    def of(self, hosted: HostedChild) -> ReadCopy:
        """The copy of a child at its last message boundary.

        Raises what raises when the state is taken or laid.
        """
        boundary = hosted.boundary
        if boundary is None:  # it has handled nothing here, and has nothing in hand: it is as it was started
            hosted.taken(take_state(hosted, self._sizes.state))
            boundary = hosted.boundary
            assert boundary is not None
        known = self._copies.get(hosted)
        if known is not None and known.boundary is boundary:
            self._copies.move_to_end(hosted)
            return known
        self.drop(hosted)
        made = self._copies[hosted] = ReadCopy(hosted, boundary)
        self._bytes += len(boundary)
        while len(self._copies) > MOST_COPIES or (self._bytes > MOST_BYTES and len(self._copies) > 1):
            self.drop(next(iter(self._copies)))
        return made

    def drop(self, hosted: HostedChild) -> None:
        """Its copy is used no more."""
        known = self._copies.pop(hosted, None)
        if known is not None:
            self._bytes -= len(known.boundary)
