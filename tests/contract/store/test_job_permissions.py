"""The users of ``hubq acl --jobs`` and ``--all-jobs``: what they need, and the wall between the jobs of two hubs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextvars import copy_context
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import NoPermissionError
from rq import Queue, Repeat, Retry, SimpleWorker
from rq import Worker as RqWorker
from rq.command import send_shutdown_command
from rq.job import JobStatus

from hubq import Hub
from hubq.client.current import set_current_hub
from hubq.client.faces.jobs import Prepared
from hubq.core.job_names import id_prefix, name_in_rq
from hubq.errors import RedisRefused
from hubq.jobs.clock import Wheels
from hubq.jobs.hub_job import HubJob
from hubq.jobs.hub_queue import HubQueue
from hubq.jobs.overview import of_queues
from hubq.jobs.work import HubWorker
from hubq.store.connection import RedisServer
from hubq.store.job_permissions import GROUPS_LOCK, QUEUES, WORKERS, Jobs
from hubq.store.keys import Keys
from hubq.store.permissions import ROLES

from .acl_users import Users, refused


def refusals(users: Users) -> list[dict[bytes, Any]]:
    return [dict(zip(each[::2], each[1::2], strict=True)) for each in users.run_as_admin("ACL", "LOG")]


def rq_connection(users: Users, role: str, jobs: Jobs, keys: Keys | None = None) -> Any:
    """As the job processes of hubq have it, with redis-py's answers."""
    users.of(role, jobs=jobs, keys=keys)
    return RedisServer(users.url_of(role, jobs=jobs, keys=keys)).sync_client(5.0)


def hub_of(users: Users, role: str, jobs: Jobs = Jobs.OWN, keys: Keys | None = None, **settings: Any) -> Hub:
    users.of(role, jobs=jobs, keys=keys)
    hub_id = (keys or users.keys).hub_id
    return Hub(hub_id, redis=users.url_of(role, jobs=jobs, keys=keys), shards=1, **settings)


class InThisProcess(HubWorker):
    """hubq's worker, without a process for each job."""

    def execute_job(self, job: Any, queue: Any) -> None:
        self.perform_job(job, queue, self.prepare_execution(job))


def work(hub: Hub, name: str = "a.1") -> HubWorker:
    """Be a job process of a hub until its queue is empty, with all that RQ's maintenance does."""
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    queue = hub.rq_queue
    its = HubQueue(queue.name, connection=queue.connection, job_class=HubJob, serializer=queue.serializer)
    worker = InThisProcess(
        [its], name=name_in_rq(hub.hub_id, name), connection=queue.connection, serializer=queue.serializer
    )

    def run() -> None:
        set_current_hub(hub)
        worker.work(burst=True, logging_level="CRITICAL")
        worker.run_maintenance_tasks()

    try:
        copy_context().run(run)  # (tests that come later have no current hub)
    finally:
        for number, handler in handlers:  # RQ leaves its own behind
            signal.signal(number, handler)
    return worker


# -- all jobs of a Redis -----------------------------------------------------------------------------------------------


def test_rqs_own_clients_and_workers_need_no_more_than_the_rules_for_jobs(users: Users) -> None:
    users.run_as_admin("FLUSHALL")
    clients, workers = (rq_connection(users, role, Jobs.ALL) for role in ("client", "worker"))
    users.run_as_admin("ACL", "LOG", "RESET")
    queue = Queue("hubq-x", connection=clients)
    first = queue.enqueue(
        "os.getcwd", meta={"a": 1}, retry=Retry(2), job_id="first", result_ttl=60, ttl=60, unique=True
    )
    after = queue.enqueue("os.path.join", "a", "b", depends_on=first, at_front=True, repeat=Repeat(1))
    failing = queue.enqueue("os.listdir", "/no such directory", failure_ttl=60, retry=Retry(1))
    late = queue.enqueue_in(timedelta(seconds=600), "os.getcwd")
    many = queue.enqueue_many([Queue.prepare_data("os.getpid"), Queue.prepare_data("os.getppid")])
    canceled = queue.enqueue("os.getcwd")
    canceled.cancel()
    for _ in range(2):
        SimpleWorker([queue], connection=workers).work(burst=True, with_scheduler=False)
    assert first.latest_result().return_value == os.getcwd() and after.latest_result().return_value == "a/b"
    assert [job.get_status(refresh=True) for job in (*many, failing, canceled, late)] == [
        "finished", "finished", "failed", "canceled", "scheduled",
    ]  # fmt: skip
    failing.requeue()
    first.refresh()
    first.meta["b"] = 2
    first.save_meta()
    late.delete()
    assert queue.jobs and queue.get_job_ids() and queue.count and Queue.all(connection=clients)
    assert RqWorker.all(connection=clients) == []
    queue.empty()
    assert refusals(users) == []


# -- those of one hub --------------------------------------------------------------------------------------------------


def nothing() -> str:
    return "done"


def fails() -> None:
    raise ValueError("no")


def test_hubqs_own_jobs_need_no_more_than_the_rules_for_them(users: Users) -> None:
    users.run_as_admin("FLUSHALL")
    web, node = hub_of(users, "client"), hub_of(users, "worker")
    users.run_as_admin("ACL", "LOG", "RESET")
    first = web.enqueue(nothing, meta={"a": 1}, retry=Retry(2), result_ttl=60, ttl=60)
    after = web.enqueue(nothing, depends_on=first, at_front=True, repeat=Repeat(1))
    failing = web.enqueue(fails, failure_ttl=60, retry=Retry(1))
    once = web.enqueue(nothing, unique=True, job_id=id_prefix(web.hub_id) + "once")
    late = web.rq_queue.enqueue_in(timedelta(seconds=600), nothing)
    at_once = web.rq_queue.enqueue_in(timedelta(seconds=600), nothing, unique=True, job_id=f"{once.id}-more")
    canceled = web.enqueue(nothing)
    canceled.cancel()
    for number in range(2):
        work(node, f"a.{number}")
    assert (first.return_value(refresh=True), after.return_value(refresh=True)) == ("done", "done")
    assert [job.get_status(refresh=True) for job in (failing, once, canceled, late, at_once)] == [
        "failed", "finished", "canceled", "scheduled", "scheduled",
    ]  # fmt: skip
    failing.requeue()
    first.refresh()
    first.meta["b"] = 2
    first.save_meta()
    late.delete()
    assert [line.state for line in of_queues(web).jobs] == ["queued", "scheduled"]
    users.of("inspector", jobs=Jobs.OWN)
    looking = hub_of(users, "inspector")
    assert of_queues(looking, "queued").jobs[0].id == failing.id
    assert refusals(users) == []
    for hub in (web, node, looking):
        hub.close()


def test_the_clock_needs_no_more_than_the_rules_for_jobs(users: Users) -> None:
    users.run_as_admin("FLUSHALL")
    node = hub_of(users, "worker")
    node.cron("* * * * * *", nothing, name="each")
    users.run_as_admin("ACL", "LOG", "RESET")
    ticks = {"each": 1.0}  # seconds since 1970: it is due
    wheels = Wheels(node, "a", "", ticks)
    node.rq_queue.enqueue_in(timedelta(seconds=-1), nothing)
    wheels.turn_cron()
    wheels.turn()
    wheels.close()
    assert ticks["each"] > 1.0
    work(node)
    assert len(node.rq_queue.finished_job_registry) == 2
    assert refusals(users) == []
    node.close()


def test_a_worker_with_the_rules_for_jobs_puts_those_of_children_into_rq(users: Users) -> None:
    users.run_as_admin("FLUSHALL")
    hub, own = hub_of(users, "worker"), id_prefix(users.keys.hub_id)
    users.run_as_admin("ACL", "LOG", "RESET")
    options: tuple[dict[str, Any], ...] = (
        {"key": "k"},
        {"unique": True, "job_id": own + "mine"},
        {"depends_on": own + "mine"},
        {},
    )
    enqueued_by_a_child(hub, *options)
    while hub.jobs.put(0).more:
        pass
    assert hub.rq_queue.job_ids == [own + "mine", own + "3"]
    assert not hub.rq_queue.connection.exists(hub.keys.jobs(0))
    assert hub.rq_queue.connection.xlen(hub.keys.outbox(0)) == 1
    assert refusals(users) == []
    hub.close()


def enqueued_by_a_child(hub: Hub, *options: dict[str, Any]) -> None:
    for number, given in enumerate(options):
        job = hub.jobs.prepared(f"{id_prefix(hub.hub_id)}{number}", nothing, (), {**given})
        assert isinstance(job, Prepared)
        fields = {"sender": "x", "id": job.job_id, "key": job.key, "record": job.record}
        hub.rq_queue.connection.xadd(hub.keys.jobs(0), fields)


@pytest.mark.parametrize("strange", [{"job_id": "mine"}, {"depends_on": "mine"}])
def test_a_job_of_another_name_is_in_nobodys_way(users: Users, strange: dict[str, Any]) -> None:
    hub = hub_of(users, "worker")
    enqueued_by_a_child(hub, {}, strange, {})
    malformed = []
    while (put := hub.jobs.put(0)).more:
        malformed += put.malformed
    own = id_prefix(hub.hub_id)
    assert [why for _, why in malformed] == [
        f"ValueError: this user of Redis reaches only jobs whose id begins with {own!r}, not 'mine'"
    ]
    assert hub.rq_queue.job_ids == [own + "0", own + "2"]
    hub.close()


def test_an_id_of_another_name_is_refused_where_it_is_given(users: Users) -> None:
    hub = hub_of(users, "client")
    with pytest.raises(RedisRefused, match=f"job ids begin with {id_prefix(hub.hub_id)!r}"):
        hub.enqueue(nothing, job_id="mine")
    hub.close()


# -- the wall between two hubs -----------------------------------------------------------------------------------------

#: What all who use RQ have in common: lists of names, and a lock.
COMMON = {QUEUES, *WORKERS, GROUPS_LOCK}
READ = {"string": "GET", "hash": "HGETALL", "list": "LLEN", "set": "SMEMBERS", "zset": "ZCARD", "stream": "XLEN"}


@pytest.fixture
def other(users: Users) -> Iterator[Keys]:
    """Another hub on the same Redis, which has had jobs of all kinds, has some, and runs one."""
    users.run_as_admin("FLUSHALL")
    keys = Keys(users.keys.hub_id + "-2")
    web, node = hub_of(users, "client", keys=keys), hub_of(users, "worker", keys=keys)
    node.cron("* * * * * *", nothing, name="each")
    wheels = Wheels(node, "b", "", {"each": 1.0})
    wheels.turn_cron()
    wheels.turn()
    first = web.enqueue(nothing)
    web.enqueue(nothing, depends_on=first)
    web.enqueue(fails)
    web.rq_queue.enqueue_in(timedelta(seconds=600), nothing)
    worker = work(node, "b.1")
    worker.register_birth()
    worker.prepare_execution(web.enqueue(nothing))
    web.enqueue(nothing, job_id=f"{id_prefix(keys.hub_id)}waits")
    web.enqueue(nothing, depends_on=web.enqueue(nothing))
    yield keys
    wheels.close()
    web.close()
    node.close()


@pytest.mark.parametrize("role", ROLES)
def test_no_user_reaches_a_job_or_a_worker_of_another_hub(role: str, users: Users, other: Keys) -> None:
    redis = users.of(role, jobs=Jobs.OWN)
    theirs = {key.decode() for key in users.run_as_admin("KEYS", "rq:*")} - COMMON
    assert len({key.split(":")[1] for key in theirs}) >= 12, f"most kinds of RQ's keys: {theirs}"
    for key in sorted(theirs):
        kind = users.run_as_admin("TYPE", key).decode()
        for words in ((READ[kind], key), ("DEL", key), ("EXPIRE", key, 1), ("LPUSH", key, "x"), ("HSET", key, "x", "y"),
                      ("WATCH", key), ("EVALSHA", "0" * 40, 1, key), ("LMOVE", key, key, "LEFT", "LEFT")):  # fmt: skip
            assert refused(redis, *words), f"{role} may {words}"
    for words in (("PUBLISH", f"rq:pubsub:{name_in_rq(other.hub_id, 'b.1')}", "x"),
                  ("SUBSCRIBE", f"rq:pubsub:{name_in_rq(other.hub_id, 'b.1')}"), ("PSUBSCRIBE", "rq:pubsub:*")):  # fmt: skip
        assert refused(redis, *words), f"{role} may {words}"


def test_a_job_of_one_hub_is_not_run_by_another(users: Users, other: Keys) -> None:
    """Whatever a web app that was broken into puts where: only its own hub sees it, and goes on."""
    attacker = rq_connection(users, "client", Jobs.OWN)
    worker = rq_connection(users, "worker", Jobs.OWN)
    theirs = f"hubq-{other.hub_id}"
    with pytest.raises(NoPermissionError):
        Queue(theirs, connection=attacker).enqueue("os.getcwd", job_id=f"{id_prefix(other.hub_id)}evil")
    with pytest.raises(NoPermissionError):
        Queue(theirs, connection=attacker).enqueue("os.getcwd", job_id=f"{id_prefix(users.keys.hub_id)}evil")
    with pytest.raises(NoPermissionError):
        Queue.dequeue_any([Queue(theirs, connection=worker)], None, connection=worker)
    with pytest.raises(NoPermissionError):
        send_shutdown_command(worker, name_in_rq(other.hub_id, "b.1"))

    hub = hub_of(users, "worker")
    attacker.rpush(hub.rq_queue.key, f"{id_prefix(other.hub_id)}waits")  # the job of the other hub, in its own queue
    good = hub.enqueue(nothing)
    work(hub)
    assert good.get_status(refresh=True) == JobStatus.FINISHED
    waits = users.run_as_admin("HGET", f"rq:job:{id_prefix(other.hub_id)}waits", "status")
    assert waits == b"queued" and hub.rq_queue.intermediate_queue.get_job_ids() == []

    # One that says that it came from the other's queue goes back nowhere.
    back = hub.enqueue(fails, retry=Retry(1))
    attacker.hset(back.key, "origin", theirs)
    before = users.run_as_admin("LRANGE", f"rq:queue:{theirs}", 0, -1)
    work(hub)
    assert back.get_status(refresh=True) != JobStatus.FINISHED
    assert users.run_as_admin("LRANGE", f"rq:queue:{theirs}", 0, -1) == before
    hub.close()


def test_names_of_hubs_that_look_alike_are_apart() -> None:
    names = [
        "chat",
        "chat-2",
        "chat.2",
        "chat_2",
        "chat-",
        "chat--",
        "chat--2",
        "chat_D2",
        "chat_U",
        "c",
        "chat.",
        "chat_",
        "chat-.2",
    ]
    prefixes = [id_prefix(name) for name in names]
    for one in prefixes:
        assert [other for other in prefixes if f"{other}x".startswith(one)] == [one]
