"""The app of the job tests: functions that write down, in a list of the test's Redis, what they did."""

import asyncio
import os
import signal
import time
from typing import Any

import redis

from hubq import Hub, current_hub

hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=2.0, lease_margin=0.5)


def note(*words: object) -> None:
    client = redis.Redis.from_url(os.environ["HUBQ_REDIS_URL"])
    client.rpush(f"notes:{hub.hub_id}", " ".join(str(word) for word in words))
    client.close()


@hub.job(result_ttl=60)
def add(a: int, b: int) -> int:
    return a + b


def slow(name: str, seconds: float) -> str:
    note("begin", name, os.getpid())
    time.sleep(seconds)
    note("end", name)
    return name


def where_am_i() -> str:
    return current_hub().hub_id


def fails() -> None:
    raise ValueError("not today")


def keyed(key: str, number: int) -> None:
    note("begin", key, number, os.environ.get("HUBQ_TEST_NODE", "-"), os.getpid())
    time.sleep(0.01)
    note("end", key, number)


@hub.job(resumable=True, result_ttl=300)
async def count(ctx: Any, seconds: float, every: float = 0.1) -> list[int]:
    """Count in memory: no commit, nothing written anywhere but for the test's own notes."""
    counted = ctx.state.setdefault("counted", [])
    while len(counted) < round(seconds / every):
        await asyncio.sleep(every)
        number = len(counted)
        counted.append(number)
        # It is counted, so it is noted, whenever the job is interrupted (and what is noted twice was counted twice).
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, note, number))
    return counted


if "HUBQ_TEST_CRON" in os.environ:
    hub.cron("* * * * * *", note, "tick", name=f"cron-{hub.hub_id}")


def kill_the_worker() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(30)
