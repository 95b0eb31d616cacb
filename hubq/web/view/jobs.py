"""What the pages and the API look at of jobs: those of RQ, keys, resumable ones."""

from __future__ import annotations

import asyncio
import math

import msgspec

from hubq.client.hub import Hub
from hubq.jobs.children import BUSY_KEYS, OfResumable
from hubq.jobs.overview import key_line, of_queues, resumable_line
from hubq.web.view.listings import Listings
from hubq.web.view.records import JobsView, ResumableView
from hubq.web.view.shared import Shared

#: For how long an answer serves all who ask, seconds.
KEPT_FOR = 1.0
#: Jobs of each state, keys, and resumable jobs that a page has.
MOST = 100
#: States that a resumable job may have before it has ended; empty: any.
OF_RESUMABLE = ("", "queued", "started")


class Jobs:
    """Looks at the jobs of one hub."""

    def __init__(self, hub: Hub, listings: Listings) -> None:
        self._hub = hub
        self._listings = listings
        self._queues: Shared[str, JobsView] = Shared(KEPT_FOR)
        self._resumable: Shared[tuple[str, float], ResumableView] = Shared(KEPT_FOR)

    async def all(self, state: str, after: str) -> JobsView:
        """RQ's jobs, the keys with waiting jobs, and a page of resumable ones; behind the first page these alone."""
        queues, running = await asyncio.gather(self.queues(state), self.resumable(state, after))
        lines = running.jobs if after else [*queues.jobs, *running.jobs]
        return msgspec.structs.replace(
            queues, jobs=lines, next=running.next, looked=running.looked, total=running.total
        )

    async def queues(self, state: str) -> JobsView:
        """RQ's jobs, and the keys with waiting jobs. (RQ waits for Redis: it does so in a thread.)"""

        async def read() -> JobsView:
            overview, (page, _, _) = await asyncio.gather(
                asyncio.to_thread(of_queues, self._hub, state or None, MOST),
                self._listings.page(BUSY_KEYS, "", MOST),
            )
            busy = sorted(page.children, key=lambda key: (-key.backlog, key.child_id))
            keys = [line for line in map(key_line, busy) if state in ("", line.state)]
            more = bool(keys and (page.next or keys[MOST:]))
            return JobsView(
                overview.queue, overview.counts, overview.workers, overview.clock, [*overview.jobs, *keys[:MOST]], more
            )

        return (await self._queues.get(state, read))[1]

    async def resumable(self, state: str, after: str, patience: float = math.inf) -> ResumableView:
        """A page of resumable jobs that have not ended. After ``patience`` seconds it has what was found."""

        async def read() -> ResumableView:
            page, looked, total = await self._listings.page(OfResumable(), after, MOST, patience)
            return ResumableView([resumable_line(child) for child in page.children], page.next, looked, total)

        if state not in OF_RESUMABLE:
            return ResumableView([])
        view = (await self._resumable.get((after, patience), read))[1]
        return msgspec.structs.replace(view, jobs=[line for line in view.jobs if state in ("", line.state)])
