"""What once brought a hub down, lost something in silence, or let somebody in: each has a test that shows that it does not any more."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]

#: What happened -> the tests that show it: file::name, below tests/.
CASES: dict[str, list[str]] = {
    # -- code that blocks, is slow, or raises what it likes
    "a handler blocks the event loop for longer than the lease: nodes evict each other in turn, for ever": [
        "acceptance/test_blocked_loops.py::test_a_blocked_loop_evicts_nobody_and_is_named",
        "cluster/membership/test_blocked_loops.py::test_no_lease_is_lost_and_the_answer_comes",
    ],
    "nothing names the handler that blocks": [
        "cluster/membership/test_blocked_loops.py::test_what_blocks_is_named",
        "acceptance/test_blocked_loops.py::test_the_listings_say_what_blocks_a_worker",
    ],
    "a loop that is blocked for ever never ends, and its message never becomes a dead letter": [
        "acceptance/test_blocked_loops.py::test_a_stalled_worker_ends_itself_and_the_third_time_the_message_is_a_dead_letter",
    ],
    "the waiting API in an async def handler, or in a client's event loop": [
        "contract/client/test_current_hub.py::test_the_waiting_half_is_refused_in_an_event_loop",
        "contract/jobs/test_jobs.py::test_in_an_event_loop_what_waits_is_refused_and_nothing_is_enqueued",
    ],
    "a hung handler cannot be ended, and no limit can be set": [
        "acceptance/test_hung_handlers.py::test_a_hung_handler_is_ended_by_hand",
        "cluster/children/test_handler_timeout.py::test_an_overdue_handler_is_undone_and_answered",
        "cluster/mailbox/test_interventions.py::test_a_message_that_waits_is_dropped_and_one_in_hand_is_not",
        "cluster/mailbox/test_interventions.py::test_a_message_that_has_no_room_in_memory_is_dropped_from_the_mailbox",
    ],
    "1,300 children whose __init__ takes 5 ms: the node that takes them over is evicted, and begins anew": [
        "cluster/arrivals/test_slow_children.py::test_many_slow_children_of_a_dead_node_are_taken_over_by_one_node_that_keeps_its_lease",
    ],
    "a shard whose children take long to build never moves": [
        "cluster/arrivals/test_slow_children.py::test_a_shard_that_takes_longer_to_build_than_the_migration_waits_moves_live",
    ],
    "2,048 shards: each adoption reads all owners": [
        "cluster/arrivals/test_slow_children.py::test_what_a_node_asks_redis_for_grows_with_its_shards_and_not_with_their_square",
    ],
    "a handler, an __init__ or a loop that raises StopIteration or cancels its own task wedges its child": [
        "cluster/children/test_odd_exceptions.py::test_odd_exceptions_do_not_wedge_a_child",
        "cluster/children/test_odd_exceptions.py::test_a_handler_that_cancels_its_own_task_fails_like_any_other",
        "cluster/children/test_odd_exceptions.py::test_a_child_that_starts_oddly_is_refused_like_any_other",
        "cluster/children/test_odd_exceptions.py::test_children_whose_init_has_become_odd_are_parked_and_the_others_taken_over",
        "cluster/children/test_odd_exceptions.py::test_a_loop_that_ends_oddly_begins_anew",
    ],
    "a state that pickles and does not come back: the changes of a handler that raised survive": [
        "cluster/children/test_odd_exceptions.py::test_a_state_that_does_not_come_back_is_refused_when_it_is_saved_first",
        "cluster/children/test_odd_exceptions.py::test_a_roll_back_that_fails_builds_the_child_anew",
    ],
    "loop.stop(), or sys.exit() in a timer: the worker lives on with a lease and a dead loop": [
        "unit/cli/test_worker_loop.py::test_what_a_child_does_to_the_loop_does_not_end_it",
        "acceptance/test_harmful_code.py::test_a_handler_costs_its_child_and_nobody_else",
    ],
    "a handler cancels all tasks, as scripts do at their end: each worker that runs it dies": [
        "unit/cli/test_worker_loop.py::test_tasks_of_hubq_are_not_among_all_tasks",
        "acceptance/test_harmful_code.py::test_a_handler_costs_its_child_and_nobody_else",
    ],
    "time.monotonic is replaced by what raises: the worker lives on with its lease, and commits nothing": [
        "unit/cli/test_worker_clock.py::test_a_clock_is_neither_replaced_nor_lost",
        "acceptance/test_harmful_code.py::test_a_handler_costs_its_child_and_nobody_else",
    ],
    "a loop that is blocked in a hub with several groups is told of once for each": [
        "unit/node/membership/test_rounds.py::test_a_loop_in_several_groups_is_told_of_by_one_of_them_and_each_account_says_it",
        "cluster/groups/test_groups.py::test_a_blocked_loop_is_told_of_once",
    ],
    "a task group that a handler has left behind cancels the handler of another child": [
        "acceptance/test_harmful_code.py::test_what_a_handler_has_left_behind_cancels_no_other_handler",
    ],
    "a library takes SIGTERM from a worker, which no drain reaches any more": [
        "unit/cli/test_worker_loop.py::test_signals_that_were_taken_are_heard_again",
    ],
    "a handler that forks and returns: the fork goes on as the worker, with its connections": [
        "acceptance/test_harmful_code.py::test_a_handler_costs_its_child_and_nobody_else",
    ],
    "an on_start, run() or on_stop that never ends cannot be ended, or holds up the end of its worker": [
        "cluster/mailbox/test_interventions.py::test_a_child_that_never_starts_is_stopped",
        "unit/node/children/test_endings.py::test_on_stop_that_does_not_heed_its_cancellation_holds_up_nobody",
        "acceptance/test_harmful_code.py::test_what_has_no_end_costs_its_child",
        "acceptance/test_harmful_code.py::test_a_drain_outlives_what_children_do_when_they_move",
    ],
    "a state whose pickling raises SystemExit: the changes of its message stay": [
        "cluster/children/test_odd_exceptions.py::test_a_state_that_cannot_be_taken_in_the_oddest_way_is_undone",
    ],
    "an error in the lease thread ends it: its node lives on, and never joins again": [
        "unit/node/membership/test_lease_thread.py::test_a_round_that_fails_as_none_should_is_told_and_not_the_last_one",
    ],
    # -- what is lost or let fall
    "a cast to a method that does not exist, or that raises, is deleted without a trace": [
        "acceptance/test_dead_letters.py::test_casts_to_a_method_that_was_renamed_are_not_lost",
        "unit/node/children/test_failures.py::test_a_cast_that_fails_becomes_a_letter",
    ],
    "a cast to a child that has ended meanwhile": [
        "unit/node/children/test_failures.py::test_casts_to_a_child_that_ends_become_letters"
    ],
    "an exception in a call is not in the worker's log": [
        "unit/node/children/test_failures.py::test_a_call_that_fails_is_no_letter_but_is_counted_and_logged",
    ],
    "what a handler sends is no part of its commit": [
        "unit/node/children/test_sayings.py::test_what_a_handler_that_raises_has_said_was_never_said",
        "contract/store/test_sends.py::test_a_commit_that_is_repeated_under_its_number_sends_nothing_again",
    ],
    "a call made in a handler does not end with its caller; A calls B calls A": [
        "contract/client/test_inherited_deadlines.py::test_no_call_outlives_the_caller_of_its_handler",
        "contract/client/test_call_cycles.py::*",
    ],
    # -- what is too large
    "a reply that Redis does not take: its commit is repeated for ever, and every child of the node hangs": [
        "contract/store/test_large_values.py::test_a_value_that_redis_does_not_take_costs_its_message_alone",
    ],
    "a state that Redis does not take, first written in a handover": [
        "contract/store/test_large_values.py::test_a_state_that_redis_does_not_take_holds_up_no_drain",
    ],
    "arguments of 600 MB are called an unreachable Redis; nothing bounds the work of a message": [
        "contract/store/test_large_values.py::test_the_settings_bound_arguments_and_results",
        "contract/store/test_large_values.py::test_a_payload_with_many_traces_is_an_error_of_its_message",
        "cluster/mailbox/test_backpressure.py::test_large_messages_in_memory_are_bounded_by_their_size",
    ],
    "251 casts of 1 MB to one child fill Redis": [
        "cluster/mailbox/test_mailbox_bytes.py::*",
    ],
    # -- garbage
    "a malformed entry in a mailbox stops the read of the whole node": [
        "cluster/mailbox/test_malformed.py::test_malformed_entries_between_good_ones_are_dead_letters_and_the_others_keep_their_order",
        "cluster/mailbox/test_malformed.py::test_a_mailbox_that_is_no_stream_stops_its_own_shard_only",
    ],
    "a control message with a bad number, an event that is no UTF-8: no handover any more": [
        "cluster/mailbox/test_malformed.py::test_a_node_of_which_every_control_message_is_garbage_still_hands_over",
    ],
    "a spec that is no JSON: its shard is never adopted, and hubq ps ends in a traceback": [
        "cluster/mailbox/test_malformed.py::test_a_child_with_a_malformed_spec_is_parked_and_can_be_stopped",
        "contract/cli/test_malformed_data.py::test_every_command_shows_the_rest_or_says_in_one_line_what_is_wrong",
    ],
    "garbage in owners, members, wishes, vitals, epochs, batches": [
        "cluster/mailbox/test_malformed.py::test_malformed_owners_members_and_wishes_harm_nobody",
        "cluster/mailbox/test_malformed.py::test_numbers_that_are_none_hold_up_nobody",
        "cluster/mailbox/test_malformed.py::test_a_batch_that_cannot_be_read_holds_up_no_other",
    ],
    "a key of another type stops every commit and claim of a node": [
        "cluster/mailbox/test_malformed.py::test_a_key_of_another_type_holds_up_the_commits_of_its_own_shard_only",
        "cluster/mailbox/test_malformed.py::test_a_key_of_another_type_holds_up_the_claim_of_its_own_shard_only",
        "unit/node/commits/test_held_up.py::test_messages_that_have_come_meanwhile_begin_when_the_commit_is_taken",
        "contract/store/test_sends.py::test_what_is_sent_to_a_shard_with_a_key_of_another_type_waits_and_holds_up_nothing",
    ],
    "a script fails in its middle: what a child says is lost, or said twice, when its commit is repeated": [
        "contract/store/test_wrong_types.py::test_a_script_that_was_refused_and_is_repeated_does_all_once",
        "contract/store/test_sends.py::test_a_commit_that_is_refused_for_one_key_has_said_nothing_yet",
    ],
    "a key of another type fails the calls to other shards that share a request": [
        "cluster/mailbox/test_malformed.py::test_a_key_of_another_type_refuses_the_messages_to_its_own_shard_only",
    ],
    "a node's own mailbox, or the events, of another type: nothing is read, no handover, no take-over": [
        "cluster/mailbox/test_malformed.py::test_a_control_mailbox_of_another_type_stops_nothing",
        "cluster/mailbox/test_malformed.py::test_events_of_another_type_hold_up_no_join_no_handover_and_no_take_over",
    ],
    "garbage in tries, pauses, a backlog or a feed: a script ends with an error of Lua, each time": [
        "contract/store/test_wrong_types.py::test_garbage_in_a_key_does_not_stop_a_script",
    ],
    "an entry with the last possible id: its mailbox takes nothing more, for ever": [
        "cluster/mailbox/test_malformed.py::test_a_mailbox_that_takes_nothing_more_is_mended_and_costs_its_own_senders_only",
    ],
    "nothing names a mailbox that takes nothing more": [
        "contract/cli/test_malformed_data.py::test_doctor_names_a_mailbox_whose_ids_are_used_up",
    ],
    "a malformed reply fails the call of somebody else": [
        "cluster/mailbox/test_malformed.py::test_a_malformed_reply_fails_nobodys_call"
    ],
    "an absurd time-out, or a method with a lone surrogate, hangs or fails the calls beside it": [
        "contract/client/test_what_is_sent.py::test_a_time_out_that_is_absurd_is_refused",
        "contract/client/test_what_is_sent.py::test_what_is_no_name_of_a_method_is_refused",
        "contract/client/test_what_is_sent.py::test_a_bad_call_fails_only_itself",
    ],
    "a hub id with a line break passes": ["contract/client/test_what_is_sent.py::test_a_name_ends_where_it_ends"],
    "what is no job, in RQ's queue or at the key of a job, ends the worker that takes it": [
        "contract/jobs/test_attacked_jobs.py::test_what_is_no_job_is_set_aside_and_the_next_one_runs",
    ],
    # -- what may be called and seen
    "the sealed result of a job is laid as its arguments, and run": [
        "contract/jobs/test_attacked_jobs.py::test_a_result_is_no_argument_and_a_meta_no_result",
    ],
    "an operator who cancels, retries or deletes a job unpickles its meta": [
        "contract/jobs/test_attacked_jobs.py::test_operators_unpickle_nothing",
    ],
    "anybody who can publish stops jobs and their workers": [
        "contract/jobs/test_attacked_jobs.py::test_a_stop_needs_a_proof_for_this_run_of_the_job",
    ],
    "the state of an earlier version does not fit an annotation that has changed, and upgrade_state is not asked": [
        "cluster/children/test_state_versions.py::*",
    ],
    "the client changes a state by a message of the kind state": [
        "cluster/mailbox/test_malformed.py::test_malformed_entries_between_good_ones_are_dead_letters_and_the_others_keep_their_order",
        "contract/store/test_permissions.py::test_a_client_neither_reads_nor_forges_states_and_messages",
    ],
    "function, mro, static and class methods and mixins are callable": [
        "unit/core/test_callable_methods.py::test_only_plain_functions_of_own_classes_are_callable",
        "unit/core/test_callable_methods.py::test_the_function_of_a_function_child_is_not_callable",
        "cluster/mailbox/test_malformed.py::test_what_is_no_method_is_not_run",
    ],
    "a class hides what Child needs, or has the name of another": [
        "unit/core/test_callable_methods.py::test_a_class_that_hides_what_child_needs_is_refused",
        "unit/core/test_callable_methods.py::test_two_classes_of_one_name_are_refused_and_the_same_one_again_is_not",
    ],
    "every role reads Redis's password by CONFIG GET; the rules for jobs reach the server and other hubs": [
        "contract/store/test_permissions.py::test_no_role_reaches_the_server_itself",
        "contract/store/test_permissions.py::test_no_role_reaches_another_hub",
        "contract/store/test_job_permissions.py::test_rqs_own_clients_and_workers_need_no_more_than_the_rules_for_jobs",
        "contract/store/test_job_permissions.py::test_no_user_reaches_a_job_or_a_worker_of_another_hub",
        "acceptance/test_acl.py::test_what_an_inspector_may_not_do",
    ],
    "a client wipes the hub, reads states, takes the replies of others, answers for others": [
        "contract/store/test_permissions.py::test_a_client_does_not_wipe_the_hub",
        "contract/store/test_permissions.py::test_a_client_neither_reads_nor_forges_states_and_messages",
        "contract/store/test_permissions.py::test_a_client_answers_nobody_and_finds_nobodys_name",
        "contract/store/test_permissions.py::test_a_clients_own_lua_can_do_no_more",
    ],
    "rules without use; users on Redis 6 and 7; a connection announces itself, which no rule allows": [
        "contract/store/test_permissions.py::test_each_right_of_a_client_is_used",
        "acceptance/test_acl.py::test_the_main_paths_under_restricted_users",
        "contract/store/test_permissions.py::test_a_connection_does_not_announce_itself",
    ],
    "an app in whose name no frame can be written fails the commits of a shard": [
        "cluster/children/test_attacks.py::test_an_app_that_calls_itself_something_absurd_stops_nobodys_commit",
        "unit/store/test_seal.py::test_a_reply_for_what_is_the_name_of_no_app_is_opened_by_no_app",
    ],
    "a password that was changed still opens the door": [
        "contract/store/test_permissions.py::test_the_line_of_a_user_takes_away_what_it_had_before",
    ],
    "a pickle runs code at whom only looks": [
        "unit/store/test_viewer.py::test_no_module_is_imported",
        "unit/store/test_viewer.py::test_an_object_is_shown_by_name_and_nothing_is_called",
    ],
    "with pickle, a message runs code in a worker, and RQ runs any function by its name": [
        "contract/jobs/test_data_jobs.py::test_no_function_runs_that_is_not_registered",
    ],
    "escapes of a terminal in names of methods and texts of errors": [
        "acceptance/test_escapes.py::test_no_command_prints_what_a_terminal_acts_on"
    ],
    "errors, arguments of processes and crashes print the password of the URL": [
        "unit/store/test_urls.py::test_what_is_wrong_is_said_without_the_password",
        "acceptance/test_passwords.py::test_worker_processes_are_not_given_the_url_as_an_argument",
        "acceptance/test_passwords.py::test_a_crash_shows_no_variables",
    ],
    "TLS takes any certificate": ["unit/store/test_urls.py::test_tls_compares_the_host_name"],
    "unfinished requests exhaust the port of metrics": [
        "acceptance/test_metrics.py::test_connections_that_say_nothing_hold_nobody_up",
        "acceptance/test_metrics.py::test_a_connection_that_says_nothing_is_closed",
    ],
    "the compose file publishes Redis; pods and units have rights that they do not need": [
        "unit/repository/test_deploy_files.py::test_compose_publishes_nothing_and_gives_no_rights",
        "acceptance/test_deploy.py::test_a_pod_has_no_right_that_it_does_not_need",
        "unit/repository/test_deploy_files.py::test_the_unit_has_no_right_that_it_does_not_need",
    ],
    "with codec=data, options of RQ in a user's JSON name a function that runs": [
        "contract/jobs/test_data_jobs.py::*",
    ],
    # -- around it
    "one primary of several is away: no worker can be started": [
        "cluster/groups/test_joining.py::test_a_group_whose_primary_is_away_is_joined_when_it_is_back",
        "cluster/slots/test_joining.py::test_the_groups_of_a_frozen_primary_are_joined_when_it_goes_on",
        "acceptance/test_primary_away.py::test_a_worker_starts_and_joins_the_rest_later",
    ],
    "the default lease and the default time-out of a call leave 0.1 s for a take-over": [
        "cluster/membership/test_take_over.py::test_a_call_with_the_default_time_out_is_answered_after_a_crash_with_the_default_lease",
    ],
    "parked children, failures and backlog are not counted in top, nodes and doctor": [
        "unit/cli/test_top_view.py::test_what_is_wrong_is_counted_and_named",
        "unit/cli/test_diagnosis.py::test_what_is_wrong_is_found",
        "acceptance/test_readiness.py::test_so_many_children_may_be_unable_to_start",
    ],
    "one parked child is eleven lines of hubq ps, and 50 of one cause are 50 lines of the log": [
        "unit/cli/test_listings.py::test_a_parked_child_is_two_lines_at_most",
        "unit/cli/test_listings.py::test_children_with_one_reason_are_one_row",
        "unit/node/runtime/test_gathered_log.py::*",
    ],
    "job processes log nothing when a job runs": ["cluster/jobs/test_job_logs.py::*"],
    "a class in __main__ is answered with: deploy the code": [
        "unit/core/test_main_module.py::test_a_class_of_main_is_refused_and_it_is_said_what_to_do",
    ],
    "a failover counts as a slot that has moved: messages are handled twice": [
        "unit/store/test_who_answers_at_random.py::test_what_was_decided_on_before_another_redis_was_known_does_not_reach_it",
        "unit/store/test_who_answers.py::test_whom_another_connection_has_found_meanwhile_is_asked_too",
        "unit/store/test_who_answers.py::test_one_that_does_not_say_who_has_the_slot_is_not_believed",
        "unit/store/test_who_answers.py::test_the_one_that_got_the_slot_may_have_been_taken_over_from",
        "unit/store/test_who_answers.py::test_a_slot_has_not_moved_to_whom_the_one_before_does_not_name",
        "unit/store/test_histories.py::test_who_goes_on_with_any_history_that_memory_is_of_may_lack_writes",
    ],
    "a script of somebody else runs for long, and a failover is not noticed": [
        "unit/store/test_who_answers.py::test_one_that_does_not_say_who_it_is_is_sent_nothing"
    ],
    "a slot that comes back to a former primary is reached by nobody": [
        "unit/store/test_who_answers.py::test_a_slot_may_move_to_one_whose_history_it_came_from"
    ],
    "under Django, a worker ends with ImproperlyConfigured": ["acceptance/test_django.py::*"],
    "one child blocks its loop for 12 s, again and again: calls fail, and nothing names it": [
        "acceptance/test_benchmarks.py::test_a_child_that_blocks_its_loop_costs_nobody_a_call_or_the_lease_and_is_named",
    ],
    "what is sent to a child that has a dash in front is help": ["acceptance/test_cli.py::*"],
    "pip install hubq breaks every pytest": [
        "acceptance/test_in_other_peoples_tests.py::test_pip_install_hubq_breaks_nobodys_pytest",
        "unit/testing/test_plugin.py::test_pytest_runs_where_fakeredis_is_not_installed_and_says_what_a_test_lacks",
    ],
    "the wheel installs a package workers": [
        "unit/repository/test_distribution.py::test_the_wheel_installs_hubq_and_no_other_package"
    ],
    "a worker that can build no child is ready": [
        "acceptance/test_readiness.py::test_a_version_that_cannot_build_its_children_is_not_ready",
        "cluster/planning/test_parked.py::test_a_node_that_cannot_build_what_comes_to_it_is_not_ready",
    ],
    "a wrong HUBQ_REDIS_URL is a traceback in every command": [
        "acceptance/test_passwords.py::test_a_wrong_url_is_one_line_without_its_password",
        "acceptance/test_passwords.py::test_what_needs_no_redis_goes_on_with_a_wrong_url_and_all_else_says_so",
    ],
    "a function that no worker can import is enqueued": [
        "contract/jobs/test_jobs.py::test_functions_that_no_worker_could_import_are_refused"
    ],
    "a fork inside the first connection of another thread": [
        "contract/client/test_sync_client.py::test_a_fork_inside_the_first_connection_of_another_thread_leaves_the_hub_usable",
    ],
    "a job process outlives its node and its Redis": [
        "acceptance/test_job_processes_end.py::test_no_job_process_outlives_its_node_when_redis_goes_with_it"
    ],
    "Redis is out of memory, and says so in another way on 6.2": [
        "contract/store/test_refusals.py::test_out_of_memory_is_said_and_survived"
    ],
}


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_case_has_the_tests_that_are_named(case: str) -> None:
    for named in CASES[case]:
        file, _, name = named.partition("::")
        assert names_in(file) if name == "*" else name in names_in(file), f"no test {named}"
