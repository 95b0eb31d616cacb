"""``hub.inspect``: looking at a hub without touching it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from hubq.client.asking.driver import AsyncDriver, Driver
from hubq.client.asking.reachable import of_those_that_answer
from hubq.client.operations import inspection
from hubq.client.operations.happened import Event
from hubq.client.operations.inspection import Mailbox, SavedState
from hubq.client.operations.partition import partitioned
from hubq.client.operations.registry import count_dormant_children
from hubq.client.operations.reminders import reminders
from hubq.core.reminders import Reminder
from hubq.store.vitals import Vitals

if TYPE_CHECKING:
    from hubq.client.operations.overview import Glance
    from hubq.core.facts import Finding
    from hubq.errors import RedisUnavailable


class Inspector:
    """``hub.inspect``: see the functions of :mod:`hubq.client.operations.inspection`. All of it waits for Redis."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def reachable(self) -> AbstractContextManager[Mapping[int, RedisUnavailable]]:
        """Within it, what is asked of the whole hub (nodes, children, events, ``glance()``, ``diagnosis()``) is answered by the groups
        whose Redis answers. It gives the others, by number, with why; each is waited for once. Outside it a group that does not answer
        raises :class:`~hubq.errors.RedisUnavailable`, as does the end of the block if no group answered. For ``hub.aio`` too.

        >>> with hub.inspect.reachable() as away:  # doctest: +SKIP
        ...     nodes = hub.nodes()
        >>> sorted(away)  # doctest: +SKIP
        [1, 3]
        """
        return of_those_that_answer()

    def state(self, child_id: str) -> SavedState | None:
        """The saved state of a child; None if it has not committed one. Raises :class:`~hubq.errors.UnknownChild`."""
        return self._driver.drive(inspection.saved_state(self._driver.context, child_id))

    def dormant(self) -> int:
        """How many children are dormant. (``hub.iter_children(status="dormant")`` names them.)"""
        return self._driver.drive(count_dormant_children(self._driver.context))

    def reminders(self, child_id: str | None = None) -> list[Reminder]:
        """The reminders of a child, or of all children, the next one first."""
        return self._driver.drive(reminders(self._driver.context, child_id))

    def partitioned(self) -> str:
        """Since when the hub has no quorum, with how many nodes, and how many it needs; empty while it has one."""
        return self._driver.drive(partitioned(self._driver.context))

    def mailbox(self, child_id: str, count: int = 10) -> Mailbox:
        """The messages that wait for a child. Raises :class:`~hubq.errors.UnknownChild`."""
        return self._driver.drive(inspection.child_mailbox(self._driver.context, child_id, count))

    def mailboxes(self, count: int = 1) -> list[Mailbox]:
        """The mailboxes in which messages wait."""
        return self._driver.drive(inspection.mailboxes(self._driver.context, count))

    def events(self, last: int = 20, types: Collection[str] = ()) -> tuple[str, list[Event]]:
        """The last events (of these types), oldest first; and the id from which to :meth:`follow`."""
        return self._driver.drive(inspection.last_events(self._driver.context, last, types))

    def follow(self, after: str | None = None, *, wait: float = 1.0) -> Iterator[list[Event]]:
        """New events as they come, for ever; an empty list after ``wait`` seconds (below 5) without any."""
        context = self._driver.context
        last = after if after is not None else self._driver.drive(inspection.newest_event(context))
        while True:
            found = self._driver.drive(inspection.next_events(context, last, wait))
            if found:
                last = found[-1].id
            yield found

    def vitals(self) -> dict[str, Vitals | None]:
        """Each node's account of itself; None for a node that has not written one lately."""
        return self._driver.drive(inspection.node_vitals(self._driver.context))

    def glance(self, events: int = 10) -> Glance:
        """The hub at one glance (``hubq top``), with its last events."""
        from hubq.client.operations.overview import glance  # imported here: only people who look need it

        return self._driver.drive(glance(self._driver.context, events))

    def diagnosis(self) -> list[Finding]:
        """What is wrong with the hub (``hubq doctor``), the most pressing first; empty if nothing is."""
        from hubq.client.operations.diagnosis import gather, of_groups_away  # as above
        from hubq.core.diagnosis import diagnose
        from hubq.store.strangers import lets_strangers_in

        server = self._driver.server
        facts = self._driver.drive(gather(self._driver.context, server.address, lets_strangers_in(server)))
        return diagnose(of_groups_away(self._driver.context, facts))

    def settings(self) -> dict[str, str]:
        """The settings fixed in Redis when the hub was first used."""
        return self._driver.drive(inspection.fixed_settings(self._driver.context))


class AsyncInspector:
    """``hub.aio.inspect``: the same, awaiting."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    def reachable(self) -> AbstractContextManager[Mapping[int, RedisUnavailable]]:
        """See :meth:`Inspector.reachable`. (``with``, not ``async with``.)"""
        return of_those_that_answer()

    async def state(self, child_id: str) -> SavedState | None:
        """See :meth:`Inspector.state`."""
        return await self._driver.drive(inspection.saved_state(self._driver.context, child_id))

    async def dormant(self) -> int:
        """See :meth:`Inspector.dormant`."""
        return await self._driver.drive(count_dormant_children(self._driver.context))

    async def reminders(self, child_id: str | None = None) -> list[Reminder]:
        """See :meth:`Inspector.reminders`."""
        return await self._driver.drive(reminders(self._driver.context, child_id))

    async def partitioned(self) -> str:
        """See :meth:`Inspector.partitioned`."""
        return await self._driver.drive(partitioned(self._driver.context))

    async def mailbox(self, child_id: str, count: int = 10) -> Mailbox:
        """See :meth:`Inspector.mailbox`."""
        return await self._driver.drive(inspection.child_mailbox(self._driver.context, child_id, count))

    async def mailboxes(self, count: int = 1) -> list[Mailbox]:
        """See :meth:`Inspector.mailboxes`."""
        return await self._driver.drive(inspection.mailboxes(self._driver.context, count))

    async def events(self, last: int = 20, types: Collection[str] = ()) -> tuple[str, list[Event]]:
        """See :meth:`Inspector.events`."""
        return await self._driver.drive(inspection.last_events(self._driver.context, last, types))

    async def follow(self, after: str | None = None, *, wait: float = 1.0) -> AsyncIterator[list[Event]]:
        """See :meth:`Inspector.follow`: ``async for events in hub.aio.inspect.follow():``."""
        context = self._driver.context
        last = after if after is not None else await self._driver.drive(inspection.newest_event(context))
        while True:
            found = await self._driver.drive(inspection.next_events(context, last, wait))
            if found:
                last = found[-1].id
            yield found

    async def vitals(self) -> dict[str, Vitals | None]:
        """See :meth:`Inspector.vitals`."""
        return await self._driver.drive(inspection.node_vitals(self._driver.context))

    async def glance(self, events: int = 10) -> Glance:
        """See :meth:`Inspector.glance`."""
        from hubq.client.operations.overview import glance

        return await self._driver.drive(glance(self._driver.context, events))

    async def diagnosis(self) -> list[Finding]:
        """See :meth:`Inspector.diagnosis`."""
        from hubq.client.operations.diagnosis import gather, of_groups_away
        from hubq.core.diagnosis import diagnose
        from hubq.store.strangers import lets_strangers_in

        server = self._driver.server
        strangers = await asyncio.to_thread(lets_strangers_in, server)  # it has a connection of its own, which waits
        facts = await self._driver.drive(gather(self._driver.context, server.address, strangers))
        return diagnose(of_groups_away(self._driver.context, facts))

    async def settings(self) -> dict[str, str]:
        """See :meth:`Inspector.settings`."""
        return await self._driver.drive(inspection.fixed_settings(self._driver.context))
