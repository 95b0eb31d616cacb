"""Pins that return to their shard, or stay apart from it: each child goes alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from hubq.core.messages import StartChildren
from hubq.errors import RedisUnavailable
from hubq.node.arrivals.wishes import Wishes
from hubq.node.departures.answers import Answers
from hubq.node.departures.boundaries import at_boundaries, in_thread, undo
from hubq.node.departures.departure import Departures
from hubq.node.departures.pin_release import PinReleases
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.runtime.background import Background
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.group import Group
from hubq.store.control import send_control
from hubq.store.owners import read_owners
from hubq.strategies.migration import MigrationTraits

log = logging.getLogger("hubq.node")

#: How often a child that could not start elsewhere is offered again, seconds.
RETRY = 15.0


class Stragglers:
    """Lets the pins of a node return, each at its time. (``wishes.news``: a child that could not start may start now.)"""

    def __init__(
        self, group: Group, background: Background, events: EventLog, traits: MigrationTraits, wishes: Wishes,
        answers: Answers, departures: Departures, releases: PinReleases,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._events = events
        self._traits = traits
        self._wishes = wishes
        self._answers = answers
        self._departures = departures
        self._releases = releases

    def follow(self, pin: Holding, retention: float, *, serving: bool) -> None:
        """Let a pinned child return to its shard: when its message is done, or, if it serves on, when it can start there."""
        if pin.gone or pin.in_motion:
            return  # it was lost or given back since the token passed: a strategy may wait in between
        pin.straggle()
        self._events.add("child_pinned", shard=pin.shard, child=pin.pinned or "", serving=int(serving))
        work = self._serve_until_possible(pin, retention) if serving else self._when_done(pin, retention)
        self._background.run(work, f"straggler {pin.pinned}")

    def keep(self, pin: Holding) -> None:
        """A child that is wanted here stays when its shard goes: serve on."""
        if pin.gone or pin.in_motion:
            return
        self._events.add("child_pinned", shard=pin.shard, child=pin.pinned or "", serving=1)
        self._serve(pin)

    def _serve(self, pin: Holding) -> None:
        pin.open_intake()
        self._departures.go_on(pin.children.values())

    async def give_back(self, pin: Holding) -> None:
        """A pin that is wanted here no more returns to its shard, with its state."""
        pin.close_intake()
        await self._when_done(pin, self._traits.retention)

    async def _when_done(self, pin: Holding, retention: float) -> None:
        """Return when the message in hand is done, or undone. The pin is closed."""
        hosted = next(iter(pin.children.values()), None)
        if hosted is not None:
            await self._message_done(hosted, retention)
        await self._releases.release(pin, hosted)  # None: it has ended meanwhile

    async def _message_done(self, hosted: HostedChild, retention: float) -> None:
        if not await at_boundaries([hosted], retention):
            return
        if in_thread(hosted) and not self._group.standing.draining:
            # A thread cannot be cancelled: wait for it, unless this process is about to end.
            await self._first(hosted.at_boundary(), self._group.standing.until_draining())
            if not hosted.settling:
                return
        if hosted.busy:
            log.warning(
                "child %s is busy for longer than retention=%g s: its message is undone and moves with it",
                hosted.child_id, retention,
            )  # fmt: skip
        await undo([hosted])

    async def _serve_until_possible(self, pin: Holding, retention: float) -> None:
        if pin.gone:
            return  # before the first step of this task
        self._serve(pin)
        seen = self._wishes.news.rings
        while not pin.gone and pin.children:
            (hosted,) = pin.children.values()
            leaving = await self._left_or_news(seen, RETRY)
            seen = self._wishes.news.rings  # what comes while the other node is asked asks for another try
            if not leaving and self._wishes.here(hosted):
                pin.stay()  # it is wanted here by now: not a straggler any more
                return
            if not leaving and not await self._can_start(pin, hosted):
                continue
            pin.close_intake()
            await self._when_done(pin, retention)
            return
        if not pin.gone:
            await self._releases.release(pin, None)

    async def _left_or_news(self, seen: int, within: float) -> bool:
        """Wait until this node is leaving (True), or until another try is worthwhile (False). ``seen``: the news that are known."""
        if self._wishes.news.rings == seen:
            await self._first(self._group.standing.until_draining(), self._wishes.news.heard(), within=within)
        return self._group.standing.draining

    async def _first(
        self, *waits: Coroutine[Any, Any, object], within: float | None = None
    ) -> None:  # fmt: skip
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:  # also if the node ends meanwhile
            for task in tasks:
                task.cancel()

    async def _can_start(self, pin: Holding, hosted: HostedChild) -> bool:
        """Whether the owner of the shard can run the child."""
        group = self._group
        try:
            owner = (await group.redis.run(read_owners(group.keys))).shards.get(pin.shard)
            if owner is None or owner.node in ("-", group.node_name):
                return owner is not None and owner.node == group.node_name
            wish = self._wishes.wish(hosted.child_id, hosted.record)
            if wish is not None and wish.node not in (owner.node, group.node_name) and self._wishes.is_up(wish.node):
                return True  # it goes there by way of its shard
            return self._departures.readable_at(hosted, owner.node) and await self._builds(owner.node, pin, hosted)
        except (TimeoutError, RedisUnavailable):
            return False

    async def _builds(self, node: str, pin: Holding, hosted: HostedChild) -> bool:
        group = self._group
        # (Not watched: if that node leaves, its silence is waited out.)
        answer = self._answers.expect(f"{hosted.child_id}@{group.standing.now()}")
        message = StartChildren(group.node_name, pin.shard, answer.handover_id, hosted.child_id)
        try:
            await group.redis.run(send_control(group.keys, node, message), retry_for=1.0)
            return not (await asyncio.wait_for(answer.resp, RETRY)).failed
        finally:
            self._answers.forget(answer)
