"""The jobs, the same for all: one that does nothing, and one that answers. Runs in a peer's environment."""

from __future__ import annotations

import itertools
import json
import os
import time

from redis import Redis

URL = os.environ["PEER_REDIS"]
#: After so many jobs the worker tells when it had the first and the last.
JOBS = int(os.environ.get("PEER_JOBS", "1000"))
DONE, REPLY = "peer:done", "peer:reply"

redis = Redis.from_url(URL)
_numbers = itertools.count(1)
_first = 0.0


def handle() -> None:
    """Do nothing, but count."""
    global _first
    number = next(_numbers)
    if number == 1:
        _first = time.perf_counter()
    if number == JOBS:
        redis.rpush(DONE, json.dumps({"seconds": time.perf_counter() - _first}))


def reply() -> None:
    """Answer whoever waits."""
    redis.rpush(REPLY, 1)
