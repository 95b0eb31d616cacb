"""What a holding knows of children by their names: who is served elsewhere, is on its way, cannot be built, has to be read again."""

from __future__ import annotations

from collections.abc import Iterable

from hubq.core.phase import Phase
from hubq.node.held.phased import Phased
from hubq.store.spec_record import SpecRecord


class KnownChildren(Phased):
    """A holding, as far as it is about children that need not be hosted here."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(phase)
        self.apart: set[str] = set()
        """Children of the shard that are not served here: each has a pin, or waits for its node."""
        self.unplaced: dict[str, SpecRecord] = {}
        """Children of ``apart`` that have no pin: they wait for their node."""
        self.guided: set[str] = set()
        """Children that were started with a place of their own."""
        self.departing: set[str] = set()
        """Children that are being passed to other nodes."""
        self.unbuilt: dict[str, set[tuple[str, int]]] = {}
        """Children that cannot be built here: the nodes (name, incarnation) that were asked to take them."""
        self.condemned: set[str] = set()
        """Children that are parked since their start took nodes down."""
        self.behind: dict[str, bytes] = {}
        """Child -> the entry after which its messages must be read again (``Cursors`` and the reader write it)."""
        self.starting: dict[str, bytes] = {}
        """Child -> the entry of its start, which is being carried out: a catching up leaves its messages alone (``Cursors``
        writes it)."""
        self.replays: dict[str, float] = {}
        """``durability="interval"``: child -> Redis ms before which another node may have answered its messages."""
        self.telling: set[str] = set()
        """Children that have told their progress."""

    def set_apart(self, children: Iterable[str]) -> None:
        """These children of the shard are not served here."""
        self.apart.update(children)

    def take_back(self, child: str) -> None:
        """This child is served here again."""
        self.apart.discard(child)

    def wait_for_place(self, child: str, record: SpecRecord) -> None:
        """It is wanted on another node, and is pinned nowhere yet."""
        self.apart.add(child)
        self.unplaced[child] = record

    def placed(self, child: str) -> bool:
        """It waits for its node no more. False: it did not."""
        return self.unplaced.pop(child, None) is not None

    def guide(self, child: str) -> None:
        """It was started with a place of its own."""
        self.guided.add(child)

    def begin_departure(self, children: Iterable[str]) -> None:
        """These children are being passed to another node."""
        self.departing.update(children)

    def end_departure(self, children: Iterable[str]) -> None:
        """They have gone, or stay."""
        self.departing.difference_update(children)
        self.tell()

    def start_is_over(self, child: str) -> None:
        """Its start has been carried out, whatever came of it."""
        del self.starting[child]
        self.tell()

    def cannot_build(self, child: str) -> None:
        """It is to be offered to the other nodes."""
        self.unbuilt[child] = set()

    def offered(self, child: str, node: str, incarnation: int) -> None:
        """It has been offered to this node."""
        self.unbuilt[child].add((node, incarnation))

    def can_build(self, child: str) -> None:
        """It need not be offered any more."""
        self.unbuilt.pop(child, None)

    def forget_replays(self, child: str) -> None:
        """No message of this child is left that another node may have answered."""
        self.replays.pop(child, None)

    def condemn(self, child: str) -> None:
        """Its start took nodes down: it is parked until somebody replays its dead letter."""
        self.condemned.add(child)

    def pardon(self, child: str) -> None:
        """It may be started again."""
        self.condemned.discard(child)

    def replays_before(self, child: str, redis_ms: float) -> None:
        """Messages of this child from before this time may have been answered by another node."""
        self.replays[child] = redis_ms
