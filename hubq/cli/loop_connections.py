"""The connections of a worker's loop: in a process that was forked from the worker they lead nowhere."""

from __future__ import annotations

import os
from typing import Any, Protocol
from weakref import WeakSet


class Transport(Protocol):
    """As much of a transport of asyncio as is needed."""

    def get_extra_info(self, name: str) -> Any:
        """Its socket, for one."""

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""


class LoopConnections:
    """Those that stand."""

    def __init__(self) -> None:
        self._all: WeakSet[Transport] = WeakSet()
        self._held: list[Transport] = []  # that cannot be referred to weakly (uvloop's over TLS), until they are closed

    def __len__(self) -> int:
        return len(self._all) + len(self._held)

    def add(self, transport: Transport) -> None:
        """One more was made."""
        try:
            self._all.add(transport)
        except TypeError:
            self._held = [each for each in self._held if not each.is_closing()] + [transport]

    def cut(self) -> None:
        """In a process that was forked: what it writes on them goes nowhere, and those of the worker are as they were."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for transport in [*self._all, *self._held]:
            socket = transport.get_extra_info("socket")
            if socket is not None and socket.fileno() >= 0:
                os.dup2(nowhere, socket.fileno())
        os.close(nowhere)
