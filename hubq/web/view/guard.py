"""Who is let in, who may act, and what comes from another site: decided before anything is done."""

from __future__ import annotations

import hmac
import inspect
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from hubq.errors import ConfigError
from hubq.web.users import Auth, User

#: The cookie, the header and the length (bytes) of the token that goes with every action.
CSRF_COOKIE, CSRF_HEADER, CSRF_BYTES = "hubq_csrf", "x-hubq-csrf", 24

#: What every answer says to the browser: scripts, styles and pictures of this site only, nothing inline, in no frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Refused(Exception):
    """A request that is not served: a status, and why in one line."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Guard:
    """Lets users in by ``auth``, and operators act unless the view is ``read_only``."""

    def __init__(self, auth: Auth, *, read_only: bool) -> None:
        if not callable(auth):
            raise ConfigError(f"auth={auth!r}: give a function of the request that says who it is (docs/guide-web.md)")
        self._auth = auth
        self.read_only = read_only

    async def user(self, request: Request) -> User | Response:
        """Who it is, or the answer that ``auth`` has given instead. Raises :class:`Refused`."""
        known = self._auth(request)
        if inspect.isawaitable(known):
            known = await known
        if known is None:
            raise Refused(401, "nobody is logged in")
        if not isinstance(known, User | Response):
            raise TypeError(f"auth= has returned {known!r}: return a hubq.web.User, a Response, or None")
        return known

    def may_act(self, user: User) -> bool:
        """Whether this user may act here."""
        return user.may_act and not self.read_only

    def check_action(self, request: Request, user: User) -> None:
        """:class:`Refused` unless this request may change something."""
        if self.read_only:
            raise Refused(403, "this view is read-only: it was made with read_only=True")
        if not user.may_act:
            raise Refused(403, f"{user.name} is a viewer: only an operator may act")
        check_same_site(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "the body must be JSON: send Content-Type: application/json")


def check_same_site(request: Request) -> None:
    """:class:`Refused` for a request that another site had the browser send."""
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        raise Refused(403, f"this request comes from another site ({site})")
    if site is None and origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
        raise Refused(403, f"this request comes from another site ({origin[:100]})")
    if site is None and origin is None and "cookie" not in headers:
        return  # no browser: nothing is sent along that its user has not given
    known, given = request.cookies.get(CSRF_COOKIE, ""), headers.get(CSRF_HEADER, "")
    if not known or not hmac.compare_digest(known.encode(), given.encode()):
        raise Refused(403, f"the token in {CSRF_HEADER} is not that of the cookie {CSRF_COOKIE}: load the page again")


def csrf_token(request: Request) -> tuple[str, bool]:
    """The token of this browser, and whether it is new."""
    known = request.cookies.get(CSRF_COOKIE, "")
    return (known, False) if len(known) >= CSRF_BYTES else (secrets.token_urlsafe(CSRF_BYTES), True)


def give_token(request: Request, response: Response, token: str) -> None:
    """Have the browser keep its token."""
    response.set_cookie(
        CSRF_COOKIE, token, path=request.scope.get("root_path", "") or "/", secure=request.url.scheme == "https",
        httponly=True, samesite="strict",
    )  # fmt: skip
