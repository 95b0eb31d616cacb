"""The view of ``hubq web``: on this machine only, let in by a token that is good once."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Literal
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse

from hubq.client.hub import Hub
from hubq.web.asgi import Receive, Scope, Send
from hubq.web.users import User
from hubq.web.view.app import View
from hubq.web.view.guard import HEADERS, Guard, Refused

#: The length of a token, bytes.
LONG = 24
#: Under which names this machine asks itself. (A page of another site that has its name lead here is not let in.)
LOCAL = ("127.0.0.1", "localhost", "[::1]")


class Door:
    """Lets in each browser that comes with the token of the moment; then there is another token, and ``tell`` is told its address.

    ``name`` and ``role`` are those of the one who has started it. ``origin``: ``http://127.0.0.1:8765``.
    """

    def __init__(
        self, hub: Hub, name: str, role: Literal["viewer", "operator"], origin: str, tell: Callable[[str], None]
    ) -> None:
        self._user = User(name, role)
        self._origin = origin
        self._tell = tell
        self._token = secrets.token_urlsafe(LONG)
        self._sessions: set[str] = set()
        # Cookies of one machine are those of all its ports.
        self._cookie = f"hubq_session_{origin.rpartition(':')[2]}"
        self._view = View(hub, Guard(self._known, read_only=role == "viewer"))

    @property
    def address(self) -> str:
        """Where the next browser is let in, once."""
        return f"{self._origin}/?token={self._token}"

    def _known(self, request: Request) -> User:
        if request.cookies.get(self._cookie, "") in self._sessions:
            return self._user
        raise Refused(401, "open the address that `hubq web` has printed last: each is good for one browser")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._view(scope, receive, send)
            return
        host = Request(scope).headers.get("host", "").rpartition(":")[0]
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if host not in LOCAL or not given or not hmac.compare_digest(given.encode(), self._token.encode()):
            await self._view(scope, receive, send)
            return
        session, self._token = secrets.token_urlsafe(LONG), secrets.token_urlsafe(LONG)
        self._sessions.add(session)
        response = RedirectResponse("/", 303, {**HEADERS, "Cache-Control": "no-store"})
        response.set_cookie(self._cookie, session, httponly=True, samesite="strict")
        await response(scope, receive, send)
        self._tell(self.address)
