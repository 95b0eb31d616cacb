"""Group commit: one script call, or few, for all effects of the moment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import chain

from hubq.errors import RedisUnavailable
from hubq.node.commits.confirmation import Confirmation
from hubq.node.commits.forfeits import Forfeits
from hubq.node.commits.held_up import REFUSED, HeldUp, is_of_one_key
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.errands import Errand
from hubq.node.held.holding import Holding
from hubq.node.runtime.background import Background
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Work
from hubq.node.runtime.sizes import ALWAYS_TAKEN, HEAD, Sizes
from hubq.store.effects import Effects
from hubq.store.keys import owner_field
from hubq.store.owners import commit_shard, commit_shards, renew_tokens
from hubq.store.saying import SayingLimits

log = logging.getLogger("hubq.node")

#: A commit that was not answered so many times, while other commands were, has a value that is too large for this Redis.
REFUSALS = 3

#: One commit of so many is sampled, to see which children are busy.
SAMPLED = 8


class Committer(Work):
    """Takes the effects of all holdings and commits them, one pipeline at a time."""

    def __init__(
        self, group: Group, queue: CommitQueue, errands: Errand, forfeits: Forfeits, counters: Counters,
        confirmation: Confirmation, sizes: Sizes, held_up: HeldUp, background: Background,
    ) -> None:  # fmt: skip
        super().__init__()
        self.commits = 0
        self._group = group
        self._queue = queue
        self._errands = errands
        self._forfeits = forfeits
        self._counters = counters
        self._confirmation = confirmation
        self._sizes = sizes
        self._held_up = held_up
        self._background = background
        self._turns = 0
        self._number = 0  # of the last commit in which children say something
        self._limits = SayingLimits(group.config.max_backlog, group.config.dead_kept)
        self._reply_ttl_ms = int(group.config.reply_ttl * 1000)
        self._lock = asyncio.Lock()
        self._at_work: Collection[Holding] = ()  # of whom something is under way, as long as the lock is held

    async def flush(self) -> None:
        """Commit what there is, now (the last act of a node that leaves)."""
        await self._commit()

    async def settled(self, *holdings: Holding) -> None:
        """Wait until no commit of these holdings is under way. One that is frozen by then is not committed until it is thawed.

        Commits of others are not waited for: the children that go pause meanwhile.
        """
        if self._lock.locked() and any(holding in self._at_work for holding in holdings):
            async with self._lock:
                pass

    def take(self, holding: Holding) -> Effects:
        """The effects gathered so far; the holding begins to gather anew."""
        effects, seal = holding.take_effects(self._reply_ttl_ms, self._limits), self._group.seal
        if seal is not None and (effects.replies or effects.unsealed):
            effects.seal(seal)
        return effects

    async def commit(self, holding: Holding, effects: Effects) -> str:
        """Commit effects that were taken of a holding which is not served here now. The answer: ``ok``, ``held`` or ``fenced``."""
        group = self._group
        async with self._lock:
            self._at_work = (holding,)
            self._numbered(holding, effects)
            while True:
                try:
                    command = commit_shard(group.keys, holding.shard, holding.pinned, holding.owner, effects)
                    return await group.redis.run(command)
                except RedisUnavailable:
                    if holding.gone or not group.standing.trusted():
                        raise
                await asyncio.sleep(0.02)
                await self.renew([holding])

    def _numbered(self, holding: Holding, effects: Effects) -> None:
        """It is about to be sent, perhaps twice: what children say in it is said once."""
        if effects.said:
            self._number += 1
            field = owner_field(holding.shard, holding.pinned)
            effects.number(self._group.node_name, self._group.standing.incarnation, self._number, field)

    async def void_unanswered(self, holding: Holding) -> bool:
        """A script under the token of this holding was sent and not answered: see that it cannot arrive late. False: the holding is
        being given away, or is gone; its token passes, and with that the script is void, too.
        """
        async with self._lock:
            self._at_work = (holding,)
            if not holding.open or holding.frozen:
                return False
            await self.renew([holding])
            return not holding.gone

    async def renew(self, holdings: Sequence[Holding]) -> None:
        """Make a commit void that was sent and not answered: it could arrive late, and undo later commits.

        The holdings go on under a new token. A holding that another node owns already finds out with its next commit.
        """
        group = self._group
        before = [(holding, holding.owner) for holding in holdings]
        for holding, owner in before:
            # A pin's next life begins with the token of its shard: this one must not be met again.
            token = owner.token + 1
            if holding.pinned is not None:
                token = max(token, int(group.standing.redis_now_ms()))
            # Known here before it is written, so that no part here takes the new line for that of another owner.
            holding.owned_by(replace(owner, token=token))
        while True:
            renewals = [(h.shard, h.pinned, owner, h.owner) for h, owner in before if not h.gone]
            if not renewals:
                return
            command = renew_tokens(group.keys, group.node_name, renewals, group.config.events_kept)
            try:
                await group.redis.run(command, retry_for=1.0)
                return
            except RedisUnavailable as error:
                log.warning("commit waits: %s", error)
                await asyncio.sleep(0.2)

    # -- the loop --------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._queue.waits()
            try:
                await self._commit()
            except Exception:
                log.exception("a commit failed")

    async def _commit(self) -> None:
        async with self._lock:
            if not self._group.standing.trusted():
                return  # when the lease is renewed, Resuming marks everything as changed
            batch = self._queue.take()
            if not batch:
                return
            self._at_work = batch
            taken = [(holding, self.take(holding), holding.take_waiters()) for holding in batch]
            self._sample([effects for _, effects, _ in taken])
            began = time.perf_counter()
            try:
                words = await self._until_answered([(holding, effects) for holding, effects, _ in taken])
            except Exception:
                # It is not known whether these effects were written. The states in memory must not be saved without them.
                for holding, _, waiters in taken:
                    self._forfeits.given_up(holding)
                    for waiter in waiters:
                        waiter.cancel()
                raise
            self._counters.commit_seconds.add(time.perf_counter() - began)
            error = None
            if any(waiters for _, _, waiters in taken):
                error = await self._confirmation.confirm()
            for (holding, effects, waiters), word in zip(taken, words, strict=True):
                if word == REFUSED:
                    work = self._commit_held_up(holding, effects, waiters)
                    self._background.run(work, f"committing shard {holding.shard}, which is held up")
                else:
                    self._committed(holding, effects, waiters, word, error)

    def _committed(
        self,
        holding: Holding,
        effects: Effects,
        waiters: Sequence[asyncio.Future[None]],
        word: str,
        error: Exception | None,
    ) -> None:
        """Redis has answered. ``error``: too few replicas have it."""
        if word != "fenced":
            self.commits += 1
            if word == "empty" and holding.unfinished is not None:
                holding.unfinished.emptied(effects.asked_at)
            if holding.held_up:
                self._held_up.end(holding)
                self._queue.changed()
            if effects.said:
                self._errands.committed(holding.shard, effects.said, word == "held")
            for waiter in waiters:
                if waiter.done():
                    continue
                if error is not None:
                    waiter.set_exception(error)
                else:
                    waiter.set_result(None)
        else:
            self._forfeits.fenced(holding)
            for waiter in waiters:
                waiter.cancel()

    async def _commit_held_up(
        self, holding: Holding, effects: Effects, waiters: Sequence[asyncio.Future[None]]
    ) -> None:
        word = await self._held_up.until_taken(holding, lambda: self._try(holding, effects))
        self._committed(holding, effects, waiters, word, await self._confirmation.confirm() if waiters else None)

    async def _try(self, holding: Holding, effects: Effects) -> str:
        """Commit it, if Redis takes it now; else ``refused``."""
        group = self._group
        async with self._lock:
            self._at_work = (holding,)
            try:
                return await group.redis.run(
                    commit_shard(group.keys, holding.shard, holding.pinned, holding.owner, effects)
                )
            except RedisUnavailable as error:
                if not is_of_one_key(error):
                    await self.renew([holding])
                return REFUSED

    async def _one_by_one(self, batch: Sequence[tuple[Holding, Effects]]) -> list[str]:
        """One of these was refused, and no other is to wait for it."""
        words = []
        for holding, effects in batch:
            command = commit_shard(self._group.keys, holding.shard, holding.pinned, holding.owner, effects)
            try:
                words.append(await self._group.redis.run(command))
            except RedisUnavailable as error:
                if not is_of_one_key(error):
                    raise
                self._held_up.begin(holding, error)
                words.append(REFUSED)
        return words

    def _sample(self, taken: Sequence[Effects]) -> None:
        self._turns += 1
        if self._turns % SAMPLED == 0:
            for effects in taken:
                for child, entries in effects.done.items():
                    self._counters.sampled[child] += len(entries)

    async def _until_answered(self, batch: Sequence[tuple[Holding, Effects]]) -> list[str]:
        # A commit must not be lost: go on until Redis answers. If our lease is over by then, the answer is "fenced".
        # But effects that have become void meanwhile (another Redis answers) are not sent again. That Redis may have the
        # same token, and messages that wait again: their effects would then be applied twice.
        group, refusals, apart = self._group, 0, False
        for holding, effects in batch:
            self._numbered(holding, effects)
        while True:
            live = [(holding, effects) for holding, effects in batch if not holding.gone]
            sent = [not holding.gone for holding, _ in batch]
            commands = commit_shards(group.keys, [(h.shard, h.pinned, h.owner, effects) for h, effects in live])
            try:
                answers = (
                    [await self._one_by_one(live)]
                    if apart
                    else await group.redis.run_many(commands)
                    if commands
                    else []
                )
            except RedisUnavailable as error:
                apart = is_of_one_key(error)
                log.log(logging.DEBUG if group.standing.trusted() else logging.WARNING, "commit waits: %s", error)
                await asyncio.sleep(0.02)
                await self.renew([holding for holding, _ in live])
                refusals += 1  # Redis is there: the renewal was answered
                if refusals % REFUSALS == 0:
                    self._give_up_largest([(holding, effects) for holding, effects in live if not holding.gone])
                continue
            words = chain.from_iterable(answers)
            return [next(words) if was_sent else "fenced" for was_sent in sent]

    def _give_up_largest(self, batch: Sequence[tuple[Holding, Effects]]) -> None:
        """Redis does not take the largest value of these effects. (It closes the connection, and may not even say why.) No
        handler may bring about one of this size any more. What has brought it about is undone: its holding is adopted
        again from Redis, so that the message is handled again, and its caller told.
        """
        largest = max((effects.largest_value() for _, effects in batch), default=0)
        if largest <= ALWAYS_TAKEN + HEAD:
            return
        self._sizes.refused(largest)
        for holding, effects in batch:
            if effects.largest_value() == largest:
                log.error(
                    "a commit of shard %d has a value of %d bytes, which Redis does not take (proto-max-bulk-len): its messages are "
                    "handled again, and none may leave so large a result or state", holding.shard, largest,
                )  # fmt: skip
                self._forfeits.given_up(holding)
