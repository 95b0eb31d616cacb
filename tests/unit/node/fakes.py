"""What unit tests of a node's parts are given instead of Redis, of a clock, and of the parts below."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from hubq.config import Config
from hubq.core.child import Child
from hubq.core.lease import Lease, RedisClock
from hubq.core.malformed import Malformed
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.recorder import NoRecorder
from hubq.node.held.register import Register
from hubq.node.runtime.group import Group
from hubq.node.runtime.standing import Standing
from hubq.store.command import Command
from hubq.store.keys import Keys
from hubq.store.message import Message
from hubq.store.owners import Owner
from hubq.store.pickled_values import PickledValues
from hubq.store.spec_record import SpecRecord

#: Redis TIME when the clock of a test stands at 100, ms.
REDIS_MS = 1_000_000


class Here:
    """``Services`` of children that ask for nothing."""

    node_name = "a"
    values = PickledValues()
    seal = None

    def active(self, hosted: object) -> bool:
        return True


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class ForwardLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock a test puts forward (:func:`time_passes`); else it goes as any other does."""

    _forward = 0.0

    def time(self) -> float:
        return super().time() + self._forward

    def put_forward(self, seconds: float) -> None:
        """It is so many seconds later now."""
        self._forward += seconds


def run_forward(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario in which time passes at once."""
    with asyncio.Runner(loop_factory=ForwardLoop) as runner:
        runner.run(scenario)


async def time_passes(seconds: float) -> None:
    """It is so many seconds later, and all that was due by then has happened."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ForwardLoop), "use run_forward"
    loop.put_forward(seconds)
    due = loop.create_future()
    loop.call_at(loop.time(), due.set_result, None)
    await due


class Seen:
    """Counts what happens, for those who wait for it."""

    def __init__(self) -> None:
        self._times = 0
        self._more = asyncio.Event()

    def again(self) -> None:
        """It has happened once more."""
        self._times += 1
        self._more.set()

    async def until(self, times: int) -> None:
        """Wait until it has happened so often."""
        async with asyncio.timeout(5):
            while self._times < times:
                self._more.clear()
                await self._more.wait()


class FakeRedis:
    """Answers with what ``answer`` says of each command, and keeps what it was asked. An exception is raised."""

    def __init__(self, answer: Callable[[Command[Any]], Any] = lambda command: "ok") -> None:
        self.answer = answer
        self.asked: list[list[Command[Any]]] = []
        self.who = "a Redis"
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._requests = Seen()

    async def run(self, command: Command[Any], *, retry_for: float = 0.0) -> Any:
        return (await self.run_many([command], retry_for=retry_for))[0]

    async def run_many(self, commands: Sequence[Command[Any]], *, retry_for: float = 0.0) -> list[Any]:
        self.asked.append(list(commands))
        self._requests.again()
        await asyncio.sleep(0)
        await self.may_answer.wait()
        answers = [self.answer(command) for command in commands]
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    async def until_asked(self, times: int) -> None:
        """Wait until there were so many requests."""
        await self._requests.until(times)

    def names(self) -> list[str]:
        """The commands that were sent: the name of a script, or of Redis's own command."""
        return [name_of(command) for commands in self.asked for command in commands]


def name_of(command: Command[Any]) -> str:
    """The name of a script, or of Redis's own command."""
    return command.script.name if command.script is not None else str(command.args[0])


def words_of(command: Command[Any]) -> tuple[Any, ...]:
    """What a script is given besides its keys."""
    return tuple(command.args[3 + int(command.args[2]) :])


class FakeEndings:
    """Remembers which children were disposed of."""

    def __init__(self) -> None:
        self.disposed: list[tuple[list[str], str]] = []
        self.disposals = Seen()

    async def dispose(self, hosteds: Any, reason: str) -> None:
        self.disposed.append(([hosted.child_id for hosted in hosteds], reason))
        self.disposals.again()


class FakeEvents:
    """Remembers events."""

    def __init__(self) -> None:
        self.added: list[tuple[str, dict[str, object]]] = []

    def add(self, kind: str, **fields: object) -> None:
        self.added.append((kind, fields))


class FakeReports:
    """Remembers what was malformed."""

    def __init__(self) -> None:
        self.told: list[Malformed] = []

    def report(self, malformed: Malformed) -> None:
        self.told.append(malformed)


class FakePauses:
    """Nothing is paused. Remembers which numbers it was shown, and how often it was to read."""

    def __init__(self) -> None:
        self.shown: list[object] = []
        self.reads = 0

    def heed(self, hosted: object) -> None:
        """A child begins."""

    async def look(self, number: int) -> None:
        self.shown.append(number)

    async def refresh(self) -> None:
        self.reads += 1


def a_standing(clock: Clock, node: str = "a") -> Standing:
    """A member under a fresh lease: incarnation 7."""
    standing = Standing(node, Lease(seconds=5.0, margin=1.0), RedisClock(), clock)
    standing.joined(incarnation=7, asked_at=clock.now, redis_ms=REDIS_MS, lease_ms=5_000)
    return standing


def a_group(redis: FakeRedis, clock: Clock | None = None, reading: FakeRedis | None = None, **settings: Any) -> Group:
    """The group of a node ``a``."""
    return Group(
        cast(Any, redis), cast(Any, reading or redis), Keys("h"), Config(**settings), a_standing(clock or Clock())
    )


def a_register() -> Register:
    """An empty register."""
    return Register(Cursors(), Outboxes())


def a_holding(shard: int = 0, token: int = 3, pinned: str | None = None, recorder: Any = None) -> Holding:
    """A shard or pin that is open here."""
    holding = Holding(shard, Owner("a", 7, token), recorder or NoRecorder(), pinned)
    holding.open_intake()
    return holding


def a_child(holding: Holding, child: str = "room-1", kind: type[Child] = Child, start_id: str = "s:1") -> HostedChild:
    """A child that has just been built, in its holding."""
    hosted = HostedChild(cast(Any, Here()), holding, child, SpecRecord(kind.__name__, "tests", start_id), kind)
    hosted.made(kind())
    holding.attach(hosted)
    return hosted


def in_hand_of(hosted: HostedChild, message: Message, task: asyncio.Task[Any] | None = None) -> InHand:
    """The child has this message in hand, before any that is queued."""
    if hosted.queue is None:
        hosted.offer(message)
    else:
        hosted.put_back(message)
    return hosted.take_in_hand(task)
