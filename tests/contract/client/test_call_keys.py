"""Calls with a key: run once, answered each time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hubq import CallFailed, Child, ConfigError, Hub, KeyReused
from hubq.testing import Cluster, eventually


class Till(Child):
    def __init__(self) -> None:
        self.paid: list[tuple[str, int]] = []
        self.tried = 0

    async def pay(self, who: str, amount: int = 1) -> int:
        self.paid.append((who, amount))
        return len(self.paid)

    async def pay_slowly(self, who: str) -> int:
        await asyncio.sleep(0.1)
        return await self.pay(who)

    async def fail(self, who: str) -> None:
        self.tried += 1
        raise ValueError(f"no, {who}")

    async def total(self) -> int:
        return len(self.paid)

    async def tries(self) -> int:
        return self.tried


class Diary(Till):
    durability = "interval"
    save_every = 30.0


class Careless(Till):
    on_error = "keep"


Scenario = Callable[[Hub, Cluster], Awaitable[None]]


@pytest.fixture
def play(make_hub: Any) -> Callable[[Scenario], None]:
    """Runs a scenario on a hub with a node and a child of each class."""

    def run(scenario: Scenario) -> None:
        async def whole() -> None:
            hub = make_hub(shards=2)
            async with Cluster(hub) as cluster:
                await cluster.start("one")
                for kind in (Till, Diary, Careless):
                    await hub.aio.start_child(kind.__name__, kind)
                await scenario(hub, cluster)

        asyncio.run(whole())

    return run


def test_run_once_and_answered_each_time(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        till = hub.aio.ref(Till, "Till")
        once = till.options(key="order-7")
        assert await once.call(Till.pay, "ann", 3) == 1
        assert await till.call(Till.pay, "bob") == 2
        assert await once.call(Till.pay, "ann", amount=3) == 1, "the same arguments, given by name"
        assert await hub.aio.ref("Till").options(key="order-7").call("pay", "ann", 3) == 1
        assert await asyncio.to_thread(hub.ref(Till, "Till").options(key="order-7").call, Till.pay, "ann", 3) == 1
        for wrong in (once.call(Till.pay, "ann", 4), once.call(Till.pay_slowly, "ann")):
            with pytest.raises(
                KeyReused, match=r"^Till\.pay\w*: the key 'order-7' was used for another method or other"
            ):
                await wrong
        assert await till.options(key="order-8").call(Till.pay, "ann", 3) == 3, "another key"
        assert await hub.aio.ref(Till, "Diary").options(key="order-7").call(Till.pay, "ann", 3) == 1, "another child"
        assert await till.call(Till.total) == 3

    play(scenario)


def test_who_comes_meanwhile_waits_for_the_first(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        for name in ("Till", "Diary"):
            once = hub.aio.ref(Till, name).options(key="k")
            assert await asyncio.gather(*[once.call(Till.pay_slowly, "ann") for _ in range(5)]) == [1] * 5
            assert await once.call(Till.pay_slowly, "ann") == 1

    play(scenario)


def test_casts_have_keys_too(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        once = hub.aio.ref(Till, "Till").options(key="k")
        await once.cast(Till.pay, "ann")
        await once.cast(Till.pay, "ann")
        assert await once.call(Till.pay, "ann") == 1
        assert await hub.aio.ref(Till, "Till").call(Till.total) == 1

    play(scenario)


def test_an_error_that_left_nothing_is_not_kept(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        for name, tries in (("Till", 0), ("Careless", 1)):
            ref = hub.aio.ref(Till, name)
            for _ in range(2):
                with pytest.raises(CallFailed, match="raised ValueError on node one: no, ann"):
                    await ref.options(key="k").call(Till.fail, "ann")
            assert await ref.call(Till.tries) == tries, "on_error='keep': what it has changed stays, so it runs once"
        assert await hub.aio.ref(Till, "Till").options(key="k").call(Till.pay, "ann") == 1, "the key is free"

    play(scenario)


def test_kept_as_long_as_was_said(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        brief = hub.aio.ref(Till, "Till").options(key="k", keep=0.05)
        assert await brief.call(Till.pay, "ann") == 1

        async def forgotten() -> bool:
            return await brief.call(Till.pay, "ann") == 2

        await eventually(forgotten, 5, "the outcome is forgotten")

    play(scenario)


@pytest.mark.long_on_fakeredis
def test_kept_through_a_move_and_a_kill(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        for name in ("Till", "Diary"):
            assert await hub.aio.ref(Till, name).options(key="k").call(Till.pay, "ann") == 1
        await cluster.start("two")
        await cluster.drain("one")
        for name in ("Till", "Diary"):
            assert await hub.aio.ref(Till, name).options(key="k").call(Till.pay, "ann") == 1
            assert await hub.aio.ref(Till, name).options(key="l").call(Till.pay, "bob") == 2
        await cluster.start("three")
        await cluster.kill("two")
        for name in ("Till", "Diary"):
            for key, who, number in (("k", "ann", 1), ("l", "bob", 2)):
                assert await hub.aio.ref(Till, name).options(key=key).call(Till.pay, who) == number
            assert await hub.aio.ref(Till, name).call(Till.total) == 2

    play(scenario)


def test_what_is_no_key() -> None:
    ref = Hub("nobody", redis="redis://localhost:1").ref("x")
    for key in ("", "a\nb", "x" * 201, 7):
        with pytest.raises(ConfigError, match="give a text of 1 to 200 characters that can be printed"):
            ref.options(key=key)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"keep=0: give seconds above 0"):
        ref.options(key="k", keep=0)
    with pytest.raises(ConfigError, match=r"keep=5 without a key"):
        ref.options(keep=5)
    with pytest.raises(ConfigError, match="cancel_on_timeout=1: give True or False"):
        ref.options(cancel_on_timeout=1)  # type: ignore[arg-type]
