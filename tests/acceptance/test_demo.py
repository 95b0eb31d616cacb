"""The demo is the promise: real workers join, drain and die, and the count is exact."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hubq.cli.demo_feed import Ledger
from hubq.cli.demo_report import compare

KEYS = {
    "exact",
    "words",
    "messages",
    "lost",
    "duplicated",
    "failed_calls",
    "migrations",
    "pause_ms_p99",
    "pause_ms_max",
    "takeover_s",
    "seconds",
}

pytestmark = pytest.mark.long


@pytest.mark.acceptance
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "options",
    [[], ["--primaries", "3", "--buckets", "32"]],  # 3: a Redis Cluster, whose slot moves and which fails over
    ids=["as make demo", "on a cluster"],
)
def test_the_demo_counts_exactly_through_join_drain_and_kill(options: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HUBQ_REDIS_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "hubq", "demo", "--json", *options],
        capture_output=True,
        text=True,
        timeout=170,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report) == KEYS
    assert report["exact"] is True
    assert (report["lost"], report["duplicated"], report["failed_calls"]) == (0, 0, 0)
    assert report["words"] > 1_000_000
    assert report["migrations"] > 0
    assert report["takeover_s"] is not None
    assert report["takeover_s"] < 15


def test_the_ledgers_tell_what_was_lost_and_what_was_applied_twice() -> None:
    ledger = Ledger(0, messages=5, calls=5, failed=0, accepted={0: "7", 1: "3"}, errors=[], slowest_ms=1.0)
    good = {0: ({"a": 3}, {0: 0b111}, 0), 1: ({"b": 2}, {0: 0b11}, 0)}
    assert compare([ledger], good) == (0, 0)
    assert compare([ledger], {**good, 0: ({"a": 1}, {0: 0b001}, 0)}) == (2, 0)
    assert compare([ledger], {**good, 1: ({}, {}, 0)}) == (2, 0)
    assert compare([ledger], {**good, 1: ({"b": 5}, {0: 0b11}, 3)}) == (0, 3)
