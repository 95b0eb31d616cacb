"""Connections of redis-py that lead to whoever has the slot at the moment they are made."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio

from hubq.store.slots import SlotMap


class _AtSlot:
    def __init__(self, slot_map: SlotMap, **options: Any) -> None:
        self._slot_map = slot_map
        super().__init__(**options)


class AtSlot(_AtSlot, redis.Connection):
    def connect(self) -> None:
        if self._sock is None:
            self.host, self.port = self._slot_map.find()
        super().connect()  # type: ignore[no-untyped-call]


class SslAtSlot(_AtSlot, redis.SSLConnection):
    def connect(self) -> None:
        if self._sock is None:
            self.host, self.port = self._slot_map.find()
        super().connect()  # type: ignore[no-untyped-call]


class AsyncAtSlot(_AtSlot, redis.asyncio.Connection):
    async def connect(self) -> None:
        if not self.is_connected:
            self.host, self.port = await self._slot_map.find_async()
        await super().connect()  # type: ignore[no-untyped-call]


class AsyncSslAtSlot(_AtSlot, redis.asyncio.SSLConnection):
    async def connect(self) -> None:
        if not self.is_connected:
            self.host, self.port = await self._slot_map.find_async()
        await super().connect()  # type: ignore[no-untyped-call]
