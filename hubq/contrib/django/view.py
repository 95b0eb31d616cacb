"""The web view in a Django project under ASGI: whoever is logged in to Django is known there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django.conf import global_settings, settings
from django.contrib.auth import REDIRECT_FIELD_NAME, get_user
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hubq.contrib.django.configured import the_hub, view_path
from hubq.errors import ConfigError
from hubq.web import User, dashboard
from hubq.web.asgi import Receive, Scope, Send

#: An ASGI app.
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
#: Says of a user of Django whether they may.
May = Callable[[Any], bool]


def is_staff(user: Any) -> bool:
    """Who looks, if nothing else is said: whom the admin lets in."""
    return bool(user.is_staff)


def is_superuser(user: Any) -> bool:
    """Who acts, if nothing else is said."""
    return bool(user.is_superuser)


def with_view(
    application: Application, *, read_only: bool = True, may_look: May = is_staff, may_act: May = is_superuser
) -> Application:
    """An ASGI app that serves the web view of the project's hub below ``HUBQ["VIEW"]``, and the given app everywhere else. It closes the
    hub when the server ends.

    ``may_look`` and ``may_act`` are given the user of Django, in a thread, where the ORM may be used. With ``read_only`` nobody acts.
    Raises :class:`~hubq.errors.ConfigError` if there is no ``VIEW``.
    """
    path = view_path()
    if not path:
        raise ConfigError("settings.HUBQ has no 'VIEW': give the path of the web view, as 'VIEW': '/hubq'")
    view = dashboard(the_hub(), auth=SessionUser(may_look, may_act), read_only=read_only)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # Django has none
            await _live(receive, send)
            return
        below = str(scope.get("path", "")).removeprefix(str(scope.get("root_path", "")))
        if below == path or below.startswith(path + "/"):
            await view({**scope, "root_path": str(scope.get("root_path", "")) + path}, receive, send)
        else:
            await application(scope, receive, send)

    return serve


class SessionUser:
    """An ``auth`` of the web view: the user of Django's session. Nobody is logged in: pages lead to the login."""

    def __init__(self, may_look: May, may_act: May) -> None:
        self._may_look = may_look
        self._may_act = may_act

    async def __call__(self, request: Request) -> User | Response | None:
        """Who sends the request; None: nobody who may look."""
        user: User | None = await sync_to_async(self._known)(request.cookies.get(settings.SESSION_COOKIE_NAME))
        if user is not None or request.url.path.startswith(request.scope.get("root_path", "") + "/api/"):
            return user
        return RedirectResponse(f"{login_address()}?{urlencode({REDIRECT_FIELD_NAME: _asked(request)})}", 303)

    def _known(self, key: str | None) -> User | None:
        if not key:
            return None
        request = HttpRequest()
        request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
        user: Any = get_user(request)
        if not user.is_active or not self._may_look(user):
            return None
        return User(user.get_username(), "operator" if self._may_act(user) else "viewer")


def login_address() -> str:
    """Where one logs in: ``LOGIN_URL`` if the project gives one, else the admin's."""
    if settings.LOGIN_URL == global_settings.LOGIN_URL:
        try:
            return str(reverse("admin:login"))
        except NoReverseMatch:
            pass
    return str(resolve_url(settings.LOGIN_URL))


def _asked(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            hub = the_hub()
            await hub.aio.close()
            await sync_to_async(hub.close)()
            await send({"type": "lifespan.shutdown.complete"})
            return
