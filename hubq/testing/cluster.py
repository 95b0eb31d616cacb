"""Several nodes of a hub in one process: start, drain, kill, freeze, partition."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any

from hubq.client.hub import Hub
from hubq.core.lifecycle import Life
from hubq.node.membership.lease_task import LeaseTask
from hubq.node.membership.lease_thread import Drive, LeaseThread
from hubq.node.node import Node
from hubq.store.answers import KEY_ROUNDS
from hubq.store.command import Command
from hubq.store.connection import ANSWER_TIMEOUT, AsyncRedis, Server, SyncRedis
from hubq.store.malformed import MalformedWatch
from hubq.store.primary import PrimaryWatch
from hubq.testing.clock import runs_on_a_clock
from hubq.testing.probe import probe
from hubq.testing.waiting import eventually


class Gate:
    """Makes connections that can be cut or stopped for one node: those of its event loop, and that of its lease thread."""

    def __init__(self) -> None:
        self._cut = False
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._passable = threading.Event()  # the same for the thread; a cut ends its wait, too
        self._passable.set()

    def connect(
        self, server: Server, *, watch: PrimaryWatch | None = None, malformed: MalformedWatch | None = None
    ) -> AsyncRedis:
        """A connection through this gate (``Node(connect=...)``)."""
        return GatedRedis(self, server, watch, malformed)

    def connect_awaiting(self, server: Server, timeout: float) -> AsyncRedis:
        """The connection of a lease task through this gate."""
        return GatedRedis(self, server, timeout=timeout)

    def connect_waiting(self, server: Server, timeout: float) -> SyncRedis:
        """The connection of a lease thread through this gate."""
        return GatedSyncRedis(self, server, timeout)

    def cut(self) -> None:
        """Let everything fail."""
        self._cut = True
        self._passable.set()

    def mend(self) -> None:
        """Let nothing fail any more."""
        self._cut = False
        if not self._thawed.is_set():
            self._passable.clear()

    def freeze(self) -> None:
        """Let nothing pass."""
        self._thawed.clear()
        if not self._cut:
            self._passable.clear()

    def thaw(self) -> None:
        """Let everything pass."""
        self._thawed.set()
        self._passable.set()

    async def passed(self) -> None:
        """Wait while frozen; raise while cut."""
        await self._thawed.wait()
        self._raise_if_cut()

    def passed_waiting(self, timeout: float) -> None:
        """The same in a thread, whose requests have a time-out (seconds)."""
        if not self._passable.wait(timeout):
            raise TimeoutError(f"no answer within {timeout:g} s")
        self._raise_if_cut()

    def _raise_if_cut(self) -> None:
        if self._cut:
            raise ConnectionError("the network is cut (hubq.testing)")


class GatedRedis(AsyncRedis):
    """Asks a gate before and after each request."""

    def __init__(
        self, gate: Gate, server: Server, watch: PrimaryWatch | None = None, malformed: MalformedWatch | None = None,
        timeout: float = ANSWER_TIMEOUT,
    ) -> None:  # fmt: skip
        super().__init__(server, timeout, watch=watch, malformed=malformed)
        self._gate = gate

    async def _attempt(self, commands: Sequence[Command[Any]], changes: int, rounds: int = KEY_ROUNDS) -> list[Any]:
        await self._gate.passed()
        answers = await super()._attempt(commands, changes, rounds)
        await self._gate.passed()
        return answers


class GatedSyncRedis(SyncRedis):
    """The same, waiting."""

    def __init__(self, gate: Gate, server: Server, timeout: float) -> None:
        super().__init__(server, timeout)
        self._gate = gate
        self._timeout = timeout

    def _attempt(self, commands: Sequence[Command[Any]], rounds: int = KEY_ROUNDS) -> list[Any]:
        self._gate.passed_waiting(self._timeout)
        answers = super()._attempt(commands, rounds)
        self._gate.passed_waiting(self._timeout)
        return answers


class Cluster:
    """Nodes of one hub in this process and event loop.

    ``async with Cluster(hub) as cluster: await cluster.start("a")``. At the end every node that is still there is
    killed. ``partition`` cuts a node off from Redis, before and after its commands; ``freeze`` makes all its traffic
    with Redis stand still, as SIGSTOP does, until ``thaw``. A node whose event loop stands still for longer than the
    hub's ``stall_limit`` ends itself, as a worker's process does: it is cut off, and ``ended`` has its exit code. (All
    nodes share the loop: it counts for the node whose child blocks it.) A hub with cron entries has its clock, as with
    ``hubq worker``.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.nodes: dict[str, Node] = {}
        self.ended: dict[str, int] = {}
        self._gates: dict[str, Gate] = {}

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for gate in self._gates.values():
            gate.mend()
            gate.thaw()
        for node in list(self.nodes.values()):
            await node.kill()
        await self.hub.aio.close()
        self.hub.close()

    async def start(
        self, *names: str, tags: dict[str, str] | None = None, ready_failures: int = 0, app_version: str = ""
    ) -> Node:
        """Start nodes, one after another, all with these options; the last one is the answer."""
        node: Node | None = None
        for name in names:
            gate = Gate()
            node = Node(
                self.hub, name, tags=tags, connect=gate.connect, ready_failures=ready_failures,
                app_version=app_version,
                drive=self._drive(gate), ends=partial(self._end, name, gate),
            )  # fmt: skip
            await node.start()
            self.nodes[name], self._gates[name] = node, gate
        if self.hub.has_cron:
            await asyncio.to_thread(self.hub.start_clock)
        assert node is not None, "give at least one name"
        return node

    def _drive(self, gate: Gate) -> Drive:
        if runs_on_a_clock():  # a thread would wait in real time
            return partial(LeaseTask, spawn=asyncio.get_running_loop().create_task, connect=gate.connect_awaiting)
        return partial(LeaseThread, connect=gate.connect_waiting)

    def _end(self, name: str, gate: Gate, code: int) -> None:
        gate.cut()
        self.ended[name] = code

    async def drain(self, name: str, timeout: float = 20.0) -> bool:
        """Drain a node, as SIGTERM does."""
        return await self.nodes.pop(name).drain(timeout)

    async def kill(self, name: str) -> None:
        """End a node at once, as SIGKILL does: it saves and says nothing."""
        self._gates[name].cut()
        await self.nodes.pop(name).kill()

    def freeze(self, name: str) -> None:
        """Let nothing pass between a node and Redis, neither questions nor answers."""
        self._gates[name].freeze()

    def thaw(self, name: str) -> None:
        """Let the traffic of a frozen node pass again."""
        self._gates[name].thaw()

    def partition(self, name: str) -> None:
        """Cut a node off from Redis: every command fails."""
        self._gates[name].cut()

    def heal(self, name: str) -> None:
        """Mend what :meth:`partition` has cut."""
        self._gates[name].mend()

    def serving(self) -> dict[int, str]:
        """Which node serves which shard right now, as the nodes see it."""
        return {shard: name for name, node in self.nodes.items() for shard in probe(node).shards_open}

    async def settled(self, within: float = 20.0) -> dict[str, int]:
        """Wait until every shard is served, no pin is left and the loads differ by one at most: shards of each node."""

        def even() -> dict[str, int]:
            serving = self.serving()
            loads = {name: list(serving.values()).count(name) for name, node in self.nodes.items()}
            seen = [probe(node) for node in self.nodes.values()]
            apart = any(node.children_apart or node.children_pinned_away for node in seen)
            moving = any(node.shards_moving for node in seen)
            whole = len(serving) == self.hub.config.shards and not apart and not moving
            return loads if whole and max(loads.values()) - min(loads.values()) <= 1 else {}

        return await eventually(even, within, f"hub {self.hub.hub_id}: every shard served and loads even")

    async def settled_shards(self, within: float = 20.0) -> dict[int, str]:
        """Wait until every shard is served and none in motion, whatever is pinned: shard -> node."""

        def whole() -> dict[int, str]:
            serving = self.serving()
            moving = any(probe(node).shards_moving for node in self.nodes.values())
            return serving if len(serving) == self.hub.config.shards and not moving else {}

        return await eventually(whole, within, f"hub {self.hub.hub_id}: every shard served")

    async def serves(self, loads: dict[str, int], within: float = 20.0) -> dict[str, int]:
        """Wait until each node serves this many shards, with none in motion."""

        def as_wanted() -> dict[str, int]:
            serving = list(self.serving().values())
            found = {name: serving.count(name) for name in self.nodes}
            moving = any(probe(node).shards_moving for node in self.nodes.values())
            return found if found == loads and not moving else {}

        return await eventually(as_wanted, within, f"hub {self.hub.hub_id}: shards served as {loads}")

    def copies(self, child_id: str) -> list[str]:
        """The nodes on which a child is running."""
        return [
            name
            for name, node in self.nodes.items()
            for child in probe(node).children()
            if child.child_id == child_id and child.life is Life.RUNNING and (child.may_handle or child.busy)
        ]
