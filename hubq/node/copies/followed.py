"""The shards that this node follows, and how it stops following them."""

from __future__ import annotations

from hubq.core.messages import ReplicaJoined
from hubq.node.copies.log_applier import LogApplier
from hubq.node.copies.replica import Replica
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.store.control import send_control
from hubq.store.replica_log import unfollow_shard

#: How long a follower that reports nothing is remembered, seconds (more than a lease).
TTL = 60.0


class Followed:
    """The replicas of a node, by shard."""

    def __init__(self, group: Group, background: Background, applier: LogApplier) -> None:
        self.ttl_ms = int(1000 * max(TTL, 4 * group.config.lease))
        self._group = group
        self._background = background
        self._applier = applier
        self._shards: dict[int, Replica] = {}

    def get(self, shard: int) -> Replica | None:
        """The replica of a shard."""
        return self._shards.get(shard)

    def all(self) -> list[Replica]:
        """Every replica."""
        return list(self._shards.values())

    def has(self, replica: Replica) -> bool:
        """Whether it is still the replica of its shard here."""
        return self._shards.get(replica.shard) is replica

    def children(self) -> list[HostedChild]:
        """The copies on this node."""
        return [hosted for replica in self._shards.values() for hosted in replica.holding.children.values()]

    def add(self, replica: Replica) -> None:
        """Its shard is followed from now on."""
        self._shards[replica.shard] = replica

    # -- and no more -----------------------------------------------------------------------------------------------

    def release(self, shard: int) -> list[HostedChild]:
        """Take nothing more in for a shard whose copies are to go on as the originals. The answer: its copies. They may
        still handle the messages that they have.
        """
        replica = self._shards.pop(shard, None)
        if replica is None:
            return []
        replica.leaves_log()
        return list(replica.holding.children.values())

    def forget(self, shard: int) -> list[HostedChild]:
        """Take nothing more in for a shard. The answer: its copies, which the caller has to end."""
        replica = self._shards.pop(shard, None)
        return [] if replica is None else replica.end()

    def drop(self, shard: int) -> None:
        """Take nothing more in for a shard, and end its copies."""
        self._background.run(self._applier.dispose(self.forget(shard)), f"dropping the copy of shard {shard}")

    def unfollow(self, shard: int) -> None:
        """Follow a shard no more; its copies here end. Nothing, if it is not followed."""
        if shard in self._shards:
            self.drop(shard)
            self.say_goodbye(shard)

    def say_goodbye(self, shard: int) -> None:
        """Tell Redis that this node follows the shard no more."""
        group = self._group
        command = unfollow_shard(group.keys, shard, group.node_name, group.standing.incarnation)
        self._background.run(group.redis.run(command, retry_for=1.0), f"unfollowing shard {shard}")

    # -- what only others know --------------------------------------------------------------------------------------

    def ask(self, replica: Replica) -> None:
        """Ask the primary, and the nodes with pins of the shard, for the states that are neither in ``msk`` nor in the log."""
        group = self._group
        if replica.waiting or replica.doubted:
            message = ReplicaJoined(group.node_name, replica.shard)
            asked = sorted({replica.owner, *replica.apart})
            commands = [send_control(group.keys, node, message) for node in asked]
            self._background.run(group.redis.run_many(commands, retry_for=1.0), "asking for states")
