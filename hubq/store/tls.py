"""Connections over TLS that redis-py's waiting pool takes for ready."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from redis.connection import URL_QUERY_ARGUMENT_PARSERS
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


def host_name_checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The option by which redis-py compares the server's certificate with its host name. (Older ones do not by themselves.)

    What a URL says of it stays as it is; without a checked certificate there is no name to check.

    >>> host_name_checked({}), host_name_checked({"ssl_cert_reqs": "none"}), host_name_checked({"ssl_check_hostname": False})
    ({'ssl_check_hostname': True}, {'ssl_check_hostname': False}, {'ssl_check_hostname': False})
    """
    checked = options.get("ssl_check_hostname", str(options.get("ssl_cert_reqs", "required")).lower() != "none")
    parse: Any = URL_QUERY_ARGUMENT_PARSERS["ssl_check_hostname"]
    return {"ssl_check_hostname": bool(parse(checked))}


#: Options of a waiting client whose connections are TLS.
PAST_THE_TICKETS: dict[str, Any] = {"redis_connect_func": read_past_the_tickets}
