"""One `hubq regroup` of a hub at a time."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from types import TracebackType

from hubq.core.regrouping import RECORD
from hubq.errors import HubqError
from hubq.store.command import plain, text
from hubq.store.connection import SyncRedis
from hubq.store.keys import Keys

#: How long the lock outlives who holds it, ms, and how often it is renewed, seconds.
LIVES, RENEWED = 30_000, 5.0


class MoveLock:
    """Held while the context lasts. Who is killed holds it for ``lives`` ms more.

    Raises :class:`~hubq.errors.HubqError` if somebody else has it.
    """

    def __init__(self, redis: SyncRedis, keys: Keys, lives: int = LIVES) -> None:
        self._redis, self._lives = redis, lives
        self._hub_id, self._key = keys.hub_id, f"{keys.prefix}{RECORD}:lock"
        self._own = secrets.token_hex(8)
        self._renewed = 0.0

    def __enter__(self) -> MoveLock:
        if self._redis.run(plain("SET", self._key, self._own, "NX", "PX", self._lives, read=lambda said: said)) is None:
            raise HubqError(
                f"another hubq regroup of {self._hub_id!r} runs, or was killed less than {self._lives // 1000} s ago: try again then"
            )
        self._renewed = time.monotonic()
        return self

    def keep(self) -> None:
        """Call this often: it is renewed now and then. Raises :class:`~hubq.errors.HubqError` if it was lost."""
        if time.monotonic() - self._renewed >= RENEWED:
            self.check()

    def check(self) -> None:
        """Renew it now. Raises :class:`~hubq.errors.HubqError` if it was lost."""
        if not self._is_own() or not self._redis.run(plain("PEXPIRE", self._key, self._lives, read=int)):
            raise HubqError(f"another hubq regroup of {self._hub_id!r} has begun meanwhile: this one ends")
        self._renewed = time.monotonic()

    def _is_own(self) -> bool:
        return text(self._redis.run(plain("GET", self._key, read=lambda found: found or b""))) == self._own

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(HubqError):  # (it ends by itself)
            if self._is_own():
                self._redis.run(plain("DEL", self._key, read=int))
