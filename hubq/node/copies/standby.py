"""A node that has claimed a shard goes on from its copies (docs/protocol.md, section 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from hubq.core.lifecycle import Life
from hubq.core.replication import place_in_stream
from hubq.errors import RedisUnavailable
from hubq.node.children.lives import Lives
from hubq.node.children.pumps import Pumps
from hubq.node.commits.committer import Committer
from hubq.node.copies.followed import Followed
from hubq.node.copies.log_applier import LogApplier
from hubq.node.copies.replica import Replica
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.state import ATTRIBUTES, envelope_of, is_of_version, lay_state, opened
from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.store.effects import Effects
from hubq.store.envelope import Envelope
from hubq.store.mailbox import read_range
from hubq.store.replica_log import read_last_number, read_log

#: Log entries, or messages, taken in one read.
COUNT = 500
#: How long a take-over waits for copies to finish the messages that they have, seconds.
PATIENCE = 1.0


class Standby:
    """Makes originals of copies."""

    def __init__(
        self, group: Group, background: Background, committer: Committer, lives: Lives, pumps: Pumps, followed: Followed,
        applier: LogApplier,
    ) -> None:  # fmt: skip
        self._group = group
        self._background = background
        self._committer = committer
        self._lives = lives
        self._pumps = pumps
        self._followed = followed
        self._applier = applier

    async def take_over(self, shard: int) -> dict[str, HostedChild]:
        """This node has claimed the shard: the copies, each as the last commit has left it. (The log has ended.)

        The copies stay in their replica's holding, closed, until they are attached to the shard's.
        """
        replica = self._followed.get(shard)
        if replica is None:
            return {}
        async with replica.lock:
            whole = await self._reaches_the_end(replica)
            # It may have been dropped meanwhile: it missed an entry, or this node was evicted. Then its copies are ending.
            whole = whole and self._followed.has(replica)
            copies = dict(replica.holding.children) if whole else {}
            # Copies that may go on finish the messages that they have.
            here = self._followed.release(shard) if whole else self._followed.forget(shard)
        if whole:
            await self._settle(replica, copies)
        left = [hosted for hosted in here if copies.get(hosted.child_id) is not hosted]
        self._background.run(self._applier.dispose(left), f"dropping copies of shard {shard}")
        self._followed.say_goodbye(shard)
        return copies

    async def _reaches_the_end(self, replica: Replica) -> bool:
        """Take in what is left of the log. False: the copies lack something."""
        group, shard = self._group, replica.shard
        if not replica.reading or not self._followed.has(replica):
            return False
        whole = True
        while whole:
            last, entries = await group.redis.run_many(
                [read_last_number(group.keys, shard), read_log(group.keys, shard, replica.position.entry, COUNT)],
                retry_for=group.config.lease,
            )
            whole = await self._applier.take_in(replica, entries)
            if len(entries) < COUNT:
                return whole and replica.position.number >= last
        return False

    async def _settle(self, replica: Replica, copies: dict[str, HostedChild]) -> None:
        """Let the copies finish the messages that they have. A child whose copy cannot is taken from ``msk``, if that has its state."""
        # (The holding is open here only if its copies handle messages.)
        working = [hosted for hosted in copies.values() if hosted.queue or hosted.in_hand is not None]
        if working:
            for hosted in working:  # no other part resumes a copy whose shard is followed no more
                self._pumps.resume(hosted)
            waits = [asyncio.ensure_future(hosted.has_drained()) for hosted in working]
            _, late = await asyncio.wait(waits, timeout=PATIENCE)
            for wait in late:
                wait.cancel()
        replica.holding.close_intake()
        for hosted in list(copies.values()):
            late_one = bool(hosted.queue) or hosted.in_hand is not None
            durability = hosted.kind.durability
            if late_one and durability == "interval":
                # The messages that it has not handled are still in the mailbox, or in the state in ``msk`` (see ``adopt``).
                hosted.drop_queue()
                if hosted.in_hand is not None:
                    hosted.in_hand.cancel()
                    await hosted.at_boundary()
            elif (
                (late_one and durability == "commit")
                or replica.doubts(hosted.child_id)
                or hosted.life not in (Life.BUILT, Life.RUNNING)
            ):
                del copies[hosted.child_id]

    def adopt(self, copy: HostedChild, saved: Envelope | None) -> bool:
        """Whether a copy may go on as the original: it has the state of ``msk``, or can be given it."""
        if copy.kind.durability != "commit":
            if saved is not None and place_in_stream(saved.cursor) > place_in_stream(copy.cursor):
                return False  # it was slow: the messages that it has not handled are in msk, and in no mailbox any more
            copy.is_changed()
            return True  # the copy is newer than msk
        if saved is None:
            return copy.boundary is None or not copy.saved
        saved = opened(copy, saved)
        if saved.form != ATTRIBUTES or not is_of_version(copy, saved.data):
            return False
        if copy.boundary != saved.data:
            lay_state(copy, saved.data)
        copy.laid(saved.data, saved.cursor)
        return True

    async def taken_over(
        self, holding: Holding, taken: Mapping[str, HostedChild], copies: Mapping[str, HostedChild]
    ) -> bool:
        """Start the copies that are the originals now, and end the others. Call before the holding opens. False: another
        node owns the shard by now; nothing was started.
        """
        await self._applier.dispose([hosted for child, hosted in copies.items() if child not in taken])
        newer = [
            hosted for hosted in taken.values() if hosted.kind.durability != "commit" and hosted.boundary is not None
        ]
        if newer and not await self._save(holding, newer):
            return False
        for hosted in taken.values():
            if hosted.life is Life.BUILT:
                self._lives.begin(hosted, None)
            else:
                self._lives.goes_on(
                    hosted
                )  # a copy, too, may lack messages that an owner before the last one has answered
                self._lives.began(hosted)
        return True

    async def _save(self, holding: Holding, originals: list[HostedChild]) -> bool:
        """Save copies that are newer than ``msk``, and delete the messages that they hold. False: fenced.

        These states are nowhere else: the save is tried for as long as the shard may be ours.
        """
        committer, standing = self._committer, self._group.standing
        effects = await self._held_by(holding, originals)
        while True:
            try:
                word = await committer.commit(holding, effects)
                break
            except RedisUnavailable:  # the lease is not trusted, but may still be renewed
                if standing.incarnation != holding.owner.incarnation:
                    raise
            await committer.renew(
                [holding]
            )  # the commit that was sent must not arrive late; returns when Redis answers
        if word != "ok" or standing.incarnation != holding.owner.incarnation:
            return False
        for hosted in originals:
            hosted.is_saved()
        return True

    async def _held_by(self, holding: Holding, originals: list[HostedChild]) -> Effects:
        """The states of these children, and the messages in the mailbox that the states hold."""
        group, effects = self._group, Effects()
        for hosted in originals:
            assert hosted.boundary is not None
            effects.states[hosted.child_id] = envelope_of(hosted, hosted.boundary)
        held = {
            hosted.child_id: place_in_stream(hosted.cursor)
            for hosted in originals
            if hosted.kind.durability == "interval"
        }
        reads = {hosted.child_id: hosted.kind._reads or () for hosted in originals}
        at, last = b"0", max(held.values(), default=(0, 0))
        until = f"{last[0]}-{last[1]}".encode()
        while last > (0, 0):
            command = read_range(group.keys, holding.shard, at, until, COUNT)
            messages = await group.redis.run(command, retry_for=group.config.lease)
            for message in messages:
                place = place_in_stream(message.entry.decode())
                if message.kind not in ("call", "cast") or message.method in reads.get(message.child, ()):
                    continue  # a read is in no state: it may not have been answered
                if place <= held.get(message.child, (0, 0)):
                    effects.done.setdefault(message.child, []).append(message.entry)
            if len(messages) < COUNT:
                break
            at = messages[-1].entry
        return effects
