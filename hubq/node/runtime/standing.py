"""Who this node is, and whether it may act: one per group of shards."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable

from hubq.core.lease import Grant, Lease, RedisClock, Term
from hubq.node.runtime.bell import News


class Standing:
    """The node's name and incarnation, its lease, Redis's clock, and the highest tokens it knows of.

    ``incarnation`` is 0 while the node is no member: before it joins, and after everything it had became void.

    It belongs to the event loop. The lease thread calls :meth:`renewed`, reads :attr:`awaits_trust`, and reads and writes ``term``;
    nothing else.

    >>> standing = Standing("a", Lease(seconds=5.0, margin=1.0), RedisClock(), now=lambda: 100.0)
    >>> standing.joined(incarnation=7, asked_at=99.0, redis_ms=1_000_000, lease_ms=5_000)
    >>> standing.incarnation, standing.trusted(), standing.lease_over(), standing.is_me("a", 7)
    (7, True, False, True)
    """

    def __init__(
        self, node_name: str, lease: Lease, clock: RedisClock, now: Callable[[], float], place: str = ""
    ) -> None:
        self.node_name = node_name
        self.place = place
        """For messages to people, behind the name: " in group 2", if the hub has several."""
        self._life = secrets.token_hex(8)
        self.lease = lease
        """That of the term; read with every message."""
        self.term = Term(0, lease)
        """The incarnation that the node has now, or had last."""
        self.now = now
        """Monotonic seconds."""
        self.incarnation = 0
        self.previous = 0
        """The incarnation before this one became void."""
        self.hub_began_ms = 0
        """When the hub's first node joined, ms of Redis TIME."""
        self.draining = False
        """The node is leaving: it takes nothing more."""
        self._clock = clock
        self._tokens: dict[int, int] = {}
        self._former_tokens: dict[int, int] = {}
        self._was: dict[int, frozenset[int]] = {}  # void incarnations, and the shards each of them held
        self._leaving = asyncio.Event()
        self._renewals = News()
        self._waiting = 0  # how many wait until the lease is trusted

    # -- time and trust --------------------------------------------------------------------------------------------

    def redis_now_ms(self) -> float:
        """Redis TIME in ms, as far as this node knows."""
        return self._clock.now_ms(self.now())

    def trusted(self) -> bool:
        """Whether handlers may start and commits may be sent."""
        return self.now() < self.lease.trusted_until

    async def until_trusted(self) -> None:
        """Wait until handlers may start and commits may be sent."""
        self._waiting += 1
        try:
            while not self.trusted():
                await self._renewals.heard()
        finally:
            self._waiting -= 1

    @property
    def awaits_trust(self) -> bool:
        """Whether somebody waits for trust, and must hear of each renewal. (The lease thread asks. What it sees of the time tells it less:
        the loop may have looked at the clock long before, or later than it, and at the lease in another moment.)
        """
        return self._waiting > 0

    def lease_over(self) -> bool:
        """Whether others may own everything by now."""
        return self.lease.over(self.now())

    @property
    def epoch(self) -> int:
        """The highest membership epoch known."""
        return self.term.epoch

    @property
    def granted_ms(self) -> int:
        """The end of the lease as Redis granted it last, ms of Redis TIME."""
        return self.term.granted_ms

    @property
    def generation(self) -> str:
        """This life of the node: no other process has it, nor this one after it has been void."""
        return f"{self._life}.{self.incarnation}"

    def is_me(self, node: str, incarnation: int) -> bool:
        """Whether an owner line names this node as it is now."""
        return node == self.node_name and incarnation == self.incarnation

    # -- membership ------------------------------------------------------------------------------------------------

    def joined(self, incarnation: int, asked_at: float, redis_ms: int, lease_ms: int, hub_began_ms: int = 0) -> None:
        """The node is a member, under a lease of ``lease_ms`` that was asked for at ``asked_at`` (monotonic seconds)."""
        self.hub_began_ms = hub_began_ms
        lease = Lease(self.lease.seconds, self.lease.margin)
        lease.begin(asked_at)
        self.incarnation = incarnation
        self.lease = lease
        self.term = Term(incarnation, lease, incarnation, redis_ms + lease_ms)
        self._former_tokens, self._tokens = self._tokens, {}
        self._clock.observe(asked_at, self.now(), redis_ms)
        self._renewals.ring()

    def renewed(self, term: Term, asked_at: float, redis_ms: int, lease_ms: int) -> Grant:
        """Redis has renewed the lease of this term. (The lease thread calls it.)"""
        grant = term.renewed(asked_at, redis_ms + lease_ms, self.now)
        if grant is not Grant.OVER:
            self._clock.observe(asked_at, self.now(), redis_ms)
        return grant

    def trusted_again(self) -> None:
        """Those that wait until handlers may start go on."""
        self._renewals.ring()

    def void(self, shards: Iterable[int]) -> None:
        """The node is no member any more. Nothing that this incarnation owned counts here, even if nobody has evicted it."""
        self._was[self.incarnation] = frozenset(shards)
        while len(self._was) > 20:
            del self._was[next(iter(self._was))]
        self.previous, self.incarnation = self.incarnation, 0
        self.term.end()

    @property
    def was(self) -> tuple[int, ...]:
        """The void incarnations of this process. They did not crash: the process lives."""
        return tuple(self._was)

    def to_absolve(self) -> dict[int, list[int]]:
        """The void incarnations whose crash may still be counted, and the shards that they held. Each is named once."""
        found = {incarnation: sorted(shards) for incarnation, shards in self._was.items() if shards}
        self._was = dict.fromkeys(self._was, frozenset())
        return found

    def drain(self) -> bool:
        """The node is leaving from now on. False: it was already."""
        if self.draining:
            return False
        self.draining = True
        self._leaving.set()
        return True

    async def until_draining(self) -> None:
        """Wait until the node is leaving."""
        await self._leaving.wait()

    # -- tokens ----------------------------------------------------------------------------------------------------

    def token(self, shard: int) -> int:
        """The highest token known of a shard (0: none). A lower one in ``owners`` is older, and not believed."""
        return self._tokens.get(shard, 0)

    def knows(self, shard: int) -> bool:
        """Whether a token of the shard is known."""
        return shard in self._tokens

    def tokens(self) -> dict[int, int]:
        """All tokens known, as of now."""
        return dict(self._tokens)

    def learn(self, shard: int, token: int) -> None:
        """The shard has this token now."""
        self._tokens[shard] = token

    def doubt(self, shard: int, token: int) -> None:
        """The adoption under this token has failed: the shard may be adopted again under the same token."""
        self._tokens[shard] = token - 1

    def take_former_tokens(self) -> dict[int, int]:
        """The tokens known before the node joined anew; each is given once."""
        former, self._former_tokens = self._former_tokens, {}
        return former
