"""Whether it is still the same Redis that answers: a restarted one, or another primary, may have lost writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError


class PrimaryWatch:
    """Greets every new connection of a node by asking who answers.

    Each subscriber is called with ``(was, now)`` once for each other Redis, before anything is sent to it. The connection
    that found it fails, as a lost one does, so that what was on its way is thought over again. A replica is refused
    likewise.
    A user who may not run INFO is not watched: then only tokens, epochs and leases that go back are noticed.
    """

    def __init__(self) -> None:
        self.known = ""
        self._subscribers: list[Callable[[str, str], None]] = []

    def subscribe(self, changed: Callable[[str, str], None]) -> None:
        """Call this when another Redis answers."""
        self._subscribers.append(changed)

    async def greet(self, connection: Any) -> None:
        """Ask on a connection that redis-py has just made. Raises its ``ConnectionError`` if nothing may be sent."""
        await connection.send_command("INFO")
        try:
            answer = await connection.read_response()
        except ResponseError:
            return
        self.seen(answer if isinstance(answer, bytes) else str(answer).encode())

    def seen(self, info: bytes) -> None:
        """Judge what INFO says.

        >>> changes = []
        >>> watch = PrimaryWatch()
        >>> watch.subscribe(lambda was, now: changes.append((was, now)))
        >>> watch.seen(b"run_id:aa\\r\\nrole:master\\r\\nmaster_replid:11\\r\\n")
        >>> watch.seen(b"run_id:aa\\r\\nrole:master\\r\\nmaster_replid:11\\r\\n"); changes
        []
        >>> watch.seen(b"run_id:bb\\r\\nrole:master\\r\\nmaster_replid:22\\r\\n")
        Traceback (most recent call last):
        redis.exceptions.ConnectionError: another Redis answers now: it was restarted, or failed over
        >>> changes
        [('aa 11', 'bb 22')]
        """
        fields = dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)
        if fields.get(b"role") == b"slave":
            raise RedisConnectionError("a replica answers: waiting for a primary")
        now = f"{fields.get(b'run_id', b'').decode()} {fields.get(b'master_replid', b'').decode()}"
        was, self.known = self.known, now
        if was and was != now:
            for changed in self._subscribers:
                changed(was, now)
            raise RedisConnectionError("another Redis answers now: it was restarted, or failed over")
