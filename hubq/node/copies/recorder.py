"""Writes the log of a shard for its followers, as effects of its commits (docs/protocol.md, section 7)."""

from __future__ import annotations

import logging

from hubq.core.lifecycle import Life
from hubq.errors import HubqError
from hubq.node.children.outcomes import UNBEGUN
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.state import envelope_of, overrides, save_boundary, take_state
from hubq.node.runtime.sizes import Sizes
from hubq.store.message import Message
from hubq.store.replica_log import LogItem

log = logging.getLogger("hubq.node")


class ShardRecorder:
    """Puts all that happens to the children of a shard into the effects of their holding, in the order in which it happens."""

    records = True

    def __init__(self, active_active: bool, sizes: Sizes) -> None:
        self._active_active = active_active
        self._sizes = sizes

    def finished(self, hosted: HostedChild, message: Message, word: str) -> bool:
        """A message is done. True: Redis is to hear of it (it is, here: this is the primary).

        If the message's commit saves the state, the envelope stands in the effects by now.
        """
        if hosted.life is Life.ENDED or message.kind not in ("call", "cast") or word in UNBEGUN:
            # (A withdrawn message is finished before the messages in front of it: its place would mislead the followers.)
            return True
        applied = word == "ok"
        kept = not applied and hosted.kind.on_error == "keep"
        if self._active_active:
            payload = message.payload if applied else b""
            if applied and hosted.services.seal is not None:
                place = ("log", hosted.child_id, message.entry.decode(), message.method)
                payload = hosted.services.seal.by_workers(payload, *place)
            how = "ok" if applied else "undone"
            item = LogItem("message", hosted.child_id, message.entry.decode(), message.method, how, payload)
            hosted.holding.effects.log.append(item)
            if kept or (applied and hasattr(hosted.kind, "run")):
                self.state(hosted)  # the message alone does not explain the state
        elif applied or kept:
            self._latest(hosted)
        return True

    def state(self, hosted: HostedChild) -> None:
        """The state at the last message boundary has changed in a way that no message explains."""
        if hosted.boundary is None:
            return
        envelope = envelope_of(hosted, hosted.boundary)
        if self._active_active:
            hosted.holding.effects.log.append(LogItem("state", hosted.child_id, payload=envelope))
        else:
            hosted.holding.effects.latest[hosted.child_id] = envelope

    def _latest(self, hosted: HostedChild) -> None:
        effects = hosted.holding.effects
        if hosted.kind.durability != "commit":
            self.state(hosted)
        elif hosted.child_id in effects.states:
            # The same commit writes it to msk, where the followers find it.
            effects.latest[hosted.child_id] = b""

    def begun(self, hosted: HostedChild) -> None:
        """A child runs here from now on. The followers may not know it, even if it has only moved: perhaps the old owner
        had not handled its start message yet. Or they have another state of it.
        """
        hosted.holding.effects.log.append(LogItem("start", hosted.child_id, word=hosted.record.start_id))
        if hosted.in_hand is None and moves_by_itself(hosted):
            self.snapshot(hosted)

    def snapshot(self, hosted: HostedChild) -> None:
        """Send the state as it is now. Call at a message boundary."""
        if hosted.instance is None or hosted.life is not Life.RUNNING:
            hosted.holding.effects.log.append(LogItem("saved", hosted.child_id))
            return
        try:
            state = take_state(hosted, self._sizes.state)
        except HubqError as error:
            log.warning("followers of child %s do not get its state: %s", hosted.child_id, error)
            return
        hosted.taken(state)
        self.state(hosted)
        if hosted.said is not None:
            save_boundary(hosted)  # a copy may go on from here: what the child has said must have left by then

    def ended(self, holding: Holding, child: str, start_id: str) -> None:
        """A child is no more."""
        holding.effects.latest.pop(child, None)
        holding.effects.log.append(LogItem("end", child, word=start_id))


class Silence:
    """The recorder of copies: nothing that they do goes to Redis."""

    records = True
    """Their states are taken at each boundary, as those of the originals are: a copy may become the original at any time."""

    def finished(self, hosted: HostedChild, message: Message, word: str) -> bool:
        """Redis is not told."""
        hosted.holding.effects.states.pop(hosted.child_id, None)
        hosted.holds_until(message.entry.decode())
        return False

    def state(self, hosted: HostedChild) -> None:
        """Nobody is told."""

    def begun(self, hosted: HostedChild) -> None:
        """Nobody is told."""

    def ended(self, holding: Holding, child: str, start_id: str) -> None:
        """Nobody is told."""


def moves_by_itself(hosted: HostedChild) -> bool:
    """Whether the child's state may differ from what ``msk`` and its messages make of it."""
    kind = hosted.kind
    return (
        kind.durability != "commit"
        or hasattr(kind, "run")
        or any(overrides(kind, name) for name in ("on_start", "prepare_handover_state", "alter_handover_state"))
    )
