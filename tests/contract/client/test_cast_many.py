"""Many casts in one request, waiting and awaiting: order, refusals, bad input."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import NoneType
from typing import Any

import pytest

from hubq import ConfigError, Hub, InvalidChildId, MailboxFull, NotSendable, UnknownChild, UnknownMethod
from hubq.core.send_window import WINDOW
from hubq.testing import Cluster, LedgerChild, eventually, probe
from tests.contract.client.test_sync_client import serving


def numbers(first: int, last: int, children: int) -> list[tuple[Any, ...]]:
    """A cast of each number, to the children in turn."""
    return [(f"c{number % children}", "record", "s", number) for number in range(first, last)]


def expected(first: int, last: int, children: int, child: int) -> list[int]:
    return [number for number in range(first, last) if number % children == child]


@pytest.mark.long_on_fakeredis
def test_waiting(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=4)
    with serving(hub):
        for n in range(3):
            hub.start_child(f"c{n}", LedgerChild).result(10)
        count = WINDOW + 500  # more than may be in flight
        assert hub.cast_many(numbers(1, count, 3)) == [None] * (count - 1)
        for n in range(3):
            assert hub.ref(f"c{n}").call("entries", timeout=20) == {"s": expected(1, count, 3, n)}
        assert hub.cast_many([]) == []
    hub.close()


@pytest.mark.long_on_fakeredis
def test_awaiting(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for n in range(3):
                await hub.aio.start_child(f"c{n}", LedgerChild)
            count = WINDOW + 500
            assert await hub.aio.cast_many(numbers(1, count, 3)) == [None] * (count - 1)
            for n in range(3):
                assert await hub.aio.ref(f"c{n}").call("entries", timeout=20) == {"s": expected(1, count, 3, n)}
            assert await hub.aio.cast_many(iter(())) == []

    asyncio.run(scenario())


def test_a_refused_one_stops_none_of_the_others(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1, max_backlog=3)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c0", LedgerChild)
            await cluster.drain("a")
            answers = await hub.aio.cast_many(
                [("c0", "record", "s", 1), ("nobody", "record"), *[("c0", "record", "s", n) for n in (2, 3, 4)]]
            )
            assert [type(answer) for answer in answers] == [NoneType, UnknownChild, NoneType, NoneType, MailboxFull]
            node = await cluster.start("b")
            await eventually(lambda: probe(node).commits, what="a commit, which makes room")
            assert await hub.aio.ref("c0").call("entries") == {"s": [1, 2, 3]}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        (("c0",), ConfigError, r"cast \('c0',\): give \(child id or reference, method, arguments\.\.\.\)"),
        (7, ConfigError, "cast 7: give"),
        (("c0", 3), ConfigError, r"cast \('c0', 3\): give"),
        (("", "record"), InvalidChildId, "child id is empty"),
        (("c0", "record", (n for n in ())), NotSendable, "c0.record cannot be pickled"),
    ],
)
def test_bad_input_sends_nothing(make_hub: Any, bad: Any, error: type[Exception], said: str) -> None:
    hub: Hub = make_hub(shards=1)
    with serving(hub):
        hub.start_child("c0", LedgerChild).result(10)
        with pytest.raises(error, match=said):
            hub.cast_many([("c0", "record", "s", 1), bad])
        assert hub.ref("c0").call("entries") == {}
    hub.close()


def test_the_example_of_the_page(real_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """What docs/guide-children.md shows is so."""
    page = (Path(__file__).parents[3] / "docs" / "guide-children.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S) if "cast_many" in block]
    hub = Hub("shop", redis=real_server)
    for who in ("ann", "bob"):
        hub.start_child(f"cart-{who}", LedgerChild)
    monkeypatch.setenv("HUBQ_REDIS_URL", real_server.url)
    names: dict[str, Any] = {}
    exec(compile(code, "guide-children.md", "exec", dont_inherit=True), names)
    names["hub"].close()
    assert capsys.readouterr().out == "nobody: UnknownChild\n"
    assert names["answers"][:2] == [None, None]
    assert [hub.inspect.mailbox(f"cart-{who}").heads[-1].method for who in ("ann", "bob")] == ["add", "add"]
    hub.close()


def test_methods_may_be_given_as_functions(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=4)
    with serving(hub):
        hub.start_child("c0", LedgerChild).result(10)
        hub.ref("c0").cast(LedgerChild.record, "s", 1)
        assert hub.cast_many([("c0", LedgerChild.record, "s", 2)]) == [None]
        assert hub.ref("c0").call(LedgerChild.entries, timeout=20) == {"s": [1, 2]}
        for send in (hub.ref("c0").call, hub.ref("c0").cast):
            with pytest.raises(UnknownMethod, match=r"LedgerChild.__init__ is no method"):
                send(LedgerChild.__init__)
            with pytest.raises(ConfigError, match="method None: give its name"):
                send(None)  # type: ignore[arg-type]

        async def awaiting() -> Any:
            await hub.aio.ref("c0").cast(LedgerChild.record, "s", 3)
            try:
                return await hub.aio.ref("c0").call(LedgerChild.entries, timeout=20)
            finally:
                await hub.aio.close()

        assert asyncio.run(awaiting()) == {"s": [1, 2, 3]}
    hub.close()
