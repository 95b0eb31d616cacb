"""Children with a place of their own, apart from their shard: who is to go where, who stays, and who comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hubq.core.hashing import shard_of
from hubq.core.messages import ChildrenPassed, HandoverConfirmed
from hubq.core.wish import Wish
from hubq.errors import StartFailed
from hubq.hooks import ChildrenMigrated
from hubq.node.holding import Cell, Holding
from hubq.node.passing import Passing
from hubq.store.control import send_control
from hubq.store.places import read_pin_owners, read_wishes, say_why
from hubq.store.registry import read_envelopes, read_some_specs, read_texts
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import TOOK_DOWN, read_tries

if TYPE_CHECKING:
    from hubq.node.parts import Parts
    from hubq.store.membership import NodeInfo
    from hubq.store.owners import Owners

log = logging.getLogger("hubq.node")

#: How often a child that could not go to its place is offered there again, seconds (sooner if the node was restarted).
RETRY = 15.0


class Places:
    """The wishes of a hub as one node knows them, and what this node does about them."""

    def __init__(self, parts: Parts) -> None:
        self.passings: dict[str, Passing] = {}
        self.begin: Callable[[Holding, Awaitable[Any], str], asyncio.Task[Any]]  # set by the coordinator
        self._parts = parts
        self._moves: dict[str, Wish] = {}
        self._by_shard: dict[int, list[str]] = {}
        self._epoch = 0
        self._ups: dict[str, int] = {}
        self._not_before: dict[str, tuple[str, int, float]] = {}
        self._adopting: set[tuple[int, str]] = set()

    # -- what is wanted --------------------------------------------------------------------------------------------

    async def refresh(self, epoch: int) -> bool:
        """Read the wishes again if there are others than before (True)."""
        if epoch == self._epoch:
            return False
        self._moves = await self._parts.redis.run(read_wishes(self._parts.keys))
        self._by_shard = {}
        for child in self._moves:
            self._by_shard.setdefault(shard_of(child, self._parts.config.shards), []).append(child)
        self._epoch = epoch
        self._not_before.clear()  # somebody has asked again
        self._parts.stragglers.news()
        return True

    def seen(self, nodes: Mapping[str, NodeInfo]) -> None:
        """The members have been read."""
        self._ups = {name: info.incarnation for name, info in nodes.items() if info.up}

    def wish(self, child: str, record: SpecRecord | None) -> Wish | None:
        """Where a child is wanted: a move by hand goes before what it was started with."""
        found = self._moves.get(child)
        if found is None and record is not None and record.place:
            found = Wish.read(record.place)
        return found

    def elsewhere(self, child: str, record: SpecRecord) -> bool:
        """Whether this node is not to serve a child, though it owns its shard."""
        wish = self.wish(child, record)
        return wish is not None and wish.elsewhere(self._parts.node_name, self._ups)

    def is_up(self, node: str) -> bool:
        """Whether a node takes children, as of the last look."""
        return node in self._ups

    def here(self, cell: Cell) -> bool:
        """Whether a child is wanted on this very node."""
        wish = self.wish(cell.child_id, cell.record)
        return wish is not None and wish.node == self._parts.node_name

    def staying(self, holding: Holding) -> set[str]:
        """The children of a shard that are wanted on this very node, and do not move with it."""
        candidates = {*holding.guided, *self._by_shard.get(holding.shard, ())} & holding.cells.keys()
        return {child for child in candidates if self.here(holding.cells[child])}

    # -- once per look ---------------------------------------------------------------------------------------------

    def look(self, owners: Owners, draining: bool) -> None:
        """Begin whatever has to be done. Costs nothing while there are neither wishes nor pins."""
        parts = self._parts
        for holding in list(parts.supervisor.holdings.values()):
            if holding.moving or holding.lost:
                continue
            if holding.pinned is not None:
                self._look_at_pin(holding, draining)
            elif not draining and holding.open and parts.reader.in_step(holding):
                if holding.unplaced or holding.guided or holding.shard in self._by_shard:
                    self._look_at_shard(holding)
                if holding.unbuilt and not holding.moving:
                    parts.parked.offer(holding, self._ups)
        for (shard, child), owner in owners.pins.items():
            if owner.node == parts.node_name and owner.incarnation == parts.incarnation:
                busy = (shard, child) in self._adopting or self._in_motion(shard)
                if (shard, child) not in parts.supervisor.holdings and not busy:
                    parts.supervisor.background(self.adopt(shard, [child]), f"adopting pin {child}")

    def _in_motion(self, shard: int) -> bool:
        holding = self._parts.supervisor.holdings.get((shard, None))
        return holding is not None and holding.moving

    def _look_at_pin(self, pin: Holding, draining: bool) -> None:
        if pin.follows:
            return
        if pin.cells and not draining and self.here(next(iter(pin.cells.values()))):
            return
        pin.moving = pin.follows = True
        stragglers = self._parts.stragglers
        self._parts.supervisor.background(stragglers.give_back(pin), f"giving back child {pin.pinned}")

    def _look_at_shard(self, holding: Holding) -> None:
        groups: dict[str, list[str]] = {}
        for child, record in list(holding.unplaced.items()):
            wish = self.wish(child, record)
            if wish is None or not wish.elsewhere(self._parts.node_name, self._ups):
                del holding.unplaced[child]
                self._parts.supervisor.background(self._parts.welcome(holding.shard, child), f"welcoming {child}")
            elif wish.node in self._ups and self._may_go(child, wish.node):
                groups.setdefault(wish.node, []).append(child)
        for child in {*holding.guided, *self._by_shard.get(holding.shard, ())}:
            cell = holding.cells.get(child)
            if cell is not None:
                wish = self.wish(child, cell.record)
                away = wish is not None and wish.node != self._parts.node_name and wish.node in self._ups
                if wish is not None and away and self._may_go(child, wish.node):
                    groups.setdefault(wish.node, []).append(child)
        for target, children in groups.items():
            self.begin_passing(holding, children, target)
            return  # one at a time; the rest when the coordinator is kicked at its end

    def _may_go(self, child: str, target: str) -> bool:
        """Not again at once after a failure, unless the target is a new one."""
        node, incarnation, when = self._not_before.get(child, ("", 0, 0.0))
        return (node, incarnation) != (target, self._ups.get(target, 0)) or self._parts.now() >= when

    def begin_passing(
        self, holding: Holding, children: Sequence[str], target: str
    ) -> tuple[Passing, asyncio.Task[Any]]:
        """Begin to pass children of a shard to another node."""
        passing = Passing(self._parts, holding, target, self._ups[target], list(children))
        work = self._pass(holding, passing, target)
        return passing, self.begin(holding, work, f"passing {len(children)} children of shard {holding.shard}")

    async def _pass(self, holding: Holding, passing: Passing, target: str) -> dict[str, str]:
        parts = self._parts
        self.passings[passing.handover_id] = passing
        try:
            await passing.run()
            for child, reason in passing.failed.items():
                log.warning("child %s stays: %s", child, reason)
                self._not_before[child] = (target, self._ups.get(target, 0), parts.now() + RETRY)
                await parts.redis.run(say_why(parts.keys, child, reason), retry_for=1.0)
                record = holding.unplaced.get(child)
                wish = self.wish(child, record)
                if record is not None and wish is not None and not wish.waits and not holding.lost:
                    # Better served by its shard than by nobody.
                    del holding.unplaced[child]
                    parts.supervisor.background(parts.welcome(holding.shard, child, stay=True), f"welcoming {child}")
            return passing.failed
        finally:
            # Its confirmation may come after the end of the passing.
            asyncio.get_running_loop().call_later(30.0, self.passings.pop, passing.handover_id, None)

    async def send_away(self, holding: Holding, children: Mapping[str, SpecRecord]) -> dict[str, str]:
        """New children that are wanted elsewhere: pass them; child -> why not."""
        failed: dict[str, str] = {}
        groups: dict[str, list[str]] = {}
        for child, record in children.items():
            wish = self.wish(child, record)
            if wish is not None and wish.node in self._ups:
                groups.setdefault(wish.node, []).append(child)
        for target, group in groups.items():
            while holding.moving and not holding.lost:  # noqa: ASYNC110  (rare, and short)
                await asyncio.sleep(0.01)
            # What was going on meanwhile may have passed some of them already.
            group = [child for child in group if child in holding.unplaced]
            if holding.lost or target not in self._ups or not group:
                continue
            passing = Passing(self._parts, holding, target, self._ups[target], group)
            await self.begin(holding, self._pass(holding, passing, target), f"starting children on {target}")
            failed |= passing.failed
            if len(passing.failed) < len(group):
                await asyncio.wait([passing.confirmed], timeout=self._parts.config.lease)
        return failed

    # -- at the target ---------------------------------------------------------------------------------------------

    async def passed(self, message: ChildrenPassed) -> None:
        """``children_passed``: these pins are ours."""
        parts = self._parts
        children = message.children.split("\n")
        await self.adopt(message.shard, children, message.closed_at, message.sender)
        while any((message.shard, child) in self._adopting for child in children):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        confirmed = HandoverConfirmed(parts.node_name, message.shard, message.handover_id)
        await parts.redis.run(send_control(parts.keys, message.sender, confirmed), retry_for=1.0)

    async def adopt(self, shard: int, children: Sequence[str], closed_at: float = 0.0, source: str = "") -> None:
        """Serve pins whose token this node has: states from ``msk``, messages from the first one left."""
        parts = self._parts
        holdings = parts.supervisor.holdings
        names = [c for c in children if (shard, c) not in holdings and (shard, c) not in self._adopting]
        if not names:
            return
        mine = {(shard, child) for child in names}
        self._adopting |= mine
        began = parts.now()
        incarnation = parts.incarnation
        try:
            owners, specs, states, parked, watch = await parts.redis.run_many(
                [
                    read_pin_owners(parts.keys, shard, names),
                    read_some_specs(parts.keys, shard, names),
                    read_envelopes(parts.keys, shard, names),
                    read_texts(parts.keys.parked(shard)),
                    read_tries(parts.keys, shard),
                ],
                retry_for=parts.config.lease,
            )
            if parts.incarnation != incarnation:
                return
            for number, child in enumerate(names):
                owner = owners.get(child)
                if owner is None or (owner.node, owner.incarnation) != (parts.node_name, incarnation):
                    continue
                pin = Holding(shard, owner, child)
                pin.recorder = parts.recorder
                pin.watch = watch
                record = specs.get(child)
                if record is None:
                    parts.hold(pin)  # it has ended; the next look gives the pin back
                    continue
                if (reason := parked.get(child, "")).startswith(TOOK_DOWN):
                    pin.cells[child] = parts.supervisor.build_parked(pin, child, record, reason)
                    parts.hold(pin)
                    continue
                cell = parts.take_ahead(shard, child, record.start_id)
                if cell is None:
                    try:
                        cell = parts.supervisor.build(pin, child, record)
                    except StartFailed as error:
                        pin.cells[child] = parts.supervisor.build_parked(pin, child, record, str(error))
                        parts.hold(pin)
                        continue
                cell.holding = pin
                pin.cells[child] = cell
                if child in parked:
                    pin.effects.parked[child] = ""
                parts.supervisor.begin(cell, states.get(child))
                pin.open = True
                parts.hold(pin)
                parts.reader.again(cell)
                parts.dispatcher.resume(cell)
                if child in parked and not self.here(cell):
                    # Its shard's owner cannot run it. It goes back when an owner can.
                    parts.stragglers.follow(pin, parts.moves.retention, serving=True)
                if closed_at:
                    pause = max(0.0, parts.redis_now_ms() - closed_at)
                    parts.counters.moved_in += 1
                    parts.counters.pauses.add(pause / 1000)
                    self._tell(pin, child, source, parts.now() - began, pause / 1000)
                    parts.supervisor.event(
                        "child_migrated", shard=shard, child=child, source=source, pause_ms=f"{pause:.2f}"
                    )
                if number % 64 == 63:
                    await asyncio.sleep(0)
                    if parts.incarnation != incarnation:
                        return
        finally:
            self._adopting -= mine
        await parts.wake()
        parts.committer.changed()
        parts.kick()

    def _tell(self, pin: Holding, child: str, source: str, seconds: float, pause: float) -> None:
        hooks = self._parts.hooks
        if hooks.wants("child_process_pid_update"):
            hooks.pids_updated(pin, (child,), "migrated")
        if hooks.wants("children_migrated"):
            moved = ChildrenMigrated(hooks.hub_id, hooks.node, pin.shard, source, hooks.node, (child,), seconds, pause)
            hooks.fire("children_migrated", moved)

    def forget_all(self) -> None:
        """The node was evicted."""
        self._not_before.clear()
