"""What users of Redis must be allowed for jobs (``hubq acl --jobs``).

RQ's keys are of all hubs and queues of a Redis. The names in them are made of the name of the hub (:mod:`hubq.core.job_names`). So
a user can be given those of one hub alone: a user of another hub reaches neither its jobs nor its workers. What remains common are a few
lists of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from hubq.core.job_names import clock_queue_name, id_prefix, name_in_rq, queue_name
from hubq.store.rules import allowed, key_names, selector


class Jobs(StrEnum):
    """The jobs that the users of a hub reach."""

    NONE = ""
    OWN = "own"
    """Those of the hub: what hubq itself takes."""
    ALL = "all"
    """Those of all hubs and queues of this Redis: what any client of RQ takes."""


#: RQ's keys, and its channels.
RQ_KEYS, RQ_CHANNELS = "rq:*", "&rq:pubsub:*"

#: What looking at jobs takes.
JOB_READS = (
    "exists", "get", "hexists", "hget", "hgetall", "hmget", "llen", "lpos", "lrange", "scard", "sismember", "smembers",
    "ttl", "xlen", "xrange", "xread", "xrevrange", "zcard", "zcount", "zrange", "zrangebyscore", "zrevrange", "zscore",
)  # fmt: skip
#: What enqueuing, waiting for and canceling jobs takes besides.
JOB_WRITES = (
    "del", "evalsha", "expire", "hdel", "hset", "hsetnx", "lpop", "lpush", "lrem", "persist", "rpush", "sadd", "set", "srem",
    "unlink", "watch", "xadd", "zadd", "zpopmin", "zrem", "zremrangebyscore",
)  # fmt: skip
#: What running jobs takes besides.
JOB_WORK = (
    "blmove", "blpop", "hincrby", "hincrbyfloat", "lmove", "pexpire", "rename", "zremrangebyrank",
)  # fmt: skip
#: What each takes without a key.
JOB_LOOK_PLAIN = ("multi", "exec", "discard", "unwatch")
JOB_PLAIN = (*JOB_LOOK_PLAIN, "info", "time", "script|load", "script|exists")
JOB_WORK_PLAIN = ("client|info", "client|setname", "publish", "subscribe", "unsubscribe")

#: RQ's registries of a queue.
REGISTRIES = ("wip", "finished", "failed", "deferred", "ready", "scheduled", "canceled")
#: RQ's keys of a job.
OF_JOBS = ("job:", "job::", "results:", "executions:", "execution:")
#: RQ's keys of workers, schedulers and cron entries, which only workers of the hub write.
OF_WORKERS = ("worker:", "scheduler:", "cron_scheduler:", "cron_job:")

#: Lists of names, which all who use RQ have in common: of queues; of workers, schedulers and cron entries.
QUEUES = "rq:queues"
WORKERS = ("rq:workers", "rq:cron_schedulers", "rq:cron_jobs")
#: What a worker does with them.
NAMES_READ = ("exists", "smembers", "zrange", "zscore")
NAMES_WRITTEN = ("sadd", "srem", "zadd", "zrem", "zremrangebyscore")
#: What RQ's maintenance looks for: whether work is suspended; rate limits; groups, for which it takes a lock.
LOOKED_FOR = ("rq:suspended", "rq:rl-keys", "rq:groups")
GROUPS_LOCK = "rq:clean_groups"


def job_rules(hub_id: str, role: str, jobs: Jobs) -> list[str]:
    """The rules of a role for jobs, on Redis 7.

    >>> job_rules("chat", "inspector", Jobs.ALL)[-1][:20], job_rules("chat", "worker", Jobs.NONE)
    ('(%R~rq:* +exists +get', [])
    """
    if jobs is Jobs.NONE:
        return []
    plain = {"inspector": (JOB_LOOK_PLAIN,), "client": (JOB_PLAIN,), "worker": (JOB_PLAIN, JOB_WORK_PLAIN)}[role]
    keys = _of_all(role) if jobs is Jobs.ALL else _of_hub(hub_id, role)
    return [*(_channels(hub_id, jobs) if role == "worker" else []), *allowed(*plain), *keys]


def job_rules_of_redis6(hub_id: str, role: str, jobs: Jobs) -> tuple[list[str], list[str]]:
    """The same without selectors: patterns of keys and channels, and the commands on all of them."""
    if jobs is Jobs.NONE:
        return [], []
    if jobs is Jobs.ALL:
        names = [RQ_KEYS]
    else:
        names = [*_keys_of_jobs(hub_id), *_keys_of_workers(hub_id), QUEUES, *WORKERS, *LOOKED_FOR, GROUPS_LOCK]
    if role == "inspector":
        return key_names(names), [*JOB_LOOK_PLAIN, *JOB_READS]
    return [*key_names(names), *_channels(hub_id, jobs)], [
        *JOB_READS, *JOB_WRITES, *JOB_WORK, *JOB_PLAIN, *JOB_WORK_PLAIN
    ]  # fmt: skip


def _channels(hub_id: str, jobs: Jobs) -> list[str]:
    return [RQ_CHANNELS if jobs is Jobs.ALL else f"&rq:pubsub:{name_in_rq(hub_id, '*')}"]


def _of_all(role: str) -> list[str]:
    if role == "inspector":
        return [selector(key_names([RQ_KEYS], read_only=True), JOB_READS)]
    return [selector(key_names([RQ_KEYS]), JOB_READS, JOB_WRITES, JOB_WORK if role == "worker" else ())]


def _of_hub(hub_id: str, role: str) -> list[str]:
    jobs, workers = _keys_of_jobs(hub_id), _keys_of_workers(hub_id)
    if role == "inspector":
        return [selector(key_names([*jobs, *workers, QUEUES, *WORKERS], read_only=True), JOB_READS)]
    # (A script of RQ's names the list of queues among its keys. Redis asks anew for each command within it.)
    queues = [selector(key_names([*jobs, QUEUES]), ("evalsha",)), selector(key_names([QUEUES]), ("sadd", "smembers"))]
    if role == "client":
        return [
            selector(key_names(jobs), JOB_READS, JOB_WRITES),
            selector(key_names(workers, read_only=True), JOB_READS),
            *queues,
        ]
    return [
        selector(key_names([*jobs, *workers]), JOB_READS, JOB_WRITES, JOB_WORK),
        *queues,
        selector(key_names([QUEUES, *WORKERS]), NAMES_READ, NAMES_WRITTEN),
        selector(key_names(LOOKED_FOR, read_only=True), NAMES_READ),
        selector(key_names([GROUPS_LOCK]), ("set",)),
    ]


def _keys_of_jobs(hub_id: str) -> list[str]:
    queues = (queue_name(hub_id), clock_queue_name(hub_id))
    of_queues = (
        (f"queue:{name}", f"queue:{name}:*", *(f"{each}:{name}" for each in REGISTRIES), f"clean_registries:{name}",
         f"workers:{name}", f"scheduler-lock:{name}")
        for name in queues
    )  # fmt: skip
    return [
        *(f"rq:{each}{id_prefix(hub_id)}*" for each in OF_JOBS),
        *(f"rq:{each}" for names in of_queues for each in names),
        f"rq:hubq:{hub_id}:*",
    ]


def _keys_of_workers(hub_id: str) -> Sequence[str]:
    return [f"rq:{each}{name_in_rq(hub_id, '*')}" for each in OF_WORKERS]
