"""The strategies that docs/strategies.md shows: the page's own code, run on a cluster."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from hubq.core.placement import place
from hubq.core.view import NodeView, View
from hubq.testing import Cluster, Ledger, LedgerChild, Load, eventually, interfere, start_children

PAGE = Path(__file__).resolve().parents[3] / "docs" / "strategies.md"


def code_of(name: str) -> str:
    found = re.search(rf"```python\n(# {name}\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, f"{PAGE.name} has no block that begins with `# {name}`"
    return found[1]


def shown(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": name}
    exec(compile(code_of(name), name, "exec"), names)
    return names


@pytest.mark.parametrize("name", ["by_region.py", "spares.py", "one_at_a_time.py"])
def test_they_are_short(name: str) -> None:
    assert len([line for line in code_of(name).splitlines() if line.strip()]) < 40


def test_children_live_in_their_region(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=12, distribution=shown("by_region.py")["ByRegion"]("eu"))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("us", tags={"region": "us"})
            load = Load(ledger, await start_children(hub, LedgerChild, 40))
            await load.reached(50)
            assert set(cluster.serving().values()) == {"us"}
            await cluster.start("eu1", "eu2", tags={"region": "eu"})
            assert await cluster.serves({"us": 0, "eu1": 6, "eu2": 6})
            await load.reached(load.count + 50)
            await asyncio.gather(cluster.drain("eu1"), cluster.drain("eu2"))
            assert await cluster.serves({"us": 12})
            await load.reached(load.count + 50)
            await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


def test_one_shard_at_a_time(make_hub: Any) -> None:
    async def scenario() -> None:
        strategy = shown("one_at_a_time.py")["OneAtATime"]()
        hub = make_hub(shards=12, migration=strategy)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            load = Load(ledger, await start_children(hub, LedgerChild, 40))
            await load.reached(50)
            await cluster.start("b")
            assert await cluster.settled() == {"a": 6, "b": 6}
            await load.reached(load.count + 50)
            assert await cluster.drain("a")
            await load.reached(load.count + 50)
            await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["dies", "drains"])
def test_a_spare_takes_over(make_hub: Any, how: str) -> None:
    """The page's own redundancy strategy decides which of the followers goes on."""

    async def scenario() -> None:
        hub = make_hub(shards=1, redundancy=shown("spares.py")["Spares"](3, "active_passive"))
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            (child,) = await start_children(hub, LedgerChild, 1)
            assert (await hub.aio.where(child)).node == "a"
            await hub.aio.ref(child).call("record", "x", 1)
            await cluster.start("b", "c")

            async def both() -> bool:
                return (await hub.aio.where(child)).replicas == ("b", "c")

            await eventually(both, 20.0, "copies on b and c")
            view = View({name: NodeView(name, 1) for name in "bc"}, {0: None}, 1)
            usual = place(view.nodes, view.owners, 1)[0]
            (other,) = {"b", "c"} - {usual}
            node = cluster.nodes.pop(other)
            assert await node.drain(20.0)
            await cluster.start(other, tags={"spare": "yes"})
            await eventually(both, 20.0, "copies on b and c again")
            assert await cluster.drain("a") if how == "drains" else await cluster.kill("a") is None
            assert await hub.aio.ref(child).call("entries", timeout=20) == {"x": [1]}
            assert (await hub.aio.where(child)).node == other
            _, events = await asyncio.to_thread(hub.inspect.events, 100, ["shard_adopted", "shard_migrated"])
            adopted = [e.fields["node"] for e in events]
            assert adopted == ["a", other], "the spare, at once"

    asyncio.run(scenario())


class Nonsense:
    """Answers with what is not there, and then with nothing but errors."""

    def __init__(self) -> None:
        self.asked = 0

    def init(self, hub_id: str) -> None:
        pass

    def belongs_to(self, view: Any) -> dict[int, str]:
        self.asked += 1
        if self.asked > 20:
            raise RuntimeError("no idea")
        return {0: "nobody", 99: "a"}

    def children_init(self, specs: Any, child_mapping: Any, nodes: Any) -> dict[str, str]:
        return {}


def test_a_strategy_that_errs_moves_nothing(make_hub: Any) -> None:
    async def scenario() -> None:
        strategy = Nonsense()
        hub = make_hub(shards=4, distribution=strategy)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            assert await cluster.serves({"a": 4})
            await cluster.start("b")
            while strategy.asked <= 25:
                for node in cluster.nodes.values():
                    interfere.look_at_the_plan(node)
                await asyncio.sleep(0)
            assert await cluster.serves({"a": 4, "b": 0})
            await start_children(hub, LedgerChild, 4)

    asyncio.run(scenario())
