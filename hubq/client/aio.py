"""The hub, for code that awaits (FastAPI): the same names under ``hub.aio``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any, Protocol, TypeVar, overload
from weakref import WeakKeyDictionary

from hubq.client.asking.driver import AsyncDriver
from hubq.client.faces.inspector import AsyncInspector
from hubq.client.faces.jobs import AsyncJobMethods, JobMethods
from hubq.client.faces.queries import AsyncQueries
from hubq.client.faces.ref import AsyncChildRef
from hubq.client.faces.typed_ref import AsyncTypedRef
from hubq.client.operations import casts, dead_letters, interventions, members, partition, pausing, placing, stops
from hubq.client.operations.activation import activation_of
from hubq.client.operations.call_options import PLAIN
from hubq.client.operations.casts import Cast
from hubq.client.results import NodeStatus, Place, StartResult, StopResult
from hubq.config import CHANGE_TIMEOUT
from hubq.core.child import Child
from hubq.core.classes import child_class
from hubq.core.pauses import Pause
from hubq.core.spec import ChildSpec, Restart
from hubq.errors import HubqError
from hubq.store.dead_letters import DeadLetter
from hubq.strategies.distribution import ChildMapping


class Resource(Protocol):
    """An object that is kept for each event loop."""

    async def close(self) -> None: ...


R = TypeVar("R", bound=Resource)
K = TypeVar("K", bound=Child)


class AsyncHub(AsyncQueries, AsyncJobMethods):
    """The async half of a :class:`~hubq.client.hub.Hub`. One session per event loop; ``close()`` when done.

    ``local_nodes``: the names of the nodes of this process. ``jobs``: the half of the hub that waits, since RQ does.
    """

    def __init__(self, driver: AsyncDriver, local_nodes: Set[str], jobs: JobMethods) -> None:
        AsyncQueries.__init__(self, driver, local_nodes)
        AsyncJobMethods.__init__(self, driver, jobs)
        self.hub_id = driver.context.keys.hub_id
        self.inspect = AsyncInspector(driver)
        self._resources: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Resource]] = WeakKeyDictionary()

    async def start_child(
        self,
        child_id: str,
        target: Any,
        *args: Any,
        metadata: dict[str, Any] | None = None,
        restart: Restart | None = None,
        child_mapping: ChildMapping | None = None,
        timeout: float = CHANGE_TIMEOUT,
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
        timeout: float = CHANGE_TIMEOUT,
        check_existing: bool = True,
        disable_logging: bool = False,
    ) -> StartResult:
        """Start several children and await that they run; see :meth:`Hub.start_children`."""
        operation = placing.start_placed(
            self.driver.context, specs, on_failure, child_mapping, check_existing, disable_logging
        )
        asker = await self.driver.asker()
        ticket = await asker.drive(operation)
        return await asker.drive(placing.collect_placed(self.driver.context, ticket, timeout))

    async def stop_child(
        self, child_id: str, *, timeout: float = CHANGE_TIMEOUT, disable_logging: bool = False
    ) -> StopResult:
        """See :meth:`Hub.stop_child`."""
        result = await self.stop_children([child_id], timeout=timeout, disable_logging=disable_logging)
        for error in result.errors.values():
            raise error
        return result

    async def stop_child_now(self, child_id: str, *, timeout: float = 10.0) -> str:
        """See :meth:`Hub.stop_child_now`."""
        return await self.driver.drive(interventions.stop_now(self.driver.context, child_id, timeout))

    async def kill(self, child_id: str, *, timeout: float = 10.0) -> str:
        """See :meth:`Hub.kill`."""
        return await self.driver.drive(interventions.kill(self.driver.context, child_id, timeout))

    async def drop_message(self, child_id: str, entry: str, *, timeout: float = 10.0) -> str:
        """See :meth:`Hub.drop_message`."""
        return await self.driver.drive(interventions.drop_message(self.driver.context, child_id, entry, timeout))

    async def stop_children(
        self, children: Sequence[str], *, timeout: float = CHANGE_TIMEOUT, disable_logging: bool = False
    ) -> StopResult:
        """See :meth:`Hub.stop_children`."""
        operation = stops.stop_children(self.driver.context, children, timeout, disable_logging=disable_logging)
        return await self.driver.drive(operation)

    @overload
    def ref(self, child_id: str, /) -> AsyncChildRef: ...

    @overload
    def ref(self, target: type[K], child_id: str, /, *args: Any, **kwargs: Any) -> AsyncTypedRef[K]: ...

    def ref(
        self, target: str | type[K], child_id: str = "", /, *args: Any, **kwargs: Any
    ) -> AsyncChildRef | AsyncTypedRef[K]:
        """See :meth:`Hub.ref`."""
        if isinstance(target, str):
            return AsyncChildRef(self.driver.of(target), target)
        kind, context = child_class(target), self.driver.context
        spec = activation_of(context.values, context.config.max_payload_bytes, kind, child_id, args, kwargs)
        return AsyncTypedRef(self.driver.of(child_id), kind, child_id, PLAIN.activating(spec))

    async def cast_many(self, messages: Iterable[Cast]) -> list[HubqError | None]:
        """See :meth:`Hub.cast_many`."""
        return await self.driver.drive(casts.cast_many(self.driver.context, messages))

    async def nodes(self) -> list[NodeStatus]:
        """See :meth:`Hub.nodes`."""
        return await self.driver.drive(members.nodes(self.driver.context))

    async def dead_letters(self) -> list[DeadLetter]:
        """See :meth:`Hub.dead_letters`."""
        return await self.driver.drive(dead_letters.dead_letters(self.driver.context))

    async def replay_dead(self, letters: Sequence[str] | None = None) -> list[str]:
        """See :meth:`Hub.replay_dead`."""
        return await self.driver.drive(dead_letters.replay(self.driver.context, letters))

    async def drop_dead(self, letters: Sequence[str] | None = None) -> list[str]:
        """See :meth:`Hub.drop_dead`."""
        return await self.driver.drive(dead_letters.drop(self.driver.context, letters))

    async def move(self, child_id: str, node: str | None, *, timeout: float = CHANGE_TIMEOUT) -> Place:
        """See :meth:`Hub.move`."""
        return await self.driver.drive(placing.move(self.driver.context, child_id, node, timeout))

    async def pause(
        self, target: type | None = None, *, child: str | None = None, why: str = "", timeout: float = CHANGE_TIMEOUT
    ) -> bool:
        """See :meth:`Hub.pause`."""
        return await self.driver.drive(
            pausing.pause(self.driver.context, pausing.pause_of(target, child, why), timeout)
        )

    async def resume(self, target: type | None = None, *, child: str | None = None) -> bool:
        """See :meth:`Hub.resume`."""
        return await self.driver.drive(pausing.resume(self.driver.context, pausing.pause_of(target, child)))

    async def pauses(self) -> list[Pause]:
        """See :meth:`Hub.pauses`."""
        return await self.driver.drive(pausing.pauses(self.driver.context))

    async def reset_cluster_size(self) -> int:
        """See :meth:`Hub.reset_cluster_size`."""
        return await self.driver.drive(partition.reset_cluster_size(self.driver.context))

    async def drain(self, node: str) -> None:
        """See :meth:`Hub.drain`."""
        await self.driver.drive(members.drain(self.driver.context, node))

    async def close(self) -> None:
        """Close this event loop's session, and all else that is kept for it."""
        for resource in self._resources.pop(asyncio.get_running_loop(), {}).values():
            await resource.close()
        await self.driver.close()

    def resource(self, name: str, make: Callable[[], R]) -> R:
        """An object for this event loop. It is made at the first use, and :meth:`close` closes it."""
        kept = self._resources.setdefault(asyncio.get_running_loop(), {})
        if name not in kept:
            kept[name] = make()
        found: R = kept[name]  # type: ignore[assignment]
        return found
