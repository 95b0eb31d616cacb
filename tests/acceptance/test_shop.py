"""The shop: workers are killed during a thousand checkouts; then stock, orders, mails and the page agree exactly."""

from __future__ import annotations

import json
import signal
import threading
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest
from rq.job import Job

from hubq import Event, Hub
from hubq.store.embedded import EmbeddedServer

from .conftest import Shell
from .test_web_apps import Site
from .waiting import soon

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

ROOT = Path(__file__).parents[2]
APP = "examples.shop:hub"
#: Orders and customers; every so manieth order is for more gold than there is for all of them, or is sent twice.
ORDERS, CUSTOMERS, GOLD, TWICE = 1_000, 7, 100, 10


def wanted(number: int) -> tuple[str, str, int]:
    """Customer, item and count of an order."""
    customer = f"customer-{number % CUSTOMERS}"
    return (customer, "gold", 3_000) if number % GOLD == 0 else (customer, ("tea", "cups")[number % 2], number % 3 + 1)


class Page:
    """A page that is open all the time: what the server has sent to it."""

    def __init__(self, port: int) -> None:
        self.orders: list[tuple[str, str]] = []
        self._answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/events?after=0", timeout=60)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._answer as lines, suppress(OSError, HTTPException):  # in the end, the server closes it
            for line in lines:
                if line.startswith(b"data: "):
                    data = json.loads(line[6:])["data"]
                    self.orders.append((data["order"], data["status"]))


def test_stock_orders_mails_and_page_agree_after_kills_during_a_thousand_checkouts(
    shell: Shell, redis_server: EmbeddedServer
) -> None:
    hub = Hub("shop", redis=redis_server.url)
    workers = [shell.spawn(APP, "--name", name, cwd=ROOT) for name in ("a", "b")]
    for worker in workers:
        worker.wait_line("hubq worker")
    site = Site(shell, "uvicorn", "--port", "{port}", "--timeout-graceful-shutdown", "1", "examples.shop:app")
    try:
        assert site.request("GET", "/orders/0")[0] == 404
        page = Page(site.port)

        def order(number: int) -> list[tuple[int, object]]:
            customer, item, count = wanted(number)
            body = {"customer": customer, "item": item, "count": count}
            if number in (ORDERS // 3, 2 * ORDERS // 3):
                workers.pop(0).signal(signal.SIGKILL)
                workers.append(shell.spawn(APP, "--name", f"after-{number}", cwd=ROOT))
            return [site.request("POST", f"/orders/{number}", body) for _ in range(2 if number % TWICE == 0 else 1)]

        with ThreadPoolExecutor(8) as customers:
            answers = [answer for each in customers.map(order, range(ORDERS)) for answer in each]
        assert {status for status, _ in answers} == {200}

        refused = {f"order-{number}" for number in range(0, ORDERS, GOLD)}
        told: dict[str, list[str]] = {f"order-{number}": [] for number in range(ORDERS)}
        with hub.ref("board").feed(after="0") as feed:
            for event in feed:
                assert isinstance(event, Event)
                told[event.data["order"]].append(event.data["status"])
                if sum(event.data["all"].get(status, 0) for status in ("shipped", "sold out")) == ORDERS:
                    break
        sold_out = {order for order, statuses in told.items() if statuses == ["ordered", "sold out"]}
        assert len(sold_out) == len(refused) - 3 and sold_out < refused, "there was gold for three orders"
        shipped = {order for order, statuses in told.items() if statuses == ["ordered", "reserved", "shipped"]}
        assert shipped == told.keys() - sold_out

        taken = Counter[str]()
        for number in range(ORDERS):
            if f"order-{number}" in shipped:
                _, item, count = wanted(number)
                taken[item] += count
        left = {item: hub.ref(item).call("how_many") for item in ("tea", "cups", "gold")}
        assert left == {item: 10_000 - taken[item] for item in ("tea", "cups", "gold")}
        assert site.request("GET", "/orders/1") == (200, "shipped")
        assert hub.inspect.reminders() == [] and hub.dead_letters() == []

        soon(lambda: hub.rq_queue.count >= ORDERS, "the mails are in the queue")
        mails = [job.args for job in Job.fetch_many(hub.rq_queue.job_ids, hub.rq_queue.connection) if job is not None]
        assert sorted(order for order, *_ in mails) == sorted(told), "a mail for each order"
        assert {order for order, _, text in mails if text == "We have no 3000 gold, sorry"} == sold_out
        assert all(to == wanted(int(order.removeprefix("order-")))[0] for order, to, _ in mails)

        soon(lambda: len(page.orders) >= sum(map(len, told.values())), "the page shows all")
        shown: dict[str, list[str]] = {order: [] for order in told}
        for name, status in page.orders:
            shown[name].append(status)
        assert shown == told, "the page has shown each change once, in order"
    finally:
        site.close()
        hub.close()
