"""hubq in Django: settings, checks, connections, transactions, errors, ``manage.py hubq``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

pytest.importorskip("django")

import django
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import RequestFactory

from hubq import Child, ConfigError, Hub, UnknownChild
from hubq.core.middleware import Work
from hubq.testing import Cluster, FakeServer

if not settings.configured:
    settings.configure(
        DEBUG=False,
        ROOT_URLCONF=(),
        INSTALLED_APPS=["hubq.contrib.django", "a_django_app"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        HUBQ={
            "HUB_ID": "shop",
            "REDIS": FakeServer(),
            "SHARDS": 8,
            "LEASE": 2.0,
            "LEASE_MARGIN": 0.4,
            "HEARTBEAT": 0.1,
        },
    )
    for name in ("a_django_app", "a_django_app.children", "a_django_app.jobs"):
        sys.modules[name] = ModuleType(name)
    sys.modules["a_django_app"].__path__ = []
    sys.modules["a_django_app"].__file__ = __file__
    django.setup()

from hubq.contrib.django import ErrorMiddleware, cast_on_commit, enqueue_on_commit, hub
from hubq.contrib.django.checks import check_settings
from hubq.contrib.django.configured import checked, the_hub, view_path, where
from hubq.contrib.django.connections import EVERY, Connections
from hubq.contrib.django.templatetags.hubq_view import hubq_view
from hubq.contrib.django.view import with_view


@pytest.fixture
def of_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Other settings for one test."""

    def change(wanted: Any) -> None:
        monkeypatch.setattr(settings, "HUBQ", wanted)
        the_hub.cache_clear()

    made = the_hub()
    yield change
    the_hub.cache_clear()
    monkeypatch.undo()
    monkeypatch.setattr("hubq.contrib.django.configured.Hub", lambda *args, **options: made)
    the_hub()


class Cart(Child):
    def __init__(self) -> None:
        self.items: list[int] = []

    async def add(self, item: int) -> int:
        self.items.append(item)
        return len(self.items)

    def in_transaction(self) -> bool:
        return bool(connection.in_atomic_block)


def test_the_hub_is_that_of_the_settings() -> None:
    assert (hub.hub_id, hub.config.shards, hub.config.lease) == ("shop", 8, 2.0)
    assert hub is the_hub() and hub.layers, "database connections are looked after"
    assert where() == "hubq.contrib.django.worker:hub"
    from hubq.contrib.django import worker

    assert worker.hub is hub


def test_a_hub_of_ones_own_is_named(of_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own, module = Hub("own"), ModuleType("a_django_app.hubs")
    module.__dict__["mine"] = own
    monkeypatch.setitem(sys.modules, "a_django_app.hubs", module)
    of_settings({"HUB": "a_django_app.hubs:mine"})
    assert the_hub() is own and where() == "a_django_app.hubs:mine"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (None, "there is no settings.HUBQ"),
        ([], "is of type list"),
        ({}, "neither 'HUB_ID'"),
        ({"HUB_ID": "shop", "SHARD": 8}, "unknown key 'SHARD': did you mean 'SHARDS'?"),
        ({"HUB": "x:y", "SHARDS": 8}, "names a hub with 'HUB'"),
        ({"HUB": "nowhere"}, "give 'module:attribute'"),
        ({"HUB": "a_django_app:none"}, "there is no Hub of this name"),
        ({"HUB_ID": "a shop"}, "is not a name"),
        ({"HUB_ID": "shop", "SHARDS": 0}, "shards=0"),
        ({"HUB_ID": "shop", "REDIS": "http://box"}, "http"),
        ({"HUB_ID": "shop", "VIEW": "hubq"}, "give the path of the web view"),
        ({"HUB_ID": "shop", "VIEW": "/"}, "give the path of the web view"),
        ({"HUB_ID": "shop", "VIEW": 7}, "give the path of the web view"),
    ],
)
def test_what_is_wrong_in_the_settings_is_a_finding(of_settings: Any, wanted: Any, said: str) -> None:
    of_settings(wanted)
    (finding,) = check_settings(None)
    assert finding.id == "hubq.E001" and said in finding.msg
    with pytest.raises(ConfigError):
        the_hub()


def test_a_project_in_use_names_its_redis(of_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUBQ_REDIS_URL", raising=False)
    assert check_settings(None) == []
    of_settings({"HUB_ID": "shop"})
    assert [finding.id for finding in check_settings(None)] == ["hubq.W001"]
    monkeypatch.setenv("HUBQ_REDIS_URL", "redis://box")
    assert check_settings(None) == []
    assert checked({"HUB_ID": "shop", "MAX_BACKLOG": 5})["MAX_BACKLOG"] == 5
    assert checked({"HUB": "shop.hubs:hub", "VIEW": "/ops/hub/"})["VIEW"] == "/ops/hub/"


def test_the_web_view_is_where_the_settings_say(of_settings: Any) -> None:
    of_settings({"HUB_ID": "shop", "VIEW": "/ops/hub/"})
    assert view_path() == "/ops/hub" and hubq_view() == "/ops/hub/"
    of_settings({"HUB_ID": "shop"})
    assert view_path() == "" == hubq_view()
    with pytest.raises(ConfigError, match=r"has no 'VIEW'"):
        with_view(nothing)
    of_settings(None)
    assert hubq_view() == ""  # the admin goes on; `manage.py check` says what is wrong


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI app that answers nothing."""


def test_the_web_view_is_below_its_path_and_all_else_is_the_projects(of_settings: Any) -> None:
    of_settings({"HUB_ID": "shop", "REDIS": FakeServer(), "VIEW": "/hubq"})
    asked: list[str] = []

    async def project(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> None:
        app: Any = with_view(project)
        for root in ("", "/below"):
            transport = httpx.ASGITransport(app=app, root_path=root)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
                for path in ("/", "/hubqx", "/carts/hubq"):
                    assert (await client.get(root + path)).status_code == 204
                assert (await client.get(root + "/hubq/api/hub")).status_code == 401
                left = await client.get(root + "/hubq/child?id=a%2Fb")
                assert left.status_code == 303
                assert (
                    left.headers["location"] == f"/accounts/login/?{urlencode({'next': root + '/hubq/child?id=a%2Fb'})}"
                )
        said: list[Any] = []
        told = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            return next(told)

        async def send(message: Any) -> None:
            said.append(message["type"])

        await app({"type": "lifespan"}, receive, send)
        assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    asyncio.run(ask())
    assert asked == ["/", "/hubqx", "/carts/hubq", "/below/", "/below/hubqx", "/below/carts/hubq"]


def test_what_is_sent_on_commit(hubq_run: Any) -> None:
    hub.child(Cart)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("cart", Cart)
            await asyncio.to_thread(in_a_request)
            assert await hub.aio.ref("cart").call("add", 9) == 2, "one of the two was rolled back"
            assert await hub.aio.ref("cart").call("in_transaction") is False

    def rolled_back(cart: Any) -> None:
        with transaction.atomic():
            cast_on_commit(cart, Cart.add, 2)
            raise ZeroDivisionError

    def in_a_request() -> None:
        cart = hub.ref(Cart, "cart")
        with transaction.atomic():
            cast_on_commit(cart, Cart.add, 1)
            assert cart.call(Cart.in_transaction) is False
            assert hub.inspect.state("cart") is None or hub.inspect.state("cart").value()["items"] == []
        with pytest.raises(ZeroDivisionError):
            rolled_back(cart)
        connection.close()

    hubq_run(scenario())


def test_a_job_is_enqueued_on_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(hub, "enqueue", lambda function, *args: asked.append((function, args)))
    with transaction.atomic():
        enqueue_on_commit(print, 1)
        assert asked == []
    assert asked == [(print, (1,))]
    connection.close()


WORK = Work("message", "shop", "a", "cart", "Cart.add", "add")


def test_old_connections_are_closed_around_a_thread_s_work(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr("hubq.contrib.django.connections.close_old_connections", lambda: closed.append("x"))
    with Connections()(WORK):
        assert closed == ["x"]
    assert closed == ["x", "x"]
    with transaction.atomic(), Connections()(WORK):
        pass
    assert closed == ["x", "x"], "not within a transaction: it would be broken"
    connection.close()


async def others() -> None:
    """Wait for every other task of this loop."""
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))


def test_those_of_the_async_orm_are_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr("hubq.contrib.django.connections.close_old_connections", lambda: closed.append("x"))
    now = [100.0]
    around = Connections(lambda: now[0])

    async def scenario() -> None:
        for _ in range(3):
            with around(WORK):
                pass
        await others()
        assert closed == ["x"]
        now[0] += EVERY
        with around(WORK):
            pass
        await others()
        assert closed == ["x", "x"]

    asyncio.run(scenario())


def test_errors_become_answers() -> None:
    request = RequestFactory().get("/")
    middleware = ErrorMiddleware(lambda request: None)
    answer = middleware.process_exception(request, UnknownChild("no child 'x'"))
    assert answer.status_code == 404 and b"there is no such child" in answer.content
    assert middleware.process_exception(request, ZeroDivisionError()) is None

    async def view(request: Any) -> str:
        return "awaited"

    assert asyncio.run(ErrorMiddleware(view)(request)) == "awaited"


def test_manage_py_hubq(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    codes = [0, 3]

    def outcome(arguments: list[str]) -> int:
        asked.append(arguments)
        return codes.pop(0)

    monkeypatch.setattr("hubq.contrib.django.management.commands.hubq.outcome", outcome)
    call_command("hubq", "ps")
    with pytest.raises(CommandError, match="hubq doctor has failed"):
        call_command("hubq", "doctor")
    assert asked == [["ps", "hubq.contrib.django.worker:hub"], ["doctor", "hubq.contrib.django.worker:hub"]]
