"""The copies of other nodes' children that this node keeps: a follower's half of the log (docs/protocol.md, section 7)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hubq.core.lifecycle import Life
from hubq.core.replication import followers, heirs
from hubq.core.view import View
from hubq.node.copies.followed import Followed
from hubq.node.copies.log_applier import LogApplier
from hubq.node.copies.log_reader import LogReader
from hubq.node.copies.recorder import ShardRecorder, moves_by_itself
from hubq.node.copies.replica import Replica
from hubq.node.copies.standby import Standby
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.node.runtime.pieces import Pieces
from hubq.store.envelope import Envelope
from hubq.store.owners import Owner, Owners
from hubq.store.registry import read_specs, read_states, read_texts
from hubq.store.replica_log import follow_shard
from hubq.store.tries import TOOK_DOWN
from hubq.strategies.distribution import Distribution
from hubq.strategies.redundancy import Redundancy

log = logging.getLogger("hubq.node")

#: More nodes than any hub has.
MANY = 1 << 16
#: Copies are built this many at a time, so that the node goes on serving meanwhile.
BUILD_BATCH = 32


class Replicas:
    """The shards that this node follows; and what it tells the followers of its own shards."""

    def __init__(
        self, group: Group, background: Background, register: Register, queue: CommitQueue, recorder: ShardRecorder,
        strategy: Redundancy, distribution: Distribution, followed: Followed, applier: LogApplier, reader: LogReader,
        standby: Standby, pieces: Pieces,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._register = register
        self._queue = queue
        self._recorder = recorder
        self._strategy = strategy
        self._distribution = distribution
        self._followed = followed
        self._applier = applier
        self._reader = reader
        self._standby = standby
        self._pieces = pieces
        self._arriving: set[int] = set()  # shards that are coming here as the originals
        self._fewer = 0  # copies there are, if that is fewer than wanted

    def start(self) -> None:
        """Begin to read the logs."""
        self._reader.start()

    async def stop(self) -> None:
        """Read no more, and drop the copies."""
        await self._reader.stop()
        for replica in self._followed.all():
            await self._applier.dispose(self._followed.forget(replica.shard))

    def children(self) -> list[HostedChild]:
        """The copies on this node."""
        return self._followed.children()

    def forget_all(self) -> None:
        """This node was evicted: nothing that it has read counts any more."""
        for replica in self._followed.all():
            self._followed.drop(replica.shard)

    # -- what to follow --------------------------------------------------------------------------------------------

    def look(self, view: View, owners: Owners) -> None:
        """Follow what should be followed by this view of the hub, and nothing else."""
        me, current, followed = self._group.node_name, view.owners, self._followed
        copies = self._strategy.replication_factor(len(view.nodes))
        self._say_if_fewer(copies, len(view.nodes))
        found = followers(self._distribution.belongs_to, view, copies, self._strategy.master_node)
        wanted = {shard for shard, names in found.items() if me in names}
        for replica in followed.all():
            shard, owner = replica.shard, current.get(replica.shard)
            # The copies of a shard without an owner, or of a shard that is arriving here, may be needed in a moment.
            coming = owner == me and self._register.get(shard) is None
            if shard not in wanted and owner is not None and not coming:
                followed.unfollow(shard)
        for shard in sorted(wanted):
            if shard in self._arriving or self._register.get(shard) is not None:
                continue  # it has come here since the view was read, or is coming
            owner = current[shard]
            assert owner is not None
            known = followed.get(shard)
            if known is None:
                replica = Replica(shard, owner)
                followed.add(replica)
                self._background.run(self._follow(replica), f"following shard {shard}")
            elif known.owner != owner:
                known.owned_by(owner)
                followed.ask(known)
        for replica in followed.all():
            replica.held_apart_by(pin.node for pin in owners.pinned(replica.shard).values())

    def unfollow(self, shard: int) -> None:
        """Follow a shard no more; its copies here end. Nothing, if it is not followed."""
        self._followed.unfollow(shard)

    @contextmanager
    def arriving(self, shard: int) -> Iterator[None]:
        """The shard is coming here as the original: no copies of it are begun meanwhile, by whoever still knows it elsewhere. (Such a copy
        would be told that it is passive after the original has been told that it is active.)
        """
        self._arriving.add(shard)
        try:
            yield
        finally:
            self._arriving.discard(shard)

    def heirs(self, desired: Mapping[int, str], view: View, owners: Mapping[int, Owner]) -> dict[int, str]:
        """Where the shards go whose owners have died, or are leaving: to the followers that the strategy prefers."""
        left = [shard for shard, owner in owners.items() if owner.node != "-" and view.owners[shard] not in view.nodes]
        copies = self._strategy.replication_factor(len(view.nodes) + 1)  # with the one that has gone
        return heirs(desired, view, left, copies, self._strategy.master_node)

    def _say_if_fewer(self, copies: int, nodes: int) -> None:
        wanted = self._strategy.replication_factor(MANY)
        fewer = 0 < copies < wanted < MANY
        if fewer and copies != self._fewer:
            log.warning("%d copies of each child are wanted; with %d node(s) there are %d", wanted, nodes, copies)
        self._fewer = copies if fewer else 0

    async def _follow(self, replica: Replica) -> None:
        try:
            await self._build(replica)
        except Exception:
            if self._followed.has(replica):
                self._followed.drop(replica.shard)  # the next look at the plan tries again
            raise

    async def _build(self, replica: Replica) -> None:
        group, shard, followed = self._group, replica.shard, self._followed
        command = follow_shard(group.keys, shard, group.node_name, group.standing.incarnation, followed.ttl_ms)
        position = await group.redis.run(command, retry_for=group.config.lease)
        # Every commit from here on is in the log, and the states that are read now hold every commit before.
        specs, states, parked = await group.redis.run_many(
            [read_specs(group.keys, shard), read_states(group.keys, shard), read_texts(group.keys.parked(shard))],
            retry_for=group.config.lease,
        )
        if not followed.has(replica):
            return
        if position is None:
            followed.forget(shard)
            return
        replica.follows_from(position, handles=self._applier.active_active)
        for child, record in specs.items():
            await self._pieces.turn()
            if not followed.has(replica):
                break
            if parked.get(child, "").startswith(TOOK_DOWN):
                continue  # the start of its copy would take this node down, too; if it is revived, the log says so
            await self._applier.build(replica, child, record, states.get(child))
            hosted = replica.holding.children.get(child)
            if hosted is not None and hosted.kind.durability != "commit":
                replica.waits_for(child)
        if not followed.has(replica):
            await self._applier.dispose(list(replica.holding.children.values()))
            return
        replica.is_built()
        followed.ask(replica)
        await group.wake()

    # -- for others who follow -------------------------------------------------------------------------------------

    async def snapshots(self, shard: int) -> None:
        """A follower of a shard here has come: tell it the states that ``msk`` does not hold."""
        for holding in self._register.of_shard(shard):
            for hosted in [hosted for hosted in holding.children.values() if moves_by_itself(hosted)]:
                await hosted.at_boundary()
                # (Its holding may have changed while it was waited for.)
                if not hosted.holding.gone and not hosted.holding.frozen and hosted.life is not Life.ENDED:
                    self._recorder.snapshot(hosted)
        self._queue.changed()

    # -- taking over -----------------------------------------------------------------------------------------------

    async def take_over(self, shard: int) -> dict[str, HostedChild]:
        """This node has claimed the shard: the copies, each as the last commit has left it."""
        return await self._standby.take_over(shard)

    def adopt(self, copy: HostedChild, saved: Envelope | None) -> bool:
        """Whether a copy may go on as the original: it has the state of ``msk``, or can be given it."""
        return self._standby.adopt(copy, saved)

    async def taken_over(
        self, holding: Holding, taken: Mapping[str, HostedChild], copies: Mapping[str, HostedChild]
    ) -> bool:
        """Start the copies that are the originals now, and end the others."""
        return await self._standby.taken_over(holding, taken, copies)
