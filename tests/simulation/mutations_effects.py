"""Mutations of jobs as effects, of drafts, of pauses, and of what waits for a child that wakes."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq.jobs.effects import _Part
from hubq.node.children.drafting import Drafting
from hubq.node.children.pausing import Pausing
from hubq.node.held.holding import Holding
from hubq.node.held.marked_shards import MarkedShards
from hubq.node.held.open_drafts import DraftsInHand
from hubq.node.mailbox.waking import Waking
from hubq.testing.patching import replaced
from tests.simulation.mutation import Mutation, Target

#: mutation -> what it replaces.
TARGETS: dict[str, Target] = {
    "left-behind": Target(Waking, "_known", "self holding child found"),
    "unseen-errands": Target(MarkedShards, "arrived", "self shard"),
    "put-again": Target(_Part, "enqueue", "self pipe entry fields known start_clock"),
    "pause-unheeded": Target(Pausing, "heed", "self hosted"),
    "pause-said-early": Target(Pausing, "_apply", "self"),
    "draft-kept": Target(Drafting, "_undone", "self handling"),
    "draft-left": Target(Drafting, "_look", "self shard"),
    "draft-overtaken": Target(DraftsInHand, "flushed", "self"),
}


def cursors_of(waking: Waking) -> Any:
    """What it sends children back with."""
    return waking._cursors


def _left_behind(known: Any) -> Any:
    """What was left in the mailbox for a child that wakes is read again a moment later, when newer messages have been brought to it."""

    def broken(self: Waking, holding: Holding, child: str, found: Any) -> None:
        def later(send_back: Any) -> Any:
            return lambda *args: asyncio.get_running_loop().call_soon(send_back, *args)

        with replaced(cursors_of(self), "send_back", later):
            known(self, holding, child, found)

    return broken


def _unseen_errands(arrived: Any) -> Any:
    """A shard that comes is not looked at for what it has in its outbox, for jobs and for drafts."""
    return lambda self, shard: None


def _put_again(enqueue: Any) -> Any:
    """A job is put into RQ whatever the mark says: also if it was put there, and only its entry is left."""

    def broken(self: Any, pipe: Any, entry: str, fields: Any, *, known: bool, start_clock: Any) -> bool:
        answer: bool = enqueue(self, pipe, entry, fields, known=False, start_clock=start_clock)
        return answer

    return broken


def _pauses_unheeded(heed: Any) -> Any:
    """A child that begins is not held back, though it is paused."""
    return lambda self, hosted: None


def _pauses_said_early(apply: Any) -> Any:
    """A node says that it heeds a pause before it holds anything back."""

    async def broken(self: Pausing) -> None:
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(apply(self)))

    return broken


def _drafts_kept(undone: Any) -> Any:
    """What a handler that was undone has published stands."""
    return lambda self, handling: None


def _drafts_left(look: Any) -> Any:
    """What former owners have left in the middle of a message stands."""

    async def broken(self: Drafting, shard: int) -> None:
        pass

    return broken


def _drafts_overtaken(flushed: Any) -> Any:
    """A handler ends while its drafts are on their way."""

    async def broken(self: DraftsInHand) -> None:
        pass

    return broken


MUTATIONS: dict[str, Mutation] = {
    "left-behind": Mutation("that what a waking child has left is read before what is newer", broken=_left_behind),
    "unseen-errands": Mutation(
        "that outbox, jobs and drafts of a shard that comes are seen to", broken=_unseen_errands
    ),
    "put-again": Mutation("the mark of jobs that are in RQ already", broken=_put_again),
    "pause-unheeded": Mutation("that a child which begins is held back if it is paused", broken=_pauses_unheeded),
    "pause-said-early": Mutation("that a node heeds a pause before it says so", broken=_pauses_said_early),
    "draft-kept": Mutation("that drafts of a message which was undone are retracted", broken=_drafts_kept),
    "draft-left": Mutation("that drafts which a former owner has left are retracted", broken=_drafts_left),
    "draft-overtaken": Mutation("that a handler's end waits for its drafts", broken=_drafts_overtaken),
}
