"""The pytest plugin as a user of hubq would use it: own children, no server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubq import Child, Hub
from hubq.testing import Cluster, FakeServer


class Lamp(Child):
    def __init__(self) -> None:
        self.lit = False

    async def press(self) -> bool:
        self.lit = not self.lit
        return self.lit


def test_a_users_own_child(hubq_server: FakeServer, hubq_run: Callable[[Any], Any]) -> None:
    async def scenario() -> list[bool]:
        hub = Hub("lamps", redis=hubq_server)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("hall", Lamp)
            first = await hub.aio.ref("hall").call("press")
            await cluster.start("b")
            await cluster.drain("a")
            return [first, await hub.aio.ref("hall").call("press")]

    assert hubq_run(scenario()) == [True, False]
