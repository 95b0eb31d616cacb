"""Breaking hubq on purpose, outside of ``hubq/``: each mutation removes one thing that a guarantee rests on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hubq.node import dispatcher, recorder
from hubq.node.committer import Committer
from hubq.node.parts import Parts
from hubq.node.reader import Reader
from hubq.node.saver import Saver
from hubq.node.source import SourceHandover
from hubq.node.standby import Standby
from hubq.node.target import Intake
from hubq.node.trials import Trials
from hubq.node.withdrawals import Withdrawals
from hubq.store.connection import AsyncRedis
from hubq.store.effects import Effects


@dataclass(frozen=True)
class Mutation:
    """What is removed; ``script`` changes the text of the Lua scripts, ``patch`` a method."""

    what: str
    script: Callable[[str], str] = lambda text: text
    patch: Callable[[], list[tuple[Any, str, Any]]] = list


def _replaced(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


# The token check: whoever asks may commit.
def _no_token_check(text: str) -> str:
    return _replaced(
        text, "if redis.call('HGET', keys[1], args[i + 2]) == args[i + 3] then\n    apply", "if true then\n    apply"
    )


def _no_duplicate_check(text: str) -> str:
    return _replaced(text, "then return 'duplicate' end", "then return 'new' end")


def _no_lease_check(text: str) -> str:
    return _replaced(
        text,
        "if not lease or tonumber(lease) <= now_ms() or not alive(KEYS[2], target, incarnation) then return 'target_gone' end",
        "",
    )


def _undrained_effects() -> list[tuple[Any, str, Any]]:
    """The token passes without what is finished and not committed yet."""
    take = SourceHandover.pass_token

    async def pass_token(self: SourceHandover) -> bool:
        committer = self._parts.committer
        kept = committer.take

        def nothing(holding: Any) -> Effects:
            kept(holding)
            return Effects()

        committer.take = nothing  # type: ignore[method-assign]
        try:
            return await take(self)
        finally:
            committer.take = kept  # type: ignore[method-assign]

    return [(SourceHandover, "pass_token", pass_token)]


def _undrained_handlers() -> list[tuple[Any, str, Any]]:
    """Intake is closed, but nobody waits for the messages in hand, and no straggler is pinned."""
    from hubq.core.handover import Source, SourceEvent

    async def close_intake(self: SourceHandover, grace: float) -> None:
        if self.state is Source.STARTING:
            self._moved(SourceEvent.STARTED)
        self._closed_at = self._parts.redis_now_ms()
        self._holding.open = False
        self._moved(SourceEvent.CLOSED)

    return [(SourceHandover, "close_intake", close_intake)]


def _early_reply() -> list[tuple[Any, str, Any]]:
    """Replies go out before the commit that they belong to."""
    commit = Committer._commit

    async def early(self: Committer) -> None:
        from hubq.store.command import plain

        for holding in self._holdings():
            if not holding.frozen and not holding.lost and self._trusted():
                replies, holding.effects.replies = holding.effects.replies, {}
                for client, lines in replies.items():
                    key = self._keys.reply(client)
                    redis: AsyncRedis = self._redis
                    await redis.run(plain("RPUSH", key, *lines, read=lambda answer: answer), retry_for=5.0)
        await commit(self)

    return [(Committer, "_commit", early)]


def _stale_reads() -> list[tuple[Any, str, Any]]:
    """What was being read when a child came here is believed."""
    return [(Reader, "fresh", lambda self, shard: None)]


def _stale_pages() -> list[tuple[Any, str, Any]]:
    """A page of a mailbox that was asked for before a child came back here is believed."""
    bring = Reader._bring

    def at_once(self: Reader, holding: Any, messages: Any, start: bytes, end: bytes, late: set[str]) -> None:
        bring(self, holding, messages, start, end, set())

    return [(Reader, "_bring", at_once)]


def _late_commits() -> list[tuple[Any, str, Any]]:
    """A commit is repeated under the old token."""

    async def renew(self: Committer, holdings: Any) -> None:
        pass

    return [(Committer, "renew", renew)]


def _early_restarts() -> list[tuple[Any, str, Any]]:
    """A restart does not wait for the commit that is under way."""
    committed = Saver.committed

    async def changed(self: Saver, holding: Any) -> None:
        if holding.effects:
            await committed(self, holding)

    return [(Saver, "committed", changed)]


def _overdue_replays() -> list[tuple[Any, str, Any]]:
    """``durability="interval"``: what was answered before a crash may be dropped as overdue after it."""
    return [(dispatcher, "may_be_a_replay", lambda cell, message: False)]


def _full_queues() -> list[tuple[Any, str, Any]]:
    """A call that is withdrawn leaves a hole in a full queue that nobody fills."""
    withdraw = Withdrawals.withdraw

    def quietly(self: Withdrawals, ask: Any) -> None:
        reader: Any = self._parts.reader
        reader.room = lambda cell: None
        try:
            withdraw(self, ask)
        finally:
            del reader.room

    return [(Withdrawals, "withdraw", quietly)]


def _kept_refusals() -> list[tuple[Any, str, Any]]:
    """``durability="interval"``: what was refused stays in the mailbox until the next save."""
    return [(dispatcher, "leaves_no_trace", lambda cell, word: False)]


def _old_marks() -> list[tuple[Any, str, Any]]:
    """A mark that is fenced because the node itself has renewed its token counts as fenced by another node."""
    mark = Trials._mark

    async def once(self: Trials, holding: Any, marks: dict[str, str]) -> bool:
        owner = holding().owner
        return await mark(self, holding, marks) and holding().owner == owner

    return [(Trials, "_mark", once)]


def _unbegun_in_log() -> list[tuple[Any, str, Any]]:
    """Followers hear of messages that were withdrawn, before those in front of them."""
    return [(recorder, "UNBEGUN", frozenset())]


def _forgotten_in_hand() -> list[tuple[Any, str, Any]]:
    """A message whose handler is cancelled is gone from memory, also if its child stays."""
    return [(dispatcher.Dispatcher, "unbegun", lambda self, cell, message: None)]


def _adopted_anyway() -> list[tuple[Any, str, Any]]:
    """A node that is evicted does not tell what it is adopting."""
    forget_all = Intake.forget_all

    def quietly(self: Intake) -> None:
        adopting = list(self._adopting.values())
        forget_all(self)
        for holding in adopting:
            holding.lost = False

    return [(Intake, "forget_all", quietly)]


def _started_anyway() -> list[tuple[Any, str, Any]]:
    """A child under watch is started in its turn, wherever it is by then."""

    async def always(self: Trials, cell: Any) -> bool:
        return True

    return [(Trials, "_waits_here", always)]


def _idle_copies() -> list[tuple[Any, str, Any]]:
    """When handlers may start again, those of the copies do not."""

    def originals(self: Parts) -> None:
        for cell in list(self.supervisor.children()):
            self.dispatcher.resume(cell)

    return [(Parts, "resume_all", originals)]


def _trial_waits_for_messages() -> list[tuple[Any, str, Any]]:
    """The trial of a start lasts until the child's first message is done, which may wait for a trial of its own."""
    return [(Saver, "started", Saver.boundary)]


def _early_rebuilds() -> list[tuple[Any, str, Any]]:
    """A shard whose move has failed after its children were stopped is adopted while its last commit is under way."""
    return [(Intake, "reserve", lambda self, holding: None)]


def _slow_copies() -> list[tuple[Any, str, Any]]:
    """A copy of an interval child becomes the original, however far it is behind what was saved."""
    adopt = Standby.adopt

    def always(self: Standby, cell: Any, saved: Any) -> bool:
        return adopt(self, cell, None if cell.kind.durability != "commit" else saved)

    return [(Standby, "adopt", always)]


MUTATIONS: dict[str, Mutation] = {
    "token": Mutation("the token check of commit_shards.lua", _no_token_check),
    "duplicate": Mutation("the duplicate check of a send (_window.lua)", _no_duplicate_check),
    "lease": Mutation("the lease check of pass_token.lua", _no_lease_check),
    "drain": Mutation("the drain in a handover: what is finished, not committed", patch=_undrained_effects),
    "in-hand": Mutation("the drain in a handover: waiting for (or pinning) who is busy", patch=_undrained_handlers),
    "early-reply": Mutation("the order: reply after commit", patch=_early_reply),
    "stale-read": Mutation("reading anew what was being read when a child came", patch=_stale_reads),
    "stale-page": Mutation("reading anew a page that was being read when a child came back", patch=_stale_pages),
    "late-commit": Mutation("the new token under which a commit is repeated", patch=_late_commits),
    "early-restart": Mutation("that a restart waits for the commit under way", patch=_early_restarts),
    "overdue-replay": Mutation("that interval children handle overdue messages again", patch=_overdue_replays),
    "full-queue": Mutation("that a withdrawn call leaves room for what waits behind", patch=_full_queues),
    "kept-refusal": Mutation("that interval children delete what they refuse at once", patch=_kept_refusals),
    "old-mark": Mutation("that a mark outlives the renewal of its token", patch=_old_marks),
    "unbegun-in-log": Mutation("that withdrawn calls are not in the followers' log", patch=_unbegun_in_log),
    "in-hand-lost": Mutation("that a cancelled message is the next one again", patch=_forgotten_in_hand),
    "adopted-anyway": Mutation("that an evicted node drops what it is adopting", patch=_adopted_anyway),
    "started-anyway": Mutation("that a child under watch may be elsewhere in its turn", patch=_started_anyway),
    "long-trial": Mutation("that the trial of a start ends with the start", patch=_trial_waits_for_messages),
    "slow-copies": Mutation("that a copy behind the saved state is not taken", patch=_slow_copies),
    "early-rebuild": Mutation("that a shard is rebuilt after its last commit", patch=_early_rebuilds),
    "idle-copies": Mutation("that copies go on after a time without trust", patch=_idle_copies),
}


@contextlib.contextmanager
def mutated(name: str) -> Iterator[Mutation | None]:
    """hubq with a mutation, or as it is."""
    if not name:
        yield None
        return
    mutation = MUTATIONS[name]
    kept = []
    for owner, attribute, changed in mutation.patch():
        kept.append((owner, attribute, getattr(owner, attribute)))
        setattr(owner, attribute, changed)
    try:
        yield mutation
    finally:
        for owner, attribute, before in kept:
            setattr(owner, attribute, before)
