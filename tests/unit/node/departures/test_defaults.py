"""Defaults that depend on each other leave room between them."""

from __future__ import annotations

import inspect

from hubq import Hub
from hubq.cli.deploy import Times
from hubq.client.aio import AsyncHub
from hubq.client.operations.call_options import CallOptions
from hubq.config import CALL_TIMEOUT, CHANGE_TIMEOUT, Config
from hubq.node.departures.stragglers import RETRY
from hubq.strategies.migration.protocol import MigrationTraits

MOVES = MigrationTraits()


def default(function: object) -> float:
    value = inspect.signature(function).parameters["timeout"].default  # type: ignore[arg-type]
    assert isinstance(value, float)
    return value


def test_a_call_outlasts_a_take_over_and_a_straggler() -> None:
    assert Config().lease + 4.0 <= CALL_TIMEOUT, "the lease ends, the shard is taken in, the handler runs"
    assert MOVES.retention + MOVES.handover_data_wait < CALL_TIMEOUT, (
        "a busy child is undone, and moves with its message"
    )
    assert CallOptions().timeout == CALL_TIMEOUT


def test_who_asks_for_a_change_waits_until_its_outcome_is_known() -> None:
    assert MOVES.child_migration_timeout < CHANGE_TIMEOUT
    assert Config().lease < CHANGE_TIMEOUT
    changes = [each for hub in (Hub, AsyncHub) for each in (hub.start_children, hub.stop_children, hub.move)]
    assert {default(change) for change in changes} == {CHANGE_TIMEOUT}


def test_a_drain_outlasts_a_handover_and_a_supervisor_outlasts_a_drain() -> None:
    times = Times.of(Hub("chat"))
    assert times.drain > MOVES.retention + MOVES.handover_data_wait + MOVES.child_migration_timeout
    assert times.grace > times.drain
    assert Config().batch_lease >= CHANGE_TIMEOUT, "an all-or-nothing start is not undone while its caller waits"
    assert MOVES.child_migration_timeout < RETRY, "an offer is answered before the next one"
