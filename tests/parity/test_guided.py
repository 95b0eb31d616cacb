"""ProcessHub's guided distribution case with real workers: the caller says which child lives where."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from acceptance.conftest import Shell

from hubq import ChildSpec, Guided, Hub, MappingError
from hubq.store.embedded import EmbeddedServer
from hubq.testing import Ledger, eventually
from parity.test_process_hub import kinds, play, record_all, spawn

__all__ = ["kinds"]
pytestmark = pytest.mark.acceptance


@pytest.mark.long
def test_guided_start_and_remove(shell: Shell, hub_id: str, redis_server: EmbeddedServer, kinds: Any) -> None:
    """Every child runs on the node it was given, does not migrate when nodes come, and is removed from there."""
    shell.environment["PARITY_GUIDED"] = "1"
    guided = Hub(hub_id, redis=redis_server.url, distribution=Guided())

    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(spawn, shell, "a", "b", "c")
        children = [f"child-{n}" for n in range(60)]
        mapping = {child: "abc"[n % 3] for n, child in enumerate(children)}
        specs = [ChildSpec(child, kinds.Plain) for child in children]
        for wrong in (
            None,
            {**mapping, "child-7": "x"},
            {**mapping, "child-99": "a"},
            {**mapping, "child-7": ["a", "b"]},
        ):
            with pytest.raises(MappingError):
                await guided.aio.start_children(specs, child_mapping=wrong)
        assert await guided.aio.children() == []
        result = await guided.aio.start_children(specs, child_mapping=mapping, timeout=30)
        assert result.status == "ok", result.errors

        async def placed() -> dict[str, str]:
            return {child: pids[0].node for child, pids in (await guided.aio.process_list()).items()}

        assert await placed() == mapping == dict(result.started)
        await record_all(ledger, "s", children)
        await asyncio.to_thread(spawn, shell, "d")

        async def d_has_shards() -> bool:
            return any(node.name == "d" and node.shards == 16 for node in await guided.aio.nodes())

        await eventually(d_has_shards, 40.0, "the shards have moved")
        await record_all(ledger, "s", children)
        assert await placed() == mapping, "guided children do not migrate"
        stopped = await guided.aio.stop_children(children[:30], timeout=30)
        assert dict(stopped.stopped) == {child: mapping[child] for child in children[:30]}
        assert await placed() == {child: mapping[child] for child in children[30:]}
        again = dict.fromkeys(children[:30], "d")
        moved = await guided.aio.start_children(specs[:30], child_mapping=again, timeout=30)
        assert dict(moved.started) == again
        assert await guided.aio.ref(children[0]).call("entries") == {}, "a new child, not the old one's state"
        assert ledger.failed == []
        ledger.sent = {key: sent for key, sent in ledger.sent.items() if key[1] not in again}
        await ledger.check()

    try:
        play(guided, scenario)
    finally:
        guided.close()
