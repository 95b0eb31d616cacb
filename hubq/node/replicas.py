"""The copies of other nodes' children that this node keeps: a follower's half of the log (docs/protocol.md, section 6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hubq.core.lifecycle import Life, LifeEvent
from hubq.core.messages import ReplicaJoined
from hubq.core.replication import LogPosition, followers, place_in_stream
from hubq.core.view import View
from hubq.errors import RedisUnavailable, StartFailed
from hubq.node.holding import Cell, Holding
from hubq.node.recorder import Silence
from hubq.node.state import ATTRIBUTES, envelope_of, lay_state, overrides, restore
from hubq.node.tasks import end_tasks
from hubq.store.connection import LOST, AsyncRedis
from hubq.store.control import send_control
from hubq.store.effects import Effects
from hubq.store.envelope import Envelope
from hubq.store.mailbox import Message, read_range
from hubq.store.owners import Owner, commit_shard
from hubq.store.registry import read_some_specs, read_some_states, read_specs, read_states
from hubq.store.replica_log import (
    LogEntry,
    follow_shard,
    read_last_number,
    read_log,
    read_logs,
    report_replica,
    unfollow_shard,
)
from hubq.store.spec_record import SpecRecord
from hubq.strategies.redundancy import Redundancy

if TYPE_CHECKING:
    from hubq.node.parts import Parts

log = logging.getLogger("hubq.node")

#: Longest blocking read of the logs, and how often a follower reports at least, seconds.
BLOCK = 0.5
REPORT = 5.0
#: Log entries taken in one read.
COUNT = 500
#: How long followers are remembered that say nothing, seconds (more than a lease).
TTL = 60.0
#: As many nodes as no hub has.
MANY = 1 << 16
#: How long a take-over waits for messages in hand of a copy whose state is in ``msk`` anyhow, seconds.
PATIENCE = 1.0


class Replica:
    """One shard that this node follows."""

    def __init__(self, shard: int, owner: str) -> None:
        self.shard = shard
        self.owner = owner
        self.holding = Holding(shard, Owner("-", 0, 0))
        self.holding.recorder = Silence()
        self.holding.replica = True
        self.position = LogPosition(0, "0")
        self.reading = False  # built; entries of the log are taken in
        self.waiting: set[str] = set()  # children whose state the primary has been asked for: there is none here yet
        self.doubted: set[str] = set()  # the same; what is here may be old (another primary)
        self.full: set[Cell] = set()  # copies with as many messages in hand as there may be
        self.queued: dict[str, tuple[int, int]] = {}  # child -> the last message that was queued here
        self.reported = (0, False, 0.0)
        self.lock = asyncio.Lock()  # entries are taken in one batch after the other

    @property
    def ready(self) -> bool:
        """Whether every child's copy is as the last entry read has left it (but for messages in hand)."""
        return self.reading and not self.waiting and not self.doubted


class Replicas:
    """What this node follows, and the loop that reads the logs."""

    def __init__(self, parts: Parts, redis: AsyncRedis, strategy: Redundancy) -> None:
        self.shards: dict[int, Replica] = {}
        self._parts = parts
        self._redis = redis
        self._strategy = strategy
        self._active_active = strategy.replication_model == "active_active"
        self._ttl_ms = int(1000 * max(TTL, 4 * parts.config.lease))
        self._task: asyncio.Task[None] | None = None
        self._fewer = 0  # copies there are, if that is fewer than wanted

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Read no more, and drop the copies."""
        await end_tasks([self._task])
        self._task = None
        for shard in list(self.shards):
            await self._dispose(self._forget(shard))

    def forget_all(self) -> None:
        """This node was evicted: nothing that it has read counts any more."""
        for shard in list(self.shards):
            self._drop(shard)

    def _drop(self, shard: int) -> None:
        self._parts.supervisor.background(self._dispose(self._forget(shard)), f"dropping the copy of shard {shard}")

    async def _dispose(self, cells: Iterable[Cell], reason: str = "replica") -> None:
        """End copies: with ``on_stop`` where there was an ``on_start``."""
        begun: list[Cell] = []
        for cell in cells:
            if cell.life is Life.RUNNING:
                begun.append(cell)
            elif cell.life is not Life.ENDED:
                cell.moved(LifeEvent.END)
        await self._parts.supervisor.dispose(begun, reason)

    # -- what to follow --------------------------------------------------------------------------------------------

    def look(self, view: View) -> None:
        """Follow what should be followed by this view of the hub, and nothing else."""
        me, current = self._parts.node_name, view.owners
        copies = self._strategy.replication_factor(len(view.nodes))
        self._say_if_fewer(copies, len(view.nodes))
        wanted = {s for s, names in followers(self._parts.distribution.belongs_to, view, copies).items() if me in names}
        for shard in list(self.shards):
            owner = current.get(shard)
            # A shard without an owner, or one that is just coming here, may need its copies in a moment.
            coming = owner == me and (shard, None) not in self._parts.supervisor.holdings
            if shard not in wanted and owner is not None and not coming:
                self.unfollow(shard)
        for shard in sorted(wanted):
            replica = self.shards.get(shard)
            owner = current[shard]
            assert owner is not None
            if (shard, None) in self._parts.supervisor.holdings:
                continue  # it has come here since the view was read
            if replica is None:
                replica = self.shards[shard] = Replica(shard, owner)
                self._parts.supervisor.background(self._followed(replica), f"following shard {shard}")
            elif replica.owner != owner:
                replica.owner = owner
                # Only msk and the log tell about the new one; of these children they may not tell all.
                cells = replica.holding.cells.items()
                replica.doubted |= {child for child, cell in cells if cell.kind.durability != "commit"}
                self._ask(replica)

    def _say_if_fewer(self, copies: int, nodes: int) -> None:
        wanted = self._strategy.replication_factor(MANY)
        fewer = 0 < copies < wanted < MANY
        if fewer and copies != self._fewer:
            log.warning("%d copies of each child are wanted; with %d node(s) there are %d", wanted, nodes, copies)
        self._fewer = copies if fewer else 0

    def unfollow(self, shard: int) -> None:
        """Follow a shard no more; its copies here end."""
        self._drop(shard)
        self._say_goodbye(shard)

    def _say_goodbye(self, shard: int) -> None:
        parts = self._parts
        command = unfollow_shard(parts.keys, shard, parts.node_name, parts.incarnation)
        parts.supervisor.background(parts.redis.run(command, retry_for=1.0), f"unfollowing shard {shard}")

    def _forget(self, shard: int) -> list[Cell]:
        replica = self.shards.pop(shard, None)
        if replica is None:
            return []
        replica.reading = False
        replica.holding.lost, replica.holding.open = True, False
        return list(replica.holding.cells.values())

    def _ask(self, replica: Replica) -> None:
        """Ask the primary for the states that neither ``msk`` nor the log can tell."""
        parts = self._parts
        if replica.waiting or replica.doubted:
            message = ReplicaJoined(parts.node_name, replica.shard)
            command = send_control(parts.keys, replica.owner, message)
            parts.supervisor.background(parts.redis.run(command, retry_for=1.0), "asking for states")

    async def _followed(self, replica: Replica) -> None:
        try:
            await self._follow(replica)
        except Exception:
            if self.shards.get(replica.shard) is replica:
                self._drop(replica.shard)  # the next look at the plan tries again
            raise

    async def _follow(self, replica: Replica) -> None:
        parts, shard = self._parts, replica.shard
        command = follow_shard(parts.keys, shard, parts.node_name, parts.incarnation, self._ttl_ms)
        position = await parts.redis.run(command, retry_for=parts.config.lease)
        # Every commit from here on is in the log, and the states that are read now hold every commit before.
        specs, states = await parts.redis.run_many(
            [read_specs(parts.keys, shard), read_states(parts.keys, shard)], retry_for=parts.config.lease
        )
        if self.shards.get(shard) is not replica:
            return
        if position is None:
            self._forget(shard)
            return
        replica.position = position
        replica.holding.open = self._active_active
        for number, (child, record) in enumerate(specs.items()):
            if self.shards.get(shard) is not replica:
                break
            await self._build(replica, child, record, states.get(child))
            cell = replica.holding.cells.get(child)
            if cell is not None and cell.kind.durability != "commit":
                replica.waiting.add(child)
            if number % 32 == 31:
                await asyncio.sleep(0)
        if self.shards.get(shard) is not replica:
            await self._dispose(list(replica.holding.cells.values()))
            return
        replica.reading = True
        self._ask(replica)
        await parts.wake()

    async def _build(self, replica: Replica, child: str, record: SpecRecord, envelope: Envelope | None) -> None:
        supervisor, holding = self._parts.supervisor, replica.holding
        try:
            cell = supervisor.build(holding, child, record)
            if envelope is not None:
                restore(cell, envelope)
                replica.queued[child] = place_in_stream(envelope.cursor)
                if envelope.form == ATTRIBUTES:
                    cell.boundary, cell.saved = envelope.data, True
        except Exception as error:
            reason = error if isinstance(error, StartFailed) else f"its state cannot be restored: {error!r}"
            log.warning("no copy of child %s on %s: %s", child, self._parts.node_name, reason)
            return
        holding.cells[child] = cell
        if not self._active_active:
            await supervisor.announce([cell], "passive")
            return
        cell.moved(LifeEvent.RESTORED)
        if overrides(cell.kind, "on_start") or supervisor.hears(cell):
            supervisor.background(self._start(cell), f"starting the copy of child {child}")
        else:
            cell.moved(LifeEvent.STARTED)

    async def _start(self, cell: Cell) -> None:
        """``on_start`` of a copy; its messages queue up meanwhile."""
        try:
            assert cell.instance is not None
            await cell.instance.on_start()
            await self._parts.supervisor.announce([cell], "active")
        except Exception as error:
            log.warning("no copy of child %s on %s: on_start raised %r", cell.child_id, self._parts.node_name, error)
            if cell.holding.cells.get(cell.child_id) is cell:
                del cell.holding.cells[cell.child_id]
            return
        if cell.life is Life.STARTING:
            cell.moved(LifeEvent.STARTED)
            self._parts.dispatcher.resume(cell)

    # -- reading the logs ------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        parts = self._parts
        woken = "$"
        while True:
            try:
                following = {s: r for s, r in self.shards.items() if r.reading and self._has_room(r)}
                positions = {shard: replica.position.entry for shard, replica in following.items()}
                command = read_logs(
                    parts.keys, positions, COUNT, int(BLOCK * 1000), parts.keys.control(parts.node_name), woken
                )
                found, woken = await self._redis.run(command)
                woken = "0" if woken == "$" else woken
                for shard, entries in found.items():
                    replica = following[shard]
                    async with replica.lock:
                        if self.shards.get(shard) is replica and not await self._took_in(replica, entries):
                            self._begin_anew(replica)
                await self._report()
            except (*LOST, RedisUnavailable) as error:
                log.debug("following waits: Redis is away (%s)", error)
                await asyncio.sleep(0.1)
            except Exception:
                log.exception("following failed")
                await asyncio.sleep(0.5)

    def _has_room(self, replica: Replica) -> bool:
        enough = self._parts.config.queue_limit // 2
        replica.full = {cell for cell in replica.full if cell.queue and len(cell.queue) > enough}
        return not replica.full

    def _begin_anew(self, replica: Replica) -> None:
        log.warning(
            "shard %d: its follower %s has lost the thread and begins anew", replica.shard, self._parts.node_name
        )
        self._drop(replica.shard)
        self._parts.kick()

    def _news(self, replica: Replica, now: float) -> bool:
        number, ready, at = replica.reported
        return now > at + (BLOCK if (number, ready) != (replica.position.number, replica.ready) else REPORT)

    async def _report(self) -> None:
        parts, now = self._parts, self._parts.now()
        due = [replica for replica in self.shards.values() if replica.reading and self._news(replica, now)]
        if not due or not parts.incarnation:
            return
        for replica in due:
            replica.reported = (replica.position.number, replica.ready, now)
        answers = await parts.redis.run_many(
            [
                report_replica(
                    parts.keys, r.shard, parts.node_name, parts.incarnation, self._ttl_ms, r.position, r.ready
                )
                for r in due
            ]
        )
        for replica, last in zip(due, answers, strict=True):
            if self.shards.get(replica.shard) is not replica:
                continue
            if last is None:
                self._begin_anew(replica)
            else:
                self._ask(replica)

    async def _took_in(self, replica: Replica, entries: Iterable[LogEntry]) -> bool:
        try:
            return await self._take_in(replica, entries)
        except (*LOST, RedisUnavailable) as error:
            log.warning("a copy of shard %d could not be kept up: %s", replica.shard, error)
            return False

    async def _take_in(self, replica: Replica, entries: Iterable[LogEntry]) -> bool:
        """Do to the copies what the entries say was done to the originals. False: some entries are missing."""
        saved: set[str] = set()
        for entry in entries:
            judged = replica.position.judge(entry.number)
            if judged == "gap":
                return False
            if judged == "seen":
                continue
            replica.position.read(entry.number, entry.id)
            item, cell = entry.item, replica.holding.cells.get(entry.item.child)
            if item.kind == "start":
                await self._started(replica, item.child, item.word)
            elif item.kind == "end":
                if cell is not None and cell.record.start_id == item.word:
                    self._ended(replica, cell)
                    saved.discard(item.child)
            elif item.kind == "saved":
                saved.add(item.child)
            elif item.kind == "state" and cell is not None:
                saved.discard(item.child)
                replica.waiting.discard(item.child)
                replica.doubted.discard(item.child)
                self._state(replica, cell, item.payload)
            elif item.kind == "message" and cell is not None and item.child not in replica.waiting:
                place = place_in_stream(item.entry)
                if place > replica.queued.get(item.child, (0, 0)):
                    replica.queued[item.child] = place
                    if item.word == "ok":
                        message = Message(
                            item.entry.encode(), "cast", item.child, item.method, "0", "", 0, item.payload
                        )
                        self._parts.dispatcher.offer(cell, message)
                        if cell.queue and len(cell.queue) >= self._parts.config.queue_limit:
                            replica.full.add(cell)
        if saved:
            await self._read_saved(replica, sorted(saved))
        return True

    async def _started(self, replica: Replica, child: str, start_id: str) -> None:
        known = replica.holding.cells.get(child)
        if known is not None:
            if known.record.start_id == start_id:
                return
            self._ended(replica, known)
        parts = self._parts
        specs = await parts.redis.run(read_some_specs(parts.keys, replica.shard, [child]), retry_for=1.0)
        if child in specs and specs[child].start_id == start_id:
            await self._build(replica, child, specs[child], None)

    def _ended(self, replica: Replica, cell: Cell) -> None:
        supervisor = self._parts.supervisor
        replica.holding.cells.pop(cell.child_id, None)
        replica.queued.pop(cell.child_id, None)
        replica.waiting.discard(cell.child_id)
        replica.doubted.discard(cell.child_id)

        async def end() -> None:
            await supervisor.saver.drained(cell)
            await self._dispose([cell], "stopped")

        supervisor.background(end(), f"ending the copy of child {cell.child_id}")

    async def _read_saved(self, replica: Replica, children: list[str]) -> None:
        parts = self._parts
        states = await parts.redis.run(read_some_states(parts.keys, replica.shard, children), retry_for=1.0)
        for child in children:
            replica.waiting.discard(child)
            replica.doubted.discard(child)
            cell = replica.holding.cells.get(child)
            if cell is not None and child in states:
                self._state(replica, cell, states[child])

    def _state(self, replica: Replica, cell: Cell, envelope: bytes) -> None:
        replica.queued[cell.child_id] = place_in_stream(Envelope.read(envelope).cursor)
        if self._active_active:
            # In its turn: behind the messages that came before it.
            self._parts.dispatcher.offer(cell, Message(b"0", "state", cell.child_id, "", "0", "", 0, envelope))
        else:
            self.lay(cell, Envelope.read(envelope))

    def lay(self, cell: Cell, envelope: Envelope) -> None:
        """Make a copy what the envelope says."""
        try:
            if envelope.form == ATTRIBUTES:
                lay_state(cell, envelope.data)
                cell.boundary, cell.saved, cell.cursor = envelope.data, True, envelope.cursor
            else:
                fresh = self._parts.supervisor.build(cell.holding, cell.child_id, cell.record)
                cell.instance, cell.boundary = fresh.instance, None
                assert cell.instance is not None
                cell.instance._host = cell
                restore(cell, envelope)
        except Exception as error:
            log.warning("the copy of child %s cannot take its state: %r", cell.child_id, error)
            cell.holding.cells.pop(cell.child_id, None)

    # -- taking over -----------------------------------------------------------------------------------------------

    async def take_over(self, shard: int) -> dict[str, Cell]:
        """This node has claimed the shard: the copies, each as the last commit has left it. (Nobody commits any more.)"""
        parts = self._parts
        replica = self.shards.get(shard)
        if replica is None:
            return {}
        cells: list[Cell] = []
        copies: dict[str, Cell] = {}
        async with replica.lock:
            if replica.reading and self.shards.get(shard) is replica:
                whole = True
                while whole:
                    last, entries = await parts.redis.run_many(
                        [
                            read_last_number(parts.keys, shard),
                            read_log(parts.keys, shard, replica.position.entry, COUNT),
                        ],
                        retry_for=parts.config.lease,
                    )
                    whole = await self._took_in(replica, entries)
                    if len(entries) < COUNT:
                        whole = whole and replica.position.number >= last
                        break
                copies = dict(replica.holding.cells) if whole else {}
            cells = self._forget(shard)
        await self._settle(replica, copies)
        left = [cell for cell in cells if copies.get(cell.child_id) is not cell]
        parts.supervisor.background(self._dispose(left), f"dropping copies of shard {shard}")
        self._say_goodbye(shard)
        return copies

    async def _settle(self, replica: Replica, copies: dict[str, Cell]) -> None:
        """Let the copies finish what they have in hand; those that cannot are taken from ``msk`` if it has their state."""
        saver = self._parts.supervisor.saver
        replica.holding.lost, replica.holding.open = False, self._active_active
        working = [cell for cell in copies.values() if cell.queue or cell.busy is not None]
        if working:
            waits = [asyncio.ensure_future(saver.drained(cell)) for cell in working]
            _, late = await asyncio.wait(waits, timeout=PATIENCE)
            for wait in late:
                wait.cancel()
        replica.holding.open = False
        for cell in list(copies.values()):
            late_one = bool(cell.queue) or cell.busy is not None
            if late_one and cell.kind.durability == "interval":
                # What it has not handled yet is in the mailbox still.
                cell.queue = None
                if cell.busy is not None:
                    cell.busy.cancel()
                    await saver.boundary(cell)
            elif (
                (late_one and cell.kind.durability == "commit")
                or cell.child_id in replica.waiting
                or cell.child_id in replica.doubted
                or cell.life not in (Life.BUILT, Life.RUNNING)
            ):
                del copies[cell.child_id]

    def adopt(self, cell: Cell, saved: Envelope | None) -> bool:
        """Whether a copy may go on as the original: it is what ``msk`` says, or can be made so."""
        if cell.kind.durability != "commit":
            cell.saved = False
            return True  # the copy is newer than msk
        if saved is None:
            return cell.boundary is None or not cell.saved
        if saved.form != ATTRIBUTES:
            return False
        if cell.boundary != saved.data:
            lay_state(cell, saved.data)
        cell.boundary, cell.saved, cell.cursor = saved.data, True, saved.cursor
        return True

    async def taken_over(self, holding: Holding, taken: Mapping[str, Cell], copies: Mapping[str, Cell]) -> None:
        """Start the copies that are the originals now, and end the others. Call before the holding opens."""
        parts = self._parts
        await self._dispose([cell for child, cell in copies.items() if child not in taken])
        newer = [cell for cell in taken.values() if cell.kind.durability != "commit" and cell.boundary is not None]
        if newer:
            await self._save(holding, newer)
        for cell in taken.values():
            if cell.life is Life.BUILT:
                parts.supervisor.begin(cell, None)
            else:
                parts.supervisor.began(cell)

    async def _save(self, holding: Holding, cells: list[Cell]) -> None:
        """Copies that are newer than ``msk``: save them, and delete the messages they hold."""
        parts = self._parts
        effects = Effects()
        for cell in cells:
            assert cell.boundary is not None
            effects.states[cell.child_id] = envelope_of(cell, cell.boundary)
            cell.saved = True
        held = {c.child_id: place_in_stream(c.cursor) for c in cells if c.kind.durability == "interval"}
        at, last = b"0", max(held.values(), default=(0, 0))
        until = f"{last[0]}-{last[1]}".encode()
        while last > (0, 0):
            messages = await parts.redis.run(read_range(parts.keys, holding.shard, at, until, COUNT), retry_for=1.0)
            for message in messages:
                if message.kind in ("call", "cast") and place_in_stream(message.entry.decode()) <= held.get(
                    message.child, (0, 0)
                ):
                    effects.done.setdefault(message.child, []).append(message.entry)
            if len(messages) < COUNT:
                break
            at = messages[-1].entry
        await parts.redis.run(commit_shard(parts.keys, holding.shard, None, holding.owner, effects), retry_for=1.0)
