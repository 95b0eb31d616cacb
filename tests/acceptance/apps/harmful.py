"""Children whose code does harm, each in a way of its own, beside others that do none."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hubq import Child, Hub, Work


@contextmanager
def harmful(work: Work) -> Iterator[None]:
    """Middleware that does harm around the messages of children whose id says so."""
    if work.kind == "message" and work.child_id.startswith("around-") and work.method == "add":
        raise_or_block(work.child_id.partition("-")[2])
    yield


hub = Hub(
    os.environ["HUBQ_TEST_HUB"], lease=1.0, lease_margin=0.2, heartbeat=0.1, shards=16, stop_timeout=0.5,
    stall_limit=float(os.environ.get("HUBQ_TEST_STALL", "60")), middleware=[harmful],
)  # fmt: skip

#: As it was: another child of this worker may have replaced it.
SLEEP = time.sleep
#: What handlers leave behind must not be collected.
LEFT: list[object] = []


def deep(n: int) -> int:
    return deep(n + 1) + 1


def raise_or_block(how: str) -> None:
    """What any code of a child may do."""
    if how == "blocks":
        SLEEP(1.6)
    elif how == "has_no_end":
        deep(0)
    elif how == "has_no_memory":
        bytearray(1 << 60)
    elif how == "exits":
        sys.exit(3)
    elif how == "dies":
        os._exit(9)
    elif how:
        raise {
            "raises": ValueError("harm"), "stops": StopIteration(), "interrupts": KeyboardInterrupt(), "cancels": asyncio.CancelledError(),
        }[how]  # fmt: skip


async def for_ever(stubborn: bool) -> None:
    """Wait, and end when it is cancelled, or not even then."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not stubborn:
                raise


@hub.child
class Neighbour(Child):
    """Does no harm."""

    def __init__(self) -> None:
        self.n = 0

    async def add(self) -> int:
        await asyncio.sleep(0.01)
        self.n += 1
        return self.n

    async def add_slowly(self) -> int:
        await asyncio.sleep(0.5)
        self.n += 1
        return self.n

    def add_in_thread(self) -> int:
        self.n += 1
        return self.n

    async def where(self) -> str:
        return self.node_name


class Part:
    """A part of a state that does harm when it is taken, or when it is laid."""

    def __init__(self, taken: str = "", laid: str = "") -> None:
        self.taken, self.laid = taken, laid

    def __getstate__(self) -> dict[str, str]:
        raise_or_block(self.taken)
        return {"taken": "", "laid": self.laid}

    def __setstate__(self, state: dict[str, str]) -> None:
        raise_or_block(state["laid"])
        self.__dict__.update(state)


@hub.child
class Harmful(Child):
    """Does harm in one of its own methods, or to the event loop and the process."""

    def __init__(self, where: str = "", how: str = "") -> None:
        self.n, self.where, self.how = 0, where, how
        self._at("__init__")

    def _at(self, where: str) -> None:
        if where == self.where and self.how not in ("never", "stubborn"):
            raise_or_block(self.how)

    async def _at_or_for_ever(self, where: str) -> None:
        self._at(where)
        if where == self.where and self.how in ("never", "stubborn"):
            await for_ever(self.how == "stubborn")

    async def on_start(self) -> None:
        await self._at_or_for_ever("on_start")

    async def on_stop(self, reason: str) -> None:
        await self._at_or_for_ever("on_stop")

    async def run(self) -> None:
        await self._at_or_for_ever("run")
        await asyncio.Event().wait()

    def prepare_handover_state(self) -> Any:
        self._at("prepare_handover_state")
        return super().prepare_handover_state()

    def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
        self._at("alter_handover_state")
        return super().alter_handover_state(current, handed)

    async def add(self) -> int:
        self.n += 1
        return self.n

    # -- what a handler does to itself, to its loop and to its process -------------------------------------------------

    async def does(self, how: str) -> int:
        self.n += 1
        if how in TO_THE_PROCESS:
            TO_THE_PROCESS[how](asyncio.get_running_loop())
        elif how in TO_TASKS:
            await TO_TASKS[how]()
        else:
            raise_or_block(how)
        return self.n

    def does_in_thread(self, how: str) -> int:
        self.n += 1
        if how == "hangs":
            threading.Event().wait()
        raise_or_block(how)
        return self.n

    async def keeps(self, taken: str) -> int:
        """Has something in its state that does harm when it is saved."""
        self.n += 1
        self.part = Part(taken=taken)
        return self.n


def ignores_signals(loop: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def takes_signals_back(loop: Any) -> None:
    loop.remove_signal_handler(signal.SIGTERM)


def leaves_threads(loop: Any) -> None:
    for _ in range(10):
        threading.Thread(target=SLEEP, args=(3600,)).start()


def changes_clock(loop: Any) -> None:
    time.time = lambda: 0.0  # type: ignore[assignment]


def breaks_clock(loop: Any) -> None:
    time.monotonic = interrupts  # type: ignore[assignment]


def loses_clock(loop: Any) -> None:
    del time.process_time


def changes_sleep(loop: Any) -> None:
    time.sleep = interrupts


def interrupts(*_: object) -> None:
    raise KeyboardInterrupt


#: What is done to the loop, or to the whole process.
TO_THE_PROCESS: dict[str, Callable[[Any], Any]] = {
    "stops_loop": lambda loop: loop.stop(),
    "stops_loop_soon": lambda loop: loop.call_soon(loop.stop),
    "closes_loop": lambda loop: loop.close(),
    "exits_in_timer": lambda loop: loop.call_later(0.01, sys.exit, 5),
    "interrupts_in_timer": lambda loop: loop.call_later(0.01, interrupts),
    "loses_handler_of_errors": lambda loop: loop.set_exception_handler(interrupts),
    "ignores_signals": ignores_signals,
    "takes_signals_back": takes_signals_back,
    "wakes_nobody": lambda loop: signal.set_wakeup_fd(-1),
    "leaves_threads": leaves_threads,
    "makes_warnings_errors": lambda loop: warnings.simplefilter("error"),
    "changes_clock": changes_clock,
    "breaks_clock": breaks_clock,
    "loses_clock": loses_clock,
    "changes_sleep": changes_sleep,
    "hurries_sockets": lambda loop: socket.setdefaulttimeout(0.001),
    "forks": lambda loop: os.fork(),
}


async def cancels_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(0)


async def ends_as_scripts_do() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def fails(how: str) -> None:
    await asyncio.sleep(0.1)
    raise_or_block(how)


async def leaves_group() -> None:
    group = asyncio.TaskGroup()
    await group.__aenter__()
    LEFT.extend((group, group.create_task(fails("raises"))))


async def leaves_timeout() -> None:
    timeout = asyncio.timeout(0.1)
    await timeout.__aenter__()
    LEFT.append(timeout)


async def leaves_timer() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_later(0.1, task.cancel)


async def leaves_task_that_exits() -> None:
    LEFT.append(asyncio.create_task(fails("exits")))


async def leaves_task_that_spins() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110  (that is the harm)
            await asyncio.sleep(0)

    LEFT.append(asyncio.create_task(spin()))


#: What is done to tasks.
TO_TASKS: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        cancels_all, ends_as_scripts_do, leaves_group, leaves_timeout, leaves_timer, leaves_task_that_exits, leaves_task_that_spins,
    )
}  # fmt: skip
