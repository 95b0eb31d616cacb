"""What notices each mutation: schedules of the simulation, or the test that sets up the one moment in which it matters.

Schedules notice what matters often. ``python -m tests.simulation.noticed NAME`` looks for one and prints what it found: the
seeds of the table first, then others, up to ``most``. (A seed names a schedule of one version of the code; after a change
its schedule is another one, as good as any.)

Moments notice what matters in one schedule of fifty, or fewer. Each is a test of the suite, so it passes without the mutation.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from hubq import Hub
from hubq.testing import FakeServer
from tests.cluster.groups import test_starts_over_groups
from tests.contract.jobs import test_jobs_of_children
from tests.simulation.groups import GROUPED
from tests.simulation.mutations import mutated
from tests.simulation.runner import HASH_SEED
from tests.simulation.schedule import run_schedule
from tests.simulation.world import RESTING, World
from tests.unit.core import test_unfinished
from tests.unit.node.arrivals import test_arrivals, test_returns
from tests.unit.node.children import test_drafting, test_handler, test_outcomes, test_pausing, test_runs, test_sayings
from tests.unit.node.commits import test_committer, test_under_token
from tests.unit.node.copies import test_recorder, test_standby
from tests.unit.node.departures import test_departure, test_shard_handover
from tests.unit.node.held import test_cursors, test_hosted_child
from tests.unit.node.mailbox import test_far_lanes, test_job_forwarder, test_reader, test_waking
from tests.unit.node.membership import test_resuming, test_rounds
from tests.unit.node.trials import test_marks, test_message_trials, test_start_trials
from tests.unit.store import test_malformed, test_seal

ROOT = Path(__file__).resolve().parents[2]

#: What a breach says if not hubq, but the mutation is broken: it does not fit the code any more.
OWN_FAULTS = ("AttributeError", "NameError", "TypeError", "ImportError")


@dataclass(frozen=True)
class Schedules:
    """Schedules that notice it."""

    seeds: tuple[int, ...]
    suits: Callable[[World], bool] = lambda world: True
    """Which of the others are worth a try. (To draw the settings of a schedule costs next to nothing.)"""
    most: int = 200
    """So many others are tried."""
    first: int = 1
    """The first of the others."""

    def to_try(self) -> Iterator[int]:
        """The seeds, in order."""
        yield from self.seeds
        others = (seed for seed in itertools.count(self.first) if seed not in self.seeds and self.suits(World(seed)))
        yield from itertools.islice(others, self.most)


def _late_commits(world: World) -> bool:
    return "freeze before" in world.plan.aimed and world.plan.aim > 0.01


def _sent_again(world: World) -> bool:
    return "late packet" in world.plan.lost or "lost after" in world.plan.lost


def _full_queues(world: World) -> bool:
    return world.settings["queue_limit"] == 2


def _drains(world: World) -> bool:
    return "drain" in world.plan.timed or "replace" in world.plan.timed


def _blocks(world: World) -> bool:
    return world.blocks.any


def _slow_redis(world: World) -> bool:
    return world.plan.latency >= 0.02


def _hangs(world: World) -> bool:
    return world.blocks.hangs and world.blocks.quiet


def _full_far(world: World) -> bool:
    return world.settings["max_backlog"] < 10 and world.groups.any


def _goes_back(world: World) -> bool:
    return world.groups.loses


def _starts_bands(world: World) -> bool:
    return world.groups.starts


#: mutation -> the schedules that notice it.
SCHEDULES: dict[str, Schedules] = {
    "token": Schedules((33, 194, 307, 113), _late_commits),
    "duplicate": Schedules((2, 35, 32), _sent_again),
    "lease": Schedules((5, 28, 3)),
    "drain": Schedules((39, 28, 93), _drains),
    "in-hand": Schedules((7, 4, 1)),
    "early-reply": Schedules((2, 1, 3)),
    "overdue-replay": Schedules((6, 1, 3)),
    "lost-letter": Schedules((1, 2, 3)),
    "full-queue": Schedules((19, 7, 29), _full_queues),
    "blocked-lease": Schedules((9, 13, 16), _blocks),
    "endless-block": Schedules((9, 27, 54), _hangs),
    "rest-token": Schedules((RESTING + 263,), _late_commits, first=RESTING),
    "put-away": Schedules((RESTING + 32, RESTING + 28), _slow_redis, first=RESTING),
    "unblamed": Schedules((9, 60, 73), _hangs),
    "fired-by-others": Schedules((57, 34, 75)),
    "untold-reminders": Schedules((3, 2, 5)),
    "unseen-reminders": Schedules((1, 7, 8)),
    "started-again": Schedules((1, 2, 3)),
    "unpublished": Schedules((1, 2, 3)),
    "key-ignored": Schedules((1, 8, 10)),
    "cancelled-anyway": Schedules((1, 2, 3)),
    "retried-last": Schedules((15, 18, 29)),
    "dirty-read": Schedules((1, 10, 18)),
    "undeclared": Schedules((GROUPED + 1, GROUPED + 2), first=GROUPED),
    "shared-token": Schedules((GROUPED + 1, GROUPED + 2), first=GROUPED),
    "number-again": Schedules((GROUPED + 1, GROUPED + 2), first=GROUPED),
    "overtaken": Schedules((GROUPED + 66, GROUPED + 11), _full_far, first=GROUPED),
    "forgotten-early": Schedules((GROUPED + 6, GROUPED + 8), first=GROUPED),
    "any-redis": Schedules((GROUPED + 75, GROUPED + 1), _goes_back, first=GROUPED),
    "unseen-far": Schedules((GROUPED + 4, GROUPED + 3), first=GROUPED),
    "cut-too-far": Schedules((2, 1, 3)),
    "half-started": Schedules((GROUPED + 18, GROUPED + 43), _starts_bands, first=GROUPED),
}

#: All of these: nothing is removed, and nothing is noticed.
UNBROKEN = Schedules(tuple(sorted({seed for schedules in SCHEDULES.values() for seed in schedules.seeds})), most=0)


def with_hub(test: Callable[[Hub], None]) -> None:
    """A test that wants a hub, with one on fakeredis."""
    hub = Hub("noticed", redis=FakeServer(), shards=1)
    try:
        test(hub)
    finally:
        hub.close()


#: mutation -> the test of its moment. (Modules are imported, not tests: those would be collected twice.)
MOMENTS: dict[str, Callable[[], None]] = {
    "unpinned": test_shard_handover.test_who_cannot_go_is_pinned_here_under_a_token_above_the_shards,
    "stale-read": test_returns.test_a_child_whose_pin_is_gone_is_served_by_its_shard_again,
    "stale-page": test_reader.test_a_page_that_was_asked_for_before_a_child_came_back_tells_nothing_about_it,
    "late-commit": test_committer.test_a_commit_without_an_answer_is_sent_again_under_a_new_token,
    "late-rest": test_under_token.test_a_try_without_an_answer_is_void_before_the_next_one,
    "early-restart": test_runs.test_a_restart_waits_for_the_commit_that_is_under_way,
    "kept-refusal": partial(
        test_outcomes.test_an_interval_child_keeps_a_message_until_its_state_is_saved_if_it_left_a_trace, "overdue"
    ),
    "old-mark": test_marks.test_a_mark_outlives_the_renewal_of_its_token,
    "said-anyway": test_sayings.test_what_a_handler_that_raises_has_said_was_never_said,
    "said-twice": test_committer.test_a_commit_that_is_sent_again_has_the_same_number_and_the_next_one_another,
    "unbegun-in-log": partial(test_recorder.test_only_what_was_handled_is_told, "stop"),
    "in-hand-lost": test_handler.test_a_message_that_is_undone_is_the_next_one_again,
    "adopted-anyway": test_arrivals.test_a_node_that_is_evicted_while_a_shard_comes_drops_it,
    "started-anyway": test_start_trials.test_a_child_that_is_on_its_way_elsewhere_is_waited_for_and_not_begun_if_it_has_gone,
    "long-trial": test_hosted_child.test_its_first_message_does_not_hide_that_it_has_started,
    "slow-copies": test_standby.test_any_other_copy_is_newer_than_msk_unless_it_was_slow,
    "early-rebuild": test_arrivals.test_a_reserved_shard_is_adopted_by_nobody_until_it_is_released,
    "idle-copies": test_resuming.test_originals_and_copies_go_on_and_what_waits_is_committed,
    "fallen-behind": test_reader.test_what_falls_behind_in_the_moment_in_which_its_holding_is_done_is_not_forgotten,
    "lost-and-given": partial(test_departure.test_it_is_not_repeated_when_others_may_own_it, "loss"),
    "frozen-stall": test_rounds.test_a_process_that_was_stopped_has_no_blocked_loop,
    "lost-count": test_message_trials.test_the_mark_of_a_message_is_not_lost_to_an_earlier_one_that_comes_again,
    "forgotten-arrival": test_arrivals.test_what_may_be_ours_in_redis_before_it_is_open_here_is_known,
    "ended-early": test_rounds.test_a_process_ends_when_all_its_groups_were_given_up,
    "spared-culprit": test_start_trials.test_the_count_of_what_held_the_node_up_is_spared,
    "start-overtaken": test_reader.test_the_messages_of_a_child_that_is_being_started_are_left_alone_until_it_has_begun,
    "same-generation": test_far_lanes.test_a_number_that_is_given_again_after_the_group_went_back_is_that_of_another_message,
    "unrenewed-part": partial(
        test_starts_over_groups.test_the_slowest_group_may_take_longer_than_the_lease_of_a_start, 1, False, False
    ),
    "left-behind": test_waking.test_what_is_left_in_the_mailbox_comes_before_what_is_read_later,
    "unseen-errands": test_job_forwarder.test_jobs_of_a_shard_that_comes_are_put_into_rq,
    "put-again": partial(with_hub, test_jobs_of_children.test_interrupted_before_the_entry_was_deleted),
    "pause-unheeded": test_pausing.test_a_child_that_begins_while_it_is_paused_handles_nothing_until_it_is_resumed,
    "pause-said-early": test_pausing.test_what_a_node_says_that_it_heeds_it_heeds,
    "draft-kept": test_drafting.test_the_drafts_of_a_handler_that_raises_are_retracted,
    "draft-left": test_drafting.test_the_drafts_that_a_former_owner_has_left_are_retracted_and_those_in_hand_stay,
    "draft-overtaken": test_drafting.test_the_end_of_a_handler_waits_until_redis_has_its_drafts,
    "any-ask": test_malformed.test_a_client_may_only_ask_and_all_else_of_it_is_malformed,
    "anothers-call": test_seal.test_an_app_withdraws_and_cancels_its_own_calls_alone,
    "unbound-job": test_seal.test_a_job_is_bound_to_its_id,
    "any-purpose": test_seal.test_the_result_of_a_job_is_none_of_its_arguments,
    "any-proof": test_seal.test_a_job_is_stopped_by_holders_of_a_key_alone,
    "cut-unknown": test_cursors.test_a_shard_that_comes_after_its_pin_does_not_cut_what_was_read_before,
    "cut-behind": test_unfinished.test_what_is_done_before_it_was_read_is_not_left_behind_a_cut,
    "cut-early": test_unfinished.test_what_stood_there_before_is_known_to_be_gone_when_the_mailbox_was_empty,
    "old-pin": test_shard_handover.test_pins_take_the_token_that_the_shard_has_when_it_goes,
}


@dataclass(frozen=True)
class Notice:
    """What became of a look: the seed that noticed it (0: none did), what was noticed, and how many were tried."""

    seed: int
    breach: str
    tried: int


def look(name: str) -> Notice:
    """Try schedules in this process until one notices the mutation. No name: hubq as it is."""
    gc.collect()
    gc.freeze()
    tried = 0
    with mutated(name) as change:
        for tried, seed in enumerate((SCHEDULES[name] if name else UNBROKEN).to_try(), 1):
            breaches = run_schedule(seed, mutate=change).breaches
            if breaches:
                return Notice(seed, breaches[0], tried)
            if tried % 20 == 0:
                gc.collect()
    return Notice(0, "", tried)


def looked(name: str, within: float) -> Notice:
    """The same in a process of its own: sets of text have the same order there every time."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", __name__, name], cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": HASH_SEED}, capture_output=True, text=True, timeout=within,
    )  # fmt: skip
    if run.returncode:
        raise RuntimeError(run.stderr)
    return Notice(**json.loads(run.stdout))


if __name__ == "__main__":
    print(json.dumps(asdict(look(sys.argv[1]))))
