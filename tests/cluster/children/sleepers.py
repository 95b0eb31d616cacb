"""Children that rest, and how tests wait until they do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from hubq import Child, read
from hubq.store.command import plain
from hubq.testing import Cluster, LedgerChild, eventually
from hubq.testing.probe import probe

IDLE = 0.05


class Sleepy(LedgerChild):
    idle_after = IDLE
    activate = True

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name

    async def hello(self) -> str:
        return f"hi {self.name}"

    @read
    async def name_now(self) -> str:
        return self.name

    async def later(self) -> None:
        self.remind("tick", "clock", 1, call=Sleepy.record, after=0.4)

    async def wait(self) -> None:
        await MOMENTS.may_go.wait()

    async def fail(self) -> None:
        raise ValueError("no")


class Moments:
    """What children of one test say, and wait for."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget those of the test before."""
        self.taking, self.saying, self.may_go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.stopped: list[str] = []


MOMENTS = Moments()


class Stopping(Sleepy):
    async def on_stop(self, reason: str) -> None:
        MOMENTS.stopped.append(f"{self.child_id} {reason}")

    async def end(self) -> None:
        self.stop()


class Slow(Sleepy):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    async def handed_over(self) -> list[int]:
        return self.seen

    async def prepare_handover_state(self) -> Any:  # type: ignore[override]
        MOMENTS.taking.set()
        await MOMENTS.may_go.wait()
        return [self.applied, self.seen]

    def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
        applied, seen = handed
        return {"applied": applied, "seen": [*seen, len(applied["x"])]}


class Goodbye(Sleepy):
    async def on_stop(self, reason: str) -> None:
        MOMENTS.saying.set()
        await MOMENTS.may_go.wait()


class Brief(LedgerChild):
    expire_after = 0.15

    async def lasting(self) -> None:
        self.remind("tick", "clock", 1, call=Brief.record, after=3600)
        self.publish("topic", 1)


class Patient(Sleepy):
    idle_after = 1.5


class Handed(Sleepy):
    durability = "handover"


class Spoilt(LedgerChild):
    idle_after = IDLE
    durability = "handover"
    on_error = "keep"

    async def spoil(self) -> None:
        self.lock = threading.Lock()


class Interval(Sleepy):
    durability = "interval"
    save_every = 60.0


class Teller(Child):
    async def tell(self, child: str, number: int) -> None:
        self.ref(Sleepy, child).cast(Sleepy.record, "teller", number)


async def raw(cluster: Cluster, *args: Any) -> Any:
    """The answer of Redis to a command."""
    node = next(iter(cluster.nodes.values()))
    return await probe(node).connection.run(plain(*args, read=lambda answer: answer))


async def is_dormant(cluster: Cluster, name: str) -> bool:
    hub = cluster.hub
    return bool(await raw(cluster, "HEXISTS", hub.keys.dormant(hub.driver.context.shard_of(name)), name))


async def rest(cluster: Cluster, *names: str) -> None:
    """Wait until these children are dormant; nothing of them is anywhere else."""
    keys, context = cluster.hub.keys, cluster.hub.driver.context

    async def all_are() -> bool:
        return all([await is_dormant(cluster, name) for name in names])

    await eventually(all_are, 20, f"{', '.join(names)} are dormant")
    for name in names:
        shard = context.shard_of(name)
        assert not await raw(cluster, "HEXISTS", keys.children(shard), name)
        assert not await raw(cluster, "HEXISTS", keys.msk(shard), name)
    await eventually(lambda: not running(cluster, names), 10, "no node has anything of them")


def running(cluster: Cluster, names: Sequence[str]) -> list[str]:
    return [child.child_id for node in cluster.nodes.values() for child in node.children if child.child_id in names]


def children_here(cluster: Cluster, name: str) -> list[Any]:
    found = [probe(node).child(name) for node in cluster.nodes.values()]
    return [child for child in found if child is not None]


async def gone(cluster: Cluster, *names: str) -> None:
    """Wait until these children have ended."""
    keys, context = cluster.hub.keys, cluster.hub.driver.context

    async def all_are() -> bool:
        places = [(key(context.shard_of(name)), name) for name in names for key in (keys.children, keys.dormant)]
        return not any([await raw(cluster, "HEXISTS", *place) for place in places])

    await eventually(all_are, 20, f"{', '.join(names)} have ended")
