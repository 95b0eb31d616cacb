"""The two lowest storeys of a node: what every part is given, and what the node holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hubq.client.asking.context import HubContext
from hubq.client.hub import Hub
from hubq.config import Config
from hubq.core.lease import Lease, RedisClock
from hubq.node.copies.recorder import ShardRecorder
from hubq.node.copies.replicas import MANY
from hubq.node.departures.moves import InMotion
from hubq.node.departures.turns import CLOSED_AT_ONCE, Turns
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.due_times import DueTimes
from hubq.node.held.elsewhere import Elsewhere
from hubq.node.held.errands import Errands
from hubq.node.held.far_outboxes import FarOutboxes
from hubq.node.held.holding import Recorder
from hubq.node.held.idleness import Idleness
from hubq.node.held.marked_shards import MarkedShards
from hubq.node.held.older_code import OlderCode
from hubq.node.held.open_drafts import OpenDrafts
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.recorder import NoRecorder
from hubq.node.held.register import Register
from hubq.node.held.strangers import Strangers
from hubq.node.held.waiting_jobs import WaitingJobs
from hubq.node.membership.lease_thread import Drive
from hubq.node.membership.watchdog import Ends
from hubq.node.runtime.background import Background
from hubq.node.runtime.beat import Beat
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.gate import Gate
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.node.runtime.group import Group
from hubq.node.runtime.hook_runner import HookRunner
from hubq.node.runtime.malformed import MalformedReports
from hubq.node.runtime.neighbours import Neighbours
from hubq.node.runtime.own_memory import OwnMemory
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.sizes import Sizes
from hubq.node.runtime.speaker import Speaker
from hubq.node.runtime.standing import Standing
from hubq.store.connection import AsyncRedis, Server
from hubq.store.malformed import MalformedWatch
from hubq.store.primary import PrimaryWatch
from hubq.strategies.migration import MigrationTraits
from hubq.strategies.partition_tolerance import PartitionTraits


class Common:
    """What the parts of a node share, whatever group they are for: they run in one event loop and one process."""

    def __init__(self, config: Config, name: str) -> None:
        self.pieces = Pieces(time.monotonic)
        self.threads = ThreadPoolExecutor(config.threads, thread_name_prefix=f"hubq-{name}")
        self.elsewhere = Elsewhere(config.groups, config.shards)
        self.neighbours = Neighbours()
        self.closing = Turns(CLOSED_AT_ONCE)
        self.in_motion = InMotion()
        self.speaker = Speaker()
        self.beat = Beat()
        self.memory = OwnMemory(time.monotonic)


@dataclass(frozen=True)
class Given:
    """What is decided before any part is made. ``context`` and ``server``: the group that the parts are for. ``watch`` and
    ``malformed``: what both connections tell of who answers, and of what cannot be read. The rest: :class:`~hubq.node.node.Node`.
    """

    hub: Hub
    name: str
    common: Common
    context: HubContext
    server: Server
    redis: AsyncRedis
    reading: AsyncRedis
    watch: PrimaryWatch
    malformed: MalformedWatch
    counters: Counters
    tags: Mapping[str, str]
    app_version: str
    measured: bool
    ready_failures: int
    drive: Drive
    ends: Ends


class RuntimeStorey:
    """What every part is given."""

    def __init__(self, given: Given) -> None:
        hub = given.hub
        config = hub.config
        self.counters = given.counters
        lease, now = Lease(config.lease, config.lease_margin), time.monotonic
        place = f" in group {given.context.group}" if config.groups > 1 else ""
        self.standing = Standing(given.name, lease, RedisClock(), now, place)
        self.group = Group(
            given.redis,
            given.reading,
            given.context.keys,
            config,
            self.standing,
            given.context.seal,
            given.context.group,
        )
        given.common.neighbours.enter(self.group)
        self.background = Background()
        self.pieces = given.common.pieces
        self.sizes = Sizes(config)
        self.events = EventLog(self.group, self.background)
        self.reports = MalformedReports(self.group, self.events, self.counters, given.malformed)
        self.gathered = GatheredLog()
        self.hooks = HookRunner(hub.hook_book, hub.hub_id, given.name, self.background, speaks=given.context.group == 0)
        self.beat = given.common.beat
        self.plan_due = Bell()
        self.emptied = asyncio.Event()
        self.needs_quorum = PartitionTraits.of(hub.partition_tolerance).needs_quorum
        self.gate = Gate(self.standing, closed=self.needs_quorum)
        self.traits = MigrationTraits.of(hub.migration)
        self.quiet: set[str] = set()


class HeldStorey:
    """What the node holds. Everything here is passive."""

    def __init__(self, given: Given, runtime: RuntimeStorey) -> None:
        hub = given.hub
        self.replicated = hub.redundancy.replication_factor(MANY) > 1
        self.active_active = self.replicated and hub.redundancy.replication_model == "active_active"
        self.shard_recorder = ShardRecorder(self.active_active, runtime.sizes)
        self.recorder: Recorder = self.shard_recorder if self.replicated else NoRecorder()
        self.cursors = Cursors()
        self.older = OlderCode()
        self.outboxes = Outboxes()
        self.reminder_times = DueTimes()
        self.expiries = DueTimes()
        self.waiting_jobs = WaitingJobs()
        self.open_drafts = OpenDrafts()
        self.far_outboxes = FarOutboxes(runtime.group.number, hub.config.groups)
        self.newcomers = MarkedShards()
        self.errands = Errands(
            self.newcomers, self.outboxes, self.far_outboxes, self.reminder_times, self.waiting_jobs, self.open_drafts
        )
        self.idleness = Idleness(bounded=hub.config.max_active > 0)
        self.strangers = Strangers(hub.config.queue_limit)
        self.register = Register(self.cursors, self.errands)
        self.queue = CommitQueue(self.register)
