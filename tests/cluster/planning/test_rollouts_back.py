"""A version that has raised ``state_version`` is given back: its children return with states that the old version reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hubq import Child, Hub
from hubq.client.operations.rollouts import ramp_to
from hubq.core.readiness import NOT_SERVING
from hubq.core.rollout import Ramp
from hubq.testing import Cluster, Ledger, LedgerChild, eventually
from hubq.testing.load import Load

CHILDREN = [f"c-{number}" for number in range(8)]


class First(LedgerChild):
    __qualname__ = "Cart"


class Second(LedgerChild):
    """Keeps what it has done in another attribute."""

    __qualname__ = "Cart"
    state_version = 2

    def upgrade_state(self, state: dict[str, Any], version: int) -> dict[str, Any]:
        return {**state, "new": True}


class WithWayBack(Second):
    __qualname__ = "Cart"

    def downgrade_state(self, state: dict[str, Any], version: int) -> dict[str, Any]:
        assert version == 1 and state.pop("new") is True
        return state


class CannotUpgrade(Second):
    __qualname__ = "Cart"

    def upgrade_state(self, state: dict[str, Any], version: int) -> dict[str, Any]:
        raise KeyError("prices")


class FailingBack(Second):
    __qualname__ = "Cart"

    def downgrade_state(self, state: dict[str, Any], version: int) -> dict[str, Any]:
        raise KeyError("no way")


class Versions:
    """Two versions of an app at the same hub, each with nodes of its own."""

    def __init__(self, make_hub: Callable[..., Hub], new: type[Child], **settings: Any) -> None:
        first = make_hub(shards=4, **settings)
        first.child(First)
        second = Hub(first.hub_id, redis=first.server, shards=4, lease=2.0, lease_margin=0.4, heartbeat=0.1, **settings)
        second.child(new)
        self.hub, self.old, self.new = first, Cluster(first), Cluster(second)

    async def __aenter__(self) -> Versions:
        await self.old.__aenter__()
        await self.new.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.new.__aexit__(*error)
        await self.old.__aexit__(*error)

    async def filled(self, *old: str) -> Load:
        """The old version with children under load, and one node of the new version."""
        await self.old.start(*old, app_version="v1")
        await self.old.settled()
        for child in CHILDREN:
            await self.hub.aio.start_child(child, First)
        load = Load(Ledger(self.hub), CHILDREN)
        await self.new.start("new", app_version="v2")
        return load

    async def share(self, share: float) -> None:
        driver = self.hub.aio.driver
        await driver.drive(ramp_to(driver.context, Ramp("v2", share), "a test"))

    async def ramp(self, share: float) -> None:
        await self.share(share)
        await eventually(lambda: self.shards("new") == round(share * 4), 20, f"{share} of the shards are moved")

    def shards(self, name: str) -> int:
        return list(self.new.serving().values()).count(name)

    async def all_are(self, status: str, *nodes: str) -> bool:
        children = await self.hub.aio.children()
        return all(child.status == status and child.node in nodes for child in children)

    def unready(self) -> list[str]:
        """Why old nodes are not ready, but for moves that are under way."""
        return [why for node in self.old.nodes.values() if (why := node.pulse.why_unready()) not in ("", NOT_SERVING)]


@pytest.mark.parametrize("settings", [{}, {"codec": "data"}])
def test_with_a_way_back_all_children_return(make_hub: Any, hubq_run: Any, settings: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with Versions(make_hub, WithWayBack, **settings) as versions:
            load = await versions.filled("old-1", "old-2")
            await versions.ramp(1.0)
            await versions.ramp(0.0)
            await eventually(lambda: versions.all_are("running", "old-1", "old-2"), 10, "all are with the old version")
            await load.end()
            assert not versions.unready()
            await load.ledger.check()
            await versions.new.kill("new")
            await load.ledger.check()

    hubq_run(scenario())


@pytest.mark.parametrize("kind", [Second, FailingBack])
def test_without_one_they_stay_and_the_old_workers_are_ready(make_hub: Any, hubq_run: Any, kind: type[Child]) -> None:
    async def scenario() -> None:
        async with Versions(make_hub, kind) as versions:
            load = await versions.filled("old-1", "old-2")
            await versions.ramp(1.0)
            await versions.ramp(0.0)
            await asyncio.sleep(1.0)
            children = await versions.hub.aio.children()
            assert {(child.node, child.status, child.pin) for child in children} == {("new", "running", "straggler")}
            why = "its state has version 2, and Second.state_version is 1 on old-" if kind is Second else "no way"
            assert all(why in child.reason for child in children), children
            assert not versions.unready()
            await load.end()
            await load.ledger.check()

    hubq_run(scenario())


def test_what_the_new_version_could_not_read_returns(make_hub: Any, hubq_run: Any) -> None:
    """Its state is as the old version has written it."""

    async def scenario() -> None:
        async with Versions(make_hub, CannotUpgrade) as versions:
            load = await versions.filled("old-1", "old-2")
            await load.reached(100)
            await versions.ramp(1.0)
            await versions.ramp(0.0)
            await eventually(lambda: versions.all_are("running", "old-1", "old-2"), 10, "they run on old code")
            await load.end()
            await load.ledger.check()

    hubq_run(scenario())


def test_after_a_crash_newer_code_takes_them_and_brings_them_back(make_hub: Any, hubq_run: Any) -> None:
    """No node with old code is asked to take them from another one."""

    async def scenario() -> None:
        async with Versions(make_hub, WithWayBack) as versions:
            load = await versions.filled("a-1", "a-2")
            await versions.ramp(1.0)
            await load.reached(load.count + 100)
            await versions.new.kill("new")
            await versions.share(0.0)

            await eventually(lambda: versions.all_are("parked", "a-1", "a-2"), 20, "they are parked")
            assert len(versions.unready()) == 2, "nobody runs them"
            await versions.new.start("z", app_version="v2")
            await eventually(lambda: versions.all_are("running", "z"), 10, "newer code runs them")
            await eventually(lambda: not versions.unready(), 5, "the old nodes are ready")
            await eventually(lambda: versions.all_are("running", "a-1", "a-2"), 30, "they have returned")
            await load.end()
            await load.ledger.check()

    hubq_run(scenario())
