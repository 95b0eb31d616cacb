"""Acts, on the event loop, on what the lease thread has found out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextvars import Context, copy_context

from hubq.node.membership.lease_thread import Driver
from hubq.node.membership.member import Member
from hubq.node.membership.resuming import Resuming
from hubq.node.membership.rounds import Tells
from hubq.node.membership.voiding import Voiding
from hubq.node.runtime.beat import Beat
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.group import Group
from hubq.node.runtime.tasks import end_tasks
from hubq.store.tries import Suspect

log = logging.getLogger("hubq.node")


class LeaseKeeper:
    """Starts and stops the lease thread, and hears what it tells. ``drive`` makes the thread's driver."""

    def __init__(
        self, group: Group, plan_due: Bell, member: Member, voiding: Voiding, resuming: Resuming, beat: Beat,
        drive: Callable[[Tells], Driver],
    ) -> None:  # fmt: skip
        self._group = group
        self._plan_due = plan_due
        self._member = member
        self._voiding = voiding
        self._resuming = resuming
        self._beat = beat
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = Context()
        self._hears = False
        self._losing: asyncio.Task[None] | None = None
        self._driver = drive(self)

    def start(self) -> None:
        """Begin to keep the lease."""
        self._loop, self._context, self._hears = asyncio.get_running_loop(), copy_context(), True
        self._beat.start(self._group.number)
        self._driver.start()

    async def stop(self) -> None:
        """Keep the lease no more. What the thread has still told counts for nothing."""
        # First what the thread waits for, then the thread, then the beat: a thread that outlives the beat would take the
        # loop for blocked.
        self._hears = False
        await end_tasks([self._losing])
        self._losing = None
        await self._driver.stop()
        self._beat.stop(self._group.number)

    # -- called in the thread --------------------------------------------------------------------------------------

    def lost(self, why: str, held_by: Suspect | None, go_on: Callable[[], None]) -> None:
        """Other nodes may own everything by now."""
        self._post(lambda: self._lose(why, held_by, go_on))

    def went_back(self) -> None:
        """Redis does not know any more what it has confirmed."""
        self._post(lambda: self._voiding.void("Redis has an older lease or epoch than it had confirmed"))

    def trusted_again(self) -> None:
        """Handlers may start again."""
        self._post(self._resume)

    def changed(self) -> None:
        """The membership has changed."""
        self._post(self._plan_due.ring)

    def _post(self, act: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: the node has ended
            self._loop.call_soon_threadsafe(self._act, act, context=self._context)

    # -- called on the loop ----------------------------------------------------------------------------------------

    def _act(self, act: Callable[[], None]) -> None:
        if self._hears:
            try:
                act()
            except Exception:
                log.exception("what the lease thread of %s has found out", self._group.node_name)

    def _resume(self) -> None:
        self._group.standing.trusted_again()
        self._resuming.resume_all()

    def _lose(self, why: str, held_by: Suspect | None, go_on: Callable[[], None]) -> None:
        self._losing = asyncio.get_running_loop().create_task(self._lost(why, held_by, go_on))

    async def _lost(self, why: str, held_by: Suspect | None, go_on: Callable[[], None]) -> None:
        try:
            await self._member.lost(why, held_by)
        except Exception:
            log.exception("node %s: dropping its shards failed", self._group.node_name)
        go_on()
