"""The world of one schedule: workers, clients and children, the faults, and the checks at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from hubq import ChildSpec, ColdSwap, HotSwap, Hub, Replication, Singularity
from hubq.core.layout import primary_of
from hubq.errors import HubqError
from hubq.node.node import Node
from hubq.store.codec import decode
from hubq.store.connection import AsyncRedis
from hubq.store.keys import Keys
from hubq.testing.simulated import lease_kept_in
from tests.simulation.bands import BandClient, Refused, check_once
from tests.simulation.blocks import Blocks
from tests.simulation.checks import END_BOUND, check_copies, check_end, check_states, wait_for_calm
from tests.simulation.children import KINDS, Picky, let_rest
from tests.simulation.clients import Client
from tests.simulation.connecting import greeting
from tests.simulation.faults import CONTROL, GARBAGE, Plan
from tests.simulation.feature_checks import check_features, take_letters, wait_for_reminders
from tests.simulation.feature_clients import FeatureClient
from tests.simulation.features import Features
from tests.simulation.gadgets import GADGETS
from tests.simulation.groups import GROUPED, OF_PRIMARIES, WENT_BACK, Groups
from tests.simulation.ledger import Ledger
from tests.simulation.loop import Loop, Process
from tests.simulation.network import Record, Request
from tests.simulation.observer import EPOCH, LITTERER
from tests.simulation.observers import Observers
from tests.simulation.primaries import AWAY, Primaries
from tests.simulation.store import Store

MOST_SECONDS = 400.0
MOST_STEPS = 600_000
#: In schedules with these seeds children go to rest. (Others are what they were before any did.)
RESTING = 1_000_000
PASSES = ("pass_token", "pass_children")


class Worker:
    """A worker process, as ``hubq worker`` runs one."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.process = world.process(name)
        self.hub = world.hub(self.process)
        self.node: Node | None = None
        self.asked = asyncio.Event()
        self.started = self.drained = False
        self.process.spawn(self._serve())

    async def _serve(self) -> None:
        # (With one group Redis only restarts with all its data: nobody asks who answers, and the schedules are what they were.)
        connect = greeting if self.world.groups.any else AsyncRedis
        drive = lease_kept_in(self.process.spawn_apart)
        node = self.node = Node(self.hub, self.name, connect=connect, drive=drive, ends=self._stalled)
        try:
            await node.start()
            self.started = True
            emptied = asyncio.create_task(node.drained())
            asked = asyncio.create_task(self.asked.wait())
            await asyncio.wait({emptied, asked}, return_when=asyncio.FIRST_COMPLETED)
            self.drained = await node.drain(40.0)
        except HubqError as error:
            self.world.say(f"{self.name} could not start: {type(error).__name__}")
            self.world.loop.after(1.0, self.world._again, self.name)  # as systemd does
        self.world.end(self)

    def _stalled(self, code: int) -> None:
        """Its loop has stood still for too long: it ends itself, and is started again."""
        self.world.say(f"{self.name} ends itself: {code}")
        if not self.world.calm:  # else what blocks it has just let go
            self.world.blocks.stalled(self.process)
        self.world.crash(self)
        self.world.loop.after(1.0, self.world._again, self.name)


class World:
    """Everything of one schedule."""

    def __init__(
        self, seed: int, trace: Callable[[str], None] | None = None, mutate: Any = None, groups: int = 0
    ) -> None:
        self.rng = Random(seed)
        self.loop = Loop(MOST_SECONDS, MOST_STEPS)
        self.loop.thread_seconds = lambda: self.rng.uniform(0.0, 0.3)
        self.ledger = Ledger()
        self.lease = 2.0
        self.plan = Plan(self.rng, self.lease)
        self.settings = {
            "shards": self.rng.choice([2, 3, 5]),
            "lease": self.lease,
            "lease_margin": self.rng.choice([0.1, 0.4]),
            "heartbeat": self.rng.choice([0.25, 0.5]),
            "moves_at_once": self.rng.choice([1, 8]),
            "queue_limit": self.rng.choice([2, 1000]),
            "read_count": self.rng.choice([3, 100]),
            "stop_timeout": 2.0,
            "max_backlog": 10_000,
        }
        self._broken = mutate is not None
        self._talk = Random(f"talk {seed}")  # of its own, so that the schedules that notice mutations stay as they are
        self.groups = Groups(seed, groups)
        if self._talk.random() < 0.3 and (self.groups.any or not self._broken):
            self.settings["max_backlog"] = 4
        loses = self.groups.loses
        self.features = Features(seed, False if loses else None if mutate is None else mutate.features)
        self.blocks = Blocks(seed, self.loop, self.lease, self.settings["heartbeat"], off=loses)
        self.blocks.change(self.plan)
        self.blocks.every_eviction = self.groups.any
        self.groups.lay(self.settings)
        if not self.blocks.quiet:
            self.groups.change(self.plan)
        self.settings["stall_limit"] = self.blocks.stall_limit
        self.rests = self.groups.rests or RESTING <= seed < GROUPED
        let_rest([*KINDS.values(), *GADGETS.values()], self._talk.choice([0.05, 0.2, 0.6]) if self.rests else None)
        if self.rests:
            self.plan.sore += ["rest_children", "wake_children"]
        self.migration = self._migration()
        self.redundancy = self._redundancy()
        self._copies_handle = isinstance(self.redundancy, Replication) and (
            self.redundancy.replication_model == "active_active"
        )
        self.features.copies_handle = self._copies_handle
        number = self.groups.number
        self.observer = Observers([Keys("sim", group, number) for group in range(number)])
        self.witness = self.observer.watch_reminders(self.settings["shards"]) if self.features.on else None
        self.record = Record(self.loop, trace)
        script = None if mutate is None else mutate.script
        self.primaries = Primaries(
            self.loop, self.rng, self.plan, self.groups, self.observer, self.record,
            lambda: Store(lambda: EPOCH + self.loop.now, script), self.blocks.disturb,
        )  # fmt: skip
        for network in self.primaries.networks:
            network.about_to_send, network.executed_for = self._about_to_send, self._executed_for
        self.observer.tell(self._evicted, self.blocks.absolved)
        self.workers: dict[str, Worker] = {}
        self.clients: list[Client] = []
        self.listeners: dict[str, str] = {}  # whom each child tells of what it applies
        self.errors: list[str] = []
        self.calm = self.ending = False
        self._marks = 0
        self._names = 0

    def _migration(self) -> Any:
        rng = self.rng
        if rng.random() < 0.15:
            return ColdSwap(retention=1.0)
        return HotSwap(
            retention=rng.choice([0.1, 1.0]), handover_data_wait=0.5, child_migration_timeout=rng.choice([0.5, 3.0]),
            confirm_handover=rng.random() < 0.8,
        )  # fmt: skip

    def _redundancy(self) -> Any:
        rng = self.rng
        if rng.random() < 0.6 or self.rests or self.groups.loses:
            return Singularity()
        factor: Any = rng.choice([2, 2, "cluster_size"])
        return Replication(factor, rng.choice(["active_active", "active_passive"]))

    # -- what children ask (children.Stage) ------------------------------------------------------------------------

    def mark(self) -> int:
        self._marks += 1
        return self._marks

    def chance(self, share: float) -> bool:
        return not self.calm and self.rng.random() < share

    def seconds(self, most: float) -> float:
        return self.rng.uniform(0.0, most)

    def fails(self) -> bool:
        return self.features.fails()

    def saved(self, child: str, ticks: int) -> None:
        self.ledger.saved[child] = max(self.ledger.saved.get(child, 0), ticks)

    def listener(self, child: str) -> str:
        return self.listeners.get(child, "")

    async def block(self, child: str, sender: str, number: int, seconds: float, held: bool) -> None:
        process = self.loop.process
        assert process is not None
        if self.calm:
            return
        self.say(f"{process.name} is {'held' if held else 'blocked'} for {seconds:.3f} by message {number} of {sender}")
        if not self._copies_handle:
            self.blocks.begins(child, sender, number)
        self.record.threw("held process" if held else "blocked loop")
        if held:
            process.worked += seconds
            self.freeze(process, seconds)
            self.blocks.is_held(process, child, sender, number, seconds)
            if not self._copies_handle:
                self.blocks.holds_process(child, sender, number, seconds)
            seconds += -0.004 if self.blocks.goes_first(number) else 0.004
        await process.block(seconds)
        self.blocks.ends(process)

    def build(self) -> None:
        process, seconds = self.loop.process, self.blocks.build()
        assert process is not None
        process.work(min(seconds, 0.02) if self.calm else seconds)

    def process_time(self) -> float:
        """The processor time of the process that runs: only code that holds the interpreter takes any."""
        return self.loop.process.worked if self.loop.process is not None else 0.0

    def _evicted(self, group: int, process: Process, now: float, lease_end: float) -> None:
        self.blocks.evicted(process, now, lease_end, primary_of(group, self.groups.primaries))

    # -- processes -------------------------------------------------------------------------------------------------

    def say(self, what: str) -> None:
        self.record.say(what)

    def process(self, name: str) -> Process:
        """A new process on a machine with a clock of its own."""
        return Process(self.loop, name, self.rng.uniform(0, 1e5), 1.0 + self.rng.uniform(-1e-4, 1e-4))

    def hub(self, process: Process) -> Hub:
        """The hub as a process sees it."""
        hub = Hub(
            "sim",
            redis=self.primaries.servers(process),
            migration=self.migration,
            redundancy=self.redundancy,
            **self.settings,
        )
        for kind in (*KINDS.values(), *(GADGETS.values() if self.features.on else ())):
            hub.child(kind)
        if self.groups.starts:
            hub.child(Refused)
        return hub

    def join(self, name: str = "") -> Worker:
        """Start a worker."""
        if not name:
            self._names += 1
            name = f"w{self._names}"
        self.say(f"{name} joins")
        self.workers[name] = worker = Worker(self, name)
        return worker

    def crash(self, worker: Worker) -> None:
        """SIGKILL."""
        worker.process.crash()
        self.end(worker)

    def end(self, worker: Worker) -> None:
        """A worker's process ends, by itself or not."""
        self.say(f"{worker.name} ends")
        worker.process.end()
        self.primaries.died(worker.process)
        if self.workers.get(worker.name) is worker:
            del self.workers[worker.name]

    def freeze(self, process: Process, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later."""
        if not process.frozen and process.alive:
            self.say(f"{process.name} is frozen for {seconds:.3f}")
            process.freeze()
            self.blocks.disturb(process, seconds)
            self.loop.after(seconds, self._thaw, process)

    def _thaw(self, process: Process) -> None:
        if process.frozen:
            self.say(f"{process.name} is thawed")
            process.thaw()
            if self.blocks.rng.random() < 0.5:
                process.work(0.001)  # its lease thread is the first to go on

    # -- faults ----------------------------------------------------------------------------------------------------

    def _worker_of(self, process: Process) -> Worker | None:
        worker = self.workers.get(process.name)
        return worker if worker is not None and worker.process is process else None

    def _about_to_send(self, request: Request) -> None:
        kind = self.plan.aims(request.names, after=False)
        worker = self._worker_of(request.process)
        if not kind or worker is None:
            return
        self.record.threw(kind)
        self.say(f"{worker.name}: {kind} {' '.join(request.names)}")
        if kind == "crash before":
            self.crash(worker)
            self._maybe_again(worker.name)
        elif kind == "freeze before":
            self.freeze(worker.process, self.plan.sleep())
        else:
            args = next(a for a, n in zip(request.commands, request.names, strict=True) if n in PASSES)
            target = self.workers.get(str(args[3 + int(args[2]) + 2]))  # behind the keys: shard, source, target
            if target is not None and target is not worker:
                if kind == "pair sleeps":
                    self.freeze(worker.process, self.lease * 1.05)
                    self.freeze(target.process, self.lease * 2)
                else:
                    self.crash(target)
                    self._maybe_again(target.name)

    def _executed_for(self, request: Request) -> None:
        kind = self.plan.aims(request.names, after=True)
        worker = self._worker_of(request.process)
        if not kind or worker is None:
            return
        self.record.threw(kind)
        self.say(f"{worker.name}: {kind} {' '.join(request.names)}")
        if kind == "crash after":
            self.crash(worker)
            self._maybe_again(worker.name)
        elif kind == "lose after":
            request.fate = "lost after"
            self.blocks.disturb(worker.process, 1.0)
        else:
            self.freeze(worker.process, self.plan.sleep())

    def _maybe_again(self, name: str) -> None:
        if self.rng.random() < 0.5:
            self.loop.after(self.rng.uniform(0.05, 3.0), self._again, name)

    def _again(self, name: str) -> None:
        if name not in self.workers and not self.ending:
            self.join(name if self.rng.random() < 0.5 else "")

    async def throw(self) -> None:
        """Timed faults, until the schedule calms down."""
        rng, plan = self.rng, self.plan
        while plan.active:
            await asyncio.sleep(rng.expovariate(1 / plan.gap))
            if plan.active:
                self._throw(rng.choice(plan.timed))

    def _throw(self, kind: str) -> None:
        rng, plan = self.rng, self.plan
        everybody = list(self.workers.values())
        if kind == "join":
            if len(everybody) >= 4:
                return
            self.join()
        elif kind == "redis restart":
            if self.primaries.down or not self.primaries.restart(rng.choice(AWAY)):
                return
        elif kind in OF_PRIMARIES or kind == WENT_BACK:
            if not self.primaries.hit(kind):
                return
        elif kind == "client crash":
            alive = [client for client in self.clients if client.process.alive]
            if len(alive) < 2:
                return
            client = rng.choice(alive)
            client.process.crash()
            self.primaries.died(client.process)
        elif not everybody:
            return
        else:
            worker = rng.choice(everybody)
            self.say(f"{kind} {worker.name}")
            if kind == "crash":
                self.crash(worker)
                self._maybe_again(worker.name)
            elif kind == "freeze":
                self.freeze(worker.process, plan.sleep())
            elif kind in ("cut", "black hole"):
                self.primaries.cut_off(worker.process, kind == "black hole")
            else:
                if len(everybody) == 1 and rng.random() < 0.7:
                    return
                worker.asked.set()
                if kind == "replace":
                    self._maybe_again(worker.name)
        self.record.threw(kind)

    async def litter(self) -> None:
        """Somebody writes garbage into mailboxes and control mailboxes, until the schedule calms down."""
        plan, chance, process = self.plan, self.plan.chance, Process(self.loop, LITTERER, 0.0, 1.0)
        while plan.active:
            await asyncio.sleep(chance.expovariate(1 / plan.garbage))
            if not plan.active or self.primaries.down:
                continue
            if chance.random() < 0.7:
                shard = chance.randrange(self.settings["shards"])
                key, entries = self.observer.of_shard(shard).keys.mailbox(shard), GARBAGE
            else:
                node, shard = f"w{chance.randint(1, 4)}", self.groups.any_shard()
                key, entries = self.observer.of_shard(shard).keys.control(node), CONTROL
            inject = self.primaries.of_shard(shard).inject
            inject(process, "XADD", key, "*", *chance.choice(entries))
            if entries is CONTROL:  # what is left of a node that has gone is looked at in the end
                inject(process, "PEXPIRE", key, "60000")
            self.record.threw("garbage")

    def heal(self) -> None:
        """No fault any more."""
        self.say("the faults stop")
        self.plan.active = False
        self.primaries.heal()
        self.calm = self.features.calm = True
        for worker in list(self.workers.values()):
            self._thaw(worker.process)
            if worker.process.blocked is not None:
                self.blocks.goes_on(worker.process)
                worker.process.release()
        refused = bool(Picky.refused_by)
        Picky.refused_by.clear()
        old = list(self.workers.values())
        if refused or not [worker for worker in old if not worker.asked.is_set()]:
            self.join()
        if refused:  # the deploy is completed: those that could not build a child are replaced
            for worker in old:
                worker.asked.set()

    # -- the schedule ----------------------------------------------------------------------------------------------

    async def main(self) -> None:
        rng = self.rng
        for _ in range(rng.randint(1, 3)):
            self.join()
        kinds = [*rng.choices(["plain", "slow", "running", "interval"], k=rng.randint(2, 5))]
        if self.plan.picky:
            kinds.append("picky")
        kinds += self.blocks.kinds()
        children = [f"{kind}-{n}" for n, kind in enumerate(kinds)]
        first = Client(self, "c0", children)
        await first.process.spawn(first.start_all())
        # (Not before all are there: what is told to a child that is not is a dead letter.)
        if self.groups.any or (self._talk.random() < 0.6 and not self._broken):
            self.listeners = {child: self._talk.choice(self._may_hear(child, children)) for child in children}
        if self.plan.picky and first.all_started:  # (a child whose very first start fails is no more)
            Picky.refused_by.update(f"w{n}" for n in range(1, 8) if rng.random() < 0.4)
        self.clients = [first, *(Client(self, f"c{n}", children) for n in range(1, rng.randint(2, 4)))]
        sending = [client.process.spawn(client.send()) for client in self.clients]
        feature_client = FeatureClient(self) if self.features.on else None
        if feature_client is not None:
            await feature_client.process.spawn(feature_client.start_all())
            using = feature_client.process.spawn(feature_client.work())
        bands = BandClient(self, self.groups.rng) if self.groups.starts else None
        banding = bands.process.spawn(bands.work()) if bands is not None else None
        operator = Client(self, "operator", [*children, *self.features.gadgets])
        moving = operator.process.spawn(operator.move_about()) if self.plan.moves else None
        throwing = asyncio.create_task(self.throw())
        littering = asyncio.create_task(self.litter()) if self.plan.garbage else None
        await asyncio.sleep(self.plan.seconds)
        self.heal()
        throwing.cancel()
        if littering is not None:
            littering.cancel()
        # (What a child says of itself counts for nothing if its primary goes back later.)
        await self._until(lambda: self.primaries.settled, 10)
        await self._until(
            lambda: all(t.done() or not c.process.alive for t, c in zip(sending, self.clients, strict=True)), 60
        )
        if feature_client is not None:
            await self._until(using.done, 60)
        if moving is not None:
            await moving
        if banding is not None:
            await self._until(banding.done, 60)
        replaying = operator.process.spawn(operator.keep_replaying())
        if feature_client is not None:
            await feature_client.process.spawn(feature_client.quieten())
        self.errors += await wait_for_calm(self)
        replaying.cancel()
        while not self.errors and await operator.process.spawn(operator.replay()):
            self.errors += await wait_for_calm(self)
        if feature_client is not None and not self.errors:
            await feature_client.process.spawn(feature_client.quieten())  # what was sent again may have set others
            self.errors += await wait_for_reminders(self)
        if self.plan.moves and not self.errors and rng.random() < 0.5:
            await operator.process.spawn(operator.take_back())
            self.errors += await wait_for_calm(self)
        self._letters()
        for observer in self.observer.each:
            self.blocks.condemned(observer)
        self.errors += await operator.process.spawn(check_states(self, operator.hub, children))
        if feature_client is not None:
            take_letters(self)
            self.errors += await operator.process.spawn(check_features(self, operator.hub, feature_client))
        if bands is not None and not self.errors:
            self.errors += await bands.check()
        if self.groups.any:
            self.errors += check_once(self)
        if isinstance(self.redundancy, Replication):
            self.errors += await check_copies(self, [*children, *self.features.gadgets])
        if rng.random() < 0.5:
            self.errors += check_end(self, children, await self._stop_everything())

    def _may_hear(self, teller: str, children: list[str]) -> list[str]:
        """Whom a child may tell: mostly those of other groups, if there are any."""
        group = self.groups.of_child(teller)
        far = [child for child in children if self.groups.of_child(child) != group]
        return far if far and self._talk.random() < 0.8 else children

    def _letters(self) -> None:
        for letter in self.observer.letters:
            methods = (b"record", b"thread", b"spoil", b"fickle", b"block")
            if letter.get(b"why") != b"malformed" and letter[b"method"] in methods:
                (sender, number, *_), _ = decode(letter[b"payload"])
                child = letter[b"child"].decode()
                if letter.get(b"why", b"took-down") == b"took-down":
                    self.ledger.died(child, sender, number)
                else:
                    self.ledger.failed(child, sender, number)

    async def _stop_everything(self) -> list[str]:
        self.say("all workers are told to go")
        self.ending = True
        everybody = list(self.workers.values())
        for worker in everybody:
            worker.asked.set()
            if self.rng.random() < 0.5:
                await asyncio.sleep(self.rng.uniform(0, 1.0))
        await self._until(lambda: not self.workers, END_BOUND)
        self.errors += [
            f"{w.name} could not hand everything over, without any fault"
            for w in everybody
            if w.started and not w.drained
        ]
        return [worker.name for worker in everybody]

    def now_ms(self) -> int:
        """Redis TIME."""
        return int(self.observer.each[0].clock(self.loop.now))

    async def _until(self, condition: Callable[[], bool], within: float) -> None:
        until = self.loop.now + within
        while not condition() and self.loop.now < until:  # noqa: ASYNC110  (simulated time costs nothing)
            await asyncio.sleep(0.1)


def specs(children: list[str]) -> list[ChildSpec]:
    """How the children of a schedule are started: the kind is in the name."""
    return [ChildSpec(child, KINDS[child.partition("-")[0]]) for child in children]
