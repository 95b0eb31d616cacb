"""Whatever the code of a child does costs the child, never its worker, and never the hub: each harm is done to real workers."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from hubq import CallFailed, CallTimeout, Hub, Poisoned, StartFailed
from hubq.core.hashing import shard_of
from hubq.store.embedded import EmbeddedServer

from .conftest import APPS, Shell, WorkerProcess
from .waiting import until

pytestmark = pytest.mark.acceptance

APP = "harmful:hub"
NEIGHBOURS = [f"n-{number}" for number in range(12)]


@dataclass
class Crew:
    """Two workers, their hub, and children that do no harm."""

    shell: Shell
    hub: Hub
    app: Any
    workers: dict[str, WorkerProcess]
    number: int = 0

    def child(self, *args: str, name: str = "harmful") -> str:
        """A new child that does harm."""
        self.number += 1
        child = f"{name}-{self.number}" if name == "harmful" else name
        self.hub.start_child(child, self.app.Harmful, *args).result(timeout=20)
        return child

    def worker_of(self, child: str) -> WorkerProcess:
        """The worker on which it runs."""
        return self.workers[str(self.hub.where(child).node)]

    def neighbours_answer(self, method: str = "add") -> None:
        """Every other child answers, and has done all that was asked of it, once."""
        with ThreadPoolExecutor(len(NEIGHBOURS)) as pool:
            before = list(pool.map(lambda child: self.hub.ref(child).call("add", timeout=20), NEIGHBOURS))
            after = list(pool.map(lambda child: self.hub.ref(child).call(method, timeout=20), NEIGHBOURS))
        assert after == [n + 1 for n in before]

    def unharmed(self) -> None:
        """No worker has ended, or was taken for dead."""
        for name, worker in self.workers.items():
            assert worker.running, f"{name} has ended:\n" + "\n".join(worker.lines[-40:])
        assert not self.events("node_evicted", "node_draining", "loop_stalled")

    def events(self, *kinds: str) -> list[Any]:
        """The events of these kinds."""
        return self.hub.inspect.events(1000, list(kinds))[1]


def crew_of(server: EmbeddedServer, hub_id: str, stall: str = "60") -> Crew:
    shell = Shell(hub_id, server.url)
    shell.environment["HUBQ_TEST_STALL"] = stall
    workers = {name: shell.spawn(APP, "--name", name, "--drain-timeout", "5") for name in ("a", "b")}
    for name, worker in workers.items():
        worker.wait_line(f"hubq worker {name}: ", 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBQ_TEST_HUB", hub_id)
        patch.syspath_prepend(str(APPS))
        app = importlib.import_module("harmful")
    crew = Crew(shell, Hub(hub_id, redis=server.url, shards=16), app, workers)
    until(crew.hub, lambda: [node.shards for node in crew.hub.nodes()] == [8, 8], "both workers serve")
    for child in NEIGHBOURS:
        crew.hub.start_child(child, app.Neighbour).result(timeout=20)
    return crew


@pytest.fixture(scope="module")
def crew(redis_server: EmbeddedServer) -> Iterator[Crew]:
    """They go through all cases. At the end they are asked to leave, and do."""
    crew = crew_of(redis_server, f"harmful-{os.getpid()}")
    try:
        yield crew
        for worker in crew.workers.values():
            worker.signal(signal.SIGTERM)
        assert [worker.wait(20) for worker in crew.workers.values()] == [0, 0]
    finally:
        crew.hub.close()
        for worker in crew.workers.values():
            worker.end()


class Harm(NamedTuple):
    """One harm. ``does``: the method and its argument. ``told``: what its caller is told; empty: the call is answered. ``logged``: a line
    of its worker's log, in which ``{child}`` is the child; empty: there is none, since nothing has gone wrong.
    """

    method: str
    how: str
    told: str = ""
    logged: str = ""


#: (The first failure of a method is logged at once, the others together every 10 s.)
FAILED = r"child [\w-]+: Harmful.%s failed"

HARMS = [
    Harm("does", "blocks", "", "has stood still for .* in {child}.does"),
    *(
        Harm(method, how, told, FAILED % method)
        for method in ("does", "does_in_thread")
        for how, told in {
            "raises": "ValueError", "interrupts": "KeyboardInterrupt", "exits": "SystemExit", "cancels": "CancelledError",
            "has_no_end": "RecursionError", "has_no_memory": "MemoryError", "stops": "StopIteration|coroutine raised",
        }.items()
    ),
    Harm("keeps", "raises", "state|ValueError", FAILED % "keeps"),
    Harm("keeps", "exits", "state|SystemExit", FAILED % "keeps"),
    Harm("keeps", "blocks", "", "has stood still for .* in {child}.keeps"),
    Harm("does", "stops_loop", "does not stop it", FAILED % "does"),
    Harm("does", "stops_loop_soon", "", r"\[{child} Harmful.does\] Exception in callback"),
    Harm("does", "closes_loop", "Cannot close a running event loop", FAILED % "does"),
    Harm("does", "cancels_all"),
    Harm("does", "ends_as_scripts_do"),
    Harm("does", "leaves_task_that_exits", "", "has raised SystemExit in a task or a timer of its own"),
    Harm("does", "leaves_task_that_spins"),
    Harm("does", "exits_in_timer", "", "has raised SystemExit in a task or a timer of its own"),
    Harm("does", "interrupts_in_timer", "", "has raised KeyboardInterrupt in a task or a timer of its own"),
    Harm("does", "loses_handler_of_errors"),
    Harm("does", "forks", "", "has forked the worker and returned in the fork: it ends"),
    Harm("does", "leaves_threads"),
    Harm("does", "makes_warnings_errors"),
    Harm("does", "changes_clock", "time.time is the clock of a worker", FAILED % "does"),
    Harm("does", "breaks_clock", "time.monotonic is the clock of a worker", FAILED % "does"),
    Harm("does", "loses_clock", "time.process_time is the clock of a worker", FAILED % "does"),
    Harm("does", "changes_sleep"),
    Harm("does", "hurries_sockets"),
    Harm("does", "ignores_signals", "", "has taken SIGTERM and SIGINT from worker"),
    Harm("does", "takes_signals_back", "", "has taken SIGTERM from worker"),
    Harm("does", "wakes_nobody", "", "has taken its signals from worker"),
]  # fmt: skip


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: f"{harm.method}-{harm.how}")
def test_a_handler_costs_its_child_and_nobody_else(crew: Crew, harm: Harm) -> None:
    child = crew.child()
    worker, ref = crew.worker_of(child), crew.hub.ref(child)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(ref.call, harm.method, harm.how, timeout=20)
        crew.neighbours_answer()
        if harm.told:
            with pytest.raises(Exception, match=harm.told):
                call.result()
        else:
            assert call.result() == 1
    assert ref.call("add", timeout=20) == (1 if harm.told else 2), "what has failed has changed nothing"
    if harm.logged:
        worker.wait_line(harm.logged.format(child=child), 20)
    crew.neighbours_answer("add_in_thread")
    crew.unharmed()


@pytest.mark.parametrize("left", ["leaves_group", "leaves_timeout", "leaves_timer"])
def test_what_a_handler_has_left_behind_cancels_no_other_handler(crew: Crew, left: str) -> None:
    """The messages that come with it are handled by the same task, one after the other."""
    # Of the same shard: the message to this neighbour stands right behind the other one.
    name = next(each for n in range(1000) if shard_of(each := f"{left}-{n}", 16) == shard_of(NEIGHBOURS[0], 16))
    child = crew.child(name=name)
    worker = crew.worker_of(child)

    async def together() -> list[Any]:
        slow = [crew.hub.aio.ref(each).call("add_slowly", timeout=20) for each in NEIGHBOURS]
        try:
            return await asyncio.gather(crew.hub.aio.ref(child).call("does", left), *slow, return_exceptions=True)
        finally:
            await crew.hub.aio.close()

    answers = asyncio.run(together())
    assert (
        len(answers) == 1 + len(NEIGHBOURS)
        and [answer for answer in answers if isinstance(answer, BaseException)] == []
    )
    worker.wait_line(f"child {child}: does has left something behind", 20)
    crew.unharmed()


@pytest.mark.parametrize("how", ["blocks", "raises", "stops", "interrupts", "cancels", "exits", "has_no_end"])
def test_middleware_costs_the_message_that_it_is_around(crew: Crew, how: str) -> None:
    child = crew.child(name=f"around-{how}")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(crew.hub.ref(child).call, "add", timeout=20)
        crew.neighbours_answer()
        if how == "blocks":
            assert call.result() == 1
            crew.worker_of(child).wait_line(f"has stood still for .* in {child}.add", 20)
        else:
            with pytest.raises(CallFailed):
                call.result()
            crew.worker_of(child).wait_line(FAILED % "add", 20)
    crew.unharmed()


START_ENDS = ["raises", "stops", "interrupts", "cancels", "exits", "has_no_end", "has_no_memory"]


STARTS = [(where, how) for where in ("__init__", "on_start") for how in (*START_ENDS, "blocks")]


@pytest.mark.parametrize(("where", "how"), STARTS)
def test_a_start_costs_its_child(crew: Crew, where: str, how: str) -> None:
    child = f"start-{where.strip('_')}-{how}"
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(lambda: crew.hub.start_child(child, crew.app.Harmful, where, how).result(timeout=20))
        crew.neighbours_answer()
        if how == "blocks":
            start.result()
            crew.worker_of(child).wait_line(f"has stood still for .* in {child}.{where}", 20)
            assert crew.hub.ref(child).call("add", timeout=20) == 1
        else:
            with pytest.raises(StartFailed):
                start.result()
    crew.unharmed()


@pytest.mark.parametrize("where", ["on_start", "run", "on_stop"])
@pytest.mark.parametrize("how", [pytest.param("never", marks=pytest.mark.long), "stubborn"])
def test_what_has_no_end_costs_its_child(crew: Crew, where: str, how: str) -> None:
    child = f"endless-{where}-{how}"
    started = crew.hub.start_child(child, crew.app.Harmful, where, how)
    if where == "on_start":
        with pytest.raises(CallTimeout):
            started.result(timeout=1.0)
    else:
        started.result(timeout=20)
    worker = crew.worker_of(child)
    crew.neighbours_answer()
    crew.hub.stop_child_now(child)
    if how == "stubborn":
        worker.wait_line(rf"{where}(\(\))? of child {child} goes on though it was cancelled", 20)
    crew.neighbours_answer()
    crew.unharmed()


#: What the hooks of a move do, and handlers that never end.
MOVES = [
    (where, how)
    for where in ("prepare_handover_state", "alter_handover_state", "on_stop", "on_start")
    for how in ("raises", "exits", "cancels", "interrupts", "has_no_end", "blocks")
]


@pytest.mark.long
def test_a_drain_outlives_what_children_do_when_they_move(redis_server: EmbeddedServer) -> None:
    """Those that cannot move are parked, or come after the drain. All the others have moved, and the workers have ended."""
    crew = crew_of(redis_server, f"harmful-moves-{os.getpid()}")
    try:
        for where, how in MOVES:
            if where != "on_start" or how == "blocks":
                crew.child(where, how)
        for how in ("never", "stubborn"):
            for where in ("run", "on_stop"):
                crew.child(where, how)
        for _ in range(4):  # on both workers
            crew.hub.ref(crew.child()).cast("does_in_thread", "hangs")
        crew.neighbours_answer()
        first = crew.workers.pop("a")
        crew.workers["c"] = crew.shell.spawn(APP, "--name", "c", "--drain-timeout", "5")
        crew.workers["c"].wait_line("hubq worker c: ", 20)
        for leaves in (first, crew.workers.pop("b")):
            leaves.signal(signal.SIGTERM)
            assert leaves.wait(20) in (0, 1), "a thread that hangs, or a child that does not let go, is given up"
            crew.neighbours_answer()
        assert not crew.events("node_evicted", "loop_stalled")
        lines = "\n".join(crew.workers["c"].lines)
        for child, parked in {child.child_id: child for child in crew.hub.children()}.items():
            if parked.status == "parked":
                assert f"child {child} is parked" in lines or child in lines
    finally:
        crew.hub.close()
        for worker in crew.shell.workers:
            worker.end()


@pytest.mark.long
@pytest.mark.parametrize("method", ["does", "does_in_thread", "keeps", "around"])
def test_what_takes_its_process_down_does_so_three_times(redis_server: EmbeddedServer, method: str) -> None:
    hub_id = f"harmful-dies-{method}-{os.getpid()}"
    shell = Shell(hub_id, redis_server.url)
    parent = shell.spawn(APP, "--name", "w", "--processes", "2")
    try:
        for number in (1, 2):
            parent.wait_line(rf"hubq worker w-{number}: ")
        with pytest.MonkeyPatch.context() as patch, closing(Hub(hub_id, redis=redis_server.url, shards=16)) as hub:
            patch.setenv("HUBQ_TEST_HUB", hub_id)
            patch.syspath_prepend(str(APPS))
            app = importlib.import_module("harmful")
            for child in NEIGHBOURS:
                hub.start_child(child, app.Neighbour).result(timeout=20)
            child = "around-dies" if method == "around" else "x"
            hub.start_child(child, app.Harmful).result(timeout=20)
            with ThreadPoolExecutor(1) as pool:
                asked = ("add",) if method == "around" else (method, "dies")
                call = pool.submit(lambda: hub.ref(child).call(*asked, timeout=60))
                with pytest.raises(Poisoned):
                    call.result()
            assert [hub.ref(each).call("add", timeout=20) for each in NEIGHBOURS] == [1] * len(NEIGHBOURS)
            (letter,) = hub.dead_letters()
            assert (letter.child, letter.tries, letter.why) == (child, 3, "took-down")
    finally:
        parent.end()
