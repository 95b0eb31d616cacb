"""Joining the hub, leaving it, and joining it anew."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import secrets
import time
from collections.abc import Mapping

from hubq.client.asking.context import check_fixed
from hubq.core.classes import ClassBook
from hubq.errors import HubqError, NameTaken
from hubq.hooks import ClusterJoin
from hubq.node.membership.voiding import Voiding
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.group import Group
from hubq.node.runtime.hook_runner import HookRunner
from hubq.node.trials.starts import StartTrials
from hubq.store.membership import drain_node, join_node, leave_node
from hubq.store.tries import Suspect

log = logging.getLogger("hubq.node")

VERSION = "0.1.0"


class Member:
    """This node as a member of the hub. ``emptied`` is set once nothing is left here, and nothing is to come."""

    def __init__(
        self, group: Group, background: Background, events: EventLog, hooks: HookRunner, plan_due: Bell,
        trials: StartTrials, voiding: Voiding, emptied: asyncio.Event, *, tags: Mapping[str, str], app_version: str, classes: ClassBook,
        address: str,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._events = events
        self._hooks = hooks
        self._plan_due = plan_due
        self._trials = trials
        self._voiding = voiding
        self._emptied = emptied
        self._tags = dict(tags)
        self._app_version = app_version
        self._classes = classes
        self._address = address
        self._life = secrets.token_hex(8)  # a join that arrives after we have left is known by it
        self._leaving = False
        self._held_by: dict[int, Suspect] = {}  # incarnation -> what has cost it its lease

    # -- joining ---------------------------------------------------------------------------------------------------

    async def join(self, wait: float) -> None:
        """Become a member. A dead predecessor of this name is waited for, at most ``wait`` seconds.

        Raises :class:`~hubq.errors.NameTaken`, :class:`~hubq.errors.ConfigError`,
        :class:`~hubq.errors.RedisUnavailable`.
        """
        group, standing, config = self._group, self._group.standing, self._group.config
        lease_ms = int(config.lease * 1000)
        info: dict[str, object] = {
            "host": platform.node(), "pid": os.getpid(), "version": VERSION, "life": self._life,
            "started_at": round(time.time(), 3),
        }  # fmt: skip
        if self._tags:
            info["tags"] = self._tags
        if self._app_version:
            info["app_version"] = self._app_version
        if versions := self._classes.state_versions:
            info["state_versions"] = versions
        if downgrading := self._classes.downgrading:
            info["downgrading"] = downgrading
        if standing.was:
            info["was"] = " ".join(map(str, standing.was))  # these are no crashes: this process lives
        until = standing.now() + wait
        first_seen = 0
        hub_id, name = self._hooks.hub_id, group.node_name
        await self._hooks.before("pre_cluster_join", ClusterJoin(hub_id, name, name, 0))
        while True:
            asked_at = standing.now()
            command = join_node(
                group.keys,
                name,
                info,
                lease_ms,
                config.events_kept,
                config.shards,
                standing.previous,
                standing.epoch,
                group.wire,
            )
            answer = await group.redis.run(command, retry_for=1.0)
            if answer.status == "ok":
                if answer.epoch_before < standing.epoch or 0 < answer.lease_before_ms < standing.granted_ms:
                    self._went_back(answer.epoch_before)
                standing.joined(answer.incarnation, asked_at, answer.now_ms, lease_ms, answer.began_ms)
                log.info("node %s%s joined hub %s (incarnation %d)", name, standing.place, hub_id, answer.incarnation)
                self._hooks.fire("post_cluster_join", ClusterJoin(hub_id, name, name, answer.incarnation))
                return
            if answer.status == "mismatch":
                check_fixed(hub_id, config, group.number, (answer.shards, answer.wire), self._address)
            first_seen = first_seen or answer.lease_until_ms
            if answer.lease_until_ms > first_seen or standing.now() > until:
                raise NameTaken(
                    f"a live node of hub {hub_id!r} has the name {name!r} already: give this worker another --name"
                )
            # A dead predecessor of this name: its lease will end without being renewed.
            await asyncio.sleep(min(config.heartbeat, 0.25))

    def _went_back(self, epoch: int) -> None:
        known = self._group.standing.epoch
        if epoch:
            what = f"Redis has lost writes that it had confirmed (membership epoch {epoch}, it was {known} at least)"
        else:
            what = f"Redis has lost everything of hub {self._hooks.hub_id} (it was at membership epoch {known})"
        log.error("%s: node %s%s goes on with what Redis has", what, self._group.node_name, self._group.standing.place)
        self._events.add("redis_went_back", epoch=epoch, known=known)

    # -- losing the lease ------------------------------------------------------------------------------------------

    async def lost(self, why: str, held_by: Suspect | None = None) -> None:
        """Other nodes may own everything by now: drop all that is here. If Redis says ``evicted``, join anew.

        ``held_by``: what has held this process up until its lease was over. It alone counts as a crash.
        """
        standing = self._group.standing
        if held_by is not None:
            self._held_by[held_by.owner.incarnation] = held_by
        self._voiding.void(why)
        if why != "evicted":
            return
        if self._leaving or standing.draining:
            await self._absolve()
            self._emptied.set()  # nothing is left here, and nothing comes any more: do not join anew
            return
        try:
            await self.join(wait=self._group.config.lease)
            self._background.run(self._absolve(), "taking crashes back")
            if self._leaving:
                await self.announce_drain()
        except HubqError as error:
            log.error("node %s%s cannot join anew yet: %s", standing.node_name, standing.place, error)
        self._plan_due.ring()

    async def _absolve(self) -> None:
        """This node was only cut off: have its crashes taken back."""
        for incarnation, shards in self._group.standing.to_absolve().items():
            try:
                await self._trials.absolve(shards, incarnation, self._held_by.pop(incarnation, None))
            except HubqError as error:
                log.warning("the crash of %s#%d stays counted: %s", self._group.node_name, incarnation, error)

    # -- leaving ---------------------------------------------------------------------------------------------------

    async def announce_drain(self) -> None:
        """Say in Redis that this node is draining. Repeated until Redis has answered."""
        group, standing = self._group, self._group.standing
        self._leaving = True
        while standing.incarnation:  # 0: it has lost everything, and will not join anew
            command = drain_node(group.keys, group.node_name, standing.incarnation, group.config.events_kept)
            try:
                await group.redis.run(command, retry_for=2.0)
                break
            except HubqError as error:
                log.warning("drain of %s waits: %s", group.node_name, error)
                await asyncio.sleep(0.2)
        self._plan_due.ring()

    async def leave(self) -> bool:
        """Say goodbye if nothing is owned any more. False: a shard came in at the last moment, and must go first."""
        group, standing = self._group, self._group.standing
        void = not standing.incarnation  # the shards that it owns in Redis are left to the others
        incarnation = standing.previous if void else standing.incarnation
        command = leave_node(group.keys, group.node_name, incarnation, group.config.events_kept, force=void)
        try:
            if await group.redis.run(command, retry_for=1.0) != "owner":
                return True
        except HubqError as error:
            log.warning("node %s%s could not write that it leaves: %s", group.node_name, group.standing.place, error)
            return True
        self._emptied.clear()
        return False

    async def say_goodbye(self, incarnation: int) -> None:
        """Leave as this incarnation, whatever it owns; nothing happens if it is no member."""
        group = self._group
        command = leave_node(group.keys, group.node_name, incarnation, group.config.events_kept, force=True)
        try:
            await group.redis.run(command, retry_for=1.0)
        except Exception as error:
            log.warning("node %s%s could not write that it leaves: %s", group.node_name, group.standing.place, error)
