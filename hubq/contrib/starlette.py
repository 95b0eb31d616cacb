"""hubq in a Starlette app (docs/guide-apps.md). It needs ``pip install starlette``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hubq.client.hub import Hub
from hubq.contrib.answers import KNOWN, answer_to
from hubq.errors import HubqError

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


def lifespan(hub: Hub, inner: Lifespan | None = None) -> Lifespan:
    """A lifespan that closes the hub when the app ends, after yours (``inner``): ``Starlette(lifespan=lifespan(hub))``."""

    @asynccontextmanager
    async def within(app: Starlette) -> AsyncIterator[Mapping[str, Any] | None]:
        try:
            if inner is None:
                yield None
            else:
                async with inner(app) as state:
                    yield state
        finally:
            await hub.aio.close()

    return within


def error_handlers() -> dict[Any, Handler]:
    """What the errors of hubq become: ``Starlette(exception_handlers=error_handlers())``. Others stay what they are."""
    return dict.fromkeys(KNOWN, answered)


async def answered(request: Request, error: HubqError) -> JSONResponse:
    """The answer to an error of hubq."""
    answer = answer_to(error)
    return JSONResponse(answer.body, answer.status, answer.headers)
