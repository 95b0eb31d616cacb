"""Jobs by their id: status, result and end of resumable ones, progress of all."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_child
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.call_options import checked_timeout
from hubq.client.operations.calls import send
from hubq.core.progress import Progress, read_progress
from hubq.errors import CallTimeout, JobFailed, NoSuchJob, UnknownChild
from hubq.store.command import plain
from hubq.store.keys import owner_field
from hubq.store.owners import Owner
from hubq.store.progress import told_by
from hubq.store.registry import read_some_specs
from hubq.store.results import read_result

#: The longest single wait in Redis, seconds: shorter than what a connection waits for an answer.
SLICE = 1.0


@of_child
def status_of(hub: HubContext, job_id: str) -> Operation[str]:
    """``queued``, ``started``, ``finished``, ``failed`` or ``canceled``."""
    shard = hub.shard_of(job_id)
    there, line, kept = yield Fetch(
        [
            plain("HEXISTS", hub.keys.children(shard), job_id, read=int),
            plain("HGET", hub.keys.owners, owner_field(shard), read=lambda found: found),
            read_result(hub.keys, job_id),
        ]
    )
    if kept is not None:
        return str(kept.status)
    if not there:
        raise no_such_job(hub, job_id)
    return "started" if Owner.of(line).node != "-" else "queued"


@of_child
def result_of(hub: HubContext, job_id: str, timeout: float) -> Operation[Any]:
    """Wait for the result; the value, or the error."""
    left = checked_timeout(timeout)
    while True:
        wait = min(left, SLICE)
        (kept,) = yield Fetch([read_result(hub.keys, job_id, max(1, math.ceil(wait * 1000)))])
        if kept is not None:
            return _value(hub, job_id, kept.status, kept.payload)
        left -= wait
        if left <= 0:
            status = yield from status_of(hub, job_id)
            raise CallTimeout(f"job {job_id} has not ended within {timeout:g} s; it is {status}")
        yield from status_of(hub, job_id)  # raises if there is nothing to wait for


def _value(hub: HubContext, job_id: str, status: str, payload: bytes) -> Any:
    if hub.seal is not None:
        payload = hub.seal.opens_any(payload, "result", job_id, status)[1]
    if status == "finished":
        return hub.values.decode(payload)
    error = msgspec.json.decode(payload)
    said = (
        f"job {job_id} {status}: {error['type']}: {error['message']}" if error["type"] else f"job {job_id} was canceled"
    )
    raise JobFailed(said, status=status, remote_type=error["type"], remote_traceback=error.get("traceback", ""))


@of_child
def progress_of_child(hub: HubContext, job_id: str) -> Operation[Progress | None]:
    """What a resumable job has told of its progress. None: nothing.

    Raises :class:`~hubq.errors.NoSuchJob`.
    """
    shard = hub.shard_of(job_id)
    specs, line, kept = yield Fetch(
        [
            read_some_specs(hub.keys, shard, [job_id]),
            plain("HGET", hub.keys.progress(shard), job_id, read=lambda found: found),
            read_result(hub.keys, job_id),
        ]
    )
    if kept is not None:
        return read_progress(kept.about.progress.encode())
    if job_id not in specs:
        raise no_such_job(hub, job_id)
    return told_by(line, specs[job_id].start_id)


def no_such_job(hub: HubContext, job_id: str) -> NoSuchJob:
    """The error for a job that is not known."""
    return NoSuchJob(f"no job {job_id!r} in hub {hub.keys.hub_id!r}: it never was, or its result is kept no more")


@of_child
def cancel_of(hub: HubContext, job_id: str) -> Operation[bool]:
    """Ask for the end of a job. False: it has ended already."""
    try:
        yield from send(hub, job_id, "cancel", hub.values.encode_arguments((), {}, job_id), timeout=0, reply=False)
    except UnknownChild:
        yield from status_of(hub, job_id)
        return False
    return True
