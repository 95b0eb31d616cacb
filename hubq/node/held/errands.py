"""What the owner of a shard sees to beside its messages: an outbox, for example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hubq.node.held.marked_shards import MarkedShards
from hubq.store.saying import Saying


class Errand(Protocol):
    """Somebody who sees to one kind of thing in the shards that are here. Told often, so it only takes a note."""

    def arrived(self, shard: int) -> None:
        """The shard, or a child of it that was elsewhere, is here: look whether there is something to do."""

    def committed(self, shard: int, said: Sequence[Saying], held: bool) -> None:
        """A commit has written what children of the shard said. ``held``: something waits in the outbox."""


class Errands:
    """Tells everybody who sees to something. ``newcomers``: the shards that have come; one request looks at them for all errands
    (:class:`~hubq.node.mailbox.first_look.FirstLook`).
    """

    def __init__(self, newcomers: MarkedShards, *errands: Errand) -> None:
        self._newcomers = newcomers
        self._errands = errands

    def arrived(self, shard: int) -> None:
        """See :meth:`Errand.arrived`."""
        self._newcomers.arrived(shard)

    def committed(self, shard: int, said: Sequence[Saying], held: bool) -> None:
        """See :meth:`Errand.committed`."""
        for errand in self._errands:
            errand.committed(shard, said, held)
