"""hubq in Flask."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("flask")

from flask import Flask, current_app

from hubq import Child, ConfigError, Hub, Partitioned
from hubq.contrib.flask import HubQ
from hubq.testing import Cluster, FakeServer


class Cart(Child):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def look(self) -> str:
        """In a thread."""
        return str(current_app.name)

    async def look_async(self) -> str:
        return str(current_app.name)


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub("carts", redis=FakeServer(), lease=2.0, lease_margin=0.4, heartbeat=0.1)
    made.child(Cart)
    yield made
    made.close()


def test_handlers_have_an_app_context(hub: Hub, hubq_run: Any) -> None:
    HubQ(Flask("shop"), hub)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("cart", Cart)
            cart = hub.aio.ref("cart")
            assert [await cart.call("look"), await cart.call("look_async")] == ["shop", "shop"]

    hubq_run(scenario())


def test_errors_become_answers(hub: Hub) -> None:
    app = Flask("shop")
    HubQ(hub=hub).init_app(app)

    @app.get("/partitioned")
    def partitioned() -> str:
        raise Partitioned("3 of 5 nodes")

    @app.get("/broken")
    def broken() -> str:
        raise ZeroDivisionError

    @app.get("/carts/<name>")
    def cart(name: str) -> str:
        return str(hub.ref(name).call("look"))

    web = app.test_client()
    answer = web.get("/partitioned")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.get_json() == {"error": "Partitioned", "detail": "try again later"}
    assert web.get("/carts/none").status_code == 404
    assert web.get("/broken").status_code == 500
    assert app.extensions["hubq"] is hub


def test_flask_hubq_runs_the_command_for_the_hub_of_the_app(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def outcome(arguments: list[str]) -> int:
        asked.append(arguments)
        return 3

    monkeypatch.setattr("hubq.cli.main.outcome", outcome)
    module = ModuleType("a_shop")
    module.__dict__["hub"] = hub
    monkeypatch.setitem(sys.modules, "a_shop", module)
    app = Flask("a_shop")
    HubQ(app, hub)
    run = app.test_cli_runner()
    assert run.invoke(args=["hubq", "ps", "--json", "--tag", "x=y"]).exit_code == 3
    assert asked == [["ps", "a_shop:hub", "--json", "--tag", "x=y"]]
    app.config["HUBQ_HUB"] = "shop.hubs:hub"
    run.invoke(args=["hubq", "dead", "list"])
    run.invoke(args=["hubq", "--help"])
    assert asked[1:] == [["dead", "list", "shop.hubs:hub"], ["--help"]]


def test_bad_input(hub: Hub) -> None:
    app = Flask("shop")
    with pytest.raises(ConfigError, match="without a hub"):
        HubQ(app)
    HubQ(app, hub)
    with pytest.raises(ConfigError, match="has hub 'carts' already"):
        HubQ(app, Hub("others"))
