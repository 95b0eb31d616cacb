"""The release of a pin: its last commit, and its child is one of the shard again."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from hubq.node.departures.departure import Departures
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.register import Register
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.group import Group
from hubq.store.command import Command
from hubq.store.effects import Effects
from hubq.store.owners import release_pin
from hubq.store.places import read_shard_owners
from hubq.strategies.migration import MigrationTraits

log = logging.getLogger("hubq.node")


class PinRelease:
    """One pin on its way back to its shard: a way of leaving (:class:`~hubq.node.departures.departure.Way`)."""

    has_target = False

    def __init__(self, group: Group, register: Register, pin: Holding, closed_at: float) -> None:
        self.holding = pin
        self.what = f"releasing the pin of {pin.pinned}"
        self._group = group
        self._register = register
        self._closed_at = closed_at

    def parts(self) -> Sequence[Holding]:
        return [self.holding]

    def packed(self, effects: Effects) -> Effects:
        return effects

    def command(self, effects: Effects) -> Command[str]:
        group, pin = self._group, self.holding
        return release_pin(
            group.keys, pin.shard, pin.pinned or "", pin.owner, closed_at_ms=self._closed_at, effects=effects,
            events_kept=group.config.events_kept,
        )  # fmt: skip

    def given(self) -> None:
        self._register.drop(self.holding)

    async def stays(self, effects: Effects, refused: int) -> None:
        raise AssertionError("the release of a pin has no target")

    def forfeited(self) -> list[HostedChild]:
        return []


class PinReleases:
    """Releases pins."""

    def __init__(
        self, group: Group, register: Register, plan_due: Bell, traits: MigrationTraits, departures: Departures
    ) -> None:
        self._group = group
        self._register = register
        self._plan_due = plan_due
        self._traits = traits
        self._departures = departures

    async def release(self, pin: Holding, hosted: HostedChild | None) -> None:
        """Give the pin back, with the state of its child (None: it has ended). A child whose state cannot be taken goes
        with its last commit.
        """
        self._departures.check_commits(pin)
        closed_at = self._group.standing.redis_now_ms()
        pin.close_intake()
        if pin.gone:
            return
        children = [] if hosted is None else [hosted]
        target = await self._owner(pin.shard) if hosted is not None and hosted.kind.state_version > 1 else ""
        collected = await self._departures.collect(children, True, self._traits.handover_data_wait, target)
        for error in collected.failed.values():
            log.error("child %s moves with its last commit: its state could not be taken: %r", pin.pinned, error)
        pin.effects.absorb(collected.effects(children))
        await self._departures.give(PinRelease(self._group, self._register, pin, closed_at))
        await self._departures.dispose(children, "migrated")
        self._plan_due.ring()

    async def _owner(self, shard: int) -> str:
        owners = await self._group.redis.run(read_shard_owners(self._group.keys, [shard]), retry_for=1.0)
        return owners[shard].node if shard in owners else ""
