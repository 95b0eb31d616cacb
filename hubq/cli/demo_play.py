"""The play of the demo: who joins, leaves and dies, and when."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hubq.cli.demo_child import Bucket, Totals, child_of
from hubq.cli.demo_crew import Crew
from hubq.cli.demo_feed import Ledger, Task
from hubq.cli.demo_report import Event, Kill
from hubq.cli.demo_view import View
from hubq.client.hub import Hub
from hubq.client.results import NodeStatus
from hubq.core.spec import ChildSpec
from hubq.store.connection import SyncRedis
from hubq.store.events import read_events
from hubq.store.membership import redis_time_ms
from hubq.store.owners import read_owners

FEEDERS = 2
CHUNKS = 80
IN_FLIGHT = 16

#: The words flow for at least so long, so that there is time to join, drain and die in.
FLOW_SECONDS = 36.0

#: A step of the play may take so long to show.
STEP_SECONDS = 20.0


class DemoFailed(Exception):
    """The demo could not be played to its end; the message says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the play: begun at this part of the messages, over once ``settled`` says so."""

    at: float
    begin: Callable[[], None]
    settled: Callable[[], bool]
    story: str
    outcome: str | Callable[[], str]


class Play:
    """One run: workers, children, feeders, and the faults, each by how far the words are."""

    def __init__(
        self, crew: Crew, view: View, hub: Hub, buckets: int, limit: float, more: Sequence[Step] = ()
    ) -> None:  # fmt: skip
        self.crew, self.view, self.hub, self.buckets, self.limit = crew, view, hub, buckets, limit
        keys = [context.keys for context in hub.groups.contexts]
        self._groups = [(of, SyncRedis(server)) for of, server in zip(keys, hub.groups.servers, strict=True)]
        self._more = more
        self._nodes: list[NodeStatus] = []
        self._gone: set[str] = set()
        self._killed: str | None = None
        self._began = time.monotonic()
        self.kill: Kill | None = None

    # -- before ----------------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Two workers, and one child per bucket."""
        for name in ("demo-1", "demo-2"):
            self.crew.start_worker(name)
        self._wait(lambda: self._spread({"demo-1", "demo-2"}), 30.0, "the first two workers did not come up")
        specs = [ChildSpec(child_of(bucket), Bucket) for bucket in range(self.buckets)]
        result = self.hub.start_children(specs).result(timeout=30.0)
        for error in result.errors.values():
            raise DemoFailed(f"a child could not start: {error}")

    # -- while the words flow --------------------------------------------------------------------------------------

    def run(self) -> list[Ledger]:
        """Feed, and play the steps; returns the feeders' ledgers when all words were sent."""
        self.view.begin()
        self._began = time.monotonic()
        for feeder in range(FEEDERS):
            self.crew.start_feed(Task(feeder, FEEDERS, self.buckets, CHUNKS, IN_FLIGHT, FLOW_SECONDS))
        steps, current, since = sorted([*self._steps(), *self._more], key=lambda step: step.at), None, 0.0
        while not all(feed.ended for feed in self.crew.feeds):
            self._look()
            done = sum(feed.progress.done for feed in self.crew.feeds)
            of = sum(feed.progress.of for feed in self.crew.feeds)
            self.view.update(done, of, self._nodes, self._killed)
            if current is not None:
                if current.settled():
                    self.view.say(current.outcome if isinstance(current.outcome, str) else current.outcome())
                    current = None
                elif time.monotonic() - since > STEP_SECONDS:
                    raise DemoFailed(f"{current.story}: not done after {STEP_SECONDS:g} s")
            if current is None and steps and done >= steps[0].at * of:
                current, since = steps.pop(0), time.monotonic()
                self.view.say(current.story, style="bold")
                current.begin()
            time.sleep(0.05)
        if steps or current is not None:
            raise DemoFailed("the words were through before everything had happened")
        self.view.say("all words sent; each child is asked what it has counted")
        return [feed.ledger for feed in self.crew.feeds if feed.ledger is not None]

    def _steps(self) -> list[Step]:
        return [
            Step(
                0.20,
                lambda: self.crew.start_worker("demo-3"),
                lambda: self._spread({"demo-1", "demo-2", "demo-3"}),
                "a third worker joins",
                "demo-3 has its share",
            ),
            Step(
                0.40,
                lambda: self._drain("demo-1"),
                lambda: self.crew.workers["demo-1"].poll() is not None,
                "the first worker drains (SIGTERM)",
                "demo-1 has handed over everything and is gone",
            ),
            Step(0.60, lambda: self._kill("demo-2"), self._taken_over, "the second worker is killed (SIGKILL)",
                 "demo-3 has taken over what demo-2 had"),
            Step(
                0.70,
                lambda: self.crew.start_worker("demo-4"),
                lambda: self._spread({"demo-3", "demo-4"}),
                "a fourth worker joins",
                "demo-4 has its share",
            ),
        ]  # fmt: skip

    def _drain(self, name: str) -> None:
        self._gone.add(name)
        self.crew.signal(name, signal.SIGTERM)

    def _kill(self, name: str) -> None:
        self._gone.add(name)
        self._killed = name
        owned: set[int] = set()
        at = 0
        for keys, redis in self._groups:
            at, owners = redis.run_many([redis_time_ms(), read_owners(keys)])
            owned |= {shard for shard, owner in owners.shards.items() if owner.node == name}
        self.crew.signal(name, signal.SIGKILL)
        self.kill = Kill(at, frozenset(owned))

    def _taken_over(self) -> bool:
        return all(node.name != self._killed for node in self._nodes) and self._owned()

    def _owned(self) -> bool:
        return sum(node.shards for node in self._nodes) == self.hub.config.shards

    def _spread(self, names: set[str]) -> bool:
        """Whether exactly these workers are there, each with its share."""
        least = self.hub.config.shards // len(names)
        return {node.name for node in self._nodes} == names and self._owned() and all(
            node.shards >= least for node in self._nodes
        )  # fmt: skip

    def _look(self) -> None:
        self._nodes = self.hub.nodes()
        fallen = self.crew.fallen(self._gone)
        if fallen:
            raise DemoFailed(f"{', '.join(fallen)} ended too early")
        if time.monotonic() - self._began > self.limit:
            raise DemoFailed(f"not done after {self.limit:g} s")

    def _wait(self, condition: Callable[[], bool], seconds: float, why: str) -> None:
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise DemoFailed(f"{why} within {seconds:g} s")
            self._look()
            time.sleep(0.05)

    # -- after -----------------------------------------------------------------------------------------------------

    def totals(self) -> dict[int, Totals]:
        """What each child has counted. A child answers after all messages that were sent to it before."""
        return {bucket: self.hub.ref(child_of(bucket)).call("totals", timeout=30.0) for bucket in range(self.buckets)}

    def events(self) -> list[Event]:
        """Everything that happened in the hub, group by group."""
        return [event for keys, redis in self._groups for event in redis.run(read_events(keys, "0", 100_000))]

    def close(self) -> None:
        """Close the connections."""
        for _, redis in self._groups:
            redis.close()
        self.hub.close()
