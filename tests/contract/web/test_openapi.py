"""The OpenAPI document says what the API does: it is asked for what the document allows, and for what it does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings

from hubq import Child, Hub
from hubq.store.embedded import free_port
from hubq.testing import Cluster, FakeServer, eventually
from hubq.web import dashboard, open_to_all
from hubq.web.view.api import END_POINTS

schemathesis = pytest.importorskip("schemathesis")
import requests  # noqa: E402  (it comes with schemathesis)
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

#: Requests to each end point.
EXAMPLES = 8


class Room(Child):
    async def post(self, text: str = "") -> str:
        return text


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A view for an operator of a hub with a child, in a thread of its own."""
    port, ready, end = free_port(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        hub = Hub("openapi", redis=FakeServer(), lease=5.0, codec="data")  # so arguments are read as annotations say
        hub.child(Room)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("room-1", Room)
            app: Any = dashboard(hub, auth=open_to_all("ann", "operator"), read_only=False)
            server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off", ws="none"))
            task = asyncio.create_task(server.serve())
            await eventually(lambda: server.started, what="the web server")
            ready.set()
            await end.wait()
            server.should_exit = True
            await task

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    yield f"http://127.0.0.1:{port}"
    loops[0].call_soon_threadsafe(end.set)
    thread.join(30)


@pytest.fixture(scope="module")
def document(address: str) -> Any:
    """What the view says of itself."""
    return schemathesis.openapi.from_url(f"{address}/api/openapi.json")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Connections that stay."""
    with requests.Session() as session:
        yield session


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", ["positive", pytest.param("negative", marks=pytest.mark.long)])
@pytest.mark.parametrize("point", END_POINTS, ids=lambda point: f"{point.method} {point.path}")
def test_whatever_is_asked_the_answer_is_one_that_the_document_knows(
    document: Any, session: requests.Session, point: Any, mode: str
) -> None:
    if mode == "negative" and not point.asks.__struct_fields__:
        pytest.skip("nothing can be asked wrongly")
    operation = document[f"/api{point.path}"][point.method]
    answers = set()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def ask(case: Any) -> None:
        if isinstance(case.body, dict) and "timeout" in case.body and mode == "positive":
            case.body["timeout"] = 0.2  # what is long allowed would be waited for
        response = case.call(session=session, timeout=30)
        answers.add(response.status_code)
        assert response.status_code != 500
        case.validate_response(
            response, checks=[status_code_conformance, content_type_conformance, response_schema_conformance]
        )

    ask()
    assert answers & ({200, 400, 404, 409, 422} if mode == "positive" else {400, 415})
