"""The web view of a hub in a container: ``docker compose --profile web up`` (docs/guide-web.md).

A browser asks for a name, which is shown, and for the password in ``HUBQ_VIEW_PASSWORD``. It looks, and changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets

from starlette.requests import Request
from starlette.responses import Response

from hubq import Hub
from hubq.web import User, dashboard

#: The shortest password, characters: a visitor who reaches the port may try as many as they like.
SHORTEST = 16

password = os.environ["HUBQ_VIEW_PASSWORD"]
if len(password) < SHORTEST:
    raise SystemExit(f"HUBQ_VIEW_PASSWORD has {len(password)} characters: give {SHORTEST} or more")


def who(request: Request) -> User | Response:
    """The user, by HTTP's basic authentication."""
    method, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        name, _, given = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name = given = ""
    if method.lower() == "basic" and name and secrets.compare_digest(given.encode(), password.encode()):
        return User(name)
    return Response("who are you?", 401, {"WWW-Authenticate": 'Basic realm="hubq", charset="UTF-8"'})


app = dashboard(Hub(os.environ.get("HUBQ_VIEW_HUB", "counter")), auth=who)
