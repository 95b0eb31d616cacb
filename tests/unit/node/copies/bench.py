"""A node that keeps copies, with everything below them played."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from hubq.config import Config
from hubq.core.child import Child
from hubq.core.lifecycle import Life, LifeEvent
from hubq.core.placement import place
from hubq.core.replication import LogPosition
from hubq.core.view import NodeView, View
from hubq.errors import StartFailed
from hubq.node.copies.followed import Followed
from hubq.node.copies.laying import CopyStates
from hubq.node.copies.log_applier import LogApplier
from hubq.node.copies.log_reader import LogReader
from hubq.node.copies.recorder import ShardRecorder
from hubq.node.copies.replica import Replica
from hubq.node.copies.replicas import Replicas
from hubq.node.copies.standby import Standby
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.sizes import Sizes
from hubq.store.codec import encode_state
from hubq.store.command import Command
from hubq.store.effects import Effects
from hubq.store.envelope import Envelope
from hubq.store.message import Message
from hubq.store.replica_log import LogEntry, LogItem
from hubq.store.spec_record import SpecRecord
from hubq.strategies.redundancy import Replication
from tests.unit.node.fakes import (
    Clock,
    FakeEndings,
    FakeRedis,
    FakeReports,
    Here,
    Seen,
    a_child,
    a_group,
    a_register,
    name_of,
)


class Account(Child):
    """Its state is saved with every message."""

    durability = "commit"

    def __init__(self) -> None:
        self.sum = 0


class Room(Child):
    """Its state is saved when it moves: until then it is only in its copies."""

    durability = "handover"

    def __init__(self) -> None:
        self.count = 0


class Diary(Child):
    """Its state is saved now and then."""

    durability = "interval"

    def __init__(self) -> None:
        self.lines = 0


class Greeter(Account):
    """Has something to do when it starts."""

    async def on_start(self) -> None:
        if self.child_id == "broken":
            raise ValueError("no")


KINDS: dict[str, type[Child]] = {kind.__name__: kind for kind in (Account, Room, Diary, Greeter)}


class FakeBuilder:
    """Builds children by the name of their class."""

    def build(self, holding: Holding, child: str, record: SpecRecord) -> HostedChild:
        if record.name not in KINDS:
            raise StartFailed(f"no class {record.name}")
        hosted = HostedChild(cast(Any, Here()), holding, child, record, KINDS[record.name])
        hosted.made(KINDS[record.name]())
        return hosted


class FakePumps:
    """Queues messages; a test handles them."""

    def __init__(self) -> None:
        self.resumed: list[str] = []
        self.resumes = Seen()

    def offer(self, hosted: HostedChild, message: Message) -> None:
        hosted.offer(message)

    def resume(self, hosted: HostedChild) -> None:
        self.resumed.append(hosted.child_id)
        self.resumes.again()


class FakeSignals:
    """Remembers what copies were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def hears(self, hosted: HostedChild) -> bool:
        return False

    async def announce(self, hosteds: Any, mode: str) -> None:
        self.told += [(hosted.child_id, mode) for hosted in hosteds]


class FakeLives:
    """Remembers who began, and who went on."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def begin(self, hosted: HostedChild, envelope: Envelope | None, *, first: bool = False) -> None:
        self.seen.append(("begin", hosted.child_id))

    def goes_on(self, hosted: HostedChild) -> None:
        self.seen.append(("goes on", hosted.child_id))

    def began(self, hosted: HostedChild) -> None:
        self.seen.append(("began", hosted.child_id))


class FakeCommitter:
    """Answers each commit with the next of ``answers``; an exception is raised."""

    def __init__(self) -> None:
        self.answers: list[str | BaseException] = ["ok"]
        self.committed: list[Effects] = []
        self.renewed = 0

    async def commit(self, holding: Holding, effects: Effects) -> str:
        self.committed.append(effects)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def renew(self, holdings: Any) -> None:
        self.renewed += 1


class Placing:
    """The shards are placed as by consistent hashing."""

    def belongs_to(self, view: View) -> dict[int, str]:
        return place(view.nodes, view.owners, view.shards)


class SeenBackground(Background):
    """Work in the background whose end a test can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._begun: list[asyncio.Task[Any]] = []

    def run(self, work: Awaitable[Any], what: str) -> asyncio.Task[Any]:
        task = super().run(work, what)
        self._begun.append(task)
        return task

    async def done(self) -> None:
        """Wait until all that has been begun is done, and what that has begun."""
        async with asyncio.timeout(5):
            while self._begun:
                await self._begun.pop()


class Bench:
    """Node ``a``. ``answers`` says what Redis answers to each command by its name; without one: an empty answer."""

    def __init__(self, *, active_active: bool = True, **answers: Callable[[Command[Any]], Any]) -> None:
        self.answers = {"unfollow_shard": lambda command: "left", **answers}
        self.clock = Clock()
        self.redis, self.reading = FakeRedis(self.answer), FakeRedis(self.answer)
        self.group = a_group(self.redis, self.clock, self.reading, queue_limit=4)
        self.background, self.plan_due = SeenBackground(), Bell()
        self.register = a_register()
        self.endings, self.signals, self.pumps = FakeEndings(), FakeSignals(), FakePumps()
        self.lives, self.committer = FakeLives(), FakeCommitter()
        builder: Any = FakeBuilder()
        self.reports = FakeReports()
        self.applier = LogApplier(
            self.group, self.background, builder, cast(Any, self.signals), cast(Any, self.endings), cast(Any, self.pumps),
            CopyStates(builder), cast(Any, self.reports), Pieces(self.clock), active_active=active_active,
        )  # fmt: skip
        self.followed = Followed(self.group, self.background, self.applier)
        self.standby = Standby(
            self.group, self.background, cast(Any, self.committer), cast(Any, self.lives), cast(Any, self.pumps),
            self.followed, self.applier,
        )  # fmt: skip
        self.reader = LogReader(self.group, self.followed, self.applier, self.plan_due)
        self.replicas = Replicas(
            self.group, self.background, self.register, CommitQueue(self.register), ShardRecorder(active_active, Sizes(Config())),
            Replication(2), cast(Any, Placing()), self.followed, self.applier, self.reader, self.standby,
            Pieces(self.clock),
        )  # fmt: skip

    def answer(self, command: Command[Any]) -> Any:
        answer = self.answers.get(name_of(command), lambda command: command.read([]))
        return answer(command)

    def follow(self, shard: int = 0, owner: str = "b") -> Replica:
        """A replica that is built, and has read up to entry 7 of the log."""
        replica = Replica(shard, owner)
        replica.follows_from(LogPosition(7, "100-0"), handles=self.applier.active_active)
        replica.is_built()
        self.followed.add(replica)
        return replica

    def copy(self, replica: Replica, child: str, kind: type[Child] = Account, *, runs: bool = True) -> HostedChild:
        """A copy in a replica; ``runs``: it handles messages."""
        hosted = a_child(replica.holding, child, kind)
        if runs:
            hosted.moved(LifeEvent.RESTORED)
            hosted.moved(LifeEvent.STARTED)
        assert hosted.life is (Life.RUNNING if runs else Life.BUILT)
        return hosted


def entry(number: int, kind: str, child: str, of: str = "", word: str = "", payload: bytes = b"") -> LogEntry:
    """An entry of a log."""
    return LogEntry(number, f"{100 + number}-0", LogItem(kind, child, of, "join" if of else "", word, payload))


def a_state(kind: str, value: int, cursor: str = "5-0") -> Envelope:
    """A state of an account (``sum``), a room (``count``) or a diary (``lines``)."""
    name = {"Account": "sum", "Greeter": "sum", "Room": "count", "Diary": "lines"}[kind]
    return Envelope("attributes", cursor, encode_state({name: value}, 1_000_000, "child"))


def a_view(*nodes: str, **owners: str | None) -> View:
    """A view with these nodes up, and the owners of shards 0, 1 ... as ``s0="b"``."""
    current = {int(shard[1:]): owner for shard, owner in owners.items()}
    return View({name: NodeView(name, 1) for name in nodes}, current, len(current))
