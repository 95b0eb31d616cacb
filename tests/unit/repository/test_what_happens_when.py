"""The tables "what happens" of the pages on effects, feeds, reminders, retries, pauses and dormant children: each row has a test."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
DOCS = TESTS.parent / "docs"

#: What breaks at any time: nodes, connections, answers; Redis's own loss of writes is a script that has happened whole, or not at all.
ANY_FAULT = "simulation/test_simulation.py::test_no_guarantee_breaks_under_faults"
WENT_BACK = "cluster/membership/test_redis_went_back.py::test_commits_of_the_lost_time_are_not_mixed_with_what_is_there"
DORMANT = "cluster/children/test_dormant.py::"
FAULTS = "cluster/children/test_dormant_under_faults.py::"
EFFECTS = "cluster/children/test_effects.py::"
FEEDS = "cluster/children/test_feeds.py::"
DRAFTS = "cluster/children/test_drafts.py::"
REMINDERS = "cluster/children/test_reminders.py::"
RETRIES = "cluster/children/test_retries.py::"
PAUSES = "cluster/children/test_pauses.py::"
SENDS = "contract/store/test_sends.py::"
RINGS = "contract/store/test_reminders.py::"
STREAMS = "contract/store/test_feeds.py::"
SCRIPTS = "contract/store/script_drives/"
JOBS = "contract/jobs/test_jobs_of_children.py::"
ENQUEUED = "cluster/jobs/test_enqueued_by_children.py::"

#: page -> what happens, as it stands in the first column -> the tests that show it: file::name, below tests/.
ROWS: dict[str, dict[str, list[str]]] = {
    "dormant.md": {
        "a message comes during step 1": [FAULTS + "test_a_child_that_gets_a_message_while_its_state_is_taken_stays"],
        "a message is sent before `rest_children`": [
            FAULTS + "test_messages_that_are_sent_around_the_script_are_handled"
        ],
        "a message is sent after `rest_children`": [
            FAULTS + "test_messages_that_are_sent_around_the_script_are_handled",
            "unit/node/mailbox/test_waking.py::test_what_is_left_in_the_mailbox_comes_before_what_is_read_later",
        ],
        "the node dies before `rest_children`": [FAULTS + "test_a_node_that_dies_around_the_script_loses_nothing"],
        "the node dies after it": [FAULTS + "test_a_node_that_dies_around_the_script_loses_nothing"],
        "the answer to `rest_children` is lost": [FAULTS + "test_a_lost_answer_changes_nothing"],
        "the child is stopped at once (`stop_child_now`) while `rest_children` is on its way": [
            FAULTS + "test_a_child_that_is_stopped_at_once_while_it_goes_to_rest_ends"
        ],
        "the token has passed before it": [
            FAULTS + "test_a_frozen_owner_puts_nobody_to_rest_and_wakes_nobody",
            "unit/node/commits/test_under_token.py::test_it_ends_when_another_node_owns_the_holding",
        ],
        "the node dies after `wake_children`": [FAULTS + "test_a_node_that_dies_around_the_script_loses_nothing"],
        "`wake_children` kills the node by its `__init__`": [
            FAULTS + "test_a_node_that_dies_around_the_script_loses_nothing",
            "acceptance/test_poison.py::test_a_child_whose_start_kills_is_parked",
        ],
        "the answer to `wake_children` is lost": [FAULTS + "test_a_lost_answer_changes_nothing"],
        "the shard is handed over while a child wakes": [
            FAULTS + "test_a_shard_moves_while_its_children_rest_and_wake"
        ],
        "the shard is handed over with a message for a dormant child in its mailbox": [
            FAULTS + "test_the_next_owner_of_a_shard_wakes_a_child_whose_message_it_finds"
        ],
        "a child is stopped and its name is activated again at once": [
            DORMANT + "test_a_dormant_child_can_be_stopped_and_its_name_started_again",
            "unit/node/mailbox/test_starts.py::"
            "test_what_nobody_has_read_again_of_an_earlier_child_that_was_thought_dormant_is_refused_too",
        ],
        "a message is sent while the child expires": [
            DORMANT + "test_a_child_expires_with_all_that_belongs_to_it_but_not_if_a_message_waits"
        ],
        "the wish to move a child comes before `rest_children`": [
            DORMANT + "test_children_that_may_not_rest_stay",
            DORMANT + "test_a_hub_knows_its_dormant_children",
        ],
        "two owners of one shard (a node that was frozen)": [
            FAULTS + "test_a_frozen_owner_puts_nobody_to_rest_and_wakes_nobody"
        ],
        "Redis loses the last writes": [
            SCRIPTS + "dormancy.py::drive_rest_children", SCRIPTS + "dormancy.py::drive_wake_children", WENT_BACK,
        ],
    },
    "effects.md": {
        "the node dies before the commit": [
            EFFECTS + "test_nothing_is_lost_or_said_twice_whatever_happens_to_the_nodes"
        ],
        "the node dies after the commit": [
            EFFECTS + "test_nothing_is_lost_or_said_twice_whatever_happens_to_the_nodes"
        ],
        "the answer to the commit is lost": [
            EFFECTS + "test_a_commit_whose_answer_is_lost_sends_once",
            SENDS + "test_a_commit_that_is_repeated_under_its_number_sends_nothing_again",
        ],
        "the commit is fenced": [SENDS + "test_a_fenced_commit_sends_nothing"],
        "the node dies while messages are in the outbox": [EFFECTS + "test_the_next_owner_empties_the_outbox"],
        "the node dies while jobs wait": [
            ENQUEUED + "test_moves_kills_and_a_drain_lose_no_job_and_double_none",
            "unit/node/mailbox/test_job_forwarder.py::test_jobs_of_a_shard_that_comes_are_put_into_rq",
        ],
        "the answer to the transaction is lost": [
            ENQUEUED + "test_a_job_that_has_ended_and_is_forgotten_is_not_enqueued_again"
        ],
        "the node dies between the transaction and `take_jobs`": [
            JOBS + "test_interrupted_before_the_entry_was_deleted"
        ],
        "an entry of the stream is no job": [
            ENQUEUED + "test_what_is_no_job_is_passed_over_and_the_others_go_on"
        ],
        "Redis restarts or fails over with a loss": [
            WENT_BACK, "cluster/membership/test_redis_restarts.py::test_a_restart_with_its_data_loses_nothing",
        ],
    },
    "feeds.md": {
        "the node dies while the handler runs": [
            DRAFTS + "test_a_node_that_dies_leaves_drafts_that_its_next_one_takes_back",
            "unit/node/children/test_drafting.py::"
            "test_the_drafts_that_a_former_owner_has_left_are_retracted_and_those_in_hand_stay",
        ],
        "the message is handled again before the old handling is retracted": [SCRIPTS + "sayings.py::drive_publish_drafts"],
        "the node is frozen, and wakes": [SCRIPTS + "sayings.py::drive_publish_drafts", SCRIPTS + "sayings.py::drive_retract_drafts"],
        "the answer to `publish_drafts` is lost": [SCRIPTS + "sayings.py::drive_publish_drafts"],
        "the child ends with its handler undone": [SCRIPTS + "sayings.py::drive_publish_drafts"],
        "the node dies before the commit": [FEEDS + "test_each_event_comes_once_in_order_through_a_move_and_a_kill"],
        "the answer to the commit is lost": [STREAMS + "test_a_commit_that_is_repeated_publishes_nothing_again"],
        "the connection of a reader is lost": [ANY_FAULT],
        "Redis fails over and has lost the last entries": [
            "unit/core/test_feed_buffer.py::"
            "test_when_redis_has_lost_the_end_of_a_feed_subscribers_get_what_comes_instead_behind_a_gap"
        ],
        "a reader is too slow for `feed_kept`": [
            FEEDS + "test_a_reader_goes_on_behind_its_last_id_and_is_told_what_is_kept_no_more",
            "unit/core/test_feed_buffer.py::test_what_was_trimmed_before_it_was_read_back_is_one_gap",
        ],
        "an entry is none that hubq has written": [
            STREAMS + "test_what_others_have_written_into_a_feed_is_passed_over"
        ],
        "a key of a feed is no stream, or may not be read": [
            FEEDS + "test_a_feed_that_cannot_be_read_is_told_to_its_readers_and_others_go_on"
        ],
    },
    "guide-reminders.md": {
        "the child is [paused](guide-pause.md)": [PAUSES + "test_reminders_wait_and_are_late"],
        "the handler raises": [REMINDERS + "test_reminders_are_set_replaced_and_taken_back_with_the_commit"],
        "the worker dies before the commit": [REMINDERS + "test_each_rings_once_whatever_happens_to_the_nodes"],
        "the answer to the commit is lost": [
            RINGS + "test_a_commit_that_is_repeated_under_its_number_sets_nothing_again"
        ],
        "the worker dies while a reminder is due": [
            REMINDERS + "test_ticks_lie_on_a_grid_and_outlive_nodes",
            REMINDERS + "test_each_rings_once_whatever_happens_to_the_nodes",
        ],
        "the shard moves while a reminder is due": [
            REMINDERS + "test_each_rings_once_whatever_happens_to_the_nodes", SCRIPTS + "dormancy.py::drive_fire_reminders",
        ],
        "the script's answer is lost": ["unit/node/mailbox/test_reminding.py::test_a_redis_that_is_away_is_asked_again"],
        "the child's mailbox is full (`max_backlog`)": [REMINDERS + "test_a_full_mailbox_makes_reminders_wait"],
        "the child is parked": [
            "unit/node/mailbox/test_delivery.py::test_a_parked_child_takes_a_stop_and_leaves_all_else_in_the_mailbox"
        ],
        "the child ends": [RINGS + "test_the_end_of_a_child_takes_its_reminders_and_no_others"],
        "Redis restarts": [
            "cluster/membership/test_redis_restarts.py::test_a_restart_with_its_data_loses_nothing"
        ],
        "a copy (Replication)": [EFFECTS + "test_copies_say_nothing"],
    },
    "retries.md": {
        "the child moves during a wait": [RETRIES + "test_the_next_node_tries_at_once"],
        "the child moves during a try": [
            RETRIES + "test_the_order_is_kept_through_moves_and_kills",
            "cluster/departures/test_handover_under_way.py::"
            "test_a_message_that_was_undone_for_a_move_is_handled_if_its_child_stays",
        ],
        "the node dies during a wait or a try": [
            RETRIES + "test_the_next_node_tries_at_once", RETRIES + "test_the_order_is_kept_through_moves_and_kills",
        ],
        "the node is evicted, the lease is lost": [ANY_FAULT],
        "Redis is away": [ANY_FAULT],
        "the child is killed (`hubq kill`) during a wait": [
            RETRIES + "test_a_child_that_is_killed_or_stopped_while_it_waits_for_another_try"
        ],
        "the message is dropped by hand (`hubq mailbox drop`) during a wait": [
            RETRIES + "test_a_message_that_waits_for_another_try_can_be_dropped"
        ],
        "the child is stopped": [RETRIES + "test_a_child_that_is_killed_or_stopped_while_it_waits_for_another_try"],
    },
    "guide-pause.md": {
        "the node misses the event": [
            "unit/node/planning/test_planner.py::test_it_looks_whether_something_was_paused_at_each_plan"
        ],
        "a node joins while somebody pauses": [
            PAUSES + "test_a_pause_outlives_moves_kills_joins_and_the_last_node",
            "unit/node/children/test_pausing.py::"
            "test_a_child_that_begins_while_it_is_paused_handles_nothing_until_it_is_resumed",
        ],
        "a node is frozen": [PAUSES + "test_a_frozen_node_is_named_and_heeds_it_when_it_wakes"],
        "Redis loses the pause in a failover": [
            "contract/store/test_pauses.py::test_each_change_has_a_number_that_rises"
        ],
        "what stands in the hash is no pause": [PAUSES + "test_what_is_no_pause_is_passed_over"],
    },
}  # fmt: skip

TABLE = re.compile(r"^\| what happens \| outcome \|\n\|[ -|]+\n((?:\|.*\n)+)", re.MULTILINE)


def rows_of(page: str) -> list[str]:
    """What happens, in all such tables of a page."""
    tables = TABLE.findall((DOCS / page).read_text(encoding="utf-8"))
    return [line[2:].partition(" | ")[0] for table in tables for line in table.splitlines()]


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(("test_", "drive_"))
    )


@pytest.mark.parametrize("page", ROWS)
def test_each_row_of_its_tables_is_here(page: str) -> None:
    assert sorted(set(rows_of(page))) == sorted(ROWS[page])


def test_no_page_with_such_a_table_is_left_out() -> None:
    """Of those that say what becomes of effects; other mechanisms have theirs in the protocol."""
    assert all(rows_of(page) for page in ROWS)


@pytest.mark.parametrize(("page", "row"), [(page, row) for page, rows in ROWS.items() for row in rows])
def test_each_row_has_the_tests_that_are_named(page: str, row: str) -> None:
    for named in ROWS[page][row]:
        file, _, name = named.partition("::")
        assert name in names_in(file), f"no test {named}"
