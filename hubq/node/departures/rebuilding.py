"""A shard stays whose move has failed after its children were stopped (cold swap): they are built anew."""

from __future__ import annotations

from hubq.core.lifecycle import Life
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.children.endings import Endings
from hubq.node.commits.committer import Committer
from hubq.node.held.holding import Holding
from hubq.node.held.recorder import NoRecorder
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.standing import Standing
from hubq.store.effects import Effects


class Rebuilding:
    """Adopts shards again that have not left."""

    def __init__(
        self, standing: Standing, background: Background, register: Register, endings: Endings, committer: Committer,
        arrivals: Arrivals,
    ) -> None:  # fmt: skip
        self._standing = standing
        self._background = background
        self._register = register
        self._endings = endings
        self._committer = committer
        self._arrivals = arrivals

    def rebuild(self, holding: Holding) -> None:
        """Drop what is left of the shard here, commit what its children did, then adopt it as if it had just come."""
        self._register.drop(holding)
        # These were busy when the others were stopped:
        left = [hosted for hosted in holding.children.values() if hosted.life is not Life.ENDED]
        self._background.run(self._endings.dispose(left, "fenced"), "dropping stragglers")
        last = Holding(holding.shard, holding.owner, NoRecorder())
        # No adoption before its last commit is done: msk and mailbox are older than that.
        self._arrivals.reserve(last)
        work = self._rebuilt(last, self._committer.take(holding))
        self._background.run(work, f"rebuilding shard {holding.shard}")

    async def _rebuilt(self, last: Holding, effects: Effects) -> None:
        try:
            await self._committer.commit(last, effects)
        finally:
            self._arrivals.release(last)
            if not last.gone:
                self._standing.doubt(last.shard, last.owner.token)  # adopt it again, now or at the next heartbeat
        if not last.gone:
            await self._arrivals.adopt_shard(last.shard, last.owner)
