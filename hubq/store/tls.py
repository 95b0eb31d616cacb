"""Connections over TLS that redis-py's waiting pool takes for ready."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis.exceptions import ResponseError


def read_past_the_tickets(connection: Any) -> None:
    """What redis-py does once a connection stands, and then one PING.

    With TLS 1.3 a server sends session tickets right after the handshake. Nobody has asked for them, so they stay unread
    until the first answer is read. redis-py's pool takes them for an answer to somebody else, gives the connection up and,
    as the next one looks the same, fails.
    """
    connection.on_connect()
    connection.send_command("PING")
    with suppress(ResponseError):  # the user may not say PING: that is an answer, too
        connection.read_response()


#: Options of a waiting client whose connections are TLS.
PAST_THE_TICKETS: dict[str, Any] = {"redis_connect_func": read_past_the_tickets}
