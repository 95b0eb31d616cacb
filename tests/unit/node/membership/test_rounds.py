"""A node renews its lease, evicts who does not, and stops when it cannot renew: step by step, without thread and loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hubq.core.lease import Lease
from hubq.errors import RedisUnavailable
from hubq.node.membership.doing import Doing
from hubq.node.membership.rounds import Rounds
from hubq.node.membership.watchdog import Watchdog
from hubq.node.runtime.beat import Beat
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.speaker import Speaker
from hubq.store.command import Command
from hubq.store.membership import Renewed
from hubq.store.owners import Owner
from hubq.store.tries import Suspect
from hubq.store.vitals import Vitals
from tests.unit.node.fakes import REDIS_MS, Clock, a_group, name_of, words_of

CULPRIT = Suspect(3, None, Owner("a", 7, 2), "message x", "5-0")


class Told:
    """What the loop is told."""

    def __init__(self) -> None:
        self.lost_for: list[str] = []
        self.held_by: list[Suspect | None] = []
        self.words: list[str] = []
        self.go_on: Callable[[], None] = lambda: None

    def lost(self, why: str, held_by: Suspect | None, go_on: Callable[[], None]) -> None:
        self.lost_for.append(why)
        self.held_by.append(held_by)
        self.go_on = go_on

    def went_back(self) -> None:
        self.words.append("went back")

    def trusted_again(self) -> None:
        self.words.append("trusted again")

    def changed(self) -> None:
        self.words.append("changed")


class Account:
    vitals = Vitals(7, 0.0, True)


class Bench:
    """Rounds under a clock that the test moves. ``answer`` says what Redis answers; what it raises is a request that fails."""

    def __init__(
        self, answer: Callable[[Command[Any]], Any], doing: Doing | None = None, speaker: Speaker | None = None,
        apart: float = 0.25, **settings: Any,
    ) -> None:  # fmt: skip
        self.clock = Clock()
        self.answer = answer
        self.takes = 0.0  # each request, seconds
        self.asked: list[Command[Any]] = []
        self.told = Told()
        self.ended: list[int] = []
        self.worked = 0.0
        self.counters = Counters()
        self.beat = Beat()
        self.beat.at = self.clock.now
        options = {"lease": 5.0, "lease_margin": 1.0, "heartbeat": 0.25, **settings}
        self.group = a_group(cast(Any, None), self.clock, **options)
        self.standing = self.group.standing
        watchdog = Watchdog(
            self.group, self.counters, self.beat, lambda: doing or Doing("x", "block", "a", CULPRIT, "the stack"),
            Account(), self.ended.append, speaker or Speaker(), self.group.config.lease + 0.25 - apart,
        )  # fmt: skip
        self.rounds = Rounds(self.group, watchdog, self.told, lambda: self.worked, apart)

    def round(self) -> float:
        """One round; how long it wants to pause."""
        steps = self.rounds.round()
        answers: list[Any] | None = None
        error: Exception | None = None
        try:
            while True:
                request = steps.throw(error) if error else steps.send(answers)  # type: ignore[arg-type]
                answers = error = None
                self.asked += request
                self.clock.now += self.takes
                try:
                    answers = [self.answer(command) for command in request]
                except Exception as failed:
                    error = failed
        except StopIteration as done:
            return float(done.value)

    def turn(self, seconds: float, *, beats: bool = True) -> None:
        """Let time pass in rounds; the loop beats meanwhile, or stands still."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(self.clock.now + max(0.001, self.round()), until)
            if beats:
                self.beat.at = self.clock.now
        self.round()

    def names(self) -> list[str]:
        return [name_of(command) for command in self.asked]

    def events(self) -> list[str]:
        return [str(command.args[7]) for command in self.asked if command.args[0] == "XADD"]


def of_one_node(groups: int, **settings: Any) -> list[Bench]:
    """The rounds of a node in several groups. All have begun."""
    speaker = Speaker()
    benches = [Bench(answering(renewed()), speaker=speaker, **settings) for _ in range(groups)]
    for bench in benches:
        bench.rounds.begin_anew()
    return benches


def turn_all(benches: list[Bench], seconds: float) -> None:
    """Let time pass for all groups of a node whose loop stands still."""
    for _ in range(round(seconds * 10)):
        for bench in benches:
            bench.turn(0.1, beats=False)


def renewed(epoch: int = 7, expired: tuple[str, ...] = (), end: int = 60_000) -> Renewed:
    """A lease that was renewed."""
    return Renewed(True, REDIS_MS + 500, epoch, end, expired)


def answering(renewal: Any) -> Callable[[Command[Any]], Any]:
    def answer(command: Command[Any]) -> Any:
        if name_of(command) == "renew_lease":
            if isinstance(renewal, Exception):
                raise renewal
            return renewal
        return {"evict_node": "evicted", "blame_suspect": "counted", "leave_node": "left"}.get(name_of(command))

    return answer


# -- the lease -----------------------------------------------------------------------------------------------------


def test_a_renewal_prolongs_the_lease_from_when_it_was_asked_for() -> None:
    bench = Bench(answering(renewed()))
    bench.clock.now += 3
    bench.beat.at = bench.clock.now
    bench.round()
    assert bench.standing.granted_ms == REDIS_MS + 500 + 5_000
    bench.clock.now += 3.9
    assert bench.standing.trusted()
    bench.clock.now += 0.2
    assert not bench.standing.trusted()
    assert not bench.told.words and not bench.told.lost_for, "nothing has changed"


def test_a_lease_of_one_of_many_groups_is_renewed_less_often_and_at_every_heartbeat_while_that_fails() -> None:
    bench = Bench(answering(renewed()), apart=1.0)
    bench.turn(4.5)
    assert bench.names() == ["renew_lease"] * 5, "at 0, 1, 2, 3 and 4 s"
    bench.answer = answering(RedisUnavailable("away"))
    bench.turn(1.0)
    assert bench.names() == ["renew_lease"] * 8, "at 5, 5.25 and 5.5 s"
    bench.answer = answering(renewed())
    bench.turn(2.0)
    assert bench.names() == ["renew_lease"] * 10, "at 5.75 and 6.75 s"
    assert not bench.told.lost_for


def test_trust_that_comes_back_resumes_what_had_stopped() -> None:
    bench = Bench(answering(renewed()))
    bench.clock.now += 4.5
    assert not bench.standing.trusted() and not bench.standing.lease_over()
    bench.round()
    bench.round()
    assert bench.told.words == ["trusted again"]


def test_who_waits_for_trust_hears_of_each_renewal() -> None:
    bench = Bench(answering(renewed()))

    async def scenario() -> None:
        bench.clock.now += 4.5  # as the loop sees it, which has just been blocked
        waits = asyncio.create_task(bench.standing.until_trusted())
        await asyncio.sleep(0)
        bench.clock.now -= 1  # as the lease thread has seen it a moment before
        bench.round()
        assert bench.told.words == ["trusted again"]
        bench.standing.trusted_again()
        await waits
        bench.round()
        assert bench.told.words == ["trusted again"], "nobody waits"

    asyncio.run(scenario())


def test_trust_that_ends_while_the_answer_is_taken_in_is_told_as_well() -> None:
    """The loop may have found the lease untrusted between the answer and its effect."""
    bench = Bench(answering(renewed()))
    began = bench.clock.now
    ticks = iter([began, began + 3.9, began + 3.95, began + 4.05])
    term = bench.standing.term
    term.lease.begin(began)
    assert term.renewed(next(ticks), 1, lambda: next(ticks)).value == "trusted again"


def test_a_lease_that_ends_while_the_answer_is_taken_in_is_over() -> None:
    """The loop may have acted on its end already."""
    lease = Lease(5.0, 1.0)
    bench = Bench(answering(renewed()))
    term = bench.standing.term
    term.lease = lease
    lease.begin(100.0)
    ticks = iter([104.9, 105.1])
    assert term.renewed(104.5, 1, lambda: next(ticks)).value == "over"
    assert lease.over(105.1) and not lease.trusted(104.0)


def test_a_member_whose_lease_is_over_is_evicted_and_the_plan_is_due() -> None:
    bench = Bench(answering(renewed(expired=("a", "b"))))
    bench.round()
    evicted = [words_of(command)[0] for command in bench.asked if name_of(command) == "evict_node"]
    assert evicted == ["b"], "not itself"
    assert bench.told.words == ["changed"]


def test_another_epoch_is_known_from_then_on_and_is_told_once() -> None:
    bench = Bench(answering(renewed(epoch=8)))
    bench.turn(2.0)
    assert bench.standing.epoch == 8 and bench.told.words == ["changed"]


def test_a_round_comes_right_after_the_end_of_another_lease() -> None:
    bench = Bench(answering(renewed(end=99)))
    assert abs(bench.round() - 0.1) < 1e-6
    bench.clock.now += 0.1
    bench.round()
    assert bench.names() == ["renew_lease"] * 2


def test_a_timer_that_comes_a_little_too_soon_renews_as_well() -> None:
    """Else the rounds would follow one another without a pause until the clock is there."""
    bench = Bench(answering(renewed()))
    bench.clock.now += bench.round() - 1e-9
    bench.round()
    assert bench.names() == ["renew_lease"] * 2


def test_who_was_evicted_has_lost_all_and_waits_for_its_loop() -> None:
    bench = Bench(answering(Renewed(False, REDIS_MS)))
    bench.turn(3.0)
    assert bench.told.lost_for == ["evicted"] and bench.names().count("renew_lease") == 1
    assert not bench.standing.trusted(), "whatever its loop does before it hears of it"
    bench.told.go_on()
    bench.turn(0.5)
    assert len(bench.told.lost_for) == 2, "it could not join anew"


def test_a_redis_that_has_forgotten_what_it_confirmed_voids_the_node_first() -> None:
    bench = Bench(answering(Renewed(False, REDIS_MS, went_back=True)))
    bench.round()
    assert bench.told.words == ["went back"] and bench.told.lost_for == ["evicted"]


def test_a_node_that_cannot_renew_stops_once_when_its_lease_is_over() -> None:
    bench = Bench(answering(RedisUnavailable("no answer")))
    bench.turn(4.9)
    assert bench.told.lost_for == []
    bench.turn(1.0)
    assert bench.standing.lease_over()
    bench.told.go_on()
    bench.turn(3.0)
    assert bench.told.lost_for == ["lease over"], "once, however long Redis is away"


def test_a_renewal_that_comes_after_the_end_of_the_lease_prolongs_nothing() -> None:
    """What waited for Redis has given up by then, and serves no more."""
    bench = Bench(answering(renewed()))
    granted = bench.standing.granted_ms
    bench.clock.now += 5.5
    bench.round()
    assert bench.standing.granted_ms == granted and not bench.told.words
    assert bench.told.lost_for == ["evicted"]


def test_a_renewal_that_comes_when_the_incarnation_is_void_counts_for_nothing() -> None:
    def answer(command: Command[Any]) -> Any:
        if bench.standing.incarnation:
            bench.standing.void([])
        return renewed()

    bench = Bench(answer)
    granted = bench.standing.granted_ms
    bench.round()
    assert bench.told.lost_for == ["evicted"], "it joins anew"
    assert bench.standing.previous == 7 and bench.standing.granted_ms == granted


def test_an_answer_for_an_earlier_incarnation_changes_nothing_of_the_next() -> None:
    bench = Bench(answering(renewed()))
    earlier = bench.standing.term
    bench.standing.void([])
    bench.standing.joined(9, bench.clock.now, REDIS_MS, 5_000)
    bench.standing.renewed(earlier, bench.clock.now + 1, REDIS_MS + 60_000, 5_000)
    assert bench.standing.granted_ms == REDIS_MS + 5_000 and bench.standing.epoch == 9


# -- a loop that stands still --------------------------------------------------------------------------------------


def test_a_blocked_loop_is_told_at_once_and_then_at_growing_intervals_while_the_lease_is_renewed(caplog: Any) -> None:
    bench = Bench(answering(renewed()))
    bench.turn(20.0, beats=False)
    told = [record.getMessage() for record in caplog.records if "stood still" in record.getMessage()]
    assert len(told) == 5, "after 1, 2, 4, 8 and 16 s"
    assert "x.block" in told[0] and "the stack" in told[0]
    assert bench.events() == ["loop_blocked"]
    assert bench.standing.trusted() and not bench.told.lost_for and not bench.ended
    assert bench.counters.loops_blocked == 1 and bench.counters.blocked_for > 19
    bench.turn(1.0)
    assert bench.events() == ["loop_blocked", "loop_unblocked"] and bench.counters.blocked_for == 0.0


def test_a_loop_in_several_groups_is_told_of_by_one_of_them_and_each_account_says_it(caplog: Any) -> None:
    benches = of_one_node(3, stall_limit=30.0)
    benches[2].beat.at += 0.2  # (each beats by itself)

    def lines(what: str) -> int:
        return sum(what in record.getMessage() for record in caplog.records)

    for times in (1, 2):
        for bench in benches:
            bench.turn(5.0, beats=False)
        assert lines("stood still") == 3 * times, "after 1, 2 and 4 s"
        for bench in benches:
            bench.turn(1.0)
        assert lines("turns again") == times
        assert sum(bench.counters.loops_blocked for bench in benches) == times
        told = [event for bench in benches for event in bench.events()]
        assert told == ["loop_blocked", "loop_unblocked"] * times
    for bench in benches:
        assert b"block" in b"".join(bytes(c.args[2]) for c in bench.asked if c.args[0] == "SET")  # type: ignore[arg-type]
    turn_all(benches, 32.0)
    assert lines("this worker ends") == 1 and [bench.ended for bench in benches] == [[], [], [70]]
    assert [event for bench in benches for event in bench.events()].count("loop_stalled") == 1


def test_the_account_of_a_blocked_node_says_since_when_and_in_what() -> None:
    bench = Bench(answering(renewed()))
    bench.turn(6.0, beats=False)
    accounts = [bytes(command.args[2]) for command in bench.asked if command.args[0] == "SET"]  # type: ignore[arg-type]
    assert 2 <= len(accounts) <= 4, "every two seconds"
    assert all(b'"child":"x","method":"block"' in account for account in accounts)
    bench.turn(1.0)
    last = [bytes(command.args[2]) for command in bench.asked if command.args[0] == "SET"][-1]  # type: ignore[arg-type]
    assert b"blocked" not in last


def test_a_slow_redis_that_is_told_of_a_blocked_loop_does_not_cost_the_lease() -> None:
    """Each request may take a third of the lease. A renewal without an answer, an event and an account were the whole of it."""
    bench = Bench(answering(renewed()))
    unanswered = 1

    def slow(command: Command[Any]) -> Any:
        nonlocal unanswered
        if name_of(command) == "renew_lease" and unanswered:
            unanswered -= 1
            raise RedisUnavailable("no answer")
        return answering(renewed())(command)

    bench.turn(1.2, beats=False)
    bench.clock.now += 0.25  # the next round renews, and finds the loop blocked
    bench.answer, bench.takes = slow, 0.9 * bench.rounds.request_timeout
    until = bench.clock.now + 10.0
    while bench.clock.now < until:
        pause = bench.round()
        bench.clock.now += pause
    assert not bench.told.lost_for
    assert bench.events() == ["loop_blocked"], "told once Redis answers again"


def test_while_redis_is_away_only_people_are_told_of_a_blocked_loop(caplog: Any) -> None:
    bench = Bench(answering(RedisUnavailable("away")))
    bench.turn(3.0, beats=False)
    assert set(bench.names()) == {"renew_lease"}
    assert any("x.block" in record.getMessage() for record in caplog.records)


def test_a_process_that_was_stopped_has_no_blocked_loop() -> None:
    """Neither loop nor thread could run: nothing is to be said of the loop."""
    bench = Bench(answering(renewed()))
    bench.turn(1.0)
    bench.clock.now += 3.0  # and no work was done
    bench.round()
    bench.turn(2.0)
    assert not bench.events() and bench.counters.loops_blocked == 0


def test_a_loop_of_another_node_in_the_same_process_is_not_its_own() -> None:
    bench = Bench(answering(renewed()), Doing("y", "block", "another", CULPRIT), stall_limit=3.0)
    bench.turn(10.0, beats=False)
    assert not bench.events() and not bench.ended


def test_past_the_stall_limit_the_culprit_is_counted_the_lease_given_up_and_the_process_ended() -> None:
    bench = Bench(answering(renewed()), stall_limit=3.0)
    bench.turn(2.9, beats=False)
    assert not bench.ended and bench.standing.trusted()
    bench.turn(0.5, beats=False)
    assert bench.ended == [70] and not bench.standing.trusted()
    ends = [name for name in bench.names() if name in ("blame_suspect", "leave_node")]
    assert ends == ["blame_suspect", "leave_node"], "counted first: a shard that was given up is no crash"
    assert bench.events() == ["loop_blocked", "loop_stalled"]


def test_what_cannot_be_counted_is_left_to_the_end_of_the_lease() -> None:
    def answer(command: Command[Any]) -> Any:
        if name_of(command) == "blame_suspect":
            raise RedisUnavailable("away")
        return answering(renewed())(command)

    bench = Bench(answer, stall_limit=3.0)
    bench.turn(3.5, beats=False)
    assert bench.ended == [70] and "leave_node" not in bench.names()


def given_up(bench: Bench) -> list[str]:
    return [name for name in bench.names() if name in ("blame_suspect", "leave_node")]


def test_a_process_ends_when_all_its_groups_were_given_up() -> None:
    first, second = of_one_node(2, stall_limit=3.0)
    turn_all([first, second], 2.9)
    first.turn(0.2, beats=False)
    assert given_up(first) == ["blame_suspect", "leave_node"]
    assert not first.ended and second.standing.trusted(), "the other group has not heard of it yet"
    second.turn(0.2, beats=False)
    assert given_up(second) == ["blame_suspect", "leave_node"] and not second.standing.trusted()
    assert [first.ended, second.ended] == [[], [70]]
    turn_all([first, second], 10.0)
    assert [first.ended, second.ended] == [[], [70]] and len(given_up(first)) == 2


def test_a_loop_that_turns_again_while_its_process_ends_has_the_other_groups_given_up_all_the_same() -> None:
    first, second = of_one_node(2, stall_limit=3.0)
    turn_all([first, second], 2.9)
    first.turn(0.2, beats=False)
    assert given_up(first) and not first.ended
    second.beat.at = second.clock.now
    second.round()
    assert given_up(second) == ["blame_suspect", "leave_node"] and second.ended == [70]


def test_a_group_that_hangs_keeps_the_end_of_its_process_waiting_for_a_lease_at_most() -> None:
    first, second = of_one_node(2, stall_limit=3.0)
    turn_all([first, second], 2.9)
    first.turn(4.9, beats=False)  # the other one waits for its primary
    assert given_up(first) == ["blame_suspect", "leave_node"] and not first.ended
    first.turn(0.7, beats=False)
    assert first.ended == [70] and not second.ended


def test_without_a_stall_limit_no_process_ends() -> None:
    bench = Bench(answering(renewed()), stall_limit=0)
    bench.turn(300.0, beats=False)
    assert not bench.ended


# -- who is counted for a lease that was lost ----------------------------------------------------------------------


def held_up(worked: float) -> Bench:
    """A node whose process did nothing but ``worked`` seconds for longer than its lease."""
    bench = Bench(answering(Renewed(False, REDIS_MS)))
    bench.answer = answering(renewed())
    bench.turn(1.0)
    bench.answer = answering(Renewed(False, REDIS_MS))
    bench.clock.now += 8.0
    bench.worked += worked
    bench.turn(0.3, beats=False)
    return bench


def test_code_in_c_that_holds_the_interpreter_past_the_lease_is_counted() -> None:
    bench = held_up(worked=7.5)
    assert bench.told.lost_for == ["evicted"] and bench.told.held_by == [CULPRIT]
    assert "blame_suspect" in bench.names()


def test_code_in_c_is_counted_if_it_has_cost_a_lease_that_is_renewed_less_often() -> None:
    bench = Bench(answering(renewed()), apart=1.0)
    bench.turn(0.9)
    bench.answer = answering(Renewed(False, REDIS_MS))
    bench.clock.now += 4.5  # less than the lease: its last renewal was a while before
    bench.worked += 4.5
    bench.turn(0.3, beats=False)
    assert bench.told.lost_for == ["evicted"] and bench.told.held_by == [CULPRIT]


def test_code_in_c_is_counted_if_the_loop_has_turned_for_a_moment_only_before() -> None:
    """Two that hold the process, one after the other: the look that sees the end of the first is the one after the second."""
    bench = held_up(worked=7.5)
    assert bench.events() == ["loop_blocked"]
    bench.beat.at = bench.clock.now  # the loop turns, and joins anew
    bench.standing.joined(8, bench.clock.now, REDIS_MS, 5_000)
    bench.told.go_on()
    bench.clock.now += 8.0
    bench.worked += 7.5
    bench.round()
    assert bench.told.held_by == [CULPRIT, CULPRIT]
    assert bench.events() == ["loop_blocked", "loop_unblocked", "loop_blocked"]


def test_code_in_c_is_counted_although_the_blocked_loop_was_told_of_a_moment_before() -> None:
    bench = Bench(answering(renewed()))
    bench.turn(4.5, beats=False)  # told after 1, 2 and 4 s
    bench.answer = answering(Renewed(False, REDIS_MS))
    bench.clock.now += 3.0
    bench.worked += 3.0
    bench.round()
    assert bench.told.lost_for == ["evicted"] and bench.told.held_by == [CULPRIT]


def test_code_in_c_is_counted_if_it_began_while_a_request_of_the_watchdog_was_under_way() -> None:
    """The answer comes afterwards, and the round goes on; the lease is lost by the renewal of the next one."""
    bench = Bench(answering(renewed()))
    bench.turn(2.0, beats=False)
    bench.beat.at = bench.clock.now  # the loop turns, which is told

    def answer(command: Command[Any]) -> Any:
        if name_of(command) == "renew_lease":
            return renewed()
        bench.answer = answering(Renewed(False, REDIS_MS))
        bench.clock.now += 8.0
        bench.worked += 7.5
        return None

    bench.answer = answer
    bench.turn(0.6, beats=False)
    assert bench.told.lost_for == ["evicted"] and bench.told.held_by == [CULPRIT]


def test_a_renewal_in_time_clears_who_has_held_the_process() -> None:
    bench = Bench(answering(renewed()))
    bench.turn(1.0)
    bench.clock.now += 8.0
    bench.worked += 7.5
    bench.answer = answering(RedisUnavailable("away"))
    bench.round()
    assert bench.told.held_by == [CULPRIT], "its lease is over"
    bench.standing.joined(8, bench.clock.now, REDIS_MS, 5_000)
    bench.told.go_on()
    bench.answer = answering(renewed(8))
    bench.turn(1.0)
    bench.answer = answering(Renewed(False, REDIS_MS))
    bench.turn(1.0)
    assert bench.told.held_by == [CULPRIT, None]


def test_what_the_watchdog_of_another_group_has_seen_is_counted_though_the_loop_has_gone_on() -> None:
    speaker = Speaker()
    first, second = Bench(answering(renewed()), speaker=speaker), Bench(answering(renewed()), speaker=speaker)
    for bench in (first, second):
        bench.turn(1.0)
        bench.answer = answering(Renewed(False, REDIS_MS))
        bench.clock.now += 8.0
        bench.worked += 7.5
    first.round()
    second.beat.at = second.clock.now
    second.round()
    assert second.told.lost_for == ["evicted"] and second.told.held_by == [CULPRIT]


def test_a_culprit_of_another_group_is_counted_there() -> None:
    elsewhere = Suspect(900, None, CULPRIT.owner, CULPRIT.field, CULPRIT.entry)
    bench = Bench(answering(renewed()), Doing("x", "block", "a", elsewhere, "the stack"))
    bench.turn(1.0)
    bench.answer = answering(Renewed(False, REDIS_MS))
    bench.clock.now += 8.0
    bench.worked += 7.5
    bench.round()
    assert bench.told.held_by == [elsewhere] and "blame_suspect" not in bench.names()


def test_a_frozen_process_counts_nothing() -> None:
    bench = held_up(worked=0.1)
    assert bench.told.lost_for == ["evicted"] and bench.told.held_by == [None]
    assert "blame_suspect" not in bench.names()


def test_a_loop_that_stands_still_while_redis_is_away_counts_nothing() -> None:
    bench = Bench(answering(RedisUnavailable("away")))
    bench.turn(7.0, beats=False)
    assert bench.told.lost_for == ["lease over"] and bench.told.held_by == [None]


def test_the_end_of_a_lease_in_the_hub_is_a_round_of_its_own_and_not_many() -> None:
    bench = Bench(answering(renewed(end=100)), lease=5.0, heartbeat=0.25)
    bench.clock.now += 1.0
    pause = bench.round()
    assert 0.0 < pause < 0.25, "right after the end of that lease"
    bench.clock.now += pause
    assert bench.round() > 0.0, "it has looked, and need not look again at once"
    assert bench.names().count("renew_lease") == 2
