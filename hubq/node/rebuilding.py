"""A shard whose move has failed after its children were stopped (cold swap): it stays, and they are built anew."""

from __future__ import annotations

from hubq.core.lifecycle import Life
from hubq.node.holding import Holding
from hubq.node.parts import Parts
from hubq.node.target import Intake
from hubq.store.effects import Effects


def rebuild(parts: Parts, intake: Intake, holding: Holding) -> None:
    """Drop what is left of the shard here, commit what its children did, then adopt it as if it had just come."""
    parts.drop(holding)
    left = [cell for cell in holding.cells.values() if cell.life is not Life.ENDED]  # those that were busy
    parts.supervisor.background(parts.supervisor.endings.dispose(left, "fenced"), "dropping stragglers")
    last = Holding(holding.shard, holding.owner)
    # Until its last commit is done nobody takes the shard for one that came back: msk and mailbox are of before.
    intake.reserve(last)
    work = _rebuilt(parts, intake, last, parts.committer.take(holding))
    parts.supervisor.background(work, f"rebuilding shard {holding.shard}")


async def _rebuilt(parts: Parts, intake: Intake, last: Holding, effects: Effects) -> None:
    try:
        await parts.committer.commit(last, effects)
    finally:
        intake.release(last)
        if not last.lost:
            parts.tokens[last.shard] = last.owner.token - 1  # adopt it again, now or at the next heartbeat
    if not last.lost:
        await intake.adopt(last.shard, last.owner)
