"""Sessions of devices, one child each, with timers that outlive workers: ``hubq worker workers.device:hub``.

A device reports; a session that hears nothing for a while is offline. Timers are reminders: they are kept in Redis with the
child, so one that falls due while the child moves fires right after.
"""

from __future__ import annotations

import time
from typing import Any

from hubq import Child, Hub

hub = Hub("device")


@hub.child
class DeviceSession(Child):
    """One device. ``offline_after`` seconds of silence make it offline; it keeps the last ``kept`` readings.

    >>> session = DeviceSession(offline_after=30.0)
    >>> session.online, session.timers
    (False, {})
    """

    def __init__(self, offline_after: float = 60.0, kept: int = 100) -> None:
        self.offline_after = offline_after
        self.kept = kept
        self.online = False
        self.readings: list[tuple[float, Any]] = []
        self.timers: dict[str, float] = {}  # name -> when it is due, seconds since the epoch
        self.log: list[tuple[float, str]] = []  # what happened: online, offline, timer fired

    async def report(self, value: Any) -> int:
        """A reading of the device; how many there have been."""
        now = time.time()
        if not self.online:
            self.online = True
            self._note("online")
        self.readings = [*self.readings, (now, value)][-self.kept :]
        self._set("silence", self.offline_after)
        return len(self.readings)

    async def set_timer(self, name: str, seconds: float) -> None:
        """Have something noted in ``seconds``; a timer of the same name begins anew."""
        self._set(name, seconds)

    async def cancel_timer(self, name: str) -> bool:
        """Forget a timer; whether there was one."""
        self.forget(name)
        return self.timers.pop(name, None) is not None

    async def status(self) -> dict[str, Any]:
        """How the device is."""
        return {
            "online": self.online,
            "last": self.readings[-1] if self.readings else None,
            "timers": dict(self.timers),
            "log": list(self.log),
            "node": self.node_name,
        }

    async def due(self, name: str) -> None:
        """A timer has fired."""
        self.timers.pop(name, None)
        if name == "silence":
            self.online = False
            self._note("offline")
        else:
            self._note(f"timer {name}")

    def _set(self, name: str, seconds: float) -> None:
        self.timers[name] = time.time() + seconds
        self.remind(name, name, after=seconds, call=DeviceSession.due)

    def _note(self, what: str) -> None:
        self.log = [*self.log, (time.time(), what)][-self.kept :]
