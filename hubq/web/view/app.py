"""The web view as an ASGI app: who is let in, which page or answer is meant, and what an error becomes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hubq.client.hub import Hub
from hubq.errors import HubqError
from hubq.web.asgi import Endpoint, Message, Receive, Scope, Send
from hubq.web.users import Auth, User
from hubq.web.view import asked, openapi, streams
from hubq.web.view.api import END_POINTS, EndPoint, answered, as_json, query_of
from hubq.web.view.guard import HEADERS, Guard, Refused
from hubq.web.view.lookout import Lookout
from hubq.web.view.news import News
from hubq.web.view.pages import PAGES, STATIC, Page, Printer
from hubq.web.view.records import Problem
from hubq.web.view.shown import BadRequest, problem

log = logging.getLogger("hubq.web")

Handle = Callable[[Request, User], Awaitable[Response]]


def make_app(hub: Hub, auth: Auth, *, read_only: bool) -> Endpoint:
    """The web view of a hub. Raises :class:`~hubq.errors.ConfigError` for an ``auth`` that cannot be called."""
    view = View(hub, Guard(auth, read_only=read_only))
    return Endpoint(view)


class View:
    """The web view of one hub."""

    def __init__(self, hub: Hub, guard: Guard) -> None:
        self._hub = hub
        self._guard = guard
        self._printer = Printer(hub.hub_id, guard)
        routes = [
            *(Route(page.path, self._for_people(self._page(page)), methods=["GET"]) for page in PAGES),
            *(Route(f"/api{p.path}", self._for_programs(self._point(p), p), methods=[p.method]) for p in END_POINTS),
            Route("/api/openapi.json", self._for_programs(self._document), methods=["GET"]),
            Route("/api/events/stream", self._for_programs(self._events), methods=["GET"]),
            Route("/api/child/feed", self._for_programs(self._feed), methods=["GET"]),
            Route("/static/{name}", _static, methods=["GET"]),
        ]
        self._app = Starlette(routes=routes, exception_handlers={HTTPException: self._not_there})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. Every answer has the headers that keep other sites out."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000, "reason": "the web view has no websockets"})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*(message.get("headers") or ()), *extra]}
            await send(message)

        if scope["path"] == scope.get("root_path", "") != "":
            response = RedirectResponse(scope["root_path"] + "/")  # links of the pages are below it
            await response(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    # -- what is served --------------------------------------------------------------------------------------------

    def _look(self) -> Lookout:
        return self._hub.aio.resource("web view: lookout", lambda: Lookout(self._hub))

    def _page(self, page: Page) -> Handle:
        async def serve(request: Request, user: User) -> Response:
            return await self._printer.page(page, request, self._look(), user)

        return serve

    def _point(self, point: EndPoint) -> Handle:
        async def serve(request: Request, user: User) -> Response:
            return await answered(point, request, self._hub, self._look(), user)

        return serve

    async def _document(self, request: Request, user: User) -> Response:
        return as_json(openapi.document(request.scope.get("root_path", ""), read_only=self._guard.read_only))

    async def _events(self, request: Request, user: User) -> Response:
        ask = query_of(request, asked.HubEvents)
        news = self._hub.aio.resource("web view: news", lambda: News(self._hub))
        after = request.headers.get("last-event-id", "") or ask.after
        return streams.Stream(streams.hub_events(await news.begin(asked.event_id(after))))

    async def _feed(self, request: Request, user: User) -> Response:
        ask = query_of(request, asked.OneFeed)
        after = request.headers.get("last-event-id", "") or ask.after or None
        return streams.Stream(streams.child_feed(self._hub.aio.ref(ask.id).feed(after)))

    # -- who is let in, and what errors become ---------------------------------------------------------------------

    def _for_people(self, serve: Handle) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            user: User | None = None
            try:
                known = await self._guard.user(request)
                if isinstance(known, Response):
                    return known
                user = known
                return await serve(request, user)
            except (Refused, BadRequest, HubqError) as error:
                status, said = _status_of(error)
                return self._printer.trouble(request, status, said.detail, user)

        return handle

    def _for_programs(self, serve: Handle, point: EndPoint | None = None) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                user = await self._guard.user(request)
                if isinstance(user, Response):
                    return user
                if point is not None and point.acts:
                    self._guard.check_action(request, user)
                return await serve(request, user)
            except (Refused, BadRequest, HubqError) as error:
                status, said = _status_of(error)
                return as_json(said, status)

        return handle

    async def _not_there(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if request.url.path.startswith(request.scope.get("root_path", "") + "/api/"):
            response = as_json(Problem("HTTPException", error.detail), error.status_code)
        else:
            said = "there is no such page" if error.status_code == 404 else error.detail
            response = self._printer.trouble(request, error.status_code, said, None)
        response.headers.update(error.headers or {})
        return response


def _status_of(error: Exception) -> tuple[int, Problem]:
    if isinstance(error, Refused):
        return error.status, Problem("Refused", str(error))
    if isinstance(error, BadRequest):
        return 400, Problem("BadRequest", str(error))
    assert isinstance(error, HubqError)
    return problem(error)


async def _static(request: Request) -> Response:
    found = STATIC.get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    body, kind = found
    return Response(body, headers={"Cache-Control": "public, max-age=31536000, immutable"}, media_type=kind)
