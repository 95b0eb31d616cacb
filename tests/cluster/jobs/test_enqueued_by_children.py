"""A job that a child enqueues leaves with the commit: once, in order, or not at all, whatever becomes of the nodes (docs/effects.md)."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest
import rq
from rq.job import Job, JobStatus

from hubq import CallFailed, Child, Hub, InvalidJob, InvalidKey, NotImportable, OutsideHandler, Replication
from hubq.store.keyring import new_keys
from hubq.testing import Cluster, FakeServer, Ledger, LedgerChild, eventually
from tests.cluster.scenes import awaited, started

RAN: list[tuple[Any, ...]] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    RAN.clear()


def note(*what: Any, **more: Any) -> tuple[Any, ...]:
    RAN.append((*what, *more.items()))
    return what


async def steps(ctx: Any, child: str) -> str:
    ctx.state.done = True
    return f"done for {child}"


class Clerk(LedgerChild):
    """Enqueues a job for each message that it has applied, with a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.told = 0
        self.ids: list[str] = []

    async def record(self, sender: str, number: int) -> int:
        self.tell()
        return await super().record(sender, number)

    def tell(self, **options: Any) -> str:
        self.told += 1
        self.ids.append(self.enqueue(note, self.child_id, self.told, **options))
        return self.ids[-1]

    async def told_with(self, options: dict[str, Any]) -> str:
        return self.tell(**options)

    async def fail(self) -> None:
        self.tell()
        raise ValueError("after it had enqueued")

    async def odd(self, what: str, options: dict[str, Any]) -> str:
        functions: dict[str, Any] = {"note": note, "lambda": lambda: 1, "nothing": 7}
        return self.enqueue(functions[what], **options)

    def in_thread(self) -> str:
        return self.enqueue("tests.cluster.jobs.test_enqueued_by_children.note", "thread")

    async def outside(self) -> None:
        asyncio.get_running_loop().call_later(0.01, self._late)

    def _late(self) -> None:
        try:
            self.enqueue(note)
        except OutsideHandler as error:
            RAN.append((str(error),))


class Saving(Clerk):
    durability = "interval"
    save_every = 60.0


class Keeping(Clerk):
    on_error = "keep"


class Runner(Child):
    def __init__(self) -> None:
        self.said = 0
        self.go = False

    async def run(self) -> None:
        while self.said < 3:
            self.said += 1
            self.enqueue(note, "run", self.said)
            if self.said == 2:
                await self.commit()
        await asyncio.Event().wait()


def told(hub: Hub, child: str) -> list[int]:
    """The numbers of the jobs of a child that are in RQ's queue, in its order."""
    return [job.args[1] for job in hub.rq_queue.get_jobs() if job.args[0] == child]


async def in_rq(hub: Hub, child: str, count: int) -> None:
    """Wait until a child has so many jobs in RQ, each once and in order."""
    await eventually(lambda: len(told(hub, child)) >= count, what=f"{count} jobs of {child} are in RQ")
    assert told(hub, child) == list(range(1, count + 1))


def run_all(hub: Hub) -> None:
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        rq.SimpleWorker([hub.rq_queue], connection=hub.rq_queue.connection).work(burst=True, logging_level="ERROR")
    finally:
        for number, handler in before:
            signal.signal(number, handler)


async def several(ledger: Ledger, *children: str, count: int = 10) -> None:
    for _ in range(count):
        for child in children:
            await ledger.call("ann", child)


@awaited
async def test_each_job_is_enqueued_with_its_message_and_run(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    ledger = Ledger(hub)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, clerk=Clerk)
        await several(ledger, "clerk")
        await in_rq(hub, "clerk", 10)
        last = await hub.aio.ref("clerk").call("told_with", {})
        await in_rq(hub, "clerk", 11)
        assert hub.rq_queue.job_ids[-1] == last and len({*hub.rq_queue.job_ids}) == 11
        assert await ledger.breaches() == []
    run_all(hub)
    assert [number for _, number in RAN] == list(range(1, 12))


@awaited
async def test_what_is_undone_enqueues_nothing_and_what_is_kept_does(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, clerk=Clerk, keeping=Keeping)
        for child in ("clerk", "keeping"):
            with pytest.raises(CallFailed, match="after it had enqueued"):
                await hub.aio.ref(child).call("fail")
            await hub.aio.ref(child).call("record", "ann", 1)
        await in_rq(hub, "clerk", 1)
        await in_rq(hub, "keeping", 2)


@awaited
async def test_run_enqueues_with_its_commits(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, runner=Runner)
        await in_rq(hub, "run", 2)
        await cluster.start("b")
        await cluster.drain("a")  # what it has said since leaves with its state
        await in_rq(hub, "run", 3)


@awaited
async def test_moves_kills_and_a_drain_lose_no_job_and_double_none(make_hub: Any) -> None:
    hub = make_hub(shards=8)
    ledger = Ledger(hub)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        clerks = {f"clerk_{number}": Clerk for number in range(6)} | {"saving": Saving}
        await started(hub, **clerks)
        names = [name.replace("_", "-") for name in clerks]
        sending = asyncio.create_task(several(ledger, *names, count=40))
        await cluster.start("b")
        await cluster.settled()
        await cluster.kill("a")
        await cluster.start("c")
        await cluster.settled()
        await cluster.drain("b")
        await sending
        assert await ledger.breaches() == []
        for name in names:
            entries = await hub.aio.ref(name).call("entries")
            if name == "saving":
                await hub.aio.stop_child(name)  # its end saves: what it has said leaves
            await in_rq(hub, name, len(entries["ann"]))
        await eventually(lambda: not left_over(hub), what="nothing waits for RQ any more")


def left_over(hub: Hub) -> list[Any]:
    connection = hub.rq_queue.connection
    return list(connection.scan_iter(hub.keys.prefix.replace("[", "\\[") + "shard:*:jobs"))


@awaited
async def test_a_job_that_has_ended_and_is_forgotten_is_not_enqueued_again(make_hub: Any) -> None:
    """Its stream and RQ change in one transaction: nothing that is done later can repeat it."""
    hub = make_hub(shards=1)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, clerk=Clerk)
        connection, stream = hub.rq_queue.connection, hub.keys.jobs(0)
        await hub.aio.ref("clerk").call("told_with", {"result_ttl": 0})
        await in_rq(hub, "clerk", 1)
        run_all(hub)
        assert RAN == [("clerk", 1)]
        await eventually(lambda: not connection.exists(stream), what="the stream that is empty is deleted")
        await asyncio.to_thread(hub.jobs.put, 0)  # somebody who had looked before
        assert hub.rq_queue.job_ids == []


@awaited
async def test_two_who_put_at_the_same_time_put_each_job_once(make_hub: Any) -> None:
    hub = make_hub(shards=1)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, clerk=Clerk)
        others = [asyncio.to_thread(put_often, hub) for _ in range(3)]
        sending = several(Ledger(hub), "clerk", count=60)
        await asyncio.gather(sending, *others)
        await in_rq(hub, "clerk", 60)


def put_often(hub: Hub) -> None:
    for _ in range(100):
        hub.jobs.put(0)


@awaited
async def test_with_a_key_they_run_in_order_on_the_nodes(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, clerk=Clerk)
        ids = [await hub.aio.ref("clerk").call("told_with", {"key": "account-7"}) for _ in range(5)]
        jobs = [Job(job_id, connection=hub.rq_queue.connection) for job_id in ids]
        await eventually(
            lambda: all(job.exists(job.id, hub.rq_queue.connection) and job.get_status() == JobStatus.FINISHED for job in jobs),
            what="all have run", within=30.0,
        )  # fmt: skip
        assert hub.rq_queue.job_ids == []
        ended = [Job.fetch(job_id, connection=hub.rq_queue.connection).ended_at for job_id in ids]
        assert ended == sorted(ended)


@awaited
async def test_a_resumable_job_is_started_with_the_commit(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    hub.job(resumable=True, result_ttl=60)(steps)

    class Starter(Child):
        async def go(self, fail: bool) -> str:
            job_id = self.enqueue(steps, self.child_id)
            if fail:
                raise ValueError(job_id)
            return job_id

    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, starter=Starter)
        with pytest.raises(CallFailed) as failed:
            await hub.aio.ref("starter").call("go", True)
        job_id = await hub.aio.ref("starter").call("go", False)
        assert await hub.aio.resumable_job(job_id).result(timeout=10) == "done for starter"
        assert str(failed.value) != job_id


@awaited
async def test_options_and_refusals(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, clerk=Clerk)
        ref = hub.aio.ref("clerk")
        first = await ref.call("told_with", {"job_timeout": "1m", "meta": {"for": "ann"}, "retry": rq.Retry(max=3)})
        await ref.call("told_with", {"depends_on": first})
        sooner = await ref.call("told_with", {"at_front": True, "job_id": "mine"})
        await ref.call("told_with", {"job_id": "mine", "unique": True})
        last = await ref.call("in_thread")
        await eventually(lambda: last in hub.rq_queue.job_ids, what="all are in RQ")
        assert hub.rq_queue.job_ids == [sooner, first, last] and sooner == "mine"
        job = Job.fetch(first, connection=hub.rq_queue.connection)
        assert (job.timeout, job.meta, job.retries_left) == (60, {"for": "ann"}, 3)
        assert Job.fetch("mine", connection=hub.rq_queue.connection).args == ("clerk", 3)
        for what, options, error, said in (
            ("lambda", {}, NotImportable, "cannot be imported by a worker"),
            ("nothing", {}, NotImportable, "cannot be a job"),
            ("note", {"rate_limit": 3}, InvalidJob, "self.enqueue has no rate_limit"),
            ("note", {"pipeline": 3}, InvalidJob, "leaves with the commit"),
            ("note", {"retry": 3}, InvalidJob, "give rq.Retry"),
            ("note", {"unique": True}, InvalidJob, "wants a job_id"),
            ("note", {"key": ""}, InvalidKey, "is empty"),
            ("note", {"key": "a", "at_front": True}, InvalidJob, "contradict each other"),
            ("note", {"ttl": -1}, InvalidJob, "RQ refuses the job"),
        ):
            with pytest.raises(CallFailed, match=said) as failed:
                await ref.call("odd", what, options)
            assert failed.value.remote_type == error.__name__
        await ref.call("outside")
        await eventually(lambda: bool(RAN), what="it was refused")
        assert "self.enqueue(...)" in RAN[0][0]


@awaited
async def test_what_is_no_job_is_passed_over_and_the_others_go_on(make_hub: Any) -> None:
    hub = make_hub(shards=1)
    async with Cluster(hub) as cluster:
        a = await cluster.start("a")
        await started(hub, clerk=Clerk)
        connection = hub.rq_queue.connection
        connection.xadd(hub.keys.jobs(0), {"what": "ever"})
        connection.xadd(hub.keys.jobs(0), {"sender": "x", "id": "y", "key": "", "record": b"\x93\x80\xc2\xc2"})
        await hub.aio.ref("clerk").call("record", "ann", 1)
        await in_rq(hub, "clerk", 1)
        await eventually(lambda: a.counters.malformed == 2, what="both are told")


@awaited
async def test_while_rq_refuses_jobs_wait_and_the_node_says_so(make_hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    hub = make_hub(shards=1)
    async with Cluster(hub) as cluster:
        a = await cluster.start("a")
        await started(hub, clerk=Clerk)
        connection = hub.rq_queue.connection
        connection.set(hub.rq_queue.key, "spoilt")
        await hub.aio.ref("clerk").call("record", "ann", 1)
        await eventually(lambda: a.pulse.vitals.jobs_refused != "", what="the node knows")
        assert a.pulse.vitals.jobs_waiting == 1
        assert "cannot be put into RQ, and wait" in caplog.text
        connection.delete(hub.rq_queue.key)
        await in_rq(hub, "clerk", 1)
        await eventually(lambda: a.pulse.vitals.jobs_refused == "", what="it is well again")


@awaited
async def test_copies_enqueue_nothing_and_have_the_same_ids(make_hub: Any) -> None:
    hub = make_hub(shards=2, redundancy=Replication(2, replication_model="active_active"))
    async with Cluster(hub) as cluster:
        await cluster.start("a", "b")
        await started(hub, clerk=Clerk)
        await several(Ledger(hub), "clerk")
        owner = (await hub.aio.where("clerk")).node
        await cluster.kill(owner)
        await hub.aio.ref("clerk").call("record", "ann", 11)
        await in_rq(hub, "clerk", 11)


def add(a: int, b: int) -> int:
    return a + b


@awaited
async def test_in_a_hub_that_trusts_nobody_they_are_data_and_sealed() -> None:
    # (A process for jobs with keys would look for the app that has the hub, and its codec.)
    hub = Hub("sealed", redis=FakeServer(), shards=2, codec="data", seal="require", keys=new_keys())
    hub.register_job(add)

    @hub.child
    class Desk(Child):
        async def ask(self, a: int, b: int, key: str) -> str:
            self.publish("asked", a, now=True)
            return self.enqueue(add, a, b, key=key) if key else self.enqueue(add, a, b)

    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await hub.aio.start_child("desk", Desk)
        plain_job = await hub.aio.ref("desk").call("ask", 1, 2, "")
        await eventually(lambda: hub.rq_queue.job_ids == [plain_job], what="it is in RQ")
        keyed = await hub.aio.ref("desk").call("ask", 3, 4, "k")
        connection = hub.rq_queue.connection
        await eventually(
            lambda: Job.exists(keyed, connection) and hub.rq_queue.fetch_job(keyed).is_finished,
            what="it has run",
            within=30.0,
        )
        assert hub.rq_queue.fetch_job(keyed).return_value() == 7
        drafts = [event async for event in hub.aio.ref("desk").feed(after="0", follow=False)]
        assert [(event.data, bool(event.draft)) for event in drafts] == [(1, True), (3, True)]
