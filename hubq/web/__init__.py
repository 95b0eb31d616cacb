"""For browsers: the feeds of children (docs/guide-feeds.md), and the web view of a hub (docs/guide-web.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubq.errors import ConfigError
from hubq.web.asgi import Endpoint
from hubq.web.server_sent_events import sse
from hubq.web.users import User, open_to_all, user_in_header
from hubq.web.web_sockets import websocket

if TYPE_CHECKING:
    from hubq.client.hub import Hub
    from hubq.web.users import Auth

__all__ = ["User", "dashboard", "open_to_all", "sse", "user_in_header", "websocket"]


def dashboard(hub: Hub, *, auth: Auth, read_only: bool = True) -> Endpoint:
    """The web view of a hub, as an ASGI app to be mounted: ``app.mount("/hubq", dashboard(hub, auth=...))``.

    ``auth`` is given the request (Starlette's ``Request``), and says who it is: a :class:`User`, None (answered with 401), or a
    ``Response`` of Starlette's, which is the answer then (a redirect to a login). It may be ``async def``. ``read_only``: every action is
    refused to everybody. Else a user whose role is ``"operator"`` may act.

    Raises :class:`~hubq.errors.ConfigError` if the extra ``web`` is not installed, and for an ``auth`` that cannot be called.
    """
    try:
        from hubq.web.view.app import make_app
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith("hubq"):
            raise
        raise ConfigError(f"the web view needs {missing.name}: pip install 'hubq[web]'") from None
    return make_app(hub, auth, read_only=read_only)
