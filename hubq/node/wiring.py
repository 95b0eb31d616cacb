"""Makes all parts of a node, lowest first: each gets what it needs by its constructor, and nothing afterwards."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from hubq.client.hub import Hub
from hubq.core.lease import Lease, RedisClock
from hubq.node.arrivals.account import Account
from hubq.node.arrivals.ahead import AheadBuilt
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.arrivals.batches import Batches
from hubq.node.arrivals.entrance import Entrance
from hubq.node.arrivals.pins import PinArrivals
from hubq.node.arrivals.returns import Returns
from hubq.node.arrivals.shards import ShardArrivals
from hubq.node.arrivals.under_way import UnderWay
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.activity import Activity
from hubq.node.children.around import Around, LayeredMethods
from hubq.node.children.builder import Builder
from hubq.node.children.drafting import Drafting
from hubq.node.children.endings import Endings
from hubq.node.children.enqueuing import Enqueuing
from hubq.node.children.failed_builds import CountedBuilder, FailedBuilds
from hubq.node.children.failed_starts import FailedStarts
from hubq.node.children.failures import Failures
from hubq.node.children.handler import Handle, Handler, LaysState, NoCopyStates
from hubq.node.children.kept_replies import KeptReplies
from hubq.node.children.lives import Lives
from hubq.node.children.mending import Mending
from hubq.node.children.methods import Finds, Methods, TracedMethods
from hubq.node.children.outcomes import Outcomes
from hubq.node.children.parking import Parking
from hubq.node.children.pausing import Pausing
from hubq.node.children.progress import Progresses
from hubq.node.children.pumps import Pumps
from hubq.node.children.reads import Reads
from hubq.node.children.reminders import Reminders
from hubq.node.children.retries import Retries, Waiting
from hubq.node.children.retrying import Retrying
from hubq.node.children.saver import Saver
from hubq.node.children.sayings import Sayings
from hubq.node.children.services import ChildServices
from hubq.node.children.signals import Signals
from hubq.node.children.timing import timed
from hubq.node.commits.committer import Committer
from hubq.node.commits.confirmation import Confirmation, NoConfirmation, ReplicaConfirmation
from hubq.node.commits.forfeits import Forfeits
from hubq.node.commits.held_up import HeldUp
from hubq.node.commits.under_token import UnderToken
from hubq.node.copies.followed import Followed
from hubq.node.copies.laying import CopyStates
from hubq.node.copies.log_applier import LogApplier
from hubq.node.copies.log_reader import LogReader
from hubq.node.copies.none import NoCopies
from hubq.node.copies.protocol import Copies
from hubq.node.copies.recorder import ShardRecorder
from hubq.node.copies.replicas import MANY, Replicas
from hubq.node.copies.standby import Standby
from hubq.node.departures.answers import Answers
from hubq.node.departures.child_passing import ChildPassings
from hubq.node.departures.departure import Departures
from hubq.node.departures.expiring import Expiring
from hubq.node.departures.moves import Moves
from hubq.node.departures.park import Park
from hubq.node.departures.pin_release import PinReleases
from hubq.node.departures.rebuilding import Rebuilding
from hubq.node.departures.resting import Resting
from hubq.node.departures.shard_handover import ShardHandovers
from hubq.node.departures.stragglers import Stragglers
from hubq.node.departures.turns import CLOSED_AT_ONCE, Turns
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.due_times import DueTimes
from hubq.node.held.errands import Errands
from hubq.node.held.holding import HostedChild, Recorder
from hubq.node.held.idleness import Idleness
from hubq.node.held.open_drafts import OpenDrafts
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.recorder import NoRecorder
from hubq.node.held.register import Register
from hubq.node.held.strangers import Strangers
from hubq.node.held.waiting_jobs import WaitingJobs
from hubq.node.mailbox.burials import Burials
from hubq.node.mailbox.cancellations import Cancellations
from hubq.node.mailbox.catching_up import CatchingUp
from hubq.node.mailbox.delivery import Delivery
from hubq.node.mailbox.forwarder import Forwarder
from hubq.node.mailbox.interventions import Interventions
from hubq.node.mailbox.job_forwarder import JobForwarder
from hubq.node.mailbox.reader import Reader
from hubq.node.mailbox.reminding import Reminding
from hubq.node.mailbox.starts import Starts
from hubq.node.mailbox.waking import Waking
from hubq.node.mailbox.withdrawals import Withdrawals
from hubq.node.membership.doing import LoopFrames
from hubq.node.membership.lease_keeper import LeaseKeeper
from hubq.node.membership.lease_thread import Drive, Driver
from hubq.node.membership.member import Member
from hubq.node.membership.quorum import NoQuorum, Quorum, Quorums
from hubq.node.membership.resuming import Resuming
from hubq.node.membership.rounds import Rounds, Tells
from hubq.node.membership.voiding import Voiding
from hubq.node.membership.watchdog import Ends, Watchdog
from hubq.node.planning.balancer import Balancer, Balancers, NoBalancer
from hubq.node.planning.control import ControlLoop
from hubq.node.planning.guide import Guide
from hubq.node.planning.parked import Parked
from hubq.node.planning.planner import Planner
from hubq.node.planning.reconciler import Reconciler
from hubq.node.planning.view_hooks import ViewHooks
from hubq.node.runtime.background import Background
from hubq.node.runtime.beat import Beat
from hubq.node.runtime.bell import Bell, News
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.gate import Gate
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.node.runtime.group import Group
from hubq.node.runtime.hook_runner import HookRunner
from hubq.node.runtime.malformed import MalformedReports
from hubq.node.runtime.pieces import Pieces
from hubq.node.runtime.sizes import Sizes
from hubq.node.runtime.standing import Standing
from hubq.node.trials.marks import Marks
from hubq.node.trials.messages import MessageTrials
from hubq.node.trials.starts import StartTrials
from hubq.node.vitals import Pulse
from hubq.store.connection import AsyncRedis
from hubq.store.malformed import MalformedWatch
from hubq.store.primary import PrimaryWatch
from hubq.strategies.distribution import DistributionTraits
from hubq.strategies.migration import MigrationTraits
from hubq.strategies.partition_tolerance import PartitionTraits

#: What ``redundancy_signal`` says of which changes children hear.
HEARD = {"all": frozenset({"active", "passive"}), "none": frozenset[str]()}


class Wiring:
    """The parts of one node. Only :class:`~hubq.node.node.Node` and :mod:`hubq.testing` hold it; no part does."""

    def __init__(
        self, hub: Hub, name: str, redis: AsyncRedis, reading: AsyncRedis, watch: PrimaryWatch,
        malformed: MalformedWatch, counters: Counters, *, tags: Mapping[str, str], app_version: str, measured: bool, ready_failures: int,
        drive: Drive, ends: Ends,
    ) -> None:  # fmt: skip
        self.counters = counters
        self._runtime(hub, name, redis, reading, malformed)
        self._held(hub)
        self._children(hub, measured)
        self._commits()
        self._copies(hub)
        self._arrivals(hub)
        self._departures(hub)
        self._membership(hub, watch, tags, app_version)
        self._planning(hub)
        self._mailbox(hub)
        self.control = ControlLoop(
            self.group, self.background, self.plan_due, hub.synchronization, self.ahead, self.arrivals, self.answers,
            self.copies, self.withdrawals, self.cancellations, self.interventions, self.parked, self.reports,
            self.pausing,
        )  # fmt: skip
        self.pulse = Pulse(
            self.group, self.register, self.handler, self.committer, self.counters, self.planner, self.failed_builds,
            ready_failures, self.beat, self.job_forwarder,
        )  # fmt: skip
        self._lease(hub, drive, ends)

    def _runtime(self, hub: Hub, name: str, redis: AsyncRedis, reading: AsyncRedis, malformed: MalformedWatch) -> None:
        config = hub.config
        lease, now = Lease(config.lease, config.lease_margin), time.monotonic
        self.standing = Standing(name, lease, RedisClock(), now)
        self.group = Group(redis, reading, hub.keys, config, self.standing, hub.driver.context.seal)
        self.background = Background()
        self.pieces = Pieces(now)
        self.sizes = Sizes(config)
        self.events = EventLog(self.group, self.background)
        self.reports = MalformedReports(self.group, self.events, self.counters, malformed)
        self.gathered = GatheredLog()
        self.hooks = HookRunner(hub.hook_book, hub.hub_id, name, self.background)
        self.beat = Beat()
        self.plan_due = Bell()
        self.emptied = asyncio.Event()
        self.needs_quorum = PartitionTraits.of(hub.partition_tolerance).needs_quorum
        self.gate = Gate(self.standing, closed=self.needs_quorum)
        self.traits = MigrationTraits.of(hub.migration)
        self.quiet: set[str] = set()

    def _held(self, hub: Hub) -> None:
        self.replicated = hub.redundancy.replication_factor(MANY) > 1
        self.active_active = self.replicated and hub.redundancy.replication_model == "active_active"
        self.shard_recorder = ShardRecorder(self.active_active, self.sizes)
        self.recorder: Recorder = self.shard_recorder if self.replicated else NoRecorder()
        self.cursors = Cursors()
        self.outboxes = Outboxes()
        self.reminder_times = DueTimes()
        self.expiries = DueTimes()
        self.waiting_jobs = WaitingJobs()
        self.open_drafts = OpenDrafts()
        self.errands = Errands(self.outboxes, self.reminder_times, self.waiting_jobs, self.open_drafts)
        self.idleness = Idleness(bounded=hub.config.max_active > 0)
        self.strangers = Strangers(hub.config.queue_limit)
        self.register = Register(self.cursors, self.errands)
        self.queue = CommitQueue(self.register)

    def _children(self, hub: Hub, measured: bool) -> None:
        group, background, config, name = self.group, self.background, hub.config, self.group.node_name
        signal = hub.redundancy.redundancy_signal if self.replicated else "none"
        heard = HEARD.get(signal, frozenset({signal}))
        self.signals = Signals(self.standing, config, heard, self.active_active, self.pieces)
        self.saver = Saver(config, self.sizes, background, self.queue)
        self.failures = Failures(config, self.counters, self.events)
        self.failed_starts = FailedStarts()
        self.outcomes = Outcomes(name, self.queue, self.saver, self.failures, self.failed_starts)
        self.progresses = Progresses(group)
        self.endings = Endings(
            group, background, self.events, self.gathered, self.hooks, self.queue, self.cursors, self.plan_due, self.saver,
            self.outcomes, self.progresses, self.pieces, self.quiet,
        )  # fmt: skip
        values = hub.driver.context.values
        self.drafting = Drafting(group, background, self.register, self.open_drafts)
        sayings = Sayings(self.standing, values, config.shards, self.sizes, self.drafting)
        reminders = Reminders(group, self.saver, self.sizes)
        enqueuing = Enqueuing(
            hub.hub_id,
            self.standing,
            sayings,
            self.sizes,
            lambda *job: hub.jobs.prepared(*job),  # (rq is imported then)
        )
        services = ChildServices(
            name,
            values,
            group.seal,
            self.signals,
            self.saver,
            self.endings,
            sayings,
            enqueuing,
            reminders,
            self.progresses,
        )
        self.builder = Builder(services, hub.classes, self.hooks)
        self.failed_builds = FailedBuilds(self.standing.now)
        self.arriving = CountedBuilder(self.builder, self.failed_builds)
        self.parking = Parking(services, self.events, self.gathered, self.queue, self.quiet)
        self.copy_states = CopyStates(self.builder)
        states: LaysState = self.copy_states if self.replicated else NoCopyStates()
        threads = ThreadPoolExecutor(config.threads, thread_name_prefix=f"hubq-{name}")
        layers = hub.layers.composed()
        methods: Finds = Methods() if hub.tracing is None else TracedMethods(name, hub.tracing)
        if layers:
            methods = LayeredMethods(hub.hub_id, name, layers, methods)
        ending, broken, waiting = asyncio.Event(), asyncio.Queue[HostedChild](), asyncio.Queue[Waiting]()
        may_handle = self.gate.may_handle if self.needs_quorum else self.standing.trusted
        self.reads = Reads(
            self.standing, background, self.sizes, methods, threads, self.outcomes, self.failures, self.idleness,
            may_handle,
        )  # fmt: skip
        self.handler = Handler(
            self.standing, self.sizes, methods, threads, self.outcomes, self.endings, self.failures,
            Retries(self.standing, self.counters, waiting), self.reads, KeptReplies(group, self.outcomes), states,
            self.idleness, self.quiet, ending, broken,
        )  # fmt: skip
        self.marks = Marks(group, background)
        self.message_trials = MessageTrials(self.marks, self.handler, may_handle)
        self.balancing = DistributionTraits.of(hub.distribution).balancing
        handle: Handle = self.message_trials.handle
        if measured or self.balancing is not None:
            handle = timed(handle, self.counters.handler_seconds)
        self.pumps = Pumps(handle, may_handle, threads, config, self.outcomes, self.queue, self.cursors, ending)
        self.pausing = Pausing(group, self.register, self.pumps)
        self.lives = Lives(
            group, background, self.events, self.hooks, self.gate, self.register, self.cursors, self.queue, self.saver,
            self.signals, self.endings, self.builder, self.parking, self.pumps, self.pieces,
            Around(hub.hub_id, name, layers), self.idleness, self.pausing,
        )  # fmt: skip
        self.mending = Mending(background, self.lives, broken)
        self.retrying = Retrying(self.pumps, waiting)
        self.start_trials = StartTrials(group, background, self.marks, self.lives)
        self.activity = Activity(self.standing, self.signals, self.register)

    def _commits(self) -> None:
        self.forfeits = Forfeits(self.register, self.endings, self.events, self.background, self.plan_due, self.group)
        waits = bool(self.group.config.wait_replicas)
        confirmation: Confirmation = ReplicaConfirmation(self.group) if waits else NoConfirmation()
        self.committer = Committer(
            self.group, self.queue, self.errands, self.forfeits, self.counters, confirmation, self.sizes,
            HeldUp(self.reports), self.background,
        )  # fmt: skip
        self.under_token = UnderToken(self.group, self.committer)

    def _copies(self, hub: Hub) -> None:
        group, background = self.group, self.background
        self.applier = LogApplier(
            group, background, self.builder, self.signals, self.endings, self.pumps, self.copy_states, self.reports,
            self.pieces, active_active=self.active_active,
        )  # fmt: skip
        self.followed = Followed(group, background, self.applier)
        self.copies: Copies = NoCopies()
        if self.replicated:
            reader = LogReader(group, self.followed, self.applier, self.plan_due)
            standby = Standby(group, background, self.committer, self.lives, self.pumps, self.followed, self.applier)
            self.copies = Replicas(
                group, background, self.register, self.queue, self.shard_recorder, hub.redundancy, hub.distribution,
                self.followed, self.applier, reader, standby, self.pieces,
            )  # fmt: skip

    def _arrivals(self, hub: Hub) -> None:
        group, background = self.group, self.background
        self.news = News()
        self.wishes = Wishes(group, self.news)
        self.answers = Answers()
        self.departures = Departures(
            group, background, self.committer, self.forfeits, self.saver, self.signals, self.endings, self.lives,
            self.pumps, self.pieces, self.sizes,
        )  # fmt: skip
        releases = PinReleases(group, self.register, self.plan_due, self.traits, self.departures)
        self.stragglers = Stragglers(
            group, background, self.events, self.traits, self.wishes, self.answers, self.departures, releases
        )
        self.batches = Batches(group, background, self.register, self.endings, self.reports)
        self.under_way = UnderWay()
        self.ahead = AheadBuilt(group, self.events, self.gathered, self.arriving, hub.migration, self.pieces)
        account = Account(self.standing, self.events, self.gathered, self.hooks, self.counters)
        self.entrance = Entrance(self.arriving, self.parking, self.lives, self.start_trials, self.copies)
        self.shard_arrivals = ShardArrivals(
            group, self.events, self.register, self.queue, self.plan_due, self.recorder, self.pumps,
            self.endings, self.start_trials, self.copies, self.pieces, self.under_way, self.ahead, self.wishes, self.batches,
            self.entrance, account, self.expiries, self.pausing,
        )  # fmt: skip
        pins = PinArrivals(
            group, self.register, self.cursors, self.queue, self.plan_due, self.recorder, self.pumps, self.traits,
            self.under_way, self.ahead, self.wishes, self.entrance, account, self.stragglers, self.pieces,
            self.pausing,
        )  # fmt: skip
        returns = Returns(
            group, self.register, self.cursors, self.queue, self.errands, self.plan_due, self.start_trials,
            self.under_way, self.ahead, self.wishes, self.entrance, account, self.pieces,
            self.pausing,
        )  # fmt: skip
        self.arrivals = Arrivals(group, self.register, self.under_way, self.ahead, self.shard_arrivals, pins, returns)

    def _departures(self, hub: Hub) -> None:
        group, background = self.group, self.background
        self.closing = Turns(CLOSED_AT_ONCE)
        self.moves = Moves(background, self.plan_due)
        self.rebuilding = Rebuilding(
            self.standing, background, self.register, self.endings, self.committer, self.arrivals
        )
        self.handovers = ShardHandovers(
            group, background, self.events, self.hooks, self.counters, self.plan_due, self.register, self.cursors,
            self.queue, self.saver, self.wishes, hub.migration, self.answers, self.moves, self.departures,
            self.closing, self.stragglers, self.rebuilding,
        )  # fmt: skip
        self.passings = ChildPassings(
            group, background, self.counters, self.cursors, self.queue, self.committer, self.traits, self.answers,
            self.departures,
        )  # fmt: skip
        self.resting = Resting(
            group, background, self.register, self.gate, self.idleness, self.wishes, self.batches, self.moves, self.departures,
            self.committer, self.under_token, self.forfeits, self.saver, self.endings, self.pumps, self.reads, self.cursors,
            self.strangers, self.expiries, self.counters, self.pieces,
            self.pausing,
        )  # fmt: skip
        self.expiring = Expiring(group, self.register, self.expiries, self.endings, self.counters, self.reports)
        self.park = Park(group, self.register, self.plan_due, self.traits, self.departures)

    def _membership(self, hub: Hub, watch: PrimaryWatch, tags: Mapping[str, str], app_version: str) -> None:
        self.voiding = Voiding(
            self.standing, self.background, self.events, self.counters, self.register, self.endings, self.copies,
            self.wishes, self.arrivals, watch,
        )  # fmt: skip
        self.member = Member(
            self.group, self.background, self.events, self.hooks, self.plan_due, self.start_trials, self.voiding,
            self.emptied, tags=tags, app_version=app_version, address=hub.server.address,
        )  # fmt: skip
        self.resuming = Resuming(self.register, self.copies, self.pumps, self.queue)
        self.quorum: Quorums = NoQuorum(self.group)
        if self.needs_quorum:
            self.quorum = Quorum(
                self.group, self.gate, self.hooks, self.plan_due, self.register, self.lives, self.resuming,
                hub.partition_tolerance,
            )  # fmt: skip

    def _lease(self, hub: Hub, drive: Drive, ends: Ends) -> None:
        looks = LoopFrames(threading.get_ident())
        self.watchdog = Watchdog(self.group, self.counters, self.beat, looks, self.pulse, ends)

        def driver(tells: Tells) -> Driver:
            return drive(Rounds(self.group, self.watchdog, tells, time.process_time), hub.server, self.group.node_name)

        self.keeper = LeaseKeeper(
            self.group, self.plan_due, self.member, self.voiding, self.resuming, self.beat, driver
        )

    def _planning(self, hub: Hub) -> None:
        group, background = self.group, self.background
        self.guide = Guide(
            group, background, self.register, self.cursors, self.wishes, self.arrivals, self.moves, self.passings,
            self.stragglers,
        )  # fmt: skip
        self.parked = Parked(
            group, background, self.events, self.gathered, self.register, self.queue, self.wishes, self.arrivals,
            self.guide,
        )  # fmt: skip
        self.balancer: Balancers = NoBalancer()
        if self.balancing is not None:
            self.balancer = Balancer(group, self.register, self.plan_due, self.balancing)
        reconciler = Reconciler(
            group,
            background,
            self.register,
            hub.synchronization,
            self.arrivals,
            self.forfeits,
            self.moves,
            self.reports,
        )
        self.planner = Planner(
            group, self.events, self.plan_due, self.emptied, self.register, self.cursors, hub.distribution,
            hub.synchronization, ViewHooks(self.hooks), self.quorum, self.balancer, self.wishes, self.copies,
            self.answers, self.moves, self.handovers, self.park, self.guide, self.parked, reconciler, self.voiding,
            self.pausing,
        )  # fmt: skip

    def _mailbox(self, hub: Hub) -> None:
        group, background = self.group, self.background
        burials = Burials(group.node_name, group.config, self.queue, self.reports)
        self.starts = Starts(
            group, background, self.gathered, self.hooks, self.gate, self.queue, self.cursors, self.strangers, self.builder, burials,
            self.endings, self.lives, self.batches, self.wishes, self.guide, self.pieces,
            self.failed_starts, self.outcomes, self.quiet,
        )  # fmt: skip
        self.delivery = Delivery(
            group.config,
            self.cursors,
            self.pumps,
            self.starts,
            burials,
            self.outcomes,
            self.endings,
            self.reads,
            self.reminder_times,
            self.strangers,
        )
        self.catching_up = CatchingUp(group, self.cursors, self.pumps, self.outcomes, self.delivery)
        self.reader = Reader(group, self.cursors, self.delivery, self.catching_up, self.reports)
        self.waking = Waking(
            group, background, self.gate, self.cursors, self.plan_due, self.under_token, self.strangers, self.delivery,
            self.entrance, self.wishes, self.outcomes, self.counters, self.pieces,
        )  # fmt: skip
        self.forwarder = Forwarder(group, self.register, self.outboxes)
        self.job_forwarder = JobForwarder(
            group, self.register, self.waiting_jobs, self.outboxes, self.reports, lambda shard: hub.jobs.put(shard)
        )
        self.reminding = Reminding(group, self.register, self.reminder_times, self.reports)
        self.withdrawals = Withdrawals(
            group, background, self.register, self.cursors, self.queue, self.pumps, self.outcomes
        )
        self.cancellations = Cancellations(
            group, self.register, self.cursors, self.queue, self.outcomes, self.reads, self.strangers
        )
        self.interventions = Interventions(
            group, background, self.events, self.register, self.cursors, self.queue, self.pumps, self.outcomes,
            self.endings, self.lives,
        )  # fmt: skip
