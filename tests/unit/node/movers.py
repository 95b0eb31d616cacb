"""What the tests of arrivals and departures put in the place of the parts that build, save, begin and end children."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

from hubq.config import Config
from hubq.core.child import Child
from hubq.core.lifecycle import LifeEvent
from hubq.core.messages import ChildStartResp
from hubq.errors import StartFailed
from hubq.hooks import HookBook
from hubq.node.arrivals.wishes import Wishes
from hubq.node.commits.committer import Committer
from hubq.node.commits.confirmation import NoConfirmation
from hubq.node.commits.forfeits import Forfeits
from hubq.node.commits.held_up import HeldUp
from hubq.node.departures.answers import Answers
from hubq.node.departures.departure import Departures
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.held.older_code import OlderCode
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell, News
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.hook_runner import HookRunner
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.sizes import Sizes
from hubq.store.command import Command
from hubq.store.envelope import Envelope
from hubq.store.membership import NodeInfo
from hubq.store.message import Message
from hubq.store.spec_record import SpecRecord
from tests.unit.node.fakes import (
    Clock,
    FakeEndings,
    FakeEvents,
    FakeRedis,
    FakeReports,
    Here,
    a_child,
    a_group,
    a_holding,
    in_hand_of,
    name_of,
)


class Replies:
    """What Redis answers: by the name of a script, or by ``"HGETALL <key>"``. Whatever is callable is called."""

    def __init__(self, **scripts: Any) -> None:
        self.by_name: dict[str, Any] = dict(scripts)
        self.sent: list[Command[Any]] = []

    def __setitem__(self, name: str, answer: Any) -> None:
        self.by_name[name] = answer

    def __call__(self, command: Command[Any]) -> Any:
        self.sent.append(command)
        name = name_of(command)
        for known in (f"{name} {command.args[1]}", name):
            if known in self.by_name:
                answer = self.by_name[known]
                return answer(command) if callable(answer) else answer
        return "ok" if command.script is not None else command.read(None) if name in ("HGETALL", "GET") else {}

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments with which a script was sent, each time."""
        return [tuple(command.args) for command in self.sent if name_of(command) == name]


class Saver:
    """Hands over what ``hands`` says of a child: bytes, None, an error, or an event that is waited for first."""

    def __init__(self) -> None:
        self.hands: dict[str, Any] = {}
        self.asked: list[tuple[str, bool]] = []
        self.saved: list[str] = []

    async def hand_over(
        self, hosted: HostedChild, with_state: bool, version: int | None = None
    ) -> tuple[str, bytes | None]:
        self.asked.append((hosted.child_id, with_state))
        handed = self.hands.get(hosted.child_id, b"state of " + hosted.child_id.encode())
        if isinstance(handed, asyncio.Event):
            await handed.wait()
            handed = None
        if isinstance(handed, BaseException):
            raise handed
        return hosted.child_id, handed if with_state else None

    def save_boundary(self, hosted: HostedChild) -> None:
        self.saved.append(hosted.child_id)


class Signals:
    """Remembers who was told what."""

    def __init__(self) -> None:
        self.told: list[tuple[list[str], str]] = []

    async def announce(self, hosteds: Iterable[HostedChild], mode: str) -> None:
        names = [hosted.child_id for hosted in hosteds]
        if names:
            self.told.append((names, mode))


class Lives:
    """Begins children at once; a child in ``broken`` is parked for its state."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, Envelope | None, bool]] = []
        self.runs: list[str] = []
        self.broken: set[str] = set()

    def begin(self, hosted: HostedChild, envelope: Envelope | None, *, first: bool = False) -> None:
        self.begun.append((hosted.child_id, envelope, first))
        if hosted.child_id in self.broken:
            hosted.moved(LifeEvent.FAILED)
            return
        hosted.moved(LifeEvent.RESTORED)
        hosted.moved(LifeEvent.STARTED)

    def start_run(self, hosted: HostedChild) -> None:
        self.runs.append(hosted.child_id)


class Pumps:
    """Remembers who may go on."""

    def __init__(self) -> None:
        self.resumed: list[str] = []

    def resume(self, hosted: HostedChild) -> None:
        self.resumed.append(hosted.child_id)


class Builder:
    """Builds children; those in ``broken`` cannot be built."""

    def __init__(self) -> None:
        self.built: list[str] = []
        self.broken: set[str] = set()

    def build(self, holding: Holding, child: str, record: SpecRecord) -> HostedChild:
        if child in self.broken:
            raise StartFailed(f"no module for {child}")
        self.built.append(child)
        hosted = HostedChild(cast(Any, Here()), holding, child, record)
        hosted.made(Child())
        return hosted

    def check_state(self, hosted: HostedChild, saved: Envelope | None) -> None:
        """It knows every state."""


class Parking:
    """Makes placeholders."""

    def placeholder(
        self, holding: Holding, child: str, record: SpecRecord, reason: str, error: BaseException | None = None
    ) -> HostedChild:
        hosted = HostedChild(cast(Any, Here()), holding, child, record)
        hosted.moved(LifeEvent.FAILED)
        hosted.park(reason)
        return hosted


def a_record(start_id: str = "s:1", place: str = "") -> SpecRecord:
    """A spec as it stands in Redis."""
    return SpecRecord("Child", "tests", start_id, place=place)


def nodes(**incarnations: int) -> dict[str, NodeInfo]:
    """These nodes are up."""
    return {name: NodeInfo(number, "up", 0) for name, number in incarnations.items()}


def running(hosted: HostedChild) -> HostedChild:
    """A built child, begun."""
    hosted.moved(LifeEvent.RESTORED)
    hosted.moved(LifeEvent.STARTED)
    return hosted


def a_message(entry: str = "5-0", child: str = "room-1") -> Message:
    """A call."""
    return Message(entry.encode(), "call", child, "say", "1", "c", 0, b"")


def busy(hosted: HostedChild, *, in_thread: bool = False, stubborn: bool = False) -> InHand:
    """Give a child a message that is not done until it is cancelled (``stubborn``: not even then)."""

    async def handle() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            if not stubborn:
                hosted.hand_empty()

    task = asyncio.get_running_loop().create_task(handle())
    in_hand = in_hand_of(hosted, a_message(child=hosted.child_id), task)
    if in_thread:
        in_hand.threaded()
    return in_hand


async def until(true: Callable[[], bool]) -> None:
    """Let the other tasks run until something is so."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  (what is waited for tells nobody)
            await asyncio.sleep(0)


class Stage:
    """A node's lower parts, with stand-ins for those that run users' code. It holds shard 0 with token 3, open."""

    def __init__(self, **settings: Any) -> None:
        self.clock, self.replies = Clock(), Replies()
        self.redis = FakeRedis(self.replies)
        self.group = a_group(self.redis, self.clock, **settings)
        self.standing, self.keys = self.group.standing, self.group.keys
        self.background, self.events = Background(), FakeEvents()
        self.cursors = Cursors()
        self.register = Register(self.cursors, Outboxes())
        self.queue, self.plan_due, self.counters = CommitQueue(self.register), Bell(), Counters()
        self.hooks = HookRunner(HookBook(), "h", "a", self.background)
        self.saver, self.signals, self.lives, self.pumps = Saver(), Signals(), Lives(), Pumps()
        self.pieces = Pieces(self.clock)
        self.builder, self.parking, self.endings = Builder(), Parking(), FakeEndings()
        self.forfeits = Forfeits(
            self.register, cast(Any, self.endings), cast(Any, self.events), self.background, self.plan_due, self.group
        )
        self.sizes = Sizes(Config())
        self.committer = Committer(
            self.group, self.queue, Outboxes(), self.forfeits, self.counters, NoConfirmation(), self.sizes,
            HeldUp(cast(Any, FakeReports()), cast(Any, self.pumps)), self.background,
        )  # fmt: skip
        self.wishes, self.answers = Wishes(self.group, News()), Answers()
        self.departures = Departures(
            self.group, self.background, self.committer, self.forfeits, cast(Any, self.saver), cast(Any, self.signals),
            cast(Any, self.endings), cast(Any, self.lives), cast(Any, self.pumps),
            self.pieces, self.sizes, OlderCode(),
        )  # fmt: skip
        self.shard = a_holding()
        self.standing.learn(0, 3)
        self.register.hold(self.shard)

    def child(self, name: str = "room-1", holding: Holding | None = None, kind: type[Child] = Child) -> HostedChild:
        """A child that runs in the shard, or in another holding."""
        return running(a_child(self.shard if holding is None else holding, name, kind))

    def pin(self, child: str = "room-1", token: int = 4) -> Holding:
        """A pin of a child of the shard, open, with its child."""
        pin = a_holding(0, token, child)
        self.child(child, pin)
        self.shard.set_apart([child])
        self.register.hold(pin)
        return pin

    def answer_moves(self) -> None:
        """Other nodes build all that they are asked to build, and say so at once."""

        def built(command: Command[Any]) -> str:
            fields = [str(part) for part in command.args]
            if "start_children" in fields:
                asked = fields[fields.index("handover_id") + 1]
                self.answers.started(ChildStartResp("b", 0, asked, failed=self.cannot_build))
            return "ok"

        self.replies["send_control"] = built

    cannot_build = ""
    """What the other nodes cannot build: ids, one per line."""

    async def idle(self) -> None:
        """Wait until nothing goes on in the background."""
        await asyncio.wait_for(self.background.idle(), 5)

    async def end(self) -> None:
        """Nothing goes on in the background any more."""
        await self.background.stop()
