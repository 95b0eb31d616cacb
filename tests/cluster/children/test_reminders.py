"""Reminders: each is handled once in its effect, through moves and deaths of nodes (docs/guide-reminders.md)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hubq import CallFailed, Child, ChildSpec, InvalidReminder, MailboxFull, UnknownChild, UnknownMethod
from hubq.testing import Cluster, eventually


class Clock(Child):
    def __init__(self) -> None:
        self.ticks: list[Any] = []

    async def tick(self, what: str = "tick") -> None:
        self.ticks.append(what)

    async def set(self, name: str, args: tuple[Any, ...] = (), **times: Any) -> None:
        self.remind(name, *args, call=Clock.tick, **times)

    async def set_and_fail(self, name: str, **times: Any) -> None:
        self.remind(name, "never", call=Clock.tick, **times)
        raise ValueError("no")

    async def take_back(self, name: str) -> None:
        self.forget(name)

    async def names(self) -> list[tuple[str, float | None]]:
        return [(reminder.name, reminder.every) for reminder in await self.reminders()]

    async def names_with(self, name: str) -> list[str]:
        self.remind(name, call="tick", after=60)
        return [reminder.name for reminder in await self.reminders()]

    async def wrong(self, method: Any) -> None:
        self.remind("x", call=method, after=1)

    async def seen(self) -> list[Any]:
        return self.ticks

    async def end(self) -> None:
        self.stop()


async def sees(clock: Any, ticks: list[Any], within: float = 10.0) -> None:
    async def same() -> bool:
        return bool(await clock.call("seen", timeout=20) == ticks)

    await eventually(same, within, f"{ticks} are seen")


def test_reminders_are_set_replaced_and_taken_back_with_the_commit(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a")
            await cluster.hub.aio.start_child("clock", Clock)
            clock = cluster.hub.aio.ref("clock")
            await clock.call("set", "one", ("first",), after=0.05)
            await clock.call("set", "late", after=60)
            await clock.call("set", "never", ("never",), after=0.5)
            await clock.call("take_back", "never")
            await clock.call("set", "one-more", ("old",), after=0.5)
            await clock.call("set", "one-more", ("new",), after=0.3)
            with pytest.raises(CallFailed):
                await clock.call("set_and_fail", "failed", after=0.05)
            await sees(clock, ["first", "new"])
            assert await clock.call("names") == [("late", None)]
            assert await clock.call("names_with", "again") == ["late", "again"]
            await clock.call("set", "at", ("at",), at=datetime.now(UTC) + timedelta(seconds=0.1))
            await sees(clock, ["first", "new", "at"])
            found = await asyncio.to_thread(cluster.hub.inspect.reminders, "clock")
            assert [(each.name, each.method) for each in found] == [("late", "tick"), ("again", "tick")]
            await clock.call("end")
            assert await asyncio.to_thread(cluster.hub.inspect.reminders) == []

    hubq_run(scenario())


@pytest.mark.long
def test_ticks_lie_on_a_grid_and_outlive_nodes(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=4)) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            await hub.aio.start_child("clock", Clock)
            clock = hub.aio.ref("clock")
            began = time.time()
            await clock.call("set", "grid", every=0.2, late="all")
            set_by = time.time()
            await cluster.start("b")
            await cluster.drain("a")
            await cluster.kill("b")
            await cluster.start("c")

            async def many() -> bool:
                return len(await clock.call("seen", timeout=20)) >= 15

            await eventually(many, 30, "15 ticks")
            taken_back = time.time()
            await clock.call("take_back", "grid")
            ticks, ended = len(await clock.call("seen")), time.time()
            least, most = (taken_back - set_by) / 0.2 - 2, (ended - began) / 0.2
            assert least <= ticks <= most, "with late='all' every tick of the grid is there, and none twice"

    hubq_run(scenario())


def test_late_ticks_are_one_or_none(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=4)) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            for name in ("once", "skip"):
                await hub.aio.start_child(name, Clock)
                await hub.aio.ref(name).call("set", "far", every=3600, after=0.3, late=name)
            await cluster.drain("a")
            until = time.monotonic() + 1.6
            await eventually(lambda: time.monotonic() > until, 5, "they are late by more than a second")
            await cluster.start("b")
            await sees(hub.aio.ref("once"), ["tick"])
            assert await hub.aio.ref("skip").call("seen") == []
            found = await asyncio.to_thread(hub.inspect.reminders)
            assert [(each.child_id, each.every) for each in found] == [("once", 3600.0), ("skip", 3600.0)]

    hubq_run(scenario())


def test_a_client_sends_later_and_takes_it_back(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            await hub.aio.start_child("clock", Clock)
            clock = hub.aio.ref(Clock, "clock")
            far = await clock.cast_in(60, Clock.tick, "far")
            soon = await clock.cast_in(0.1, Clock.tick, "soon")
            at = await hub.aio.ref("clock").cast_at(time.time() + 0.3, "tick", "at")
            assert await far.cancel() and not await far.cancel()
            await sees(hub.aio.ref("clock"), ["soon", "at"])
            assert not await soon.cancel() and not await at.cancel()

            def waiting() -> bool:
                later = hub.ref("clock").cast_in(60, "tick", "waits")
                typed = hub.ref(Clock, "clock").cast_at(time.time() + 60, Clock.tick)
                return later.cancel() and typed.cancel()

            assert await asyncio.to_thread(waiting)
            with pytest.raises(UnknownChild):
                await hub.aio.ref("none").cast_in(1, "tick")
            with pytest.raises(InvalidReminder, match="in the past"):
                await clock.cast_at(time.time() - 60, Clock.tick)
            with pytest.raises(InvalidReminder, match="cast_in=-1"):
                await clock.cast_in(-1, Clock.tick)

    hubq_run(scenario())


def test_a_full_mailbox_makes_reminders_wait(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(max_backlog=2)) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            await hub.aio.start_child("clock", Clock)
            clock = hub.aio.ref("clock")
            await asyncio.gather(*(clock.cast_in(0.1, "tick", str(number)) for number in range(6)))

            async def all_there() -> bool:
                try:
                    return sorted(await clock.call("seen")) == [str(number) for number in range(6)]
                except MailboxFull:
                    return False

            await eventually(all_there, 20, "all six, though two may wait at a time")

    hubq_run(scenario())


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({}, "without a time"),
        ({"after": 1, "at": 2e9}, "give one of them"),
        ({"after": float("nan")}, "after=nan"),
        ({"every": 0.01}, "every=0.01"),
        ({"at": 5}, "in the past"),
        ({"at": datetime(2030, 1, 1)}, "no time zone"),
        ({"after": 1, "late": "twice"}, "late='twice'"),
    ],
)
def test_bad_times_are_refused(make_hub: Any, hubq_run: Any, times: dict[str, Any], said: str) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a")
            await cluster.hub.aio.start_child("clock", Clock)
            clock = cluster.hub.aio.ref("clock")
            with pytest.raises(CallFailed, match=said):
                await clock.call("set", "x", **times)
            for name in ("", "x" * 129, "a\nb"):
                with pytest.raises(CallFailed, match="the name of a reminder"):
                    await clock.call("set", name, after=1)
            with pytest.raises(UnknownMethod, match="no method 'nothing'"):
                await clock.call("wrong", "nothing")
            assert await clock.call("names") == []

    hubq_run(scenario())


class Bell(Child):
    """Sets many reminders in one message, and more while they ring."""

    def __init__(self) -> None:
        self.set_so_far = 0
        self.rang: list[int] = []

    async def set(self, count: int) -> int:
        for _ in range(count):
            self.set_so_far += 1
            number = self.set_so_far
            self.remind(f"bell {number}", number, call=Bell.ring, after=number % 20 * 0.1)
        return self.set_so_far

    async def ring(self, number: int) -> None:
        self.rang.append(number)

    async def report(self) -> tuple[int, list[int]]:
        return self.set_so_far, self.rang


@pytest.mark.long
@pytest.mark.parametrize("fault", ["kill", "freeze", "drain"])
def test_each_rings_once_whatever_happens_to_the_nodes(make_hub: Any, hubq_run: Any, fault: str) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=8)) as cluster:
            await cluster.start("a", "b")
            hub = cluster.hub
            names = [f"bell-{number}" for number in range(6)]
            result = await hub.aio.start_children([ChildSpec(name, Bell) for name in names], timeout=20)
            assert result.status == "ok"
            acknowledged = dict.fromkeys(names, 0)

            async def ask(name: str) -> None:
                for _ in range(6):
                    acknowledged[name] = await hub.aio.ref(name).call("set", 5, timeout=30)

            asking = asyncio.gather(*(ask(name) for name in names))
            await cluster.start("c")
            if fault == "kill":
                await cluster.kill("a")
            elif fault == "drain":
                await cluster.drain("a")
            else:
                cluster.freeze("a")
                await eventually(lambda: "a" not in cluster.serving().values(), 20, "a is taken over")
                cluster.thaw("a")
            await asking

            async def all_rang() -> bool:
                reports = [await hub.aio.ref(name).call("report", timeout=30) for name in names]
                return all(sorted(rang) == list(range(1, count + 1)) for count, rang in reports)

            await eventually(all_rang, 30, "each has rung once")
            for name in names:
                count, rang = await hub.aio.ref(name).call("report")
                assert sorted(rang) == list(range(1, count + 1)) and count >= acknowledged[name]
            assert await asyncio.to_thread(hub.inspect.reminders) == []

    hubq_run(scenario())
