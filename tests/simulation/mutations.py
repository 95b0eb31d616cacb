"""Breaking hubq on purpose, outside of ``hubq/``: each mutation removes one thing that a guarantee rests on.

What they take hold of in hubq stands in one table, ``TARGETS``, and below it in ``Inside``: a part that gets another name
or place is changed there, in one line. ``test_mutations.py`` says which line is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hubq.core.handover import Source, SourceEvent
from hubq.core.phase import Phase
from hubq.core.retry import Retry
from hubq.core.stillness import Stillness
from hubq.errors import RedisUnavailable
from hubq.jobs.effects import _Part
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.arrivals.under_way import UnderWay
from hubq.node.children import handler, outcomes
from hubq.node.children.drafting import Drafting
from hubq.node.children.handler import Handler
from hubq.node.children.kept_replies import KeptReplies
from hubq.node.children.pausing import Pausing
from hubq.node.children.read_copies import ReadCopies, ReadCopy
from hubq.node.children.retries import Retries
from hubq.node.children.saver import Saver
from hubq.node.commits.committer import Committer
from hubq.node.copies import recorder
from hubq.node.copies.standby import Standby
from hubq.node.departures.departure import Departures, Way
from hubq.node.departures.kept_behind import KeptBehind
from hubq.node.departures.resting import Resting
from hubq.node.departures.shard_handover import ShardHandover
from hubq.node.held.cursors import Cursors
from hubq.node.held.due_times import DueTimes
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.held.kept_state import KeptState
from hubq.node.held.marked_shards import MarkedShards
from hubq.node.held.open_drafts import DraftsInHand
from hubq.node.held.state import take_state
from hubq.node.mailbox.cancellations import Cancellations
from hubq.node.mailbox.catching_up import CatchingUp
from hubq.node.mailbox.waking import Waking
from hubq.node.mailbox.withdrawals import Withdrawals
from hubq.node.membership.resuming import Resuming
from hubq.node.membership.rounds import Rounds
from hubq.node.membership.watchdog import Watchdog
from hubq.node.trials import starts
from hubq.node.trials.marks import Marks
from hubq.node.trials.starts import StartTrials
from hubq.store.command import Command, plain
from hubq.store.connection import AsyncRedis
from hubq.store.effects import Effects
from hubq.store.mailbox import Message
from hubq.testing.patching import replaced


@dataclass(frozen=True)
class Target:
    """A name in hubq that a mutation puts something else behind."""

    owner: Any
    attribute: str
    takes: str | None
    """The names of its parameters; None: it is no function."""


#: mutation -> what it replaces.
TARGETS: dict[str, Target] = {
    "drain": Target(ShardHandover, "packed", "self effects"),
    "in-hand": Target(ShardHandover, "close_intake", "self grace"),
    "unpinned": Target(ShardHandover, "close_intake", "self grace"),
    "early-reply": Target(Committer, "_commit", "self"),
    "stale-read": Target(Cursors, "fresh", "self shard"),
    "stale-page": Target(CatchingUp, "_bring", "self holding messages start end late"),
    "late-commit": Target(Committer, "renew", "self holdings"),
    "early-restart": Target(Saver, "committed", "self holding"),
    "overdue-replay": Target(handler, "may_be_a_replay", "hosted message hub_began_ms"),
    "full-queue": Target(Withdrawals, "withdraw", "self ask"),
    "kept-refusal": Target(outcomes, "leaves_no_trace", "hosted word"),
    "old-mark": Target(Marks, "write", "self whose marks"),
    "unbegun-in-log": Target(recorder, "UNBEGUN", None),
    "in-hand-lost": Target(Handler, "unbegun", "self hosted message"),
    "adopted-anyway": Target(UnderWay, "forget_all", "self"),
    "started-anyway": Target(starts, "_waits_here", "hosted"),
    "long-trial": Target(HostedChild, "has_started", "self"),
    "slow-copies": Target(Standby, "adopt", "self copy saved"),
    "early-rebuild": Target(Arrivals, "reserve", "self holding"),
    "idle-copies": Target(Resuming, "resume_all", "self"),
    "fallen-behind": Target(CatchingUp, "_over", "self holding task"),
    "lost-and-given": Target(Departures, "_until_answered", "self way effects"),
    "lost-letter": Target(Effects, "_add_letters", "self keys shard names args"),
    "old-pin": Target(KeptBehind, "follow_token", "self"),
    "blocked-lease": Target(Rounds, "_renew", "self"),
    "endless-block": Target(Watchdog, "_stalled", "self seen"),
    "unblamed": Target(Watchdog, "blame", "self suspect"),
    "frozen-stall": Target(Stillness, "look", "self now beat_at held_up at_work"),
    "said-anyway": Target(KeptState, "unsay", "self"),
    "said-twice": Target(Committer, "_numbered", "self holding effects"),
    "put-away": Target(Resting, "_put_away", "self holding hosted"),
    "late-rest": Target(Committer, "void_unanswered", "self holding"),
    "spared-culprit": Target(StartTrials, "absolve", "self shards incarnation spared"),
    "unseen-reminders": Target(DueTimes, "arrived", "self shard"),
    "key-ignored": Target(KeptReplies, "answered", "self hosted in_hand args kwargs"),
    "cancelled-anyway": Target(Cancellations, "_undone", "self hosted in_hand"),
    "retried-last": Target(Retries, "again", "self hosted message error terms"),
    "dirty-read": Target(ReadCopies, "of", "self hosted"),
    "start-overtaken": Target(Cursors, "start_begins", "self holding child entry"),
    "left-behind": Target(Waking, "_known", "self holding child found"),
    "unseen-errands": Target(MarkedShards, "arrived", "self shard"),
    "put-again": Target(_Part, "enqueue", "self pipe entry fields known start_clock"),
    "pause-unheeded": Target(Pausing, "heed", "self hosted"),
    "pause-said-early": Target(Pausing, "_apply", "self"),
    "draft-kept": Target(Drafting, "_undone", "self handling"),
    "draft-left": Target(Drafting, "_look", "self shard"),
    "draft-overtaken": Target(DraftsInHand, "flushed", "self"),
}

#: mutation of a script -> the scripts whose text it changes.
SCRIPT_TARGETS: dict[str, set[str]] = {
    "token": {"commit_shards"},
    "duplicate": {"send_messages", "send_reminders", "start_children", "void_numbers"},
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
    def close_at_once(handover: ShardHandover) -> None:
        if handover.state is Source.STARTING:
            handover._moved(SourceEvent.STARTED)
        handover._closed_at = handover._group.standing.redis_now_ms()
        handover.holding.close_intake()
        handover._moved(SourceEvent.CLOSED)

    @staticmethod
    def counts_as_done(holding: Holding) -> None:
        for hosted in holding.children.values():
            hosted.in_hand = None

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
    def cursors_of(part: Withdrawals | Waking) -> Any:
        return part._cursors

    @staticmethod
    def adopting(under_way: UnderWay) -> list[Any]:
        return list(under_way._shards.values())

    @staticmethod
    def is_coming_again(holding: Any) -> None:
        holding._enter(Phase.COMING)

    @staticmethod
    def forget_who_fell_behind(catching_up: CatchingUp, holding: Holding) -> None:
        catching_up._again.discard(holding)

    @staticmethod
    async def send_until_answered(departures: Departures, command: Command[str]) -> str:
        group = departures._group
        while not group.standing.lease_over():
            with contextlib.suppress(RedisUnavailable):
                return await group.redis.run(command, retry_for=1.0)
            await asyncio.sleep(0.2)
        return "fenced"

    @staticmethod
    def skips_renewal(rounds: Rounds) -> bool:
        if rounds._watchdog._still.since is None:
            return False
        rounds._renewal_due = rounds._group.standing.now() + rounds._group.config.heartbeat
        rounds._next_end = rounds._renewal_due
        return True

    @staticmethod
    def goes_last(hosted: HostedChild) -> None:
        if hosted.queue:
            hosted.queue.rotate(-1)

    @staticmethod
    def copy_as_it_is(copies: ReadCopies, hosted: HostedChild) -> ReadCopy:
        return ReadCopy(hosted, take_state(hosted, copies._sizes.state))

    @staticmethod
    def resume_originals(resuming: Resuming) -> None:
        for hosted in list(resuming._register.children()):
            resuming._pumps.resume(hosted)
        resuming._queue.changed()


@dataclass(frozen=True)
class Mutation:
    """What is removed; ``script`` changes the text of the Lua scripts, ``broken`` makes what stands behind the target."""

    what: str
    script: Callable[[str], str] = lambda text: text
    broken: Callable[[Any], Any] | None = None
    features: bool = False
    """It is looked for in schedules with features; the others have none then, and are what they were before there were any."""


def _replaced(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


# The token check: whoever asks may commit.
def _no_token_check(text: str) -> str:
    return _replaced(
        text,
        "if redis.call('HGET', keys[1], args[i + 2]) == args[i + 3] then\n    local held",
        "if true then\n    local held",
    )


def _no_token_at_rest(text: str) -> str:
    """Whoever asks puts children to rest, and wakes them."""
    if "-- include: _dormant" not in text and "local function joined(" not in text:
        return text
    return _replaced(text, "if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end", "")


def _forgotten_strangers(put_away: Any) -> Any:
    """What has come for a child while it went to rest is dropped with it."""

    def broken(self: Resting, holding: Holding, hosted: HostedChild) -> None:
        hosted.drop_queue()
        put_away(self, holding, hosted)

    return broken


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


def _undrained_effects(packed: Any) -> Any:
    """The token passes without what is finished and not committed yet."""

    def broken(self: ShardHandover, effects: Effects) -> Effects:
        packed(self, effects)
        return Effects()

    return broken


def _undrained_handlers(close_intake: Any) -> Any:
    """Intake is closed, and what is in hand counts as done: nobody waits for it, and no straggler is pinned."""

    async def broken(self: ShardHandover, grace: float) -> None:
        Inside.close_at_once(self)
        Inside.counts_as_done(self.holding)

    return broken


def _unpinned(close_intake: Any) -> Any:
    """Intake is closed, and nobody waits for the messages in hand: they are undone, and move with their children."""

    async def broken(self: ShardHandover, grace: float) -> None:
        Inside.close_at_once(self)

    return broken


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


def _old_marks(mark: Any) -> Any:
    """A mark that is fenced because the node itself has renewed its token counts as fenced by another node."""

    async def broken(self: Marks, whose: Any, marks: dict[str, str]) -> bool:
        holding = whose.holding if isinstance(whose, HostedChild) else whose
        owner = holding.owner
        return await mark(self, whose, marks) and holding.owner == owner

    return broken


def _unbegun_in_log(unbegun: Any) -> Any:
    """Followers hear of messages that were withdrawn, before those in front of them."""
    return frozenset()


def _forgotten_in_hand(unbegun: Any) -> Any:
    """A message whose handler is cancelled is gone from memory, also if its child stays."""
    return lambda self, hosted, message: None


def _adopted_anyway(forget_all: Any) -> Any:
    """A node that is evicted does not tell what it is adopting."""

    def broken(self: UnderWay) -> None:
        adopting = Inside.adopting(self)
        forget_all(self)
        for holding in adopting:
            Inside.is_coming_again(holding)

    return broken


def _started_anyway(waits_here: Any) -> Any:
    """A child under watch is started in its turn, wherever it is by then."""

    async def broken(hosted: Any) -> bool:
        return True

    return broken


def _idle_copies(resume_all: Any) -> Any:
    """When handlers may start again, those of the copies do not."""
    return lambda self: Inside.resume_originals(self)


def _trial_waits_for_messages(started: Any) -> Any:
    """The trial of a start lasts until the child's first message is done, which may wait for a trial of its own."""
    return HostedChild.at_boundary


def _early_rebuilds(reserve: Any) -> Any:
    """A shard whose move has failed after its children were stopped is adopted while its last commit is under way."""
    return lambda self, holding: None


def _slow_copies(adopt: Any) -> Any:
    """A copy of an interval child becomes the original, however far it is behind what was saved."""

    def broken(self: Standby, copy: Any, saved: Any) -> bool:
        answer: bool = adopt(self, copy, None if copy.kind.durability != "commit" else saved)
        return answer

    return broken


def _fallen_behind(over: Any) -> Any:
    """Who falls behind while others of its holding are caught up with waits for the next one who does."""

    def broken(self: CatchingUp, holding: Holding, task: asyncio.Task[None]) -> None:
        Inside.forget_who_fell_behind(self, holding)
        over(self, holding, task)

    return broken


def _lost_and_given(until_answered: Any) -> Any:
    """A script that gives a holding away is sent again although the holding is lost: it may fit what is there now."""

    async def broken(self: Departures, way: Way, effects: Effects) -> tuple[str, int]:
        return await Inside.send_until_answered(self, way.command(effects)), 0

    return broken


def _old_pins(follow_token: Any) -> Any:
    """Pins keep the token that was the next one when their child was taken out of its shard."""
    return lambda self: None


def _blocked_leases(renew: Any) -> Any:
    """The lease is not renewed while the event loop stands still, as if it lived in that loop."""

    def broken(self: Rounds) -> Any:
        if not Inside.skips_renewal(self):
            yield from renew(self)

    return broken


def _endless_blocks(stalled: Any) -> Any:
    """A node whose loop stands still goes on for ever."""

    def broken(self: Watchdog, seen: Any) -> Any:
        yield from ()

    return broken


def _unblamed(blame: Any) -> Any:
    """What has stalled its node is not counted."""

    def broken(self: Watchdog, suspect: Any) -> Any:
        yield from ()
        return "counted"

    return broken


def _frozen_stalls(look: Any) -> Any:
    """A process that was stopped counts as one whose loop was blocked."""

    def broken(self: Stillness, now: float, beat_at: float, held_up: float = 0.0, at_work: float = 0.0) -> Any:
        return look(self, now, beat_at)

    return broken


def _spared_culprits(absolve: Any) -> Any:
    """When a node is absolved, the count of what had held it up is taken back, too."""

    async def broken(self: StartTrials, shards: Any, incarnation: int, spared: Any) -> None:
        await absolve(self, shards, incarnation, None)

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
    there = "if redis.call('HEXISTS', KEYS[k + 1], child) == 0 and redis.call('HEXISTS', KEYS[k + 3], child) == 0 then"
    return _replaced(text, there, f"if spec_of(ARGV[at]) or{there[2:]}")


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


def _left_behind(known: Any) -> Any:
    """What was left in the mailbox for a child that wakes is read again a moment later, when newer messages have been brought to it."""

    def broken(self: Waking, holding: Holding, child: str, found: Any) -> None:
        def later(send_back: Any) -> Any:
            return lambda *args: asyncio.get_running_loop().call_soon(send_back, *args)

        with replaced(Inside.cursors_of(self), "send_back", later):
            known(self, holding, child, found)

    return broken


def _unseen_errands(arrived: Any) -> Any:
    """A shard that comes is not looked at for what it has in its outbox, for jobs and for drafts."""
    return lambda self, shard: None


def _put_again(enqueue: Any) -> Any:
    """A job is put into RQ whatever the mark says: also if it was put there, and only its entry is left."""

    def broken(self: Any, pipe: Any, entry: str, fields: Any, *, known: bool, start_clock: Any) -> bool:
        answer: bool = enqueue(self, pipe, entry, fields, known=False, start_clock=start_clock)
        return answer

    return broken


def _pauses_unheeded(heed: Any) -> Any:
    """A child that begins is not held back, though it is paused."""
    return lambda self, hosted: None


def _pauses_said_early(apply: Any) -> Any:
    """A node says that it heeds a pause before it holds anything back."""

    async def broken(self: Pausing) -> None:
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(apply(self)))

    return broken


def _drafts_kept(undone: Any) -> Any:
    """What a handler that was undone has published stands."""
    return lambda self, handling: None


def _drafts_left(look: Any) -> Any:
    """What former owners have left in the middle of a message stands."""

    async def broken(self: Drafting, shard: int) -> None:
        pass

    return broken


def _drafts_overtaken(flushed: Any) -> Any:
    """A handler ends while its drafts are on their way."""

    async def broken(self: DraftsInHand) -> None:
        pass

    return broken


MUTATIONS: dict[str, Mutation] = {
    "said-anyway": Mutation("that what is said to others is undone with the state", broken=_said_anyway),
    "said-twice": Mutation("the number of a commit that says something", broken=_said_twice),
    "token": Mutation("the token check of commit_shards.lua", _no_token_check),
    "duplicate": Mutation("the duplicate check of a send (_window.lua)", _no_duplicate_check),
    "lease": Mutation("the lease check of pass_token.lua", _no_lease_check),
    "drain": Mutation("the drain in a handover: what is finished, not committed", broken=_undrained_effects),
    "in-hand": Mutation(
        "the drain in a handover: no state is taken in the middle of a message", broken=_undrained_handlers
    ),
    "unpinned": Mutation("that a handover waits for who is busy, or pins it", broken=_unpinned),
    "early-reply": Mutation("the order: reply after commit", broken=_early_reply),
    "stale-read": Mutation("reading anew what was being read when a child came", broken=_stale_reads),
    "stale-page": Mutation("reading anew a page that was being read when a child came back", broken=_stale_pages),
    "late-commit": Mutation("the new token under which a commit is repeated", broken=_late_commits),
    "early-restart": Mutation("that a restart waits for the commit under way", broken=_early_restarts),
    "overdue-replay": Mutation("that interval children handle overdue messages again", broken=_overdue_replays),
    "full-queue": Mutation("that a withdrawn call leaves room for what waits behind", broken=_full_queues),
    "kept-refusal": Mutation("that interval children delete what they refuse at once", broken=_kept_refusals),
    "old-mark": Mutation("that a mark outlives the renewal of its token", broken=_old_marks),
    "unbegun-in-log": Mutation("that withdrawn calls are not in the followers' log", broken=_unbegun_in_log),
    "in-hand-lost": Mutation("that a cancelled message is the next one again", broken=_forgotten_in_hand),
    "adopted-anyway": Mutation("that an evicted node drops what it is adopting", broken=_adopted_anyway),
    "started-anyway": Mutation("that a child under watch may be elsewhere in its turn", broken=_started_anyway),
    "long-trial": Mutation("that the trial of a start ends with the start", broken=_trial_waits_for_messages),
    "slow-copies": Mutation("that a copy behind the saved state is not taken", broken=_slow_copies),
    "early-rebuild": Mutation("that a shard is rebuilt after its last commit", broken=_early_rebuilds),
    "idle-copies": Mutation("that copies go on after a time without trust", broken=_idle_copies),
    "fallen-behind": Mutation("that who falls behind during a catching up is caught up with", broken=_fallen_behind),
    "lost-and-given": Mutation("that a departure sends nothing again once its holding is lost", broken=_lost_and_given),
    "lost-letter": Mutation("that a cast which failed is kept as a dead letter", broken=_lost_letters),
    "old-pin": Mutation("that a pin follows a renewed token of its shard", broken=_old_pins),
    "blocked-lease": Mutation("that a lease is renewed while the loop is blocked", broken=_blocked_leases),
    "endless-block": Mutation("that a loop that is blocked for too long ends its node", broken=_endless_blocks),
    "unblamed": Mutation("that what stalls its node is counted", broken=_unblamed),
    "frozen-stall": Mutation("that a stopped process is not taken for a blocked loop", broken=_frozen_stalls),
    "rest-token": Mutation("the token check of children that rest and wake", script=_no_token_at_rest),
    "put-away": Mutation("that messages which come while a child goes to rest wake it", broken=_forgotten_strangers),
    "late-rest": Mutation("that a rest without an answer is not applied late", broken=_late_rests),
    "spared-culprit": Mutation("that the count of what held a node up outlives its pardon", broken=_spared_culprits),
    "fired-by-others": Mutation("the token check of fire_reminders.lua", _fired_by_others, features=True),
    "untold-reminders": Mutation("that its owner is told of an earlier reminder", _untold_reminders, features=True),
    "unseen-reminders": Mutation("that reminders are seen when a shard comes", broken=_unseen_reminders, features=True),
    "started-again": Mutation("that a message starts a child once", _started_again, features=True),
    "unpublished": Mutation("an event of a commit", _unpublished, features=True),
    "key-ignored": Mutation("that a key is looked up", broken=_keys_ignored, features=True),
    "cancelled-anyway": Mutation("that a call that is cancelled is undone", broken=_cancelled_anyway, features=True),
    "retried-last": Mutation("that a message is tried again in its place", broken=_retried_last, features=True),
    "dirty-read": Mutation("that a read sees the last boundary only", broken=_dirty_reads, features=True),
    "left-behind": Mutation("that what a waking child has left is read before what is newer", broken=_left_behind),
    "unseen-errands": Mutation(
        "that outbox, jobs and drafts of a shard that comes are seen to", broken=_unseen_errands
    ),
    "put-again": Mutation("the mark of jobs that are in RQ already", broken=_put_again),
    "pause-unheeded": Mutation("that a child which begins is held back if it is paused", broken=_pauses_unheeded),
    "pause-said-early": Mutation("that a node heeds a pause before it says so", broken=_pauses_said_early),
    "draft-kept": Mutation("that drafts of a message which was undone are retracted", broken=_drafts_kept),
    "draft-left": Mutation("that drafts which a former owner has left are retracted", broken=_drafts_left),
    "draft-overtaken": Mutation("that a handler's end waits for its drafts", broken=_drafts_overtaken),
    "start-overtaken": Mutation(
        "that messages behind a start wait until it is done", broken=_starts_overtaken, features=True
    ),
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
