"""A hub of several groups on a Redis Cluster: its groups are on all primaries, and nothing is lost or done twice while slots move and
primaries fail over, die, freeze, come and go.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from hubq import ChildSpec, Hub
from hubq.core.layout import slot, tag_of
from hubq.errors import HubqError
from hubq.store.embedded_cluster import EmbeddedCluster
from hubq.testing import Cluster, Ledger, LedgerChild, eventually
from tests.chaos.parts import Parts
from tests.cluster.groups.test_effects_between_groups import SENDERS, Sender, all_is_there_once, begun

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

GROUPS = 6
CHILDREN = [f"child-{n}" for n in range(12)]


class Load:
    """Calls to all children, and messages at which senders say something to children of all groups, until it is stopped."""

    def __init__(self, hub: Hub) -> None:
        self.ledger = Ledger(hub)
        self.done: Counter[str] = Counter()
        self._hub = hub
        self._going = True
        self._tasks = [asyncio.create_task(self._calls(child)) for child in CHILDREN]
        self._tasks += [asyncio.create_task(self._sayings(child)) for child in SENDERS]

    async def goes_on(self) -> None:
        """Each child has been called some times more."""
        before = self.done.copy()
        asked = [*CHILDREN, *SENDERS]
        await eventually(lambda: all(self.done[child] >= before[child] + 5 for child in asked), 40, "calls go on")

    async def stop(self) -> None:
        """Wait for the calls under way."""
        self._going = False
        await asyncio.gather(*self._tasks)

    async def _calls(self, child: str) -> None:
        while self._going:
            if await self.ledger.call("app", child, timeout=30) is not None:
                self.done[child] += 1

    async def _sayings(self, child: str) -> None:
        while self._going:
            try:
                await self._hub.aio.ref(child).call("say", timeout=30)
            except HubqError:
                continue  # its state tells what it has said
            self.done[child] += 1


class Groups:
    """The groups of a hub on a cluster: where they are, and what happened in them."""

    def __init__(self, hub: Hub, cluster: EmbeddedCluster) -> None:
        self.slots = [slot(tag_of(hub.hub_id, group, GROUPS)) for group in range(GROUPS)]
        self._cluster = cluster
        self._parts = Parts(hub)

    def on(self, port: int) -> set[int]:
        """The groups of a primary."""
        return {group for group, of in enumerate(self.slots) if self._cluster.owner(of) == port}

    def home(self, group: int) -> int:
        """The primary of a group."""
        return self._cluster.owner(self.slots[group])

    def hurt(self) -> dict[int, int]:
        """How often the nodes of each group were evicted, or found another Redis."""
        kinds = {"redis_changed", "redis_went_back", "node_evicted"}
        return {part.group: sum(event["type"] in kinds for _, event in part.events()) for part in self._parts.all}

    @contextmanager
    def only(self, groups: set[int], hurt: bool) -> Iterator[None]:
        """What happens meanwhile is felt in these groups (in each, if ``hurt``), and in no other."""
        before = self.hurt()
        yield
        after = self.hurt()
        felt = {group for group in after if after[group] > before[group]}
        assert felt == groups if hurt else not felt


def hub_on(cluster: EmbeddedCluster, name: str, wait_replicas: int = 0, shards: int = 12) -> Hub:
    hub = Hub(
        name, redis=cluster.url, groups=GROUPS, shards=shards, lease=5.0, lease_margin=0.5, heartbeat=0.2,
        wait_replicas=wait_replicas,
    )  # fmt: skip
    hub.child(Sender)
    hub.child(LedgerChild)
    return hub


async def under_load(hub: Hub, act: Callable[[Load], Awaitable[None]]) -> Ledger:
    """Two nodes, and the ledger of all messages at the end: those of clients, and those of children to children of other groups."""
    async with Cluster(hub) as cluster:
        await cluster.start("a", "b")
        await cluster.settled(within=60)
        await begun(hub)
        await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in CHILDREN])
        load = Load(hub)
        await load.goes_on()
        await act(load)
        await load.goes_on()
        await load.stop()
        await cluster.settled(within=60)
        await load.ledger.check()
        await all_is_there_once(hub)
        assert len(await hub.aio.nodes()) == 2
        return load.ledger


def test_slots_of_all_groups_move_and_nobody_notices(three: EmbeddedCluster) -> None:
    hub = hub_on(three, "grouped")
    groups = Groups(hub, three)
    assert len({groups.home(group) for group in range(GROUPS)}) == 3

    async def moves(load: Load) -> None:
        for group in range(GROUPS):
            other = next(port for port in three.primaries if port != groups.home(group))
            await asyncio.to_thread(three.move_slot, groups.slots[group], other)

    with groups.only(set(), hurt=False):
        assert not asyncio.run(under_load(hub, moves)).failed


@pytest.mark.long
def test_a_primary_is_added_with_its_part_of_the_groups_and_taken_away(three: EmbeddedCluster) -> None:
    hub = hub_on(three, "growing")
    groups = Groups(hub, three)

    def grow() -> int:
        added = three.add()
        three.wait_until_up()
        for group in (0, 3):
            three.move_slot(groups.slots[group], added)
        return added

    def empty() -> None:
        for group in (0, 3):
            three.move_slot(groups.slots[group], three.primaries[0])

    async def comes_and_goes(load: Load) -> None:
        added = await asyncio.to_thread(grow)
        assert groups.on(added) == {0, 3}
        await load.goes_on()
        await asyncio.to_thread(empty)
        await load.goes_on()
        await asyncio.to_thread(three.remove, added)

    with groups.only(set(), hurt=False):
        assert not asyncio.run(under_load(hub, comes_and_goes)).failed


@pytest.mark.long
def test_scripts_are_forgotten_and_nobody_notices(three: EmbeddedCluster) -> None:
    hub = hub_on(three, "forgetful")

    async def flush(load: Load) -> None:
        for port in three.primaries:
            three.ask(port, "SCRIPT FLUSH")
            await load.goes_on()

    with Groups(hub, three).only(set(), hurt=False):
        assert not asyncio.run(under_load(hub, flush)).failed


@pytest.mark.parametrize(
    "how", [*(pytest.param(how, marks=pytest.mark.long) for how in ("by command", "frozen")), "killed"]
)
def test_a_primary_fails_over_and_only_its_groups_feel_it(with_replicas: EmbeddedCluster, how: str) -> None:
    hub = hub_on(with_replicas, "failing", wait_replicas=1)
    groups = Groups(hub, with_replicas)
    primary = groups.home(1)
    theirs = groups.on(primary)

    def fail_over() -> None:
        cluster = with_replicas
        if how == "by command":
            cluster.fail_over(primary)
            return
        cluster.wait_in_step(primary)
        (cluster.kill if how == "killed" else cluster.freeze)(primary)
        cluster.wait(lambda: primary not in cluster.serving(), "the replica takes over")
        (cluster.start_again if how == "killed" else cluster.thaw)(primary)
        for port in cluster.serving():
            cluster.wait_in_step(port)

    async def fails_over(load: Load) -> None:
        await asyncio.to_thread(fail_over)

    with groups.only(theirs, hurt=True):
        asyncio.run(under_load(hub, fails_over))


def test_join_drain_and_kill_move_shards_of_all_groups(three: EmbeddedCluster) -> None:
    hub = hub_on(three, "moving", shards=60)
    parts = Parts(hub)

    def moved(kind: str) -> set[int]:
        return {part.group for part in parts.all for _, event in part.events() if event["type"] == kind}

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled(within=60)
            await begun(hub)
            await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in CHILDREN])
            load = Load(hub)
            await cluster.start("b")
            await cluster.settled(within=60)
            await load.goes_on()
            await cluster.start("c")
            await cluster.settled(within=60)
            assert await cluster.drain("a")
            await cluster.settled(within=60)
            assert moved("shard_migrated") == set(range(GROUPS))
            await load.goes_on()
            await cluster.kill("b")
            await cluster.settled(within=60)
            await load.goes_on()
            await load.stop()
            assert not load.ledger.failed
            assert moved("shard_adopted") == set(range(GROUPS))
            await load.ledger.check()
            await all_is_there_once(hub)

    asyncio.run(scenario())
