"""Drivers of a hub with several groups: what is asked of a group, the driver of that group asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from hubq.client.asking.async_sends import Together
from hubq.client.asking.async_session import AsyncSession
from hubq.client.asking.context import HubContext
from hubq.client.asking.driver import Asker
from hubq.client.asking.loop_driver import LoopDriver
from hubq.client.asking.reachable import Away, away_here
from hubq.client.asking.running_loop import refuse_in_event_loop
from hubq.client.asking.side_by_side import side_by_side
from hubq.client.asking.steps import Each, Operation, Outcome, Scatter, Send, Step
from hubq.client.asking.thread_driver import ThreadDriver
from hubq.store.connection import Server
from hubq.store.outgoing import Outgoing

T = TypeVar("T")


class GroupedAsker:
    """The senders of one thread, one for each group that it has asked."""

    def __init__(self, drivers: Sequence[ThreadDriver]) -> None:
        self._drivers = drivers
        self._askers: dict[int, Asker] = {}

    def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end: group by group."""
        answer: Any = None
        while True:
            try:
                step = operation.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            answer = self._perform(step)

    def _perform(self, step: Step) -> dict[int, Outcome]:
        if isinstance(step, Scatter):
            return {group: self._outcome(group, partial(_send, some), 0.0) for group, some in step.groups.items()}
        asked = _checked(step)
        if asked.question:
            return _answered(asked, self._side_by_side)
        until = time.monotonic() + asked.timeout
        return {group: self._outcome(group, make, until) for group, make in asked.operations.items()}

    def _side_by_side(self, operations: Mapping[int, Operation[Any]]) -> dict[int, Outcome]:
        new = {group: self._drivers[group].connect for group in operations if not self._drivers[group].connected}
        found = {group: outcome for group, outcome in side_by_side(new).items() if outcome.error is not None}
        # The sessions are those of this thread; the threads that wait only borrow them.
        ready = {group: self._asker(group) for group in operations if group not in found}
        found |= side_by_side({group: partial(asker.drive, operations[group]) for group, asker in ready.items()})
        return {group: found[group] for group in operations}

    def _asker(self, group: int) -> Asker:
        return self._askers.get(group) or self._askers.setdefault(group, self._drivers[group].asker())

    def _outcome(self, group: int, make: Callable[[float], Operation[Any]], until: float) -> Outcome:
        try:
            asker = self._asker(group)
            return Outcome(asker.drive(make(max(0.0, until - time.monotonic()))))
        except Exception as error:
            return Outcome(error=error)


class GroupedDriver:
    """A :class:`~hubq.client.asking.driver.Driver` for the whole hub. Its sessions are those of the groups' drivers."""

    def __init__(self, context: HubContext, drivers: Sequence[ThreadDriver]) -> None:
        self.context = context
        self.groups = tuple(drivers)

    @property
    def server(self) -> Server:
        """Where its first group is."""
        return self.groups[0].server

    def of(self, child_id: str) -> ThreadDriver:
        """The driver for one child. Raises :class:`~hubq.errors.InvalidChildId`."""
        return self.groups[self.context.group_of(child_id)]

    def asker(self) -> GroupedAsker:
        """The senders of this thread. Raises :class:`~hubq.errors.WaitsInEventLoop` if an event loop runs in it."""
        refuse_in_event_loop()
        return GroupedAsker(self.groups)

    def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end."""
        return self.asker().drive(operation)

    def close(self) -> None:
        """Close the connections; the next operation opens new ones."""
        for driver in self.groups:
            driver.close()


class AsyncGroupedAsker:
    """The same in an event loop; groups are asked side by side."""

    def __init__(self, drivers: Sequence[LoopDriver]) -> None:
        self._drivers = drivers
        self._askers: dict[int, AsyncSession] = {}

    async def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end."""
        answer: Any = None
        while True:
            try:
                step = operation.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            answer = await self._perform(step)

    async def _perform(self, step: Step) -> dict[int, Outcome]:
        if isinstance(step, Scatter):
            return await self._scatter(step.groups)
        asked = _checked(step)
        away = away_here() if asked.question else None
        makes = {group: make for group, make in asked.operations.items() if away is None or group not in away}
        found = await asyncio.gather(*(self._outcome(group, make(asked.timeout)) for group, make in makes.items()))
        return _left(asked, away, dict(zip(makes, found, strict=True)))

    async def _scatter(self, groups: Mapping[int, Sequence[Outgoing]]) -> dict[int, Outcome]:
        """Without a task for each group: that would cost a batch as much as all else that is done for it."""
        found: dict[int, Outcome] = {}
        begun: dict[int, tuple[AsyncSession, Together]] = {}
        tasks: dict[int, asyncio.Task[Outcome]] = {}
        for group, messages in groups.items():
            session = self._askers.get(group) or self._drivers[group].here()
            if session is None:  # it connects first
                tasks[group] = asyncio.create_task(self._outcome(group, _send(messages)))
                continue
            together = session.begin(messages)
            if together.on_its_way:
                begun[group] = session, together
            else:  # its window is full
                tasks[group] = asyncio.create_task(_sent(session, together))
        for session, _ in begun.values():
            session.redis.one_write()  # (those of groups that share a connection)
        try:
            for group, (session, together) in begun.items():
                found[group] = await _sent(session, together)
            found |= zip(tasks, await asyncio.gather(*tasks.values()), strict=True)
        except BaseException:
            for session, together in begun.values():
                session.give_up(together)
            for task in tasks.values():
                task.cancel()
            raise
        return found

    async def _outcome(self, group: int, operation: Operation[Any]) -> Outcome:
        try:
            asker = self._askers.get(group)
            if asker is None:
                asker = self._askers[group] = await self._drivers[group].asker()
            return Outcome(await asker.drive(operation))
        except Exception as error:
            return Outcome(error=error)


class AsyncGroupedDriver:
    """An :class:`~hubq.client.asking.driver.AsyncDriver` for the whole hub."""

    def __init__(self, context: HubContext, drivers: Sequence[LoopDriver]) -> None:
        self.context = context
        self.groups = tuple(drivers)

    @property
    def server(self) -> Server:
        """Where its first group is."""
        return self.groups[0].server

    def of(self, child_id: str) -> LoopDriver:
        """The driver for one child. Raises :class:`~hubq.errors.InvalidChildId`."""
        return self.groups[self.context.group_of(child_id)]

    async def asker(self) -> AsyncGroupedAsker:
        """The senders of this event loop."""
        return AsyncGroupedAsker(self.groups)

    def drive(self, operation: Operation[T]) -> Coroutine[Any, Any, T]:
        """Run an operation to its end."""
        return AsyncGroupedAsker(self.groups).drive(operation)

    async def close(self) -> None:
        """Close this event loop's sessions."""
        for driver in self.groups:
            await driver.close()


def _send(messages: Sequence[Outgoing], left: float = 0.0) -> Operation[list[tuple[str, str]]]:
    answers: list[tuple[str, str]] = yield Send(messages)
    return answers


async def _sent(session: AsyncSession, together: Together) -> Outcome:
    try:
        return Outcome(await session.sent(together))
    except Exception as error:
        return Outcome(error=error)


def _answered(asked: Each, ask: Callable[[Mapping[int, Operation[Any]]], dict[int, Outcome]]) -> dict[int, Outcome]:
    away = away_here()
    wanted = [group for group in asked.operations if away is None or group not in away]
    return _left(asked, away, ask({group: asked.operations[group](asked.timeout) for group in wanted}))


def _left(asked: Each, away: Away | None, outcomes: dict[int, Outcome]) -> dict[int, Outcome]:
    """Without the groups that do not answer, if whoever asks wants what can be had."""
    if away is None:
        return outcomes
    found = away.without(outcomes)
    return found or {group: Outcome(error=away[group]) for group in asked.operations if group in away}


def _checked(step: Step) -> Each:
    if not isinstance(step, Each):
        raise TypeError(f"{type(step).__name__} is for one group: the operation must say for which")
    return step
