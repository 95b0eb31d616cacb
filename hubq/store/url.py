"""The URL of a Redis: is it one, and what of it may be told to people: never a password, nor a part of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import SplitResult, parse_qsl, urlsplit

from redis.connection import URL_QUERY_ARGUMENT_PARSERS

from hubq.errors import ConfigError

SCHEMES = ("redis", "rediss", "unix")
SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")

#: What an URL without user and password looks like: it is told as it is.
_PLAIN = re.compile(r"(?:[a-z+]+://[\w.-]*(?::\d{1,5})?|[\w.-]+:\d{1,5})(?:,[\w.-]+(?::\d{1,5})?)*(?:/[\w.-]*)*")
_HOST = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Url:
    """A URL whose parts are what they should be. ``address`` is for messages: without user, password and parameters.

    >>> Url.read("redis://ann:secret@s1:6379/0").address
    'redis://s1:6379/0'
    >>> Url.read("redis://:sec/ret@s1:6379/0")
    Traceback (most recent call last):
    hubq.errors.ConfigError: Redis URL (not shown: it may hold a password): a / ? # or @ in the password must be written %2F %3F %23 %40
    """

    text: str
    parts: SplitResult
    address: str

    @classmethod
    def read(cls, text: str) -> Url:
        """The URL, or :class:`~hubq.errors.ConfigError` that says what is wrong with it, without a password."""
        try:
            parts = urlsplit(text)
        except ValueError:  # brackets that do not match, for one
            refuse(text, "its host cannot be read")
        if parts.scheme not in (*SCHEMES, *SENTINEL_SCHEMES, *CLUSTER_SCHEMES) or not text.lower().startswith(
            parts.scheme + "://"
        ):
            refuse(
                text,
                "it must begin with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// (TLS: rediss+...)",
            )
        hosts = parts.netloc.rpartition("@")[2]
        of_socket = parts.scheme == "unix"
        # Whatever of a password has slipped behind the first / ? or # still has the @ behind it.
        if "@" in parts.query or parts.fragment or (not of_socket and "@" in parts.path) or (of_socket and hosts):
            refuse(text, "a / ? # or @ in the password must be written %2F %3F %23 %40")
        if not of_socket and not all(map(_is_host, hosts.split(","))):
            refuse(text, "behind the @ it must have host:port, such as localhost:6379 (a port is a number)")
        for name, value in parse_qsl(parts.query):
            parse: Any = URL_QUERY_ARGUMENT_PARSERS.get(name.removeprefix("sentinel_"), str)
            try:
                parse(value)
            except (TypeError, ValueError):
                refuse(text, f"the value of {name} is not what redis-py takes")
        return cls(text, parts, f"{parts.scheme}://{hosts}{parts.path}")


def refuse(text: str, why: str) -> NoReturn:
    """Raise :class:`~hubq.errors.ConfigError` for an URL, which is told only if no password can be in it."""
    told = repr(text) if _PLAIN.fullmatch(text) else "(not shown: it may hold a password)"
    raise ConfigError(f"Redis URL {told}: {why}") from None  # (its cause may have the password in its text)


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return text == "" or (found is not None and int(found[1] or 1) < 65536)
