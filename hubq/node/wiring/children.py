"""The storey of the children: built, begun, handled, saved, ended, and tried alone where they took nodes down."""

from __future__ import annotations

import asyncio

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
from hubq.node.copies.laying import CopyStates
from hubq.node.held.holding import HostedChild
from hubq.node.trials.marks import Marks
from hubq.node.trials.messages import MessageTrials
from hubq.node.trials.starts import StartTrials
from hubq.node.wiring.ground import Given, HeldStorey, RuntimeStorey
from hubq.strategies.distribution import DistributionTraits

#: What ``redundancy_signal`` says of which changes children hear.
HEARD = {"all": frozenset({"active", "passive"}), "none": frozenset[str]()}


class ChildrenStorey:
    """One child, from built to ended."""

    def __init__(self, given: Given, runtime: RuntimeStorey, held: HeldStorey) -> None:
        hub = given.hub
        group, background, config, name = runtime.group, runtime.background, hub.config, runtime.group.node_name
        signal = hub.redundancy.redundancy_signal if held.replicated else "none"
        heard = HEARD.get(signal, frozenset({signal}))
        self.signals = Signals(runtime.standing, config, heard, held.active_active, runtime.pieces)
        self.saver = Saver(config, runtime.sizes, background, held.queue)
        self.failures = Failures(config, runtime.counters, runtime.events)
        self.failed_starts = FailedStarts()
        self.outcomes = Outcomes(name, held.queue, self.saver, self.failures, self.failed_starts)
        self.progresses = Progresses(group)
        self.endings = Endings(
            group, background, runtime.events, runtime.gathered, runtime.hooks, held.queue, held.cursors,
            runtime.plan_due, self.saver, self.outcomes, self.progresses, runtime.pieces, runtime.quiet,
        )  # fmt: skip
        values = given.context.values
        self.drafting = Drafting(group, background, held.register, held.open_drafts)
        sayings = Sayings(runtime.standing, values, config, runtime.sizes, self.drafting, group.number)
        reminders = Reminders(group, self.saver, runtime.sizes)
        enqueuing = Enqueuing(
            hub.hub_id,
            runtime.standing,
            sayings,
            runtime.sizes,
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
        self.builder = Builder(services, hub.classes, runtime.hooks)
        self.failed_builds = FailedBuilds(runtime.standing.now)
        self.arriving = CountedBuilder(self.builder, self.failed_builds)
        self.parking = Parking(services, runtime.events, runtime.gathered, held.queue, runtime.quiet)
        self.copy_states = CopyStates(self.builder)
        states: LaysState = self.copy_states if held.replicated else NoCopyStates()
        threads = given.common.threads
        layers = hub.layers.composed()
        methods: Finds = Methods() if hub.tracing is None else TracedMethods(name, hub.tracing)
        if layers:
            methods = LayeredMethods(hub.hub_id, name, layers, methods)
        ending, broken, waiting = asyncio.Event(), asyncio.Queue[HostedChild](), asyncio.Queue[Waiting]()
        may_handle = runtime.gate.may_handle if runtime.needs_quorum else runtime.standing.trusted
        self.reads = Reads(
            runtime.standing, background, runtime.sizes, methods, threads, self.outcomes, self.failures, held.idleness,
            may_handle,
        )  # fmt: skip
        self.handler = Handler(
            runtime.standing, runtime.sizes, methods, threads, self.outcomes, self.endings, self.failures,
            Retries(runtime.standing, runtime.counters, waiting), self.reads, KeptReplies(group, self.outcomes), states,
            held.idleness, runtime.quiet, ending, broken,
        )  # fmt: skip
        self.marks = Marks(group, background)
        self.message_trials = MessageTrials(self.marks, self.handler, may_handle)
        self.balancing = DistributionTraits.of(hub.distribution).balancing
        handle: Handle = self.message_trials.handle
        if given.measured or self.balancing is not None:
            handle = timed(handle, runtime.counters.handler_seconds)
        self.pumps = Pumps(handle, may_handle, threads, config, self.outcomes, held.queue, held.cursors, ending)
        self.pausing = Pausing(group, held.register, self.pumps)
        self.lives = Lives(
            group, background, runtime.events, runtime.hooks, runtime.gate, held.register, held.cursors, held.queue,
            self.saver, self.signals, self.endings, self.builder, self.parking, self.pumps, runtime.pieces,
            Around(hub.hub_id, name, layers), held.idleness, self.pausing,
        )  # fmt: skip
        self.mending = Mending(background, self.lives, broken)
        self.retrying = Retrying(self.pumps, waiting)
        self.start_trials = StartTrials(group, background, self.marks, self.lives)
        self.activity = Activity(runtime.standing, self.signals, held.register)
