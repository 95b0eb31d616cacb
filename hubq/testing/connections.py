"""What a client's connections and sessions do, for tests of them. See :mod:`hubq.testing.probe`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Operation
from hubq.client.hub import Hub
from hubq.client.operations import placing
from hubq.client.operations.starts import StartTicket
from hubq.client.results import StartResult
from hubq.store.command import Command
from hubq.store.connection import AsyncRedis, Server, SyncRedis
from hubq.store.lane import Lane
from hubq.testing.patching import replaced

T = TypeVar("T")


# -- sessions ------------------------------------------------------------------------------------------------------


def context_of(hub: Hub) -> HubContext:
    """What the operations of a hub are made with."""
    return hub.driver.context


def drive(hub: Hub, operation: Operation[T]) -> T:
    """Run an operation as the hub's methods do."""
    return hub.driver.drive(operation)


async def drive_here(hub: Hub, operation: Operation[T]) -> T:
    """The same, as the methods of ``hub.aio`` do."""
    return await hub.aio.driver.drive(operation)


def connection_of(hub: Hub) -> SyncRedis:
    """The connection of this thread's session."""
    return hub.groups.drivers[0].asker().redis


async def connection_here(hub: Hub) -> AsyncRedis:
    """The connection of this event loop's session."""
    return (await hub.groups.async_drivers[0].asker()).redis


async def sender_here(hub: Hub) -> str:
    """The sender id of this event loop's session."""
    return (await hub.groups.async_drivers[0].asker()).sender


def ticket_of(started: object) -> StartTicket:
    """What a ``hub.start_children()`` waits for."""
    ticket: StartTicket = started._ticket  # type: ignore[attr-defined]
    return ticket


async def pins_awaited(hub: Hub, told: StartResult, places: dict[str, str], timeout: float) -> StartResult:
    """What ``start_children`` makes of the nodes' answers when children have a place of their own."""
    return await hub.aio.driver.drive(placing._with_pins(hub.driver.context, told, places, timeout))


# -- requests ------------------------------------------------------------------------------------------------------


@contextmanager
def after_each_answer(
    hear: Callable[[SyncRedis | AsyncRedis, Sequence[Command[Any]], list[Any]], None],
) -> Iterator[None]:
    """Calls ``hear`` when the server has done what was sent and before the client hears of it; what it raises is what
    the client gets.
    """

    def losing(send: Any) -> Any:
        def heard(redis: SyncRedis, commands: Sequence[Command[Any]]) -> list[Any]:
            answers: list[Any] = send(redis, commands)
            hear(redis, commands, answers)
            return answers

        return heard

    def losing_async(send: Any) -> Any:
        async def heard(redis: AsyncRedis, commands: Sequence[Command[Any]], changes: int) -> list[Any]:
            answers: list[Any] = await send(redis, commands, changes)
            hear(redis, commands, answers)
            return answers

        return heard

    with (
        replaced(SyncRedis, "_send", losing),
        replaced(AsyncRedis, "_send", losing_async),
        replaced(AsyncRedis, "lane", _no_lane),
        replaced(SyncRedis, "ask_ahead", lambda _: lambda redis, command, wait: (None, None)),
    ):
        yield


def _no_lane(_: Any) -> Any:
    """Nothing is asked past what is replaced: no message is sent at once."""
    return lambda redis, blocking: None


class Gated(Server, Protocol):
    """A server that stands before another one."""

    async def passed(self) -> None:
        """Called before and after each try of a request; what it raises is what the try ends with."""


@contextmanager
def gate_asked(server: Gated) -> Iterator[None]:
    """``server.passed()`` is asked before and after each try of all awaiting connections to it."""

    def asking(attempt: Any) -> Any:
        async def ask(redis: AsyncRedis, commands: Sequence[Command[Any]], *told: int) -> list[Any]:
            if redis.server is server:
                await server.passed()
            answers: list[Any] = await attempt(redis, commands, *told)
            if redis.server is server:
                await server.passed()
            return answers

        return ask

    with replaced(AsyncRedis, "_attempt", asking), replaced(AsyncRedis, "lane", _no_lane):
        yield


# -- lanes ---------------------------------------------------------------------------------------------------------


async def lanes_here(hub: Hub) -> set[Lane | None]:
    """The connections that carry what does not block, of all groups, in this event loop."""
    return {(await driver.asker()).redis.lane(blocking=False) for driver in hub.groups.async_drivers}


@contextmanager
def writes_of(lane: Lane) -> Iterator[list[bytes]]:
    """What is written on a connection meanwhile."""
    writes: list[bytes] = []

    def keeping(write: Callable[[bytes], None]) -> Callable[[bytes], None]:
        def kept(data: bytes) -> None:
            writes.append(data)
            write(data)

        return kept

    with replaced(lane, "_write", keeping):
        yield writes


def lanes_standing(redis: SyncRedis) -> list[Any]:
    """The connections of redis-py's pool that are in use: the lanes that stand."""
    return list(redis._client.connection_pool._in_use_connections)


def lanes_idle(redis: SyncRedis) -> list[Any]:
    """The lanes that wait for a request."""
    return list(redis._idle)


def led_elsewhere_before(redis: SyncRedis) -> None:
    """As if its connections had been made to another address, which answers no more on the newest of them."""
    redis._place = ("former", 6379)
    redis._idle[-1].connection._sock.shutdown(socket.SHUT_RDWR)
