"""A node's part in load balancing: it measures its shards; if it leads, it decides for all (docs/strategies.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from itertools import islice
from typing import Protocol

from hubq.core.balance import Bearer, Decision, History, Load, decide, leader_of, summed
from hubq.core.layout import shards_of
from hubq.node.held.elsewhere import Elsewhere
from hubq.node.held.holding import Holding
from hubq.node.held.register import Register
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.store.assignment import Assignment, LoadReport, publish_assignment, read_assignment, read_load, write_load
from hubq.store.command import Command
from hubq.store.mailbox import mailbox_length
from hubq.store.membership import NodeInfo, read_nodes, redis_time_ms
from hubq.store.owners import read_owners
from hubq.strategies.distribution import Balancing

log = logging.getLogger("hubq.node")

#: States of all shards together whose size is measured at a time; the size of all states is guessed from them.
SAMPLED = 10_000
#: Measurements that a leader has before it moves anything.
ENOUGH = 5
#: One decision moves at most one shard in so many. The next decision has newer measurements.
AT_ONCE = 8


class Balancers(Protocol):
    """What a node does for its hub's distribution."""

    def start(self) -> None:
        """Begin to measure."""

    async def stop(self) -> None:
        """Measure no more."""

    def asks(self) -> list[Command[Assignment]]:
        """What the plan reads besides members and owners."""

    def view_changed(self, nodes: dict[str, NodeInfo]) -> None:
        """There are other members than before."""


class NoBalancer:
    """The distribution of the hub does not need loads."""

    def start(self) -> None:
        """Nothing is measured."""

    async def stop(self) -> None:
        """There is nothing to stop."""

    def asks(self) -> list[Command[Assignment]]:
        """Nothing."""
        return []

    def view_changed(self, nodes: dict[str, NodeInfo]) -> None:
        """Nothing depends on it."""


class Balancer(Loop):
    """Measures and publishes every ``push_interval``. A new leader begins with an empty history. The assignment
    itself has all that it must know of its predecessor: which shards have moved lately, and must rest.
    """

    def __init__(
        self, group: Group, register: Register, plan_due: Bell, strategy: Balancing, elsewhere: Elsewhere
    ) -> None:
        super().__init__("load balancing")
        self._group = group
        self._elsewhere = elsewhere
        self._register = register
        self._plan_due = plan_due
        self._strategy = strategy
        self._history = History(strategy.max_history_size, strategy.weight_decay_factor)
        self._latest: dict[Bearer, Load] = {}
        self._counted: dict[Holding, tuple[int, float, float]] = {}
        self._known: set[tuple[str, int]] = set()
        self._joined = asyncio.Event()
        self._due = group.standing.now()  # when it measures next

    def view_changed(self, nodes: dict[str, NodeInfo]) -> None:
        """Other nodes are up than before."""
        up = {(name, info.incarnation) for name, info in nodes.items() if info.up}
        if self._known and up - self._known and self._strategy.nodeup_redistribution:
            self._joined.set()
        self._known = up

    def asks(self) -> list[Command[Assignment]]:
        """What the plan reads besides members and owners: the shards' nodes as the leader has published them."""
        return [read_assignment(self._group.keys)]

    async def _turn(self) -> None:
        standing = self._group.standing
        try:
            async with asyncio.timeout_at(self._due):
                await self._joined.wait()
        except TimeoutError:
            self._due = standing.now() + self._strategy.push_interval
        joined = self._joined.is_set()
        self._joined.clear()
        if not standing.incarnation or not standing.trusted():
            self._forget()
        else:
            await self._measure(joined)

    def _forget(self) -> None:
        self._history.clear()
        self._latest.clear()

    async def _measure(self, joined: bool) -> None:
        group, keys, standing = self._group, self._group.keys, self._group.standing
        if joined:
            nodes: Mapping[str, NodeInfo] = await group.redis.run(read_nodes(keys))
        else:
            nodes = await self._publish_load()
        up = {name: info.incarnation for name, info in nodes.items() if info.up}
        if leader_of(up) != group.node_name or up[group.node_name] != standing.incarnation:
            self._forget()
            return
        names = list(nodes)
        owners, published, now, *reports = await group.redis.run_many(
            [read_owners(keys), read_assignment(keys), redis_time_ms(), *(read_load(keys, name) for name in names)]
        )
        current: dict[int, str | None] = {
            shard: owner.node if owner.node in nodes and nodes[owner.node].incarnation == owner.incarnation else None
            for shard, owner in owners.shards.items()
        }
        current = self._elsewhere.with_others(group.number, current, up)
        if not joined:
            self._learn(current, dict(zip(names, reports, strict=True)))
            if len(self._history) < min(ENOUGH, self._strategy.max_history_size):
                return

        own = shards_of(group.number, group.config.groups, group.config.shards)
        others = set(range(group.config.shards)) - set(own)

        def decided() -> Decision:
            return decide(
                published.valid(nodes), current, up, group.config.shards, self._history.loads(), published.moved, now,
                self._strategy.rest * 1000, None if joined else max(1, group.config.shards // AT_ONCE), others,
            )  # fmt: skip

        decision = await asyncio.to_thread(
            decided
        )  # in a thread: with thousands of shards it takes longer than a child may wait
        epoch = published.epoch + 1
        command = publish_assignment(
            keys, group.node_name, standing.incarnation, epoch, decision, up, group.config.events_kept
        )
        word = await group.redis.run(command)
        if word != "ok":
            log.debug("assignment %d of %s was refused: %s", epoch, group.node_name, word)
        elif decision.moves:
            log.info(
                "node %s%s leads the load balancing: shards to move: %d",
                group.node_name,
                group.standing.place,
                decision.moves,
            )
            self._plan_due.ring()

    def _learn(self, owners: dict[int, str | None], reports: dict[str, LoadReport | None]) -> None:
        """A shard that is not measured now (it is moving, or has just come) counts as it did last."""
        latest: dict[Bearer, Load] = {bearer: load for bearer, load in self._latest.items() if isinstance(bearer, int)}
        for name, report in reports.items():
            if report is not None:
                latest[name] = report.pins
                latest.update((shard, load) for shard, load in report.shards.items() if owners.get(shard) == name)
        self._latest = latest
        self._history.add(latest)

    # -- measuring -------------------------------------------------------------------------------------------------

    async def _publish_load(self) -> dict[str, NodeInfo]:
        group, keys, standing = self._group, self._group.keys, self._group.standing
        counted, self._counted = self._counted, {}
        loads: dict[int, Load] = {}
        pins = Load()
        now = standing.now()
        sampled = max(4, SAMPLED // max(1, len(self._register)))
        for holding in self._register.all():
            self._counted[holding] = holding.handled, holding.spent, now
            before = counted.get(holding)
            if before is None:
                continue  # it has just come
            load = _measured(holding, before, now, sampled)
            if holding.pinned is None:
                loads[holding.shard] = load
            else:
                pins = summed((pins, load))
        shards = sorted(loads)
        nodes, *lengths = await group.redis.run_many(
            [read_nodes(keys), *(mailbox_length(keys, shard) for shard in shards)]
        )
        for shard, length in zip(shards, lengths, strict=True):
            load = loads[shard]
            loads[shard] = Load(load.messages, load.seconds, length, load.children, load.state_bytes)
        # (Who leads in a group balances the nodes as a whole: it is told of all their shards.)
        report = LoadReport(standing.incarnation, *self._elsewhere.measured(group.number, loads, pins))
        await group.redis.run(write_load(keys, group.node_name, report, 3 * self._strategy.push_interval + 1.0))
        found: dict[str, NodeInfo] = nodes
        return found


def _measured(holding: Holding, before: tuple[int, float, float], now: float, sampled: int) -> Load:
    handled, spent, at = before
    seconds = max(now - at, 1e-3)
    sample = [
        len(hosted.boundary) for hosted in islice(holding.children.values(), sampled) if hosted.boundary is not None
    ]
    state_bytes = sum(sample) * len(holding.children) // max(1, min(sampled, len(holding.children)))
    return Load(
        round((holding.handled - handled) / seconds, 2), round((holding.spent - spent) / seconds, 5), 0,
        len(holding.children), state_bytes,
    )  # fmt: skip
