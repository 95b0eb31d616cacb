"""The programs that measure run, and say what they measured. (How fast anything was is not tested.)"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from hubq.store.connection import RedisServer

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.acceptance


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
    assert set(rounds["messages"]) == {"hubq", "bare loop"}
    (moved,) = rounds["migration"]["20 of 200 B"]
    assert moved["failed_calls"] == moved["wrong_states"] == 0


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
