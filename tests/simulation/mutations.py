"""Breaking hubq on purpose, outside of ``hubq/``: each mutation removes one thing that a guarantee rests on.

What they take hold of in hubq stands in one table, ``TARGETS``, and below it in ``Inside``: a part that gets another name
or place is changed there, in one line. ``test_mutations.py`` says which line is wrong. Here are those of scripts and of
messages; the others are in files of their own, and come together in the tables here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from hubq.core.retry import Retry
from hubq.core.unfinished import Unfinished
from hubq.node.children import handler, outcomes
from hubq.node.children.handler import Handler
from hubq.node.children.kept_replies import KeptReplies
from hubq.node.children.read_copies import ReadCopies, ReadCopy
from hubq.node.children.retries import Retries
from hubq.node.children.saver import Saver
from hubq.node.commits.committer import Committer
from hubq.node.copies import recorder
from hubq.node.held.cursors import Cursors
from hubq.node.held.due_times import DueTimes
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.held.kept_state import KeptState
from hubq.node.held.state import take_state
from hubq.node.held.uncommitted import Uncommitted
from hubq.node.mailbox.cancellations import Cancellations
from hubq.node.mailbox.catching_up import CatchingUp
from hubq.node.mailbox.withdrawals import Withdrawals
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.effects import Effects
from hubq.store.message import Message
from hubq.testing.patching import replaced
from tests.simulation import mutations_effects, mutations_groups, mutations_membership, mutations_moves, mutations_trust
from tests.simulation.mutation import Mutation, Target

#: mutation -> what it replaces.
TARGETS: dict[str, Target] = {
    **mutations_moves.TARGETS,
    **mutations_membership.TARGETS,
    **mutations_effects.TARGETS,
    **mutations_groups.TARGETS,
    **mutations_trust.TARGETS,
    "early-reply": Target(Committer, "_commit", "self"),
    "stale-read": Target(Cursors, "fresh", "self shard"),
    "stale-page": Target(CatchingUp, "_bring", "self holding messages start end late"),
    "late-commit": Target(Committer, "renew", "self holdings"),
    "early-restart": Target(Saver, "committed", "self holding"),
    "overdue-replay": Target(handler, "may_be_a_replay", "hosted message hub_began_ms"),
    "full-queue": Target(Withdrawals, "withdraw", "self ask"),
    "kept-refusal": Target(outcomes, "leaves_no_trace", "hosted word"),
    "unbegun-in-log": Target(recorder, "UNBEGUN", None),
    "in-hand-lost": Target(Handler, "unbegun", "self hosted message"),
    "fallen-behind": Target(CatchingUp, "_over", "self holding task"),
    "lost-letter": Target(Effects, "_add_letters", "self keys shard names args"),
    "said-anyway": Target(KeptState, "unsay", "self"),
    "said-twice": Target(Committer, "_numbered", "self holding effects"),
    "late-rest": Target(Committer, "void_unanswered", "self holding"),
    "unseen-reminders": Target(DueTimes, "arrived", "self shard"),
    "key-ignored": Target(KeptReplies, "answered", "self hosted in_hand args kwargs"),
    "cancelled-anyway": Target(Cancellations, "_undone", "self hosted in_hand"),
    "retried-last": Target(Retries, "again", "self hosted message error terms"),
    "dirty-read": Target(ReadCopies, "of", "self hosted"),
    "start-overtaken": Target(Cursors, "start_begins", "self holding child entry"),
    "cut-too-far": Target(Unfinished, "cut", "self"),
    "cut-unknown": Target(Uncommitted, "reads_from_here", "self complete"),
    "cut-early": Target(Unfinished, "emptied", "self read"),
    "cut-behind": Target(Unfinished, "finished", "self done"),
}

#: mutation of a script -> the scripts whose text it changes.
SCRIPT_TARGETS: dict[str, set[str]] = {
    **mutations_groups.SCRIPT_TARGETS,
    "token": {"commit_shards"},
    "duplicate": {"receive_far", "send_messages", "send_reminders", "start_children", "void_numbers"},
    "lease": {"pass_token", "pass_children"},
    "rest-token": {"rest_children", "wake_children"},
    "fired-by-others": {"fire_reminders"},
    "untold-reminders": {"commit_shards", "pass_token", "pass_children", "park_shard", "release_pin", "send_reminders"},
    "started-again": {"send_messages"},
    "unpublished": {"commit_shards", "pass_token", "pass_children", "park_shard", "release_pin"},
}


class Inside:
    """What mutations use of the parts they break, besides the name that they replace."""

    @staticmethod
    def take_replies(committer: Committer) -> Iterator[tuple[str, list[Any]]]:
        """The lists of replies that wait for a commit, and what each is to get."""
        for holding in committer._queue._register.all():
            if not holding.frozen and not holding.gone and committer._group.standing.trusted():
                replies, holding.effects.replies = holding.effects.replies, {}
                for client, lines in replies.items():
                    yield committer._group.keys.reply(client), lines

    @staticmethod
    def connection_of(committer: Committer) -> AsyncRedis:
        return committer._group.redis

    @staticmethod
    def cursors_of(withdrawals: Withdrawals) -> Any:
        return withdrawals._cursors

    @staticmethod
    def forget_who_fell_behind(catching_up: CatchingUp, holding: Holding) -> None:
        catching_up._again.discard(holding)

    @staticmethod
    def goes_last(hosted: HostedChild) -> None:
        if hosted.queue:
            hosted.queue.rotate(-1)

    @staticmethod
    def copy_as_it_is(copies: ReadCopies, hosted: HostedChild) -> ReadCopy:
        return ReadCopy(hosted, take_state(hosted, copies._sizes.state))


def _replaced(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


# The token check: whoever asks may commit.
def _no_token_check(text: str) -> str:
    return _replaced(
        text,
        "local ours = redis.call('HGET', keys[1], args[i + 2]) == args[i + 3]",
        "local ours = true",
    )


def _no_token_at_rest(text: str) -> str:
    """Whoever asks puts children to rest, and wakes them."""
    if "-- include: _dormant" not in text and "local function joined(" not in text:
        return text
    return _replaced(text, "if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end", "")


def _late_rests(void_unanswered: Any) -> Any:
    """A script that was not answered is sent again under the old token."""

    async def broken(self: Committer, holding: Holding) -> bool:
        return holding.open

    return broken


def _no_duplicate_check(text: str) -> str:
    return _replaced(text, "then return 'duplicate' end", "then return 'new' end")


def _no_lease_check(text: str) -> str:
    return _replaced(
        text,
        "if not lease or tonumber(lease) <= now_ms() or not alive(KEYS[2], target, incarnation) then return 'target_gone' end",
        "",
    )


def _early_reply(commit: Any) -> Any:
    """Replies go out before the commit that they belong to."""

    async def broken(self: Committer) -> None:
        for key, lines in Inside.take_replies(self):
            redis = Inside.connection_of(self)
            await redis.run(plain("RPUSH", key, *lines, read=lambda answer: answer), retry_for=5.0)
        await commit(self)

    return broken


def _stale_reads(fresh: Any) -> Any:
    """What was being read when a child came here is believed."""
    return lambda self, shard: None


def _stale_pages(bring: Any) -> Any:
    """A page of a mailbox that was asked for before a child came back here is believed."""

    def broken(self: CatchingUp, holding: Any, messages: Any, start: bytes, end: bytes, late: set[str]) -> None:
        bring(self, holding, messages, start, end, set())

    return broken


def _late_commits(renew: Any) -> Any:
    """A commit is repeated under the old token."""

    async def broken(self: Committer, holdings: Any) -> None:
        pass

    return broken


def _early_restarts(committed: Any) -> Any:
    """A restart does not wait for the commit that is under way."""

    async def broken(self: Saver, holding: Any) -> None:
        if holding.effects:
            await committed(self, holding)

    return broken


def _overdue_replays(may_be_a_replay: Any) -> Any:
    """``durability="interval"``: what was answered before a crash may be dropped as overdue after it."""
    return lambda hosted, message, hub_began_ms: False


def _full_queues(withdraw: Any) -> Any:
    """A call that is withdrawn leaves a hole in a full queue that nobody fills."""

    def broken(self: Withdrawals, ask: Any) -> None:
        with replaced(Inside.cursors_of(self), "room", lambda room: lambda hosted: None):
            withdraw(self, ask)

    return broken


def _kept_refusals(leaves_no_trace: Any) -> Any:
    """``durability="interval"``: what was refused stays in the mailbox until the next save."""
    return lambda hosted, word: False


def _unbegun_in_log(unbegun: Any) -> Any:
    """Followers hear of messages that were withdrawn, before those in front of them."""
    return frozenset()


def _forgotten_in_hand(unbegun: Any) -> Any:
    """A message whose handler is cancelled is gone from memory, also if its child stays."""
    return lambda self, hosted, message: None


def _fallen_behind(over: Any) -> Any:
    """Who falls behind while others of its holding are caught up with waits for the next one who does."""

    def broken(self: CatchingUp, holding: Holding, task: asyncio.Task[None]) -> None:
        Inside.forget_who_fell_behind(self, holding)
        over(self, holding, task)

    return broken


def _said_anyway(unsay: Any) -> Any:
    """What a child has said to others stays said when its handler is undone."""
    return lambda kept: None


def _said_twice(numbered: Any) -> Any:
    """A commit whose answer is lost says again what it says."""
    return lambda committer, holding, effects: None


def _lost_letters(add_letters: Any) -> Any:
    """A commit deletes a cast that failed, and writes no letter."""
    return lambda self, keys, shard, names, args: None


def _fired_by_others(text: str) -> str:
    return _replaced(
        text,
        "if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end\nlocal r, now, fired",
        "local r, now, fired",
    )


def _untold_reminders(text: str) -> str:
    """Whoever reads the mailbox is not told of a reminder that is due before all others."""
    return _replaced(text, "if first and tonumber(first) <= tonumber(due) then return end", "if due then return end")


def _started_again(text: str) -> str:
    """A message starts its child although it is there."""
    return _replaced(text, "elseif there == 0 then", "elseif there == 0 or spec_of(ARGV[at]) then")


def _unpublished(text: str) -> str:
    """A commit has its events, and publishes all but the first."""
    return _replaced(text, "for at = i + 2, final, 2 do\n      number", "for at = i + 4, final, 2 do\n      number")


def _unseen_reminders(arrived: Any) -> Any:
    """Nobody looks when the next reminder of a shard is due that has come here."""
    return lambda self, shard: None


def _keys_ignored(answered: Any) -> Any:
    """A message with a key is run, whatever has been run under it."""

    async def broken(self: KeptReplies, hosted: HostedChild, in_hand: InHand, args: Any, kwargs: Any) -> bool:
        in_hand.runs_under("0" * 32, False)
        return False

    return broken


def _cancelled_anyway(undone: Any) -> Any:
    """Whoever cancels a call that is in hand is told that it was, and it goes on."""

    async def broken(self: Cancellations, hosted: HostedChild, in_hand: InHand) -> str:
        return "cancelled"

    return broken


def _retried_last(again: Any) -> Any:
    """A message that is tried again stands behind those that wait."""

    def broken(self: Retries, hosted: HostedChild, message: Message, error: BaseException, terms: Retry) -> bool:
        answer: bool = again(self, hosted, message, error, terms)
        Inside.goes_last(hosted)
        return answer

    return broken


def _dirty_reads(of: Any) -> Any:
    """A read sees what the handler in hand has changed so far."""
    return lambda self, hosted: Inside.copy_as_it_is(self, hosted)


def _starts_overtaken(start_begins: Any) -> Any:
    """A child that is being started is caught up with as any other: nobody is there, so its messages are refused."""

    def broken(self: Cursors, holding: Holding, child: str, entry: bytes) -> None:
        self.set_behind(holding, child, entry)

    return broken


def _cuts_too_far(cut: Any) -> Any:
    def broken(self: Unfinished) -> bytes:
        self._entries.clear()
        return cut(self)

    return broken


def _cuts_unknown(reads_from_here: Any) -> Any:
    """A shard that is read for after its pin takes what was read before for nothing."""

    def broken(self: Uncommitted, *, complete: bool) -> None:
        reads_from_here(self, complete=True)

    return broken


def _cuts_early(emptied: Any) -> Any:
    """What is read while a commit is under way is taken for gone, if that found the mailbox empty."""

    def broken(self: Unfinished, read: int) -> None:
        emptied(self, 1 << 60)

    return broken


def _cuts_behind(finished: Any) -> Any:
    """What is done is taken for read."""

    def broken(self: Unfinished, done: Any) -> Any:
        done = [list(entries) for entries in done]
        for entries in done:
            for entry in entries:
                self._entries.setdefault(entry, 0)
        return finished(self, done)

    return broken


MUTATIONS: dict[str, Mutation] = {
    **mutations_moves.MUTATIONS,
    **mutations_membership.MUTATIONS,
    **mutations_effects.MUTATIONS,
    **mutations_groups.MUTATIONS,
    **mutations_trust.MUTATIONS,
    "said-anyway": Mutation("that what is said to others is undone with the state", broken=_said_anyway),
    "said-twice": Mutation("the number of a commit that says something", broken=_said_twice),
    "token": Mutation("the token check of commit_shards.lua", _no_token_check),
    "duplicate": Mutation("the duplicate check of a send (_window.lua)", _no_duplicate_check),
    "lease": Mutation("the lease check of pass_token.lua", _no_lease_check),
    "early-reply": Mutation("the order: reply after commit", broken=_early_reply),
    "stale-read": Mutation("reading anew what was being read when a child came", broken=_stale_reads),
    "stale-page": Mutation("reading anew a page that was being read when a child came back", broken=_stale_pages),
    "late-commit": Mutation("the new token under which a commit is repeated", broken=_late_commits),
    "early-restart": Mutation("that a restart waits for the commit under way", broken=_early_restarts),
    "overdue-replay": Mutation("that interval children handle overdue messages again", broken=_overdue_replays),
    "full-queue": Mutation("that a withdrawn call leaves room for what waits behind", broken=_full_queues),
    "kept-refusal": Mutation("that interval children delete what they refuse at once", broken=_kept_refusals),
    "unbegun-in-log": Mutation("that withdrawn calls are not in the followers' log", broken=_unbegun_in_log),
    "in-hand-lost": Mutation("that a cancelled message is the next one again", broken=_forgotten_in_hand),
    "fallen-behind": Mutation("that who falls behind during a catching up is caught up with", broken=_fallen_behind),
    "lost-letter": Mutation("that a cast which failed is kept as a dead letter", broken=_lost_letters),
    "rest-token": Mutation("the token check of children that rest and wake", script=_no_token_at_rest),
    "late-rest": Mutation("that a rest without an answer is not applied late", broken=_late_rests),
    "fired-by-others": Mutation("the token check of fire_reminders.lua", _fired_by_others, features=True),
    "untold-reminders": Mutation("that its owner is told of an earlier reminder", _untold_reminders, features=True),
    "unseen-reminders": Mutation("that reminders are seen when a shard comes", broken=_unseen_reminders, features=True),
    "started-again": Mutation("that a message starts a child once", _started_again, features=True),
    "unpublished": Mutation("an event of a commit", _unpublished, features=True),
    "key-ignored": Mutation("that a key is looked up", broken=_keys_ignored, features=True),
    "cancelled-anyway": Mutation("that a call that is cancelled is undone", broken=_cancelled_anyway, features=True),
    "retried-last": Mutation("that a message is tried again in its place", broken=_retried_last, features=True),
    "dirty-read": Mutation("that a read sees the last boundary only", broken=_dirty_reads, features=True),
    "start-overtaken": Mutation(
        "that messages behind a start wait until it is done", broken=_starts_overtaken, features=True
    ),
    "cut-too-far": Mutation("that a mailbox is cut off only where all is finished", broken=_cuts_too_far),
    "cut-unknown": Mutation("that a mailbox is not cut off that was read for a pin before", broken=_cuts_unknown),
    "cut-behind": Mutation("that what is done before it was read is deleted by its id", broken=_cuts_behind),
    "cut-early": Mutation("that what comes after an empty mailbox is to be finished, too", broken=_cuts_early),
}


@contextlib.contextmanager
def mutated(name: str) -> Iterator[Mutation | None]:
    """hubq with a mutation, or as it is."""
    if not name:
        yield None
        return
    mutation = MUTATIONS[name]
    if mutation.broken is None:
        yield mutation
        return
    target = TARGETS[name]
    with replaced(target.owner, target.attribute, mutation.broken):
        yield mutation
