"""The hub, for code that awaits (FastAPI): the same names under ``hub.aio``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from hubq.client import operations
from hubq.client.asking.async_session import AsyncSession
from hubq.client.asking.steps import Operation
from hubq.client.faces.jobs import AsyncJobMethods
from hubq.client.faces.queries import AsyncQueries
from hubq.client.faces.ref import AsyncChildRef
from hubq.client.operations import casts, dead_letters, partition, placing
from hubq.client.operations.casts import Cast
from hubq.client.results import NodeStatus, Place, StartResult, StopResult
from hubq.core.spec import ChildSpec, Restart
from hubq.errors import HubqError
from hubq.store.connection import AsyncRedis
from hubq.store.dead_letters import DeadLetter
from hubq.store.membership import check_config, read_config
from hubq.strategies.distribution import ChildMapping

if TYPE_CHECKING:
    from hubq.client.hub import Hub

T = TypeVar("T")


class Resource(Protocol):
    """Something that is kept per event loop."""

    async def close(self) -> None: ...


R = TypeVar("R", bound=Resource)


class AsyncHub(AsyncQueries, AsyncJobMethods):
    """The async half of a :class:`~hubq.client.hub.Hub`. One session per event loop; ``close()`` when done."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.hub_id = hub.hub_id
        self._context = hub._context
        self.tracing = hub.tracing
        self._resources: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Resource]] = WeakKeyDictionary()
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[int, AsyncSession]] = WeakKeyDictionary()
        self._opening: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[AsyncSession]] = WeakKeyDictionary()

    async def start_child(
        self,
        child_id: str,
        target: Any,
        *args: Any,
        metadata: dict[str, Any] | None = None,
        restart: Restart | None = None,
        child_mapping: ChildMapping | None = None,
        timeout: float = 10.0,
        check_existing: bool = True,
        disable_logging: bool = False,
        **kwargs: Any,
    ) -> StartResult:
        """Start a child and await that it runs. Raises what went wrong, as :meth:`Hub.start_child` and its future do."""
        spec = ChildSpec(child_id, target, args, kwargs, metadata or {}, restart)
        result = await self.start_children(
            [spec],
            child_mapping=child_mapping,
            timeout=timeout,
            check_existing=check_existing,
            disable_logging=disable_logging,
        )
        for error in result.errors.values():
            raise error
        return result

    async def start_children(
        self,
        specs: Sequence[ChildSpec],
        *,
        on_failure: str = "continue",
        child_mapping: ChildMapping | None = None,
        timeout: float = 10.0,
        check_existing: bool = True,
        disable_logging: bool = False,
    ) -> StartResult:
        """Start several children and await that they run; see :meth:`Hub.start_children`."""
        operation = placing.start_placed(
            self._context, specs, on_failure, child_mapping, check_existing, disable_logging
        )
        # Both in one session: the answer comes to the sender that has asked.
        session = await self._session()
        ticket = await session.drive(operation)
        return await session.drive(placing.collect_placed(self._context, ticket, timeout))

    async def stop_child(self, child_id: str, *, timeout: float = 10.0, disable_logging: bool = False) -> StopResult:
        """See :meth:`Hub.stop_child`."""
        result = await self.stop_children([child_id], timeout=timeout, disable_logging=disable_logging)
        for error in result.errors.values():
            raise error
        return result

    async def stop_children(
        self, children: Sequence[str], *, timeout: float = 10.0, disable_logging: bool = False
    ) -> StopResult:
        """See :meth:`Hub.stop_children`."""
        operation = operations.stop_children(self._context, children, timeout, disable_logging=disable_logging)
        return await self._drive(operation)

    def ref(self, child_id: str) -> AsyncChildRef:
        """A child by its name."""
        return AsyncChildRef(self, child_id)

    async def cast_many(self, messages: Iterable[Cast]) -> list[HubqError | None]:
        """See :meth:`Hub.cast_many`."""
        return await self._drive(casts.cast_many(self._context, messages, self.tracing))

    async def nodes(self) -> list[NodeStatus]:
        """See :meth:`Hub.nodes`."""
        return await self._drive(operations.nodes(self._context))

    async def dead_letters(self) -> list[DeadLetter]:
        """See :meth:`Hub.dead_letters`."""
        return await self._drive(dead_letters.dead_letters(self._context))

    async def replay_dead(self, letters: Sequence[str] | None = None) -> list[str]:
        """See :meth:`Hub.replay_dead`."""
        return await self._drive(dead_letters.replay(self._context, letters))

    async def drop_dead(self, letters: Sequence[str] | None = None) -> list[str]:
        """See :meth:`Hub.drop_dead`."""
        return await self._drive(dead_letters.drop(self._context, letters))

    async def move(self, child_id: str, node: str | None, *, timeout: float = 10.0) -> Place:
        """See :meth:`Hub.move`."""
        return await self._drive(placing.move(self._context, child_id, node, timeout))

    async def reset_cluster_size(self) -> int:
        """See :meth:`Hub.reset_cluster_size`."""
        return await self._drive(partition.reset_cluster_size(self._context))

    async def drain(self, node: str) -> None:
        """See :meth:`Hub.drain`."""
        await self._drive(operations.drain(self._context, node))

    async def close(self) -> None:
        """Close this event loop's session, and what else was kept for it."""
        for resource in self._resources.pop(asyncio.get_running_loop(), {}).values():
            await resource.close()
        opening = self._opening.pop(asyncio.get_running_loop(), None)
        if opening is not None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        known = self._sessions.pop(asyncio.get_running_loop(), None)
        if known is not None:
            await known[1].close()

    def resource(self, name: str, make: Callable[[], R]) -> R:
        """Something for this event loop that :meth:`close` closes; made at the first use."""
        kept = self._resources.setdefault(asyncio.get_running_loop(), {})
        if name not in kept:
            kept[name] = make()
        found: R = kept[name]  # type: ignore[assignment]
        return found

    async def _drive(self, operation: Operation[T]) -> T:
        session = self._session_here()
        if session is None:
            session = await self._new_session()
        return await session.drive(operation)

    async def _session(self) -> AsyncSession:
        return self._session_here() or await self._new_session()

    def _session_here(self) -> AsyncSession | None:
        known = self._sessions.get(asyncio.get_running_loop())
        return known[1] if known is not None and known[0] == os.getpid() else None

    async def _new_session(self) -> AsyncSession:
        loop = asyncio.get_running_loop()
        # Several tasks may be the first at the same time: one of them opens it, and nobody uses it before it is known to be
        # good. (Each would have a sender id of its own, and wait for the answers to another one's numbers.)
        opening = self._opening.get(loop)
        if opening is None:
            opening = self._opening[loop] = loop.create_task(self._open())
            opening.add_done_callback(lambda task: self._opened(loop, task))
        return await asyncio.shield(opening)

    def _opened(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[AsyncSession]) -> None:
        if self._opening.get(loop) is task:
            del self._opening[loop]
        if not task.cancelled() and task.exception() is None:
            self._sessions[loop] = (os.getpid(), task.result())

    async def _open(self) -> AsyncSession:
        from hubq.client.hub import raise_mismatch

        redis = AsyncRedis(self._hub.server)
        try:
            fixed = await redis.run(read_config(self._hub.keys))
            if fixed is None:
                fixed = await redis.run(check_config(self._hub.keys, self._hub.config.shards))
            raise_mismatch(self._hub, fixed)
        except BaseException:
            await redis.close()
            raise
        return AsyncSession(self._context, redis)
