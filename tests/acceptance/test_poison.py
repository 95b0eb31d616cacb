"""What takes its worker down does so three times at most, and its neighbours keep their ledger clean."""

from __future__ import annotations

import asyncio
import importlib
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hubq import ChildSpec, Hub, Poisoned, StartFailed
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.testing import Ledger, LedgerChild, eventually

from .conftest import APPS, Shell, WorkerProcess

pytestmark = pytest.mark.acceptance

#: Between two calls of a sender, seconds: hundreds of calls per second, but the processors are for the workers that start.
PACE = 0.02


@pytest.fixture
def fault(shell: Shell, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """While this file is there, the app's faults are real; they write themselves down in it."""
    path = tmp_path / "fault"
    path.touch()
    shell.environment["HUBQ_TEST_FAULT"] = str(path)
    monkeypatch.setenv("HUBQ_TEST_FAULT", str(tmp_path / "not for the test itself"))
    monkeypatch.setenv("HUBQ_TEST_HUB", hub.hub_id)
    return path


@pytest.fixture
def app(fault: Path) -> Any:
    """The app's module, for its classes."""
    sys.path.insert(0, str(APPS))
    try:
        return importlib.import_module("poison")
    finally:
        sys.path.remove(str(APPS))


def deaths(fault: Path) -> list[str]:
    """The faults there were."""
    return fault.read_text().split()


def mend(fault: Path) -> None:
    """From now on the faults are none."""
    fault.unlink()


def crew(shell: Shell, count: int = 2) -> WorkerProcess:
    """Workers that are started again when they die."""
    parent = shell.spawn("poison:hub", "--name", "w", "--processes", str(count))
    for number in range(1, count + 1):
        parent.wait_line(rf"hubq worker w-{number}: hub ")
    return parent


def play(hub: Hub, scenario: Callable[[Ledger], Awaitable[None]]) -> None:
    async def whole() -> None:
        try:
            await scenario(Ledger(hub))
        finally:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await hub.aio.close()
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    asyncio.run(whole())


class Neighbours:
    """Children in every shard that are called all the time."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.names = [f"neighbour-{n}" for n in range(150)]
        self._stop = False

    async def begin(self) -> None:
        specs = [ChildSpec(name, LedgerChild) for name in self.names]
        assert len((await self.ledger.hub.aio.start_children(specs, timeout=30)).started) == len(specs)
        self._tasks = [asyncio.ensure_future(self._call(f"s{n}", self.names[n::10])) for n in range(10)]

    async def _call(self, sender: str, names: list[str]) -> None:
        turn = 0
        while not self._stop:
            await self.ledger.call(sender, names[turn % len(names)], timeout=60)
            turn += 1
            await asyncio.sleep(PACE)

    async def clean(self) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)
        assert self.ledger.failed == []
        await self.ledger.check()


@pytest.mark.parametrize(
    ("method", "how"), [pytest.param("burst", "exit", marks=pytest.mark.long), ("burst_in_thread", "segfault")]
)
def test_a_message_that_kills_is_tried_three_times(
    shell: Shell, hub: Hub, fault: Path, app: Any, method: str, how: str
) -> None:
    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(crew, shell)
        neighbours = Neighbours(ledger)
        await neighbours.begin()
        await hub.aio.start_child("bomb", app.Bomb)
        await ledger.call("before", "bomb")
        with pytest.raises(Poisoned, match=rf"bomb\.{method} was in hand each time 3 workers died"):
            await hub.aio.ref("bomb").call(method, how, timeout=60)
        assert deaths(fault) == [how] * 3
        await ledger.call("after", "bomb")
        (letter,) = await hub.aio.dead_letters()
        assert (letter.child, letter.class_name, letter.method, letter.tries) == ("bomb", "Bomb", method, 3)
        assert len(letter.crashes) == 3
        assert letter.reply_to
        assert letter.sent < letter.died
        mend(fault)
        await neighbours.clean()

    play(hub, scenario)
    if how == "exit":
        on_the_command_line(shell, hub)


def on_the_command_line(shell: Shell, hub: Hub) -> None:
    """The letter of the bomb, listed, shown, sent again, and nothing left to be dropped."""
    (letter,) = hub.dead_letters()
    header, row = shell.ok("dead", "list", hub.hub_id).splitlines()
    assert header.split() == ["LETTER", "CHILD", "WHAT", "WHY", "DIED"]
    assert row.split()[:4] == [letter.letter, "bomb", "Bomb.burst", "took-down"]
    assert "arguments  'exit'" in shell.ok("dead", "show", "poison:hub", letter.letter)
    assert "no dead letter 0/1-0" in shell.fails(1, "dead", "show", hub.hub_id, "0/1-0")
    assert "no dead letter 0/1-0" in shell.fails(1, "dead", "replay", hub.hub_id, "0/1-0")
    assert "does not name a dead letter" in shell.fails(2, "dead", "drop", hub.hub_id, "bomb")
    assert "give the letters' names, or --all" in shell.fails(2, "dead", "drop", hub.hub_id)
    assert hub.replay_dead([letter.letter]) == [letter.letter]
    assert hub.dead_letters() == []
    assert hub.ref("bomb").call("record", "z", 1, timeout=30) == 1
    assert shell.ok("dead", "drop", hub.hub_id, "--all") == ""
    shell.workers[0].signal(signal.SIGTERM)
    assert shell.workers[0].wait(20) == 0


@pytest.mark.long
def test_innocents_in_hand_at_every_crash_are_not_condemned_and_drains_do_not_count(
    shell: Shell, hub: Hub, fault: Path, app: Any
) -> None:
    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(crew, shell)
        await hub.aio.start_children([ChildSpec(f"slow-{n}", app.Bomb) for n in range(8)])
        await hub.aio.start_child("bomb", app.Bomb)
        long = [asyncio.ensure_future(hub.aio.ref(f"slow-{n}").call("slow", 0.7, "x", 1, timeout=90)) for n in range(8)]
        with pytest.raises(Poisoned):
            await hub.aio.ref("bomb").call("burst", "memory", timeout=90)
        assert await asyncio.gather(*long) == [1] * 8
        assert [letter.child for letter in await hub.aio.dead_letters()] == ["bomb"]
        for n in range(8):
            assert await hub.aio.ref(f"slow-{n}").call("entries", timeout=30) == {"x": [1]}

        async def forgotten() -> bool:
            read = [plain("EXISTS", hub.keys.tries(shard), read=int) for shard in range(64)]
            return not any(await redis.run_many(read))

        redis = AsyncRedis(hub.server)
        await eventually(forgotten, 20, "the tries are forgotten once the messages of that time are done")
        await redis.close()

    play(hub, scenario)


@pytest.mark.long
@pytest.mark.parametrize("where", ["init", "on_start", "run"])
def test_a_child_whose_start_kills_is_parked(shell: Shell, hub: Hub, fault: Path, app: Any, where: str) -> None:
    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(crew, shell)
        neighbours = Neighbours(ledger)
        await neighbours.begin()
        await hub.aio.start_children([ChildSpec(f"good-{n}", app.BadStart, args=("nowhere", "")) for n in range(4)])
        start = hub.aio.start_child("bad", app.BadStart, where, "exit", timeout=60)
        if where == "run":
            await start  # that was over when run() began
        else:
            with pytest.raises(StartFailed, match="starting it took down 3 workers"):
                await start

        async def parked() -> dict[str, str]:
            return {child.child_id: child.reason for child in await hub.aio.children() if child.status == "parked"}

        await eventually(parked, 60, "the child is parked")
        assert list(await parked()) == ["bad"]
        assert deaths(fault) == ["exit"] * 3
        for n in range(4):
            await ledger.call("x", f"good-{n}", timeout=60)
        listed = json.loads(await asyncio.to_thread(shell.ok, "dead", "list", hub.hub_id, "--json"))
        assert [(each["child"], each["kind"], each["tries"]) for each in listed] == [("bad", "start", 3)]
        await hub.aio.ref("bad").cast("record", "y", 1)
        mend(fault)
        said = await asyncio.to_thread(shell.ok, "dead", "replay", hub.hub_id, listed[0]["letter"])
        assert said == f"{listed[0]['letter']} sent again"
        assert await hub.aio.ref("bad").call("entries", timeout=30) == {"y": [1]}
        assert await parked() == {}
        await neighbours.clean()

    play(hub, scenario)
