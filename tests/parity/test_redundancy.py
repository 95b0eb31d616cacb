"""ProcessHub's redundancy cases with real workers: replication over the whole cluster, one active of each child, a standby
that takes over, and cold swap with copies.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from acceptance.conftest import Shell, WorkerProcess

from hubq import ChildSpec, Hub
from hubq.testing import Ledger, eventually

pytestmark = pytest.mark.acceptance
APPS = Path(__file__).parent / "apps"
#: As replicas_app has it, seconds.
LEASE = 2.0
#: How much longer than measured on a machine with nothing else to do a take-over may take.
SLACK = 10


class Crew:
    """Workers of the replicas app, and what their children have written down."""

    def __init__(self, shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
        self.hub, self._shell = hub, shell
        shell.environment.update(
            {"PYTHONPATH": str(APPS), **{f"HUBQ_TEST_{k.upper()}": v for k, v in settings.items()}}
        )
        for name in ("HUBQ_TEST_HUB", "HUBQ_REDIS_URL"):
            monkeypatch.setenv(name, shell.environment[name])
        monkeypatch.syspath_prepend(str(APPS))
        self._redis = redis.Redis.from_url(shell.environment["HUBQ_REDIS_URL"], decode_responses=True)

    async def start(self, name: str) -> WorkerProcess:
        """Start a worker; returns once it has joined."""

        def spawned() -> WorkerProcess:
            worker = self._shell.spawn("replicas_app:hub", "--name", name)
            worker.wait_line(rf"hubq worker {name}: hub ")
            return worker

        return await asyncio.to_thread(spawned)

    async def children(self, count: int) -> list[str]:
        """Start children; returns once they run."""
        import replicas_app

        names = [f"child-{n}" for n in range(count)]
        result = await self.hub.aio.start_children([ChildSpec(name, replicas_app.Noted) for name in names], timeout=30)
        assert len(result.started) == count
        return names

    async def copied(self, children: list[str], each: int, *, on: set[str]) -> None:
        """Wait until each child has so many finished copies besides the original, all on these nodes."""

        async def all_there() -> bool:
            for child in children:
                place = await self.hub.aio.where(child)
                if len(place.replicas) != each or not {place.node, *place.replicas} <= on:
                    return False
            return True

        await eventually(all_there, 30.0, f"{each} copies of each child on {on}")

    async def notes(self, what: str) -> list[tuple[str, str, str]]:
        """What has been written down of this kind: child, node, text."""
        lines: Any = await asyncio.to_thread(self._redis.lrange, f"notes:{self.hub.hub_id}", 0, -1)
        words = [line.split(" ", 3) for line in lines]
        return [(child, node, text) for child, node, kind, text in words if kind == what]

    async def forget(self) -> None:
        """Begin the notes anew."""
        await asyncio.to_thread(self._redis.delete, f"notes:{self.hub.hub_id}")

    async def agree(self, children: list[str], copies: int) -> None:
        """Every copy of every child has the same full state."""
        await self.forget()
        for child in children:
            await self.hub.aio.ref(child).call("tell", timeout=20)

        async def told() -> bool:
            return len(await self.notes("state")) >= copies * len(children)

        await eventually(told, 20.0, f"{copies} copies of each child have told their state")
        for child in children:
            states = [text for of, _, text in await self.notes("state") if of == child]
            assert len(states) == copies and len(set(states)) == 1, (child, states)

    async def modes(self) -> dict[str, dict[str, str]]:
        """The last mode that each copy was told: child -> node -> mode."""
        found: dict[str, dict[str, str]] = {}
        for child, node, mode in await self.notes("mode"):
            found.setdefault(child, {})[node] = mode
        return found

    async def not_as_placed(self, children: list[str], nodes: set[str]) -> str:
        """What is not as the places say: the modes that the copies of a child were told, and the events of its shard."""
        notes, lines = await self.notes("mode"), []
        _, events = await self.hub.aio.inspect.events(1000)
        for child in children:
            place = await self.hub.aio.where(child)
            told = [(node, mode) for of, node, mode in notes if of == child]
            if [n for n, mode in dict(told).items() if mode == "active" and n in nodes] != [place.node]:
                lines.append(f"{child}: {place}, told {told}")
        return "\n".join([*lines, *map(str, events)])


def play(hub: Hub, scenario: Callable[[Ledger], Awaitable[None]]) -> None:
    async def whole() -> None:
        try:
            await scenario(Ledger(hub))
        finally:
            await hub.aio.close()

    asyncio.run(whole())


async def send(ledger: Ledger, children: list[str], rounds: int) -> None:
    """From two senders, calls and casts in turn."""

    async def one(sender: str) -> None:
        for turn in range(rounds):
            for child in children:
                await (ledger.cast(sender, child) if turn % 2 else ledger.call(sender, child, timeout=30))

    await asyncio.gather(one("x"), one("y"))


@pytest.mark.long
def test_replication_over_the_whole_cluster_active_active(
    shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every copy handles every message once and in order, also of children that start while a worker joins."""
    crew = Crew(shell, hub, monkeypatch, factor="cluster_size", model="active_active")

    async def scenario(ledger: Ledger) -> None:
        for name in "abc":
            await crew.start(name)
        children = await crew.children(20)
        await crew.copied(children, 2, on=set("abc"))
        listed = [line.split() for line in (await asyncio.to_thread(shell.ok, "ps", hub.hub_id)).splitlines()]
        assert listed[0][3:6] == ["NODE", "REPLICAS", "SHARD"] and len(listed) == 21
        assert all({line[3], *line[4].split(",")} == set("abc") for line in listed[1:])
        await crew.forget()
        await send(ledger, children, 6)

        async def all_handled() -> bool:
            return len(await crew.notes("handled")) >= 3 * 2 * 6 * len(children)

        await eventually(all_handled, 20.0, "all copies have handled everything")
        handled: dict[tuple[str, str, str], list[int]] = {}
        for child, node, text in await crew.notes("handled"):
            sender, number = text.split()
            handled.setdefault((child, node, sender), []).append(int(number))
        assert handled == {(c, n, s): list(range(1, 7)) for c in children for n in "abc" for s in "xy"}
        await crew.agree(children, 3)
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)


@pytest.mark.long
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_replication_factor_and_mode_exactly_one_is_active(
    shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    crew = Crew(shell, hub, monkeypatch, factor="2", model="active_passive")

    async def scenario(ledger: Ledger) -> None:
        workers = {name: await crew.start(name) for name in "abc"}
        children = await crew.children(30)
        await crew.copied(children, 1, on={"a", "b", "c"})
        before = {child: await hub.aio.where(child) for child in children}
        await send(ledger, children, 3)

        async def as_placed(nodes: set[str]) -> None:
            async def one_active() -> bool:
                told = await crew.modes()
                places = [await hub.aio.where(child) for child in children]
                return all(
                    [n for n, mode in told[place.child_id].items() if mode == "active" and n in nodes] == [place.node]
                    for place in places
                )

            try:
                await eventually(one_active, 20.0, f"one active copy of each child on {nodes}")
            except TimeoutError as error:
                raise AssertionError(await crew.not_as_placed(children, nodes)) from error

        await as_placed({"a", "b", "c"})
        workers["b"].signal(getattr(signal, how))
        await send(ledger, children, 3)
        await crew.copied(children, 1, on={"a", "c"})
        await as_placed({"a", "c"})
        lost = [place for place in before.values() if place.node == "b"]
        assert lost
        for place in lost:
            assert (await hub.aio.where(place.child_id)).node in place.replicas, "the standby takes over"
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)


@pytest.mark.alone
def test_the_standby_answers_within_the_lease_and_a_tenth_of_a_second(
    shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGKILL, with active_passive: from the end of the dead worker's lease to the first answer."""
    crew = Crew(shell, hub, monkeypatch, factor="2", model="active_passive")

    async def scenario(ledger: Ledger) -> None:
        workers = {name: await crew.start(name) for name in "ab"}
        children = await crew.children(30)
        await crew.copied(children, 1, on={"a", "b"})
        await send(ledger, children, 1)
        lost = [child for child in children if (await hub.aio.where(child)).node == "b"]
        assert lost
        workers["b"].signal(signal.SIGKILL)
        (left,) = [node.lease for node in await hub.aio.nodes() if node.name == "b"]
        began = time.monotonic()
        assert 0 < left <= LEASE
        await ledger.call("z", lost[0], timeout=30)
        late = time.monotonic() - began - left
        print(f"first answer {1000 * late:.0f} ms after the end of the lease, which had {left:.2f} s left")
        assert late < 0.1 * SLACK
        await asyncio.gather(*(ledger.call("z", child, timeout=30) for child in lost[1:]))
        assert time.monotonic() - began - left < 0.1 * SLACK, "and that is so for all of them"
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)


@pytest.mark.long
def test_cold_swap_with_replication(shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew(shell, hub, monkeypatch, factor="2", model="active_active", swap="cold")

    async def scenario(ledger: Ledger) -> None:
        a = await crew.start("a")
        children = await crew.children(30)
        await send(ledger, children, 2)
        await crew.start("b")
        await send(ledger, children, 2)
        await crew.copied(children, 1, on={"a", "b"})
        await crew.start("c")
        a.signal(signal.SIGTERM)
        assert await asyncio.to_thread(a.wait) == 0
        await send(ledger, children, 2)
        await crew.copied(children, 1, on={"b", "c"})
        await crew.agree(children, 2)
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)
