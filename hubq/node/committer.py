"""Group commit: one script call, or few, for whatever has finished meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain

from hubq.errors import NotReplicated, RedisUnavailable
from hubq.node.counters import Counters
from hubq.node.holding import Holding
from hubq.node.tasks import end_tasks
from hubq.store.connection import AsyncRedis
from hubq.store.effects import Effects
from hubq.store.keys import Keys
from hubq.store.owners import commit_shard, commit_shards, renew_token

log = logging.getLogger("hubq.node")

#: Of so many commits one is looked at to see which children are busy.
SAMPLED = 8


class Committer:
    """Takes the effects of all holdings and commits them, one pipeline at a time."""

    def __init__(
        self,
        redis: AsyncRedis,
        keys: Keys,
        holdings: Callable[[], list[Holding]],
        trusted: Callable[[], bool],
        fenced: Callable[[Holding], None],
        reply_ttl: float,
        counters: Counters,
        given_up: Callable[[Holding], None],
        redis_now_ms: Callable[[], float],
    ) -> None:
        self.commits = 0
        self.confirm: Callable[[], Awaitable[NotReplicated | None]] | None = None
        """Set with ``wait_replicas``: whoever awaits a commit awaits this, too."""
        self.counters = counters
        self._turns = 0
        self._redis = redis
        self._keys = keys
        self._holdings = holdings
        self._trusted = trusted
        self._fenced = fenced
        self._given_up = given_up
        self._redis_now_ms = redis_now_ms
        self._reply_ttl_ms = int(reply_ttl * 1000)
        self._due = asyncio.Event()
        self._touched: dict[Holding, None] = {}  # in this order: what happens must not depend on addresses
        self._look_at_all = True
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin committing."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Commit no more."""
        if self._task is not None:
            await end_tasks([self._task])
            self._task = None

    def changed(self) -> None:
        """Some holding has something to commit (cheap; may be called often)."""
        self._look_at_all = True
        self._due.set()

    def touched(self, holding: Holding) -> None:
        """This one has something to commit; ``due`` says when to begin."""
        self._touched[holding] = None

    def due(self) -> None:
        """Commit what was touched."""
        if self._touched:
            self._due.set()

    async def flush(self) -> None:
        """Commit what there is, now (the last act of a node that leaves)."""
        await self._commit()

    async def settled(self) -> None:
        """Wait until no commit is under way. What is frozen by then is not touched again until it is thawed."""
        async with self._lock:
            pass

    def take(self, holding: Holding) -> Effects:
        """The effects collected so far; the holding begins to collect anew."""
        effects, holding.effects = holding.effects, Effects()
        effects.reply_ttl_ms = self._reply_ttl_ms
        return effects

    async def _work(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._commit()
            except Exception:
                log.exception("a commit failed")

    async def _commit(self) -> None:
        async with self._lock:
            if not self._trusted():
                return  # the lease keeper calls changed() if the lease comes back
            touched: Iterable[Holding] = self._holdings() if self._look_at_all else self._touched
            batch = [h for h in touched if not h.frozen and not h.lost and (h.effects or h.waiters)]
            self._touched.clear()
            self._look_at_all = False
            if not batch:
                return
            taken = [(holding, self.take(holding), holding.waiters) for holding in batch]
            for holding in batch:
                holding.waiters = []
            self._turns += 1
            if self._turns % SAMPLED == 0:
                for _, effects, _ in taken:
                    for child, entries in effects.done.items():
                        self.counters.sampled[child] += len(entries)
            began = time.perf_counter()
            try:
                words = await self._until_answered([(holding, effects) for holding, effects, _ in taken])
            except Exception:
                # Nobody knows what was written. What is in memory now must never be saved without what was in hand.
                for holding, _, waiters in taken:
                    self._given_up(holding)
                    for waiter in waiters:
                        waiter.cancel()
                raise
            self.counters.commit_seconds.add(time.perf_counter() - began)
            error = None
            if self.confirm is not None and any(waiters for _, _, waiters in taken):
                error = await self.confirm()
            for (holding, _, waiters), word in zip(taken, words, strict=True):
                if word == "ok":
                    self.commits += 1
                    for waiter in waiters:
                        if waiter.done():
                            continue
                        if error is not None:
                            waiter.set_exception(error)
                        else:
                            waiter.set_result(None)
                else:
                    self._fenced(holding)
                    for waiter in waiters:
                        waiter.cancel()

    async def commit(self, holding: Holding, effects: Effects) -> str:
        """Commit what was taken of a holding that is not served here any more: ``ok`` or ``fenced``."""
        async with self._lock:
            while True:
                try:
                    command = commit_shard(self._keys, holding.shard, holding.pinned, holding.owner, effects)
                    return await self._redis.run(command)
                except RedisUnavailable:
                    if holding.lost or not self._trusted():
                        raise
                await asyncio.sleep(0.02)
                await self.renew([holding])

    async def _until_answered(self, batch: Sequence[tuple[Holding, Effects]]) -> list[str]:
        # Losing a commit is not harmless: go on until Redis answers. If our lease is over by then, it says "fenced".
        # But what has become void here meanwhile (another Redis answers) is not sent again: it may fit what that one
        # has, and would put a state there whose messages are waiting again.
        while True:
            live = [(holding, effects) for holding, effects in batch if not holding.lost]
            sent = [not holding.lost for holding, _ in batch]
            commands = commit_shards(self._keys, ((h.shard, h.pinned, h.owner, effects) for h, effects in live))
            try:
                answers = await self._redis.run_many(commands) if commands else []
            except RedisUnavailable as error:
                log.log(logging.DEBUG if self._trusted() else logging.WARNING, "commit waits: %s", error)
                await asyncio.sleep(0.02)
                await self.renew([holding for holding, _ in live])
                continue
            words = chain.from_iterable(answers)
            return [next(words) if was_sent else "fenced" for was_sent in sent]

    async def renew(self, holdings: Sequence[Holding]) -> None:
        """Void what was sent and not answered: it could still arrive, after acts that follow it, and undo them.

        The holdings go on under a new token; those that are owned by others already learn it from their next act.
        """
        before = [(holding, holding.owner) for holding in holdings]
        for holding, owner in before:
            # A pin's next life begins with the token of its shard: this one must not be met again.
            token = owner.token + 1 if holding.pinned is None else max(owner.token + 1, int(self._redis_now_ms()))
            # Known here before it is written: nobody takes the new line for another owner's.
            holding.owner = replace(owner, token=token)
        while True:
            commands = [renew_token(self._keys, h.shard, h.pinned, owner, h.owner) for h, owner in before if not h.lost]
            try:
                await self._redis.run_many(commands, retry_for=1.0)
                return
            except RedisUnavailable as error:
                log.warning("commit waits: %s", error)
                await asyncio.sleep(0.2)
