"""Looks into a node, for tests: ``probe(node).children()``. Nothing here changes anything.

With ``interfere``, ``moments`` and ``connections`` beside it, this is all of hubq's tests that knows how a node is made
inside. It is no public interface: it may change with every version.
"""

from __future__ import annotations

from typing import Any

from hubq.core.child import Child
from hubq.core.lifecycle import Life
from hubq.node.copies.replica import Replica
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.node import Node
from hubq.store.connection import AsyncRedis


class ChildHere:
    """A child on a node, or a copy of one. It stays the same object's view when the child goes on to another shard or pin."""

    def __init__(self, hosted: HostedChild) -> None:
        self.inside = hosted
        """The node's own object: for :mod:`hubq.testing`, not for tests."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChildHere) and other.inside is self.inside

    def __hash__(self) -> int:
        return id(self.inside)

    @property
    def child_id(self) -> str:
        """Its name."""
        return self.inside.child_id

    @property
    def shard(self) -> int:
        """Its shard."""
        return self.inside.holding.shard

    @property
    def life(self) -> Life:
        """How far it is in its life here."""
        return self.inside.life

    @property
    def kind(self) -> type[Child]:
        """Its class."""
        return self.inside.kind

    @property
    def instance(self) -> Any:
        """The object of the class; None if it could not be built."""
        return self.inside.instance

    @property
    def busy(self) -> bool:
        """Whether a handler runs."""
        return self.inside.busy

    @property
    def runs(self) -> bool:
        """Whether its ``run()`` is under way."""
        return self.inside.run_task is not None

    @property
    def next_save(self) -> object | None:
        """What stands for the save that is due: another object for another one; None while none is."""
        return self.inside.save_timer

    @property
    def may_handle(self) -> bool:
        """Whether handlers may start: its shard's intake is open."""
        return self.inside.holding.open

    @property
    def redundancy_mode(self) -> str:
        """``"active"`` or ``"passive"``."""
        return self.inside.redundancy_mode

    @property
    def waiting(self) -> int:
        """Messages that are in memory and not begun."""
        return len(self.inside.queue or ())

    @property
    def waiting_bytes(self) -> int:
        """Their payloads, counted one by one."""
        return sum(len(message.payload) for message in self.inside.queue or ())

    @property
    def accounted_bytes(self) -> int:
        """Their payloads, as the node has counted them while they came and went."""
        return self.inside.queued_bytes

    @property
    def left_in_mailbox(self) -> bool:
        """Whether there was no room in memory for messages of it: they are read again later."""
        return self.child_id in self.inside.holding.behind

    @property
    def replays_until(self) -> float | None:
        """``durability="interval"``: messages older than this (Redis ms) may have been answered before a crash."""
        return self.inside.holding.replays.get(self.child_id)


class Probe:
    """The inside of one node, as it is right now: of its parts in all groups, where nothing else is said."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._wiring = node.wiring
        self._all = [part.wiring for part in node.parts]

    # -- the node ----------------------------------------------------------------------------------------------------

    @property
    def connection(self) -> AsyncRedis:
        """Its connection to Redis (to that of the first group)."""
        return self._wiring.runtime.group.redis

    @property
    def incarnation(self) -> int:
        """The number that it got when it joined (in the first group); 0 while it is void."""
        return self._wiring.runtime.standing.incarnation

    @property
    def lease_until_ms(self) -> int:
        """The end of its lease as Redis granted it last, ms of Redis TIME."""
        return self._wiring.runtime.standing.granted_ms

    @property
    def handled(self) -> int:
        """Messages it has handled."""
        return sum(wiring.children.handler.handled for wiring in self._all)

    @property
    def commits(self) -> int:
        """Commits it has made."""
        return sum(wiring.commits.committer.commits for wiring in self._all)

    def counted(self, what: str) -> int:
        """One of its counters, by its name."""
        return int(getattr(self._wiring.runtime.counters, what))

    @property
    def counts_nodes(self) -> bool:
        """Whether it looks for a quorum at all."""
        return self._wiring.runtime.needs_quorum

    @property
    def partitioned(self) -> bool:
        """Whether it has closed its intake for want of a quorum."""
        return any(wiring.runtime.gate.closed for wiring in self._all)

    @property
    def members_seen(self) -> set[str]:
        """The live nodes of the view it planned with last."""
        return set.intersection(*({name for name, _, _ in wiring.planning.planner._members} for wiring in self._all))

    @property
    def events_unwritten(self) -> int:
        """Events that it has told of and not written yet."""
        return sum(len(wiring.runtime.events._waiting) for wiring in self._all)

    # -- shards and pins ---------------------------------------------------------------------------------------------

    def _held(self) -> list[Holding]:
        return [holding for wiring in self._all for holding in wiring.held.register.all()]

    @property
    def holds(self) -> set[tuple[int, str | None]]:
        """What it owns as it knows: (shard, None), and (shard, child) for a pin."""
        return {(holding.shard, holding.pinned) for holding in self._held()}

    @property
    def shards_open(self) -> list[int]:
        """The shards, pins left out, whose intake is open."""
        return [holding.shard for holding in self._held() if holding.pinned is None and holding.open]

    @property
    def shards_moving(self) -> list[int]:
        """The shards that it is giving away."""
        return [holding.shard for holding in self._held() if holding.in_motion]

    @property
    def children_apart(self) -> list[str]:
        """The children that it owns as pins."""
        return [holding.pinned for holding in self._held() if holding.pinned is not None]

    @property
    def children_pinned_away(self) -> list[str]:
        """The children that are left out of a shard it owns, wherever they are."""
        return [child for holding in self._held() for child in holding.apart]

    @property
    def uncommitted(self) -> int:
        """Messages that are done and not committed."""
        return sum(len(done) for holding in self._held() for done in holding.effects.done.values())

    @property
    def children_replaying(self) -> set[str]:
        """The interval children that a node had before, and that are not saved since."""
        return {child for holding in self._held() for child in holding.replays}

    # -- children ----------------------------------------------------------------------------------------------------

    def children(self) -> list[ChildHere]:
        """The children on this node, copies of other nodes' left out."""
        return [ChildHere(hosted) for wiring in self._all for hosted in wiring.held.register.children()]

    def child(self, child_id: str) -> ChildHere | None:
        """One of them."""
        return next((child for child in self.children() if child.child_id == child_id), None)

    def the_child(self, child_id: str) -> ChildHere:
        """One of them, that is here."""
        found = self.child(child_id)
        assert found is not None, f"child {child_id!r} is not on node {self._node.name!r}"
        return found

    @property
    def busy(self) -> list[str]:
        """The children whose handler runs."""
        return [child.child_id for child in self.children() if child.busy]

    # -- copies of other nodes' children -----------------------------------------------------------------------------

    def _replicas(self) -> dict[int, Replica]:
        return {replica.shard: replica for wiring in self._all for replica in wiring.copies.followed.all()}

    @property
    def shards_followed(self) -> list[int]:
        """The shards whose copies are as far as the log."""
        return [shard for shard, replica in self._replicas().items() if replica.ready]

    def copies(self) -> list[ChildHere]:
        """All copies on this node, whether they are as far as the log or not."""
        return [
            ChildHere(hosted) for replica in self._replicas().values() for hosted in replica.holding.children.values()
        ]

    def copy(self, child_id: str) -> ChildHere | None:
        """The copy of a child, once those of its shard are as far as the log."""
        for replica in self._replicas().values():
            if replica.ready and child_id in replica.holding.children:
                return ChildHere(replica.holding.children[child_id])
        return None

    def following(self, shard: int) -> object:
        """What stands for the following of a shard: another object once it began anew; None while it does not follow."""
        return self._replicas().get(shard)


def probe(node: Node) -> Probe:
    """What is inside a node that was started."""
    return Probe(node)
