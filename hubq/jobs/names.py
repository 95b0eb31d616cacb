"""The names by which jobs are known in Redis. Imports nothing, so that a name can be known without importing rq."""

from __future__ import annotations

#: The id of the child that is the clock.
CLOCK = "hubq-clock"
#: Before the key in the id of the child of a key.
PREFIX = "job:"
#: The method of that child which is sent a job.
RUN_JOB = "run_job"
#: The metadata of a resumable job's child has this key: `hubq jobs` knows it by that.
MARK = ("job", "resumable")


def queue_name(hub_id: str) -> str:
    """The RQ queue of a hub.

    >>> queue_name("chat")
    'hubq-chat'
    """
    return f"hubq-{hub_id}"


def put_mark(hub_id: str, shard: int) -> str:
    """The key, beside RQ's own, that has the entry of the last job of a shard that was put into RQ and is perhaps not deleted yet.

    >>> put_mark("chat", 3)
    'rq:hubq:chat:3:put'
    """
    return f"rq:hubq:{hub_id}:{shard}:put"


def clock_queue_name(hub_id: str) -> str:
    """The RQ queue of jobs that the clock itself runs.

    >>> clock_queue_name("chat")
    'hubq-chat-clock'
    """
    return f"{queue_name(hub_id)}-clock"
