"""A hub's middleware is around all that its children do (docs/middleware.md)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from hubq import CallFailed, Child, Work, read
from hubq.testing import Cluster, eventually

scope: ContextVar[str] = ContextVar("scope", default="none")


class Room(Child):
    def __init__(self) -> None:
        self.n = 0

    async def on_start(self) -> None:
        self.started_in = scope.get()

    async def post(self) -> tuple[int, str]:
        self.n += 1
        return self.n, scope.get()

    def count(self) -> tuple[str, str]:
        return scope.get(), threading.current_thread().name

    @read
    async def status(self) -> tuple[int, str]:
        return self.n, scope.get()

    async def refund(self) -> None:
        self.n = 100

    async def begun(self) -> str:
        return str(self.started_in)


class Loop(Child):
    async def run(self) -> None:
        self.ran_in = scope.get()
        await self.commit()
        await asyncio.Event().wait()

    async def seen(self) -> str:
        return str(getattr(self, "ran_in", ""))


class Middlewares:
    """Middleware that sets a context variable, and refuses refunds."""

    def __init__(self) -> None:
        self.seen: list[Work] = []
        self.threads: set[str] = set()

    @contextmanager
    def __call__(self, work: Work) -> Iterator[None]:
        self.seen.append(work)
        self.threads.add(threading.current_thread().name)
        if work.method == "refund":
            raise PermissionError("not for you")
        token = scope.set(work.name)
        try:
            yield
        finally:
            scope.reset(token)


def test_it_is_around_messages_reads_starts_and_run(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        around = Middlewares()
        async with Cluster(make_hub(middleware=[around])) as cluster:
            hub = cluster.hub
            await cluster.start("a")
            await hub.aio.start_child("room", Room)
            await hub.aio.start_child("loop", Loop)
            room = hub.aio.ref("room")
            assert await room.call("post") == (1, "Room.post")
            assert await room.call("begun") == "Room.on_start"
            assert await room.call("status") == (1, "Room.status")
            name, thread = await room.call("count")
            assert name == "Room.count" and thread in around.threads, "in the thread of the method"
            loop = hub.aio.ref("loop")

            async def ran() -> bool:
                return bool(await loop.call("seen") == "Loop.run")

            await eventually(ran, 10, "run() has begun")
            kinds = {(work.kind, work.name) for work in around.seen}
            assert kinds >= {
                ("start", "Room.on_start"),
                ("run", "Loop.run"),
                ("message", "Room.post"),
                ("read", "Room.status"),
            }
            post = next(work for work in around.seen if work.method == "post")
            assert (post.hub_id, post.node, post.child_id) == (hub.hub_id, "a", "room")
            assert post.message_id and post.sender

    hubq_run(scenario())


def test_what_it_refuses_does_not_begin(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            cluster.hub.middleware(Middlewares())
            await cluster.start("a")
            await cluster.hub.aio.start_child("room", Room)
            room = cluster.hub.aio.ref("room")
            with pytest.raises(CallFailed, match="not for you"):
                await room.call("refund")
            assert await room.call("status") == (0, "Room.status")

    hubq_run(scenario())
