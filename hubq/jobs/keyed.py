"""Jobs with a key: those of one key run one at a time and in order, each through RQ's own machinery.

A key is a child, ``job:<key>``, and its mailbox is the key's queue: order, one at a time, and moving with the shard are what
children do anyway. The message is the id of an RQ job. What the child does with it is
:func:`hubq.jobs.keyed_work.perform`, in a process of its own (:mod:`hubq.jobs.keyed_runner`).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rq.job import Job

from hubq.core.child import Child
from hubq.errors import AlreadyStarted, InvalidJob, UnknownChild
from hubq.jobs.checks import checked_key
from hubq.jobs.keyed_runner import runner_of
from hubq.jobs.keyed_work import KeyedQueue
from hubq.jobs.names import PREFIX, RUN_JOB
from hubq.store.scripts import SCRIPTS

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: Options that mean nothing for a job of a key, or break its order.
CONTRADICT = ("depends_on", "at_front", "repeat", "rate_limit", "pipeline")


class HubqKeyedJobs(Child):
    """The jobs of one key."""

    async def run_job(self, job_id: str) -> None:
        """Run a job to its end, retries and all."""
        await runner_of(self.node_name).run(job_id)


def enqueue_keyed(
    hub: Hub, queue: KeyedQueue, key: object, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Job:
    """Keep the job, then send its id to the child of its key (which is started if there is none)."""
    name = checked_key(key)
    for option in CONTRADICT:
        if kwargs.get(option):
            raise InvalidJob(f"key={key!r} and {option}={kwargs[option]!r} contradict each other: leave one out")
    job = queue.enqueue(function, *args, **kwargs)
    try:
        deliver(hub, name, job.id)
    except BaseException:
        with contextlib.suppress(Exception):
            job.delete(remove_from_queue=False)
        raise
    if job.ttl is None:
        queue.connection.register_script(SCRIPTS["keep_job"].text)(keys=[job.key])
    return job


def deliver(hub: Hub, key: str, job_id: str) -> None:
    """Put a job into the mailbox of its key."""
    child = PREFIX + key
    try:
        hub.ref(child).cast(RUN_JOB, job_id)
    except UnknownChild:
        with contextlib.suppress(AlreadyStarted):
            hub.start_child(child, HubqKeyedJobs, metadata={"key": key})
        hub.ref(child).cast(RUN_JOB, job_id)
