"""Runs the plan: looks at members and owners, gives away what belongs elsewhere, takes what belongs here."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, assert_never

from hubq.core.lifecycle import Life
from hubq.core.messages import (
    ChildrenPassed,
    ChildStartResp,
    ControlMessage,
    Handover,
    HandoverConfirmed,
    PinReleased,
    ReplicaJoined,
    Revive,
    StartChildren,
    Wake,
    Withdraw,
)
from hubq.core.placement import plan
from hubq.core.view import NodeView, View, settled
from hubq.errors import RedisUnavailable
from hubq.hooks import ChildrenRedistribution
from hubq.node.holding import Holding
from hubq.node.hook_runner import pid_of
from hubq.node.recorder import Recorder, moves_by_itself
from hubq.node.source import SourceHandover
from hubq.node.target import Intake
from hubq.node.tasks import end_tasks
from hubq.node.view_hooks import ViewHooks
from hubq.store.assignment import read_assignment
from hubq.store.connection import LOST
from hubq.store.control import last_event_id, read_control
from hubq.store.membership import NodeInfo, read_nodes
from hubq.store.owners import Kept, Owner, Owners, claim_shards, dissolve_pins, park_shard, read_owners
from hubq.store.places import read_pins_epoch
from hubq.store.quorum import forget_quorum

if TYPE_CHECKING:
    from hubq.node.parts import Parts

log = logging.getLogger("hubq.node")

BLOCK_MS = 2000


class Coordinator:
    """The control loop of a node."""

    def __init__(self, parts: Parts, intake: Intake, empty: Callable[[], None]) -> None:
        self.draining = False
        self.ready = False  # as of the last look at the plan
        self._parts = parts
        self._intake = intake
        self._empty = empty
        self._kicked = asyncio.Event()
        self._handovers: dict[str, SourceHandover] = {}
        self._moving: dict[int, asyncio.Task[Any]] = {}
        self._members: set[tuple[str, int, bool]] = set()
        parts.places.begin = self._begin
        self._tasks: list[asyncio.Task[Any]] = []
        self._view = ViewHooks(parts.hooks)

    def start(self) -> None:
        """Begin: the plan loop, and the loop that reads control messages and events."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._listen()), loop.create_task(self._plan_loop())]

    async def stop(self) -> None:
        """End both loops."""
        await end_tasks(self._tasks)
        self._tasks = []

    def kick(self) -> None:
        """Look at the plan again soon."""
        self._kicked.set()

    # -- control messages ------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        parts = self._parts
        after, events_after = "0", ""
        while True:
            try:
                if not events_after:
                    events_after = await parts.redis.run(last_event_id(parts.keys))
                after, messages, events_after, events = await parts.redis.run(
                    read_control(parts.keys, parts.node_name, after, events_after, BLOCK_MS)
                )
            except (*LOST, RedisUnavailable):
                await asyncio.sleep(0.1)
                continue
            for message in messages:
                self._receive(message)
            if any(parts.synchronization.propagate(event.get("type", "")) for event in events):
                self.kick()

    def _receive(self, message: ControlMessage) -> None:
        work: Awaitable[None] | None = None
        match message:
            case StartChildren():
                work = self._intake.start_children(message)
            case Handover():
                work = self._intake.handed_over(message)
            case PinReleased():
                work = self._intake.pin_released(message)
            case Revive():
                work = self._parts.parked.revive(message.shard, message.child)
            case Withdraw():
                self._parts.withdrawals.withdraw(message)
            case ChildrenPassed():
                work = self._parts.places.passed(message)
            case ChildStartResp() if (passing := self._parts.places.passings.get(message.handover_id)) is not None:
                if not passing.resp.done():
                    passing.resp.set_result(message)
            case HandoverConfirmed() if (passing := self._parts.places.passings.get(message.handover_id)) is not None:
                if not passing.confirmed.done():
                    passing.confirmed.set_result(None)
            case ChildStartResp():
                handover = self._handovers.get(message.handover_id)
                offer = self._parts.stragglers.offers.get(message.handover_id)
                future = handover.resp if handover is not None else offer
                if future is not None and not future.done():
                    future.set_result(message.failed)
            case HandoverConfirmed():
                handover = self._handovers.get(message.handover_id)
                if handover is not None and not handover.confirmed.done():
                    handover.confirmed.set_result(None)
            case ReplicaJoined():
                if self._parts.recorder is not None:
                    work = self._snapshots(message.shard, self._parts.recorder)
            case Wake():
                pass  # it has ended the blocking read, and that is all that it is for
            case _:
                assert_never(message)
        if work is not None:
            self._parts.supervisor.background(work, type(message).__name__)

    async def _snapshots(self, shard: int, recorder: Recorder) -> None:
        """A follower has come: tell it the states that ``msk`` does not hold."""
        supervisor = self._parts.supervisor
        for holding in [h for h in supervisor.holdings.values() if h.shard == shard]:
            for cell in [cell for cell in holding.cells.values() if moves_by_itself(cell)]:
                await supervisor.saver.boundary(cell)
                if not cell.holding.lost and not cell.holding.frozen and cell.life is not Life.ENDED:
                    recorder.snapshot(cell)
        self._parts.committer.changed()

    # -- the plan --------------------------------------------------------------------------------------------------

    async def _plan_loop(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._parts.synchronization.init_sync()):
                    await self._kicked.wait()
            except TimeoutError:
                pass
            self._kicked.clear()
            try:
                await self._look()
            except (*LOST, RedisUnavailable) as error:
                log.debug("the plan waits: %s", error)
            except Exception:
                log.exception("looking at the plan failed")

    async def _look(self) -> None:
        parts = self._parts
        if not parts.incarnation or not parts.lease.trusted(parts.now()):
            return
        if parts.quorum is not None:
            await parts.quorum.look()
        known = dict(parts.tokens)
        balanced = [] if parts.balancer is None else [read_assignment(parts.keys)]
        nodes, owners, wishes, *published = await parts.redis.run_many(
            [read_nodes(parts.keys), read_owners(parts.keys), read_pins_epoch(parts.keys), *balanced]
        )
        me = nodes.get(parts.node_name)
        if me is None or me.incarnation != parts.incarnation:
            return  # the next renewal says "evicted"
        former, parts.former_tokens = parts.former_tokens, {}
        if any(_token(owners, shard) < token for shard, token in former.items()):
            log.error(
                "Redis has lost writes that it had confirmed: node %s goes on with what Redis has", parts.node_name
            )
            parts.supervisor.event("redis_went_back", epoch=parts.epoch)
        if any(_token(owners, shard) < token for shard, token in known.items()):
            parts.void("tokens are lower in Redis than they were")
            return
        self._draining_seen(me)
        if await parts.places.refresh(wishes):
            self.kick()  # the owners that were read may be old by now
            return
        parts.places.seen(nodes)
        members = {(name, info.incarnation, info.up) for name, info in nodes.items()}
        if members != self._members:
            self._members = members
            parts.stragglers.news()
            if parts.quorum is None:  # if there were nodes that kept one, they may have gone without it
                await parts.redis.run(forget_quorum(parts.keys))
            if parts.balancer is not None:
                parts.balancer.view_changed(nodes)
        if await self._view.seen(nodes):
            self.kick()  # handlers were waited for: what was read may be old by now
            return
        self._reconcile(nodes, owners)
        parts.places.look(owners, self.draining)
        parts.parked.look()
        for handover in self._handovers.values():
            handover.target_seen(nodes)
        current: dict[int, str | None] = {
            shard: owner.node if _lives(nodes, owner) else None for shard, owner in owners.shards.items()
        }
        ups = {name: NodeView(name, info.incarnation, info.tags, info.host) for name, info in nodes.items() if info.up}
        assignment = published[0].valid(nodes) if published else {}
        view = View(ups, current, parts.config.shards, assignment)
        desired = settled(parts.distribution.belongs_to(view), view) if ups else {}
        if ups and parts.replicas is not None:
            desired |= parts.replicas.heirs(desired, view, owners.shards)
        ownerless = [shard for shard in range(parts.config.shards) if current.get(shard) is None]
        mine = [shard for shard in ownerless if desired.get(shard) == parts.node_name]
        here = {shard: node for shard, node in current.items() if node == parts.node_name}
        moves = plan(here, desired, self._moving, parts.config.moves_at_once)
        if await self._view.planned(ups, {move.shard: move.target for move in moves}, mine):
            self.kick()
            return
        if mine:
            await self._claim(mine, nodes, owners)
        if not desired:
            await self._park_all()
        for move in moves:
            self._move(move.shard, move.target, nodes[move.target].incarnation)
        self._view.looked(ups, quiet=not (mine or moves or self._moving))
        self.ready = bool(desired) and not self.draining and self._serves(desired)
        if parts.replicas is not None:
            parts.replicas.look(view, owners)
        owns = any((o.node, o.incarnation) == (parts.node_name, parts.incarnation) for o in owners.shards.values())
        if self.draining and not owns and not parts.supervisor.holdings and not self._moving:
            self._empty()

    def _serves(self, desired: dict[int, str]) -> bool:
        """Whether this node serves every shard that should be here."""
        held = self._parts.supervisor.holdings
        wanted = (held.get((shard, None)) for shard, node in desired.items() if node == self._parts.node_name)
        return all(holding is not None and holding.open for holding in wanted)

    def _draining_seen(self, me: NodeInfo) -> None:
        if not me.up and not self.draining:
            log.info("node %s is draining", self._parts.node_name)
            self.draining = True
            self.ready = False
            self._parts.stragglers.leaving.set()

    def _reconcile(self, nodes: dict[str, NodeInfo], owners: Owners) -> None:
        """What Redis says against what this node does: control messages may have been lost."""
        parts = self._parts
        served = {h.shard: pid_of(h.owner) for h in parts.supervisor.holdings.values() if h.pinned is None}
        truth = {shard: pid_of(owner) for shard, owner in owners.shards.items()}
        differing = set(parts.synchronization.handle_synchronization(served, truth))
        for shard, owner in owners.shards.items():
            holding = parts.supervisor.holdings.get((shard, None))
            if holding is not None and owner == holding.owner:
                self._reconcile_pins(holding, nodes, owners.pinned(shard))
            elif shard not in differing:
                continue  # the strategy leaves it as it is
            elif holding is None:
                is_mine = owner.node == parts.node_name and owner.incarnation == parts.incarnation
                if is_mine and owner.token > parts.tokens.get(shard, 0) and not self._intake.coming(shard):
                    parts.supervisor.background(self._intake.adopt(shard, owner), f"adopting shard {shard}")
            elif owner.token > holding.owner.token and shard not in self._moving:
                parts.fenced(holding)

    def _reconcile_pins(self, holding: Holding, nodes: dict[str, NodeInfo], pins: dict[str, Owner]) -> None:
        parts = self._parts
        for child in list(holding.excluded):
            if child not in pins and child not in holding.unplaced and child not in holding.leaving:
                parts.supervisor.background(self._intake.welcome(holding.shard, child), f"welcoming {child}")
        dead = [child for child, owner in pins.items() if not _lives(nodes, owner)]
        if dead:
            parts.supervisor.background(self._dissolve(holding, dead), "dissolving pins")

    async def _dissolve(self, holding: Holding, dead: list[str]) -> None:
        parts = self._parts
        command = dissolve_pins(parts.keys, holding.shard, holding.owner, dead, Kept.of(parts.config))
        for child in await parts.redis.run(command, retry_for=1.0) or ():
            await self._intake.welcome(holding.shard, child)

    async def _claim(self, shards: list[int], nodes: dict[str, NodeInfo], owners: Owners) -> None:
        parts = self._parts
        wanted = set(shards)
        dead = [pin for pin, owner in owners.pins.items() if pin[0] in wanted and not _lives(nodes, owner)]
        kept = Kept.of(parts.config)
        command = claim_shards(parts.keys, parts.node_name, parts.incarnation, shards, dead, kept)
        taken = await parts.redis.run(command) or {}
        if taken:
            log.info("node %s takes %d shards", parts.node_name, len(taken))
        for shard, token in taken.items():
            owner = Owner(parts.node_name, parts.incarnation, token)
            parts.supervisor.background(self._intake.adopt(shard, owner, claimed=True), f"adopting shard {shard}")

    # -- giving away -----------------------------------------------------------------------------------------------

    def _move(self, shard: int, target: str, incarnation: int) -> None:
        holding = self._parts.supervisor.holdings.get((shard, None))
        if holding is None or holding.moving or holding.lost or not self._parts.reader.in_step(holding):
            return
        handover_id = secrets.token_hex(8)
        handover = SourceHandover(self._parts, holding, target, incarnation, handover_id)
        self._handovers[handover_id] = handover
        task = self._begin(holding, self._hand_over(handover, holding), f"handing over shard {shard}")

        def over(_: asyncio.Task[Any]) -> None:
            handover.give_turn()
            self._handovers.pop(handover_id, None)

        task.add_done_callback(over)

    def _begin(self, holding: Holding, work: Awaitable[Any], what: str) -> asyncio.Task[Any]:
        """Do something with a shard in the background; until it is done, nothing else is begun with it."""
        holding.moving = True
        task = self._parts.supervisor.background(work, what)
        self._moving[holding.shard] = task

        def done(_: asyncio.Task[Any]) -> None:
            self._moving.pop(holding.shard, None)
            holding.moving = False
            self.kick()

        task.add_done_callback(done)
        return task

    async def _hand_over(self, handover: SourceHandover, holding: Holding) -> None:
        migration, hooks = self._parts.migration, self._parts.hooks
        if hooks.wants("pre_children_redistribution"):
            payload = ChildrenRedistribution(
                hooks.hub_id, hooks.node, holding.shard, tuple(holding.cells), handover.target, self.draining
            )
            await hooks.before("pre_children_redistribution", payload)
        try:
            if self.draining:
                await migration.handle_shutdown(handover)
            else:
                await migration.handle_migration(handover)
        except Exception:
            handover.abandon()
            raise

    async def _park_all(self) -> None:
        """Nobody is left: save everything and own nothing."""
        shards = [h for (_, pinned), h in self._parts.supervisor.holdings.items() if pinned is None and not h.moving]
        for holding in shards:
            holding.moving = True
        await asyncio.gather(*(self._park(holding) for holding in shards))

    async def _park(self, holding: Holding) -> None:
        parts, supervisor = self._parts, self._parts.supervisor
        holding.open = False
        retention = parts.moves.retention
        data_wait = parts.moves.handover_data_wait
        cells = list(holding.cells.values())
        busy = [cell for cell in cells if cell.busy is not None]
        if busy:
            _, late = await asyncio.wait(
                [asyncio.ensure_future(supervisor.saver.boundary(cell)) for cell in busy], timeout=retention
            )
            for cell in busy:
                if cell.busy is not None:
                    cell.busy.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
                for wait in late:
                    wait.cancel()
        for cell in cells:
            if cell.instance is not None and cell.busy is None and cell.life.value == "running":
                try:
                    child, envelope = await asyncio.wait_for(supervisor.saver.hand_over(cell, True), data_wait)
                except Exception as error:
                    log.error("child %s is parked with its last commit: %r", cell.child_id, error)
                    continue
                if envelope is not None:
                    holding.effects.states[child] = envelope
                if cell.unsaved:
                    holding.effects.done.setdefault(child, []).extend(cell.unsaved)
        holding.active = False
        await supervisor.announce(cells, "passive")
        holding.frozen = True
        await parts.committer.settled()
        effects = parts.committer.take(holding)
        command = park_shard(
            parts.keys, holding.shard, holding.pinned, holding.owner, effects, parts.config.events_kept
        )
        while not parts.lease_over() and not holding.lost:
            try:
                await parts.redis.run(command, retry_for=1.0)
            except RedisUnavailable as error:
                log.warning("parking shard %d waits: %s", holding.shard, error)
                await asyncio.sleep(0.2)
                continue
            break
        parts.tokens[holding.shard] = holding.owner.token
        parts.drop(holding)
        await supervisor.endings.dispose(cells, "parked")
        self.kick()


def _lives(nodes: dict[str, NodeInfo], owner: Owner) -> bool:
    info = nodes.get(owner.node)
    return info is not None and info.incarnation == owner.incarnation


def _token(owners: Owners, shard: int) -> int:
    owner = owners.shards.get(shard)
    return owner.token if owner is not None else 0
