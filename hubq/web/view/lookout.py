"""What the pages and the API look at: the hub's own questions, each asked once for all who ask at the same time."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import TypeVar

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_all
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.hub import Hub
from hubq.client.operations import inspection, paging, registry
from hubq.client.operations.listing import Query, by_shard
from hubq.client.operations.members import nodes
from hubq.client.operations.overview import Glance, NodeRates, glance, rates
from hubq.client.operations.paging import EventFilter, LetterFilter, LettersPage
from hubq.client.operations.partition import partitioned
from hubq.client.operations.pausing import pauses
from hubq.client.operations.reminders import reminders
from hubq.client.operations.waiting_times import Outbox, child_outbox, held_back, oldest_messages
from hubq.client.results import NodeStatus
from hubq.core.callable_methods import methods_of
from hubq.core.facts import Finding
from hubq.core.hashing import checked_child_id
from hubq.core.pauses import Pause
from hubq.core.reminders import Reminder
from hubq.errors import HubqError, UnknownChild
from hubq.jobs.attention import look
from hubq.store.history import Point, read_points
from hubq.store.membership import redis_time_ms
from hubq.web.view import metrics, records, seen
from hubq.web.view.jobs import Jobs
from hubq.web.view.listings import Listings
from hubq.web.view.shared import Shared

T = TypeVar("T")

#: For how long an answer serves all who ask, seconds: of a glance, of what is dearer, of the doctor.
GLANCE, DEARER, DOCTOR = 1.0, 3.0, 15.0
#: Messages of a mailbox that are looked through for those of one child.
MOST_READ = 2_000
#: Messages of a shard that are looked through for how old those of a listing are, and messages that a page of a child shows.
MOST_OF_A_LINE, HEADS = 300, 20
#: Events that are looked through for the last moves, and moves that are shown.
MOVES_READ, MOVES = 500, 12
#: The same for the history of a child.
HISTORY_READ, HISTORY = 3_000, 30
#: Between two glances that make a rate, seconds: a node writes its account every two.
RATE_WITHIN = 30.0


class Lookout:
    """Looks at one hub, in one event loop (``hub.aio.resource``)."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._context = hub.aio.driver.context
        self._listings = Listings(hub)
        self.jobs = Jobs(hub, self._listings)
        self._hubs: Shared[str, records.HubView] = Shared(GLANCE)
        self._moves: Shared[str, list[records.Move]] = Shared(GLANCE)
        self._histories: Shared[tuple[str, str], records.EventsView] = Shared(DOCTOR)
        self._findings: Shared[str, list[Finding]] = Shared(DOCTOR)
        self._metrics: Shared[str, records.MetricsView] = Shared(DEARER)
        self._began: float | None = None
        self._glances: deque[Glance] = deque(maxlen=2)
        self._rates: dict[str, NodeRates] = {}

    async def close(self) -> None:
        """Nothing is left open: what is kept are answers."""

    def _ask(self, operation: Operation[T]) -> Awaitable[T]:
        return self._hub.aio.driver.drive(operation)

    # -- the hub ---------------------------------------------------------------------------------------------------

    async def hub(self) -> records.HubView:
        """The hub at one glance."""
        return (await self._hubs.get("", self._look))[1]

    async def _look(self) -> records.HubView:
        hub, context = self._hub, self._context
        if self._began is None:
            settings = await self._ask(inspection.fixed_settings(context))
            self._began = seen.moment(settings.get("began", ""))
        found = await self._ask(glance(context, 0))
        members = {node.name: node for node in await self._ask(nodes(context))}
        moves = (await self._moves.get("", self._last_moves))[1]
        why = await self._ask(partitioned(context))
        return seen.hub_view(
            hub.hub_id, hub.groups.address, self._began, context.config, found, members, self._rated(found), moves, why
        )

    def _rated(self, found: Glance) -> dict[str, NodeRates]:
        """Rates of the nodes that have written a new account since; of the others those of before."""
        before = self._glances[-1] if self._glances else None
        if before is not None and found.at - before.at > RATE_WITHIN:
            before, self._rates = None, {}
        fresh = {} if before is None else rates(before, found)
        self._rates = {
            node.name: fresh[node.name] if fresh.get(node.name, NodeRates()) != NodeRates() else self._rates[node.name]
            for node in found.nodes
            if fresh.get(node.name, NodeRates()) != NodeRates() or node.name in self._rates
        }
        if before is None or any(_newer(before, found)):
            self._glances.append(found)
        return self._rates

    async def _last_moves(self) -> list[records.Move]:
        wanted = EventFilter(types=("shard_migrated", "child_migrated"))
        page = await self._ask(paging.events_page(self._context, wanted, "", MOVES, MOVES_READ))
        return [seen.move(event) for event in page.events]

    async def pauses(self) -> list[Pause]:
        """What is paused."""
        return await self._ask(pauses(self._context))

    async def members(self) -> list[NodeStatus]:
        """The nodes."""
        return await self._ask(nodes(self._context))

    # -- children --------------------------------------------------------------------------------------------------

    async def children(self, query: Query, after: str, limit: int, patience: float = math.inf) -> records.ChildrenView:
        """A page of children. A ``match`` without ``*`` means a part of the name; the child of exactly this name comes first.

        After ``patience`` seconds no more is read, and the page has what was found.
        """
        context, first = self._context, []
        if query.match and not any(mark in query.match for mark in "*?["):
            try:
                exact = None if after else await self._ask(registry.child_lookup(context, query.match))
            except HubqError:
                exact = None
            query = replace(query, match=f"*{query.match}*")
            if exact is not None and query.takes(exact) and query.kind in (None, exact.kind):
                first = [exact] if query.tag in (None, exact.metadata.get("tag")) else []
        page, looked, total = await self._listings.page(query, after, limit, patience)
        if first and query.oldest and not await self._ask(oldest_messages(context, by_shard(first), query.oldest)):
            first = []
        names = {child.child_id for child in first}
        shown = [*first, *(child for child in page.children if child.child_id not in names)]
        oldest = await self._ask(oldest_messages(context, by_shard(shown), most_read=MOST_OF_A_LINE))
        return records.ChildrenView(shown, oldest, page.next, page.shards_left, looked, total)

    async def child(self, child_id: str) -> records.ChildView:
        """All of a child but its feed and its history. Raises :class:`~hubq.errors.UnknownChild`."""
        context = self._context
        status = await self._ask(registry.child_lookup(context, child_id))
        box = await self._ask(inspection.child_mailbox(context, child_id, HEADS, MOST_READ))
        view = await self.hub()
        busy = next((doing for doing in view.busy if doing.child == child_id), None)
        later = await self._ask(reminders(context, child_id))
        full = box.messages >= context.config.max_backlog or context.config.groups > 1
        return records.ChildView(
            status, busy, await self.state(child_id), box, await self._ask(held_back(context, child_id)) if full else 0,
            await self.outbox(child_id, HEADS), later, self._methods(status.kind),
        )  # fmt: skip

    async def state(self, child_id: str) -> records.StateView | None:
        """The saved state of a child."""
        try:
            saved = await self._ask(inspection.saved_state(self._context, child_id))
        except UnknownChild:
            raise
        except HubqError as error:
            return records.StateView(0, 1, "", None, [], None, str(error))
        return None if saved is None else seen.state_view(saved)

    def _methods(self, kind: str) -> list[str]:
        known = self._hub.driver.context.classes.registered.get(kind)
        return sorted(methods_of(known)) if isinstance(known, type) else []

    async def mailbox(self, child_id: str, count: int) -> inspection.Mailbox:
        """What waits for a child."""
        return await self._ask(inspection.child_mailbox(self._context, child_id, count, MOST_READ))

    async def outbox(self, child_id: str, count: int) -> Outbox:
        """What a child has said and what waits."""
        return await self._ask(child_outbox(self._context, child_id, count, MOST_READ))

    async def reminders(self, child_id: str) -> list[Reminder]:
        """What is due later for a child."""
        return await self._ask(reminders(self._context, child_id))

    async def history(self, child_id: str) -> records.EventsView:
        """The last events of a child, and of its shard."""

        async def read() -> records.EventsView:
            shard = str(self._context.shard_of(checked_child_id(child_id)))
            wanted = seen.OfChild(child_id, shard)
            page = await self._ask(paging.events_page(self._context, wanted, "", HISTORY, HISTORY_READ))
            return records.EventsView(page.events, page.next)

        newest = await self._ask(inspection.newest_event(self._context))  # with it, what was read is not what it was
        return (await self._histories.get((child_id, newest), read))[1]

    # -- dead letters, events, doctor ------------------------------------------------------------------------------

    async def letters(self, wanted: LetterFilter, after: str, limit: int) -> records.LettersView:
        """A page of dead letters."""
        page = await self.letters_page(wanted, after, limit)
        return records.LettersView([seen.letter(each) for each in page.letters], page.next, page.total)

    async def letters_page(self, wanted: LetterFilter, after: str, limit: int) -> LettersPage:
        """The same, as they stand in Redis."""
        return await self._ask(paging.letters_page(self._context, wanted, after, limit))

    async def events(self, wanted: EventFilter, before: str, limit: int) -> records.EventsView:
        """A page of events."""
        page = await self._ask(paging.events_page(self._context, wanted, before, limit))
        return records.EventsView(page.events, page.next)

    async def metrics(self) -> records.MetricsView:
        """The last hour, as the workers have written it down."""

        async def read() -> records.MetricsView:
            names = sorted(node.name for node in await self.members())
            points, now = await self._ask(_histories(self._context, names))
            return metrics.metrics_view(dict(zip(names, points, strict=True)), now)

        return (await self._metrics.get("", read))[1]

    async def doctor(self, *, fresh: bool = False) -> records.DoctorView:
        """What is wrong with the hub, as of some seconds ago; ``fresh``: as of now."""

        def read() -> list[Finding]:
            return [*self._hub.inspect.diagnosis(), *look(self._hub)]

        async def ask() -> list[Finding]:
            return await asyncio.to_thread(read)

        age, findings = await self._findings.get("", ask, fresh=fresh)
        return records.DoctorView(findings, round(age, 1))


def _each_known(answers: Sequence[tuple[list[list[Point]], float]]) -> tuple[list[list[Point]], float]:
    """Every group has the figures of the whole process."""
    points, now = answers[0]
    for others, _ in answers[1:]:
        points = [mine or other for mine, other in zip(points, others, strict=True)]
    return points, now


@of_all(_each_known)
def _histories(hub: HubContext, names: list[str]) -> Operation[tuple[list[list[Point]], float]]:
    *points, now = yield Fetch([*(read_points(hub.keys, name) for name in names), redis_time_ms()])
    return points, now / 1000


def _newer(before: Glance, after: Glance) -> list[bool]:
    told = {node.name: node.vitals.at for node in before.nodes if node.vitals is not None}
    return [node.vitals is not None and node.vitals.at > told.get(node.name, 0.0) for node in after.nodes]
