"""The one routine by which a child is put into a holding of this node and begins (docs/arrivals-and-departures.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hubq.errors import StartFailed
from hubq.node.children.failed_builds import Builds
from hubq.node.children.lives import Lives
from hubq.node.children.parking import Parking
from hubq.node.copies.protocol import Copies
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.trials.starts import StartTrials
from hubq.store.envelope import Envelope
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import TOOK_DOWN


@dataclass(slots=True)
class Coming:
    """What is known of the children that come to one holding, and what the entrance has done with some of them."""

    states: Mapping[str, Envelope]
    """Their saved states."""
    parked: Mapping[str, str]
    """Children that could not run where they were, and why. A child that begins here is parked no more."""
    ahead: Mapping[str, HostedChild] = field(default_factory=dict)
    """Children that were built ahead."""
    copies: Mapping[str, HostedChild] = field(default_factory=dict)
    """Copies that this node has of them, if they may go on as the originals."""
    first: bool = False
    """No node has ever had them."""
    taken: dict[str, HostedChild] = field(default_factory=dict)
    """The copies that go on as the originals: they are begun when all have been put in."""
    later: list[tuple[HostedChild, Envelope | None]] = field(default_factory=list)
    """Children that wait for their trial, and the state that each begins with."""


class Entrance:
    """Puts children into holdings."""

    def __init__(self, builder: Builds, parking: Parking, lives: Lives, trials: StartTrials, copies: Copies) -> None:
        self._builder = builder
        self._parking = parking
        self._lives = lives
        self._trials = trials
        self._copies = copies

    def enter(self, holding: Holding, child: str, record: SpecRecord, coming: Coming) -> HostedChild | None:
        """Build a child, or take the one that was built ahead, and begin it. None: it cannot run here, and a placeholder
        stands for it.
        """
        if self._is_condemned(holding, child, record, coming):
            return None
        hosted, saved = self._built_ahead(child, record, coming), coming.states.get(child)
        try:
            if hosted is None:
                hosted = self._builder.build(holding, child, record)
            self._builder.check_state(hosted, saved)
        except StartFailed as error:
            self._park(holding, child, record, str(error), error.__cause__)
            return None
        self._attach(holding, hosted, coming)
        self._lives.begin(hosted, saved, first=coming.first)
        return hosted

    async def enter_shard(self, holding: Holding, child: str, record: SpecRecord, coming: Coming) -> None:
        """The same for a shard that comes as a whole. A copy may take the child's place. If the last nodes did not get
        through the starts of this shard, ``__init__`` is tried alone, and the child waits for the trial of its start.
        """
        if self._is_condemned(holding, child, record, coming) or self._copy_goes_on(holding, child, record, coming):
            return
        hosted, saved = self._built_ahead(child, record, coming), coming.states.get(child)
        try:
            if hosted is None and holding.watch is None:
                hosted = self._builder.build(holding, child, record)
            elif hosted is None:
                async with self._trials.building(holding, child):
                    hosted = self._builder.build(holding, child, record)
            self._builder.check_state(hosted, saved)
        except StartFailed as error:
            self._park(holding, child, record, str(error), error.__cause__)
            return
        self._attach(holding, hosted, coming)
        if holding.watch is not None and holding.watch.careful:
            coming.later.append((hosted, saved))
        else:
            self._lives.begin(hosted, saved, first=coming.first)

    # -- the steps -------------------------------------------------------------------------------------------------

    def _is_condemned(self, holding: Holding, child: str, record: SpecRecord, coming: Coming) -> bool:
        reason = coming.parked.get(child, "")
        if not reason.startswith(TOOK_DOWN):
            return False
        self._park(holding, child, record, reason)
        return True

    def _copy_goes_on(self, holding: Holding, child: str, record: SpecRecord, coming: Coming) -> bool:
        copy = coming.copies.get(child)
        if copy is None or copy.record.start_id != record.start_id:
            return False
        if not self._copies.adopt(copy, coming.states.get(child)):
            return False
        self._attach(holding, copy, coming)
        coming.taken[child] = copy
        return True

    def _built_ahead(self, child: str, record: SpecRecord, coming: Coming) -> HostedChild | None:
        hosted = coming.ahead.get(child)
        return hosted if hosted is not None and hosted.record.start_id == record.start_id else None

    def _park(
        self, holding: Holding, child: str, record: SpecRecord, reason: str, error: BaseException | None = None
    ) -> None:
        holding.attach(self._parking.placeholder(holding, child, record, reason, error))

    def _attach(self, holding: Holding, hosted: HostedChild, coming: Coming) -> None:
        holding.attach(hosted)
        if hosted.child_id in coming.parked:
            holding.effects.parked[hosted.child_id] = ""  # if it could not run before, it can here
