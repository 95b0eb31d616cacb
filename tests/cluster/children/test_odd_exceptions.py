"""Exceptions that are no ordinary errors: the caller hears of them, and the child goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import CallFailed, ChildSpec, Hub
from hubq.testing import Cluster, LedgerChild


class Odd(LedgerChild):
    async def cancel_itself(self) -> None:
        raise asyncio.CancelledError

    async def surrogate(self) -> None:
        raise ValueError("bad \udcff text")

    async def exit(self) -> None:
        raise SystemExit(3)


def test_odd_exceptions_do_not_wedge_a_child(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Odd, ["odd"])
            for method, kind in (
                ("cancel_itself", "CancelledError"),
                ("surrogate", "ValueError"),
                ("exit", "SystemExit"),
            ):
                with pytest.raises(CallFailed) as caught:
                    await hub.aio.ref("odd").call(method)
                assert caught.value.remote_type == kind
                assert await hub.aio.ref("odd").call("record", "x", 1) >= 1

    asyncio.run(scenario())


async def start(hub: Hub, kind: Any, names: list[str]) -> None:
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names])
    assert result.status == "ok"
