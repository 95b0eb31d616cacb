"""Waits for what other processes do: by events of the system, of Redis and of the hub, not by asking again and again."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from rq.job import Job, JobStatus

from hubq import Hub

T = TypeVar("T")


def alive(pid: int) -> bool:
    """Whether a process runs. (A zombie does not.)"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int, within: float) -> bool:
    """Wait for the end of a process, of whomever it is a child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(within * 1000))
    finally:
        os.close(handle)


def wait_until_gone(pids: Iterable[int], within: float) -> None:
    """Wait for the end of all; those that do not end in time are killed, and the test fails."""
    until = time.monotonic() + within
    late = [pid for pid in pids if not ends(pid, max(0.0, until - time.monotonic()))]
    for pid in late:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not late, f"not ended within {within:g} s: {late}"


def ended(job: Job, within: float = 20.0) -> JobStatus:
    """Wait until a job has ended. RQ adds to the stream of its results each time that it has run."""
    until, last = time.monotonic() + within, "0-0"
    while (status := job.get_status()) not in (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED):
        left = until - time.monotonic()
        assert left > 0, f"job {job.id} has not ended within {within:g} s: it is {status}"
        # (At most a second: a job that was taken back has no result of its end.)
        told: Any = job.connection.xread({f"rq:results:{job.id}": last}, block=int(min(left, 1.0) * 1000) or 1)
        last = told[0][1][-1][0] if told else last
    return status


def until(hub: Hub, condition: Callable[[], T], what: str, within: float = 30.0) -> T:
    """Wait until something holds that the hub's events lead to: it is looked at when there are new ones."""
    give_up = time.monotonic() + within
    last, _ = hub.inspect.events(0)
    following = hub.inspect.follow(last, wait=1.0)
    while not (found := condition()):
        assert time.monotonic() < give_up, f"not within {within:g} s: {what}"
        next(following)
    return found


def soon(condition: Callable[[], T], what: str, within: float = 20.0) -> T:
    """Wait for what nothing tells of: what the functions of jobs write into Redis by themselves.

    Raises :class:`AssertionError` that says what was waited for.
    """
    give_up = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < give_up, f"not within {within:g} s: {what}"
        time.sleep(0.01)
    return found
