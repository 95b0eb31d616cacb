"""A deploy brings another version of a class: old states are brought up to date, and newer ones wait for newer code."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import CallFailed, Child, Hub, Replication
from hubq.testing import Cluster, eventually


class First(Child):
    """A cart as the first version of the app has it."""

    __qualname__ = "Cart"

    def __init__(self) -> None:
        self.prices: list[float] = []

    async def add(self, price: float) -> None:
        self.prices.append(price)

    async def fail(self) -> None:
        self.prices.append(0.0)
        raise ValueError("no")

    async def look(self) -> dict[str, Any]:
        return dict(self.__dict__)


class Wider(First):
    """The same version with one more attribute."""

    __qualname__ = "Cart"

    def __init__(self) -> None:
        super().__init__()
        self.currency = "EUR"


class Second(First):
    """Prices are cents from here on."""

    __qualname__ = "Cart"
    state_version = 2

    def __init__(self) -> None:
        self.cents: list[int] = []

    def upgrade_state(self, state: dict[str, Any], version: int) -> dict[str, Any]:
        assert version == 1
        return {"cents": [round(price * 100) for price in state["prices"]]}

    async def add(self, price: float) -> None:
        self.cents.append(round(price * 100))

    async def fail(self) -> None:
        self.cents.append(0)
        raise ValueError("no")


class Texts(Child):
    """A total as text."""

    __qualname__ = "Cart"
    total: str

    def __init__(self) -> None:
        self.total = "0"

    async def add(self, price: float) -> None:
        self.total = str(int(self.total) + round(price * 100))

    async def look(self) -> dict[str, Any]:
        return dict(self.__dict__)


class Numbers(Texts):
    """The total is a number from here on."""

    __qualname__ = "Cart"
    state_version = 2
    total: int  # type: ignore[assignment]

    def __init__(self) -> None:
        self.total = 0

    def upgrade_state(self, state: dict[str, Any], version: int) -> dict[str, Any]:
        return {"total": int(state["total"])}

    async def add(self, price: float) -> None:
        self.total += round(price * 100)


class Deploy:
    """Two versions of an app at the same hub, each with nodes of its own."""

    def __init__(self, make_hub: Any, old: type[Child], new: type[Child], **settings: Any) -> None:
        first: Hub = make_hub(shards=4, **settings)
        first.child(old)
        second = Hub(first.hub_id, redis=first.server, shards=4, lease=2.0, lease_margin=0.4, heartbeat=0.1, **settings)
        second.child(new)
        self.old, self.new = Cluster(first), Cluster(second)
        self.kind = old

    async def __aenter__(self) -> Deploy:
        await self.old.__aenter__()
        await self.new.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.new.__aexit__(*error)
        await self.old.__aexit__(*error)

    async def filled(self) -> Any:
        """A cart with a price in it, at the old version."""
        await self.old.start("a")
        await self.old.hub.aio.start_child("cart", self.kind)
        cart = self.old.hub.aio.ref("cart")
        await cart.call("add", 1.5)
        return cart


@pytest.mark.parametrize("fails_first", [True, False])
def test_a_new_attribute_outlives_a_handler_that_raises(make_hub: Any, hubq_run: Any, fails_first: bool) -> None:
    async def scenario() -> None:
        async with Deploy(make_hub, First, Wider) as deploy:
            cart = await deploy.filled()
            await deploy.new.start("b")
            await deploy.old.drain("a")
            seen = {"prices": [1.5], "currency": "EUR"}
            if not fails_first:
                assert await cart.call("look") == seen
            with pytest.raises(CallFailed):
                await cart.call("fail")
            assert await cart.call("look") == seen

    hubq_run(scenario())


def test_an_old_state_is_brought_up_to_date_once(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Deploy(make_hub, First, Second) as deploy:
            cart = await deploy.filled()
            await deploy.new.start("b")
            await deploy.old.drain("a")
            with pytest.raises(CallFailed):
                await cart.call("fail")
            assert await cart.call("look") == {"cents": [150]}
            await cart.call("add", 2)
            await deploy.new.start("c")
            await deploy.new.drain("b")
            assert await cart.call("look") == {"cents": [150, 200]}
            await deploy.new.kill("c")
            await deploy.new.start("d")
            assert await cart.call("look", timeout=20) == {"cents": [150, 200]}

    hubq_run(scenario())


def test_data_whose_annotation_has_changed_is_brought_up_to_date(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Deploy(make_hub, Texts, Numbers, codec="data") as deploy:
            cart = await deploy.filled()
            await deploy.new.start("b")
            await deploy.old.drain("a")
            await cart.call("add", 2)
            assert await cart.call("look") == {"total": 350}

    hubq_run(scenario())


def test_a_newer_state_is_served_by_newer_code_only(make_hub: Any, hubq_run: Any) -> None:
    """The deploy is rolled back while it is under way: what the new version has written waits for it."""

    async def scenario() -> None:
        async with Deploy(make_hub, First, Second) as deploy:
            cart = await deploy.filled()
            await deploy.new.start("b")
            await deploy.old.drain("a")
            await cart.call("add", 2)
            await deploy.old.start("c")
            await deploy.new.drain("b")
            (found,) = await eventually(lambda: parked(deploy.old.hub), 10, "the cart is parked")
            assert "its state has version 2" in found.reason and "state_version is 1" in found.reason
            assert "cannot start on this worker" in deploy.old.nodes["c"].pulse.why_unready()
            call = asyncio.create_task(cart.call("look", timeout=20))
            await deploy.new.start("d")
            assert await call == {"cents": [150, 200]}

    async def parked(hub: Hub) -> list[Any]:
        return [child for child in await hub.aio.children() if child.status == "parked"]

    hubq_run(scenario())


def test_copies_of_another_version_give_way(make_hub: Any, hubq_run: Any) -> None:
    """A copy that has the old state is not taken for one of the new version."""

    async def scenario() -> None:
        async with Deploy(make_hub, First, Second, redundancy=Replication(2)) as deploy:
            cart = await deploy.filled()
            await deploy.new.start("b")
            await deploy.old.drain("a")
            assert await cart.call("look") == {"cents": [150]}
            await cart.call("add", 2)
            await deploy.new.start("c")
            await deploy.new.settled()
            await deploy.new.kill("b")
            assert await cart.call("look", timeout=20) == {"cents": [150, 200]}

    hubq_run(scenario())
