"""The event loop of a worker: users' code neither ends it nor reaches the tasks of hubq."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from hubq.cli import signals, worker_loop
from hubq.cli.signals import on_first_signal
from hubq.cli.worker_loop import run_to_end
from hubq.client.asking.calling import Doing, set_handling
from hubq.testing import end_tasks, eventually

Runs = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["uvloop", "asyncio"])
def runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """Runs a coroutine to its end in a worker's loop of either kind."""
    if request.param == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    else:
        pytest.importorskip("uvloop")
    handlers = {number: signal.getsignal(number) for number in signals.ENDING}
    with asyncio.Runner(loop_factory=worker_loop.worker_loop) as runner:
        yield lambda main: run_to_end(runner.get_loop(), main)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_what_a_child_does_to_the_loop_does_not_end_it(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    async def exits() -> None:
        sys.exit(4)

    async def main() -> str:
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="does not stop it"):
            loop.stop()
        loop.call_soon(sys.exit, 3)
        await asyncio.sleep(0.01)
        task = asyncio.create_task(exits())
        await asyncio.sleep(0.01)
        assert isinstance(task.exception(), SystemExit)
        loop.call_soon(loop.stop)  # nobody's code: nothing shows whose it is
        await asyncio.sleep(0.01)
        set_handling(Doing("room-1", "Room", "post"))
        loop.call_soon(loop.stop)
        await asyncio.sleep(0.01)
        return "done"

    assert runs(main()) == "done"
    assert caplog.text.count("has raised SystemExit in a task or a timer of its own") == 2
    assert caplog.text.count("has stopped the event loop of the worker: it goes on") == 1
    assert caplog.text.count("RuntimeError: this is the event loop of a worker") == 1


def test_the_error_of_the_worker_itself_ends_it(runs: Runs) -> None:
    async def main() -> None:
        raise ValueError("the port is taken")

    async def exits() -> None:
        raise SystemExit(3)

    with pytest.raises(ValueError, match="the port is taken"):
        runs(main())
    with pytest.raises(SystemExit):
        runs(exits())


def test_tasks_of_hubq_are_not_among_all_tasks(runs: Runs) -> None:
    async def users() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        mine = asyncio.create_task(users())
        hubqs = asyncio.create_task(eventually(lambda: False, 60, "never"))
        await asyncio.sleep(0)
        assert asyncio.all_tasks() - {asyncio.current_task()} == {mine}
        await end_tasks([mine, hubqs])

    runs(main())


def test_a_task_of_hubq_that_is_left_ends_with_the_loop(runs: Runs) -> None:
    async def main() -> asyncio.Task[Any]:
        left = asyncio.create_task(eventually(lambda: False, 60, "never"))
        await asyncio.sleep(0)
        return left

    left = runs(main())
    assert left in asyncio.all_tasks(left.get_loop()), "the runner ends it"


@pytest.mark.parametrize("soon", [True, False])
def test_a_second_signal_ends_at_once_if_it_is_another_wish(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, soon: bool
) -> None:
    monkeypatch.setattr(signals, "SAME_WISH", 60.0 if soon else 0.0)
    codes: list[int] = []
    monkeypatch.setattr(signals.os, "_exit", codes.append)
    monkeypatch.setattr(signals.logging, "shutdown", lambda: None)

    async def main() -> None:
        asked, heard = on_first_signal("a", "leaves"), asyncio.Event()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await asked.wait()
        os.kill(os.getpid(), signal.SIGINT)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heard.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(10):
            await heard.wait()

    runs(main())
    assert codes == ([] if soon else [128 + signal.SIGINT])


def test_signals_that_were_taken_are_heard_again(
    runs: Runs, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "LOOK_EVERY", 0.01)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        asked = on_first_signal("a", "leaves")
        takes: dict[str, Callable[[], object]] = {
            "SIGTERM": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
            "SIGINT": lambda: loop.remove_signal_handler(signal.SIGINT),
            "its signals": lambda: signal.set_wakeup_fd(-1),
        }
        for what, take in takes.items():
            take()
            await eventually(lambda what=what: f"has taken {what} from worker a" in caplog.text)  # type: ignore[misc]
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await asked.wait()

    runs(main())
