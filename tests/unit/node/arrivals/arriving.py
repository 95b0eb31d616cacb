"""A stage on which shards and single children come to a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

from hubq.core.wish import Wish
from hubq.node.arrivals.account import Account
from hubq.node.arrivals.ahead import AheadBuilt
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.arrivals.batches import Batches
from hubq.node.arrivals.entrance import Entrance
from hubq.node.arrivals.pins import PinArrivals
from hubq.node.arrivals.returns import Returns
from hubq.node.arrivals.shards import ShardArrivals
from hubq.node.arrivals.under_way import UnderWay
from hubq.node.copies.none import NoCopies
from hubq.node.held.due_times import DueTimes
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.recorder import NoRecorder
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.store.command import Command
from hubq.store.envelope import Envelope
from hubq.store.owners import Owner, Owners
from hubq.store.tries import Watch
from hubq.strategies.migration import HotSwap, MigrationTraits
from tests.unit.node.fakes import FakePauses, FakeReports, a_holding
from tests.unit.node.movers import Stage, a_record

STATE = Envelope("attributes", "5-0", b"state")
TOOK_DOWN = "starting it took down b and c"


class Trials:
    """Remembers what was built on trial, and what is watched."""

    def __init__(self) -> None:
        self.built: list[str] = []
        self.watched: list[tuple[int, list[str]]] = []

    @asynccontextmanager
    async def building(self, holding: Holding, child: str) -> AsyncIterator[None]:
        self.built.append(child)
        yield

    def watch(self, holding: Holding, waiting: Sequence[tuple[HostedChild, Any]] = ()) -> None:
        self.watched.append((holding.shard, [hosted.child_id for hosted, _ in waiting]))


class SomeCopies(NoCopies):
    """Copies of shard 1: ``is_ours`` says whether the shard is still ours when they are to begin."""

    def __init__(self) -> None:
        self.of_shard: dict[str, HostedChild] = {}
        self.good: set[str] = set()
        self.is_ours = True
        self.begun: list[str] = []
        self.unfollowed: list[int] = []
        self.coming: set[int] = set()

    @contextmanager
    def arriving(self, shard: int) -> Iterator[None]:
        self.coming.add(shard)
        try:
            yield
        finally:
            self.coming.discard(shard)

    def unfollow(self, shard: int) -> None:
        self.unfollowed.append(shard)

    async def take_over(self, shard: int) -> dict[str, HostedChild]:
        return dict(self.of_shard)

    def adopt(self, copy: HostedChild, saved: Envelope | None) -> bool:
        return copy.child_id in self.good

    async def taken_over(self, holding: Holding, taken: Any, copies: Any) -> bool:
        assert not holding.open
        if self.is_ours:
            self.begun += taken
        return self.is_ours


class Straggling:
    """Remembers which pins are to return."""

    def __init__(self) -> None:
        self.following: list[str | None] = []

    def follow(self, pin: Holding, retention: float, *, serving: bool) -> None:
        assert serving and pin.open
        self.following.append(pin.pinned)


class Arriving(Stage):
    """A stage to which shard 1 comes, with the children ``one`` and ``two``; this node holds shard 0 already."""

    def __init__(self) -> None:
        super().__init__()
        self.trials, self.copies, self.straggling = Trials(), SomeCopies(), Straggling()
        self.under_way, self.pausing = UnderWay(), FakePauses()
        self.batches = Batches(
            self.group, self.background, self.register, cast(Any, self.endings), cast(Any, FakeReports())
        )
        gathered, builder = GatheredLog(), cast(Any, self.builder)
        self.ahead = AheadBuilt(self.group, cast(Any, self.events), gathered, builder, HotSwap(), self.pieces)
        account = Account(self.standing, cast(Any, self.events), gathered, self.hooks, self.counters)
        entrance = Entrance(
            cast(Any, self.builder), cast(Any, self.parking), cast(Any, self.lives), cast(Any, self.trials), self.copies
        )
        self.expiries = DueTimes()
        self.arrivals = Arrivals(
            self.group, self.register, self.under_way, self.ahead,
            ShardArrivals(
                self.group, cast(Any, self.events), self.register, self.queue, self.plan_due, NoRecorder(),
                cast(Any, self.pumps), cast(Any, self.endings), cast(Any, self.trials), self.copies, self.pieces,
                self.under_way, self.ahead, self.wishes, self.batches, entrance, account, self.expiries,
                cast(Any, self.pausing), self.cursors,
            ),
            PinArrivals(
                self.group, self.register, self.cursors, self.queue, self.plan_due, NoRecorder(), cast(Any, self.pumps),
                MigrationTraits(), self.under_way, self.ahead, self.wishes, entrance, account, self.straggling,
                self.pieces, cast(Any, self.pausing),
            ),
            Returns(
                self.group, self.register, self.cursors, self.queue, Outboxes(), self.plan_due,
                cast(Any, self.trials), self.under_way, self.ahead, self.wishes, entrance, account, self.pieces,
                cast(Any, self.pausing),
            ),
        )  # fmt: skip
        self.owner = Owner("a", 7, 5)
        self.owners = Owners({1: self.owner}, {})
        self.specs = {"one": a_record(), "two": a_record()}
        self.states = {"one": STATE}
        self.parked: dict[str, str] = {}
        self.pins: dict[str, Owner] = {}
        self.watch: Watch | None = None
        self.moves: dict[str, Wish] = {}
        self.marks: dict[str, str] = {}
        self.dormant, self.expiry_ms = 0, float("inf")
        keys = self.keys
        for key, found in {
            keys.owners: lambda _: self.owners, keys.children(1): lambda _: self.specs,
            keys.msk(1): lambda _: self.states, keys.parked(1): lambda _: self.parked, keys.tries(1): lambda _: self.watch,
            keys.batches(1): lambda _: self.marks, keys.pins: lambda _: self.moves,
        }.items():  # fmt: skip
            self.replies["HGETALL " + key] = found
        self.replies["HMGET " + keys.owners] = self._owner_lines
        self.replies["HMGET " + keys.children(1)] = lambda _: self.specs
        self.replies["HMGET " + keys.msk(1)] = lambda _: self.states
        self.replies["HLEN"] = lambda command: self.dormant
        self.replies["ZRANGE"] = lambda command: self.expiry_ms
        self.replies["HGET"] = lambda command: self.states.get(str(command.args[2]))
        self.replies["GET"] = 0
        self.cursors.listening_begins()  # the node waits in a blocking read
        self.reads_on = False  # it has begun the next one by the time the shard is open
        self.replies["send_control"] = self._woken

    def _woken(self, command: Command[Any]) -> str:
        if "wake" in command.args and not self.reads_on and self.cursors.listens:
            self.cursors.listening_ends()
        return "1-0"

    def _owner_lines(self, command: Command[Any]) -> Any:
        """Of shards, or of pins."""
        return self.pins if "/" in str(command.args[2]) else self.owners.shards

    turns = 0
    """Turns of the loop, while they are counted."""

    async def count_turns(self) -> None:
        """Count them."""
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    async def adopt(self, *, claimed: bool = False) -> Holding:
        """Adopt shard 1."""
        await self.arrivals.adopt_shard(1, self.owner, claimed=claimed)
        held = self.register.get(1)
        assert held is not None
        return held

    def serves(self, *apart: str) -> Holding:
        """Shard 1 is served here already, but for these children."""
        holding = a_holding(1, 5)
        holding.set_apart(apart)
        self.register.hold(holding)
        return holding

    def sent(self) -> list[str]:
        """The control messages sent, their kinds."""
        return [str(args[args.index("kind") + 1]) for args in self.replies.of("send_control")]
