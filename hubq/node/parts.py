"""The parts of a node, as they know one another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hubq.config import Config
from hubq.core.lease import Lease, RedisClock
from hubq.core.messages import Wake
from hubq.node.committer import Committer
from hubq.node.counters import Counters
from hubq.node.dispatcher import Dispatcher
from hubq.node.holding import Cell, Holding
from hubq.node.hook_runner import HookRunner
from hubq.node.reader import Reader
from hubq.node.supervisor import Supervisor
from hubq.node.turns import Turns
from hubq.store.connection import AsyncRedis
from hubq.store.control import send_control
from hubq.store.effects import Effects
from hubq.store.keys import Keys
from hubq.store.owners import release_pin
from hubq.strategies.distribution import Distribution
from hubq.strategies.migration import Migration, MigrationTraits
from hubq.strategies.synchronization import Synchronization

if TYPE_CHECKING:
    from hubq.node.balancer import Balancer
    from hubq.node.batches import Batches
    from hubq.node.parked import Parked
    from hubq.node.places import Places
    from hubq.node.quorum import Quorum
    from hubq.node.recorder import Recorder
    from hubq.node.replicas import Replicas
    from hubq.node.stragglers import Stragglers
    from hubq.node.trials import Trials
    from hubq.node.withdrawals import Withdrawals

#: Shards of a node that are between two owners at the same time. Their children pause for as long as all of them take, and
#: two at a time are moved no sooner than one after the other (docs/performance.md).
CLOSED_AT_ONCE = 1


@dataclass(slots=True)
class Parts:
    """What every part of a node may use. ``incarnation`` changes when the node has to join anew."""

    node_name: str
    keys: Keys
    config: Config
    redis: AsyncRedis
    migration: Migration
    distribution: Distribution
    synchronization: Synchronization
    lease: Lease
    clock: RedisClock
    supervisor: Supervisor
    dispatcher: Dispatcher
    committer: Committer
    reader: Reader
    kick: Callable[[], None]
    rebuild: Callable[[Holding], None]
    counters: Counters
    hooks: HookRunner
    void: Callable[[str], None]
    moves: MigrationTraits = field(init=False)
    """What the migration strategy says of itself."""
    stragglers: Stragglers = field(init=False)
    places: Places = field(init=False)
    parked: Parked = field(init=False)
    welcome: Callable[..., Awaitable[None]] = field(init=False)
    take_ahead: Callable[[int, str, str], Cell | None] = field(init=False)
    batches: Batches = field(init=False)
    withdrawals: Withdrawals = field(init=False)
    replicas: Replicas | None = None
    """Copies of other nodes' children; None: there is one copy of each child."""
    balancer: Balancer | None = None
    """Measures this node's shards; None: the hub's distribution does not ask for it."""
    recorder: Recorder | None = None
    """What tells the followers of this node's shards; None: there are none."""
    quorum: Quorum | None = None
    """What closes intake when the hub has no quorum; None: it needs none."""
    trials: Trials = field(init=False)
    closing: Turns = field(default_factory=lambda: Turns(CLOSED_AT_ONCE))
    incarnation: int = 0
    epoch: int = 0
    """The highest membership epoch known."""
    granted_ms: int = 0
    """The end of the lease as Redis granted it last, ms of Redis TIME."""
    tokens: dict[int, int] = field(default_factory=dict)
    """The highest token known of each shard: an older sight of ``owners`` is not believed."""
    former_tokens: dict[int, int] = field(default_factory=dict)
    """What was known when the node had to join anew."""

    def __post_init__(self) -> None:
        self.moves = MigrationTraits.of(self.migration)

    def now(self) -> float:
        """Monotonic seconds."""
        return asyncio.get_running_loop().time()

    def redis_now_ms(self) -> float:
        """Redis TIME, as far as this node knows."""
        return self.clock.now_ms(self.now())

    async def wake(self) -> None:
        """End this node's own blocking reads."""
        await self.redis.run(send_control(self.keys, self.node_name, Wake(self.node_name)), retry_for=1.0)

    def resume_all(self) -> None:
        """Handlers may start again, after a time in which none might: those of the copies here, too."""
        copies = [] if self.replicas is None else self.replicas.cells()
        for cell in [*self.supervisor.children(), *copies]:
            self.dispatcher.resume(cell)

    def lease_over(self) -> bool:
        """Whether others may own everything by now."""
        return self.lease.over(self.now())

    def hold(self, holding: Holding) -> None:
        """A shard or pin is ours: read for it."""
        self.supervisor.holdings[holding.shard, holding.pinned] = holding
        self.reader.add(holding)

    def drop(self, holding: Holding) -> None:
        """It is ours no more: nothing of it is read or committed here."""
        holding.lost = True
        holding.open = False
        self.reader.remove(holding)
        if self.supervisor.holdings.get((holding.shard, holding.pinned)) is holding:
            del self.supervisor.holdings[holding.shard, holding.pinned]
        waiters, holding.waiters = holding.waiters, []
        for waiter in waiters:
            waiter.cancel()

    def passed(self, holding: Holding, pins: list[Holding]) -> None:
        """The token has passed; these pins stay."""
        self.tokens[holding.shard] = holding.owner.token + 1
        self.counters.moved_out += 1
        for pin in pins:
            pin.frozen = False
            self.hold(pin)
            self.reader.catch_up(pin)
        self.drop(holding)
        self.committer.changed()
        self.kick()

    def fenced(self, holding: Holding) -> None:
        """Somebody else owns it: stop its children here; what they did since the last commit is void."""
        if holding.lost:
            return
        self.drop(holding)
        self.supervisor.event("fenced", shard=holding.shard, child=holding.pinned or "")
        self.supervisor.background(
            self.supervisor.endings.dispose(list(holding.cells.values()), "fenced"), f"dropping shard {holding.shard}"
        )
        self.kick()

    def given_up(self, holding: Holding) -> None:
        """What is in memory is not to be trusted, but the token is still here: adopt it again from Redis."""
        self.fenced(holding)
        if holding.pinned is not None:
            command = release_pin(
                self.keys, holding.shard, holding.pinned, holding.owner, closed_at_ms=self.redis_now_ms(),
                effects=Effects(), events_kept=self.config.events_kept,
            )  # fmt: skip
            work = self.redis.run(command, retry_for=self.config.lease)
            self.supervisor.background(work, f"giving up the pin of {holding.pinned}")
        elif self.tokens.get(holding.shard, 0) <= holding.owner.token:
            self.tokens[holding.shard] = holding.owner.token - 1
