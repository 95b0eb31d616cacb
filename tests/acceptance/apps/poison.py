"""Children that take their worker down, among others that keep a ledger."""

import asyncio
import ctypes
import os
import signal
from pathlib import Path

from hubq import Hub
from hubq.testing import LedgerChild

hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=1.0, lease_margin=0.3, heartbeat=0.1)
hub.child(LedgerChild)


def die(how: str) -> None:
    """End this process as a fault would. Only while the file that HUBQ_TEST_FAULT names is there."""
    if not Path(os.environ["HUBQ_TEST_FAULT"]).exists():
        return
    with Path(os.environ["HUBQ_TEST_FAULT"]).open("a") as file:
        file.write(f"{how} ")
    if how == "exit":
        os._exit(7)
    elif how == "segfault":
        ctypes.string_at(0)
    else:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory runs out


@hub.child
class Bomb(LedgerChild):
    """Messages that end the process."""

    async def burst(self, how: str) -> str:
        die(how)
        return "lives"

    def burst_in_thread(self, how: str) -> str:
        die(how)
        return "lives"

    async def slow(self, seconds: float, sender: str, number: int) -> int:
        await asyncio.sleep(seconds)
        return await self.record(sender, number)


@hub.child
class BadStart(LedgerChild):
    """A child whose start ends the process, in one way or another."""

    def __init__(self, where: str, how: str) -> None:
        super().__init__()
        self.where, self.how = where, how
        if where == "init":
            die(how)

    async def on_start(self) -> None:
        if self.where == "on_start":
            die(self.how)

    async def run(self) -> None:
        if self.where == "run":
            await asyncio.sleep(0.1)
            die(self.how)
        await asyncio.Event().wait()
