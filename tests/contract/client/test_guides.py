"""The guides of the client are followed: their modules are imported, their code is run, and prints what it says."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hubq.store.connection import RedisServer
from hubq.testing import Cluster

DOCS = Path(__file__).resolve().parents[3] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

#: What the reader of a page asks next, to see that it is as the page says.
NEXT = {
    "guide-effects.md": """
import bank
bank.hub.ref(bank.Account, "bob").call(bank.Account.receive, 0)
print(bank.hub.inspect.state("ann").value(), bank.hub.inspect.state("bob").value())
from shop import Stock, hub
hub.ref(Stock, "stock-7").call(Stock.take, 1)
print(hub.inspect.state("stock-7").value())
print([event.data for event in hub.ref("order-1").feed(after="0", follow=False)], hub.inspect.reminders()[0].name)
""",
    "guide-on-demand.md": "from rooms import post; print(post('room-1', 'hi'), post('room-1', 'ho'), post('room-2', 'hi'))",
    "guide-reminders.md": """
from orders import Order, hub
hub.ref(Order, "order-1").call(Order.paid)
hub.ref(Order, "order-1").call(Order.chase)
print([(each.name, each.every) for each in hub.inspect.reminders()])
""",
}

#: The first block of a page is a module; of these pages, others are, too.
MORE = {"guide-effects.md": {2: "shop"}}

PRINTED = {
    "guide-typed.md": ("typed", "1\n3\n"),
    "guide-calls.md": ("calls", "0\nTrue\n5\n5\n"),
    "guide-feeds.md": ("live", "posts hi\nposts hello\n"),
    "guide-effects.md": (
        "bank",
        "{'balance': 70} {'balance': 130}\n{'left': 97}\n[{'order': 'order-1'}] unshipped\n",
    ),
    "guide-on-demand.md": ("rooms", "1 2 1\n"),
    "guide-reminders.md": ("orders", "unpaid\n[('again', 3600.0)]\n"),
}


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("page", PRINTED)
def test_a_guide(server: Any, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    name, printed = PRINTED[page]
    blocks = [*BLOCK.findall((DOCS / page).read_text(encoding="utf-8")), NEXT.get(page, "")]
    modules = {0: name, **MORE.get(page, {})}
    hubs = []
    for number, of in modules.items():
        module: Any = ModuleType(of)
        monkeypatch.setitem(sys.modules, of, module)
        exec(blocks[number], module.__dict__)
        module.hub.connect_to(database(server, list(PRINTED).index(page) + 1))
        hubs.append(module.hub)

    async def scenario() -> str:
        async with contextlib.AsyncExitStack() as clusters:
            for hub in hubs:
                await (await clusters.enter_async_context(Cluster(hub))).start("a")
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                for number, block in enumerate(blocks):
                    if number not in modules:
                        await asyncio.to_thread(exec, block, {})
            for hub in hubs:
                hub.close()
            return said.getvalue()

    assert asyncio.run(scenario()) == printed


def database(server: Any, number: int) -> Any:
    """Another database of the same server: the hubs of two pages may have one name."""
    return RedisServer(server.url.removesuffix("/0") + f"/{number}") if isinstance(server, RedisServer) else server
