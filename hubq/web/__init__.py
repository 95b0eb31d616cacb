"""The feeds of children for browsers: server-sent events and websockets, for any ASGI app (docs/guide-feeds.md)."""

from hubq.web.server_sent_events import sse
from hubq.web.web_sockets import websocket

__all__ = ["sse", "websocket"]
