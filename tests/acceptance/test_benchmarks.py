"""The programs that measure run, and say what they measured. (How fast anything was is not tested.)"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from benchmarks.primaries import SETTINGS, TURNS
from hubq.store.connection import RedisServer

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [pytest.mark.acceptance, pytest.mark.long]


def test_the_benchmarks_run(tmp_path: Path, real_server: RedisServer) -> None:
    results = tmp_path / "results.json"
    parts = "messages,starts,migration,memory"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--tiny", "--only", parts, "--results", str(results)],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rounds = json.loads(results.read_text())["rounds"]
    assert set(rounds) == set(parts.split(","))
    assert set(rounds["messages"]) == {"hubq", "bare loop", "socket loop"}
    for figures in (figures for every in rounds["messages"].values() for figures in every):
        assert 0 < figures["busy_casts_per_s"] <= figures["casts_per_s"]  # half, or as much as went out in time
    (moved,) = rounds["migration"]["20 of 200 B"]
    assert moved["failed_calls"] == moved["wrong_states"] == 0


def test_a_hub_on_several_primaries_is_measured_against_one(tmp_path: Path, real_server: RedisServer) -> None:
    results = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--tiny", "--only", "primaries", "--results", str(results)],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    every = json.loads(results.read_text())["rounds"]["primaries"]
    assert set(every) == set(SETTINGS)
    for setting, turns in every.items():
        assert len(turns) == TURNS
        for found in turns:
            # (The worker has nothing to do with a bare script.)
            assert min(spent for what, spent in found.items() if what != "bare_worker_us") > 0, (setting, found)
            # Messages have gone to all primaries, evenly but for the children's hashes and what else a turn has.
            even = found["cast_redis_us"] / SETTINGS[setting].primaries
            assert even <= found["cast_busiest_us"] * 1.001, setting
    assert "times that of 1 primary" in done.stdout


def test_a_part_that_takes_too_long_is_named_and_the_others_are_measured(
    tmp_path: Path, real_server: RedisServer
) -> None:
    results = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--tiny", "--only", "messages,starts", "--results", str(results),
         "--limit", "0.005"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    late = [
        f"round 1 of 1: {what}: not done within 0.005 s"
        for what in ("messages, hubq", "messages, socket loop", "messages, bare loop", "starts, hubq")
    ]
    assert json.loads(results.read_text())["late"] == late
    assert [line for line in done.stderr.splitlines() if "not done" in line] == late


def test_a_child_that_blocks_its_loop_costs_nobody_a_call_or_the_lease_and_is_named(real_server: RedisServer) -> None:
    """As two minutes with the default lease are: the loop is blocked for longer than the lease, again and again."""
    sizes = ["--lease", "1.5", "--block", "5", "--every", "6", "--seconds", "14", "--children", "40", "--rate", "60"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.blocked_loop", *sizes],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "3 times blocked for 5 s" in done.stdout
    assert "evictions 0, failed calls 0 (time-out 20 s)" in done.stdout
    assert "culprit.block is named in: top, doctor, the log" in done.stdout


def test_the_processes_of_one_command_are_measured(real_server: RedisServer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker_processes", "--tiny", "--rounds", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[2:]][:2] == ["Idle, 1", "Idle, 2"]
    assert lines[2].endswith(" 1"), "one process is once itself"


def test_hubq_bench_measures_and_leaves_nothing_behind(real_server: RedisServer) -> None:
    with Redis.from_url(real_server.url) as redis:
        before = set(redis.keys())
        done = subprocess.run(
            [sys.executable, "-m", "hubq", "bench", "--redis", real_server.url, "--json",
             "--children", "50", "--casts", "500", "--calls", "20"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert all(value > 0 for value in found.values()), found
        assert set(redis.keys()) <= before
