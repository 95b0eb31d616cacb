"""Taking a child out of its shard on this node, as a pin, and putting it back."""

from __future__ import annotations

from hubq.core.phase import Phase
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding, HostedChild
from hubq.store.owners import Owner


def set_aside(cursors: Cursors, holding: Holding, hosted: HostedChild) -> Holding:
    """A pin-to-be with this child alone, closed and frozen. Its messages stay in the mailbox for its next holding."""
    child = hosted.child_id
    owner = Owner(holding.owner.node, holding.owner.incarnation, holding.owner.token + 1)
    pin = Holding(holding.shard, owner, holding.recorder, child, phase=Phase.PASSING, watch=holding.watch)
    if child in holding.replays:
        pin.replays_before(child, holding.replays[child])
    if child in holding.condemned:
        pin.condemn(child)  # the node that keeps it parked looks whether it is to be tried again
    holding.detach(child)
    pin.attach(hosted)
    # What is read for the shard from now on passes the child by; the pin reads it again.
    after = cursors.caught_up(holding, child)
    cursors.set_behind(pin, child, cursors.position(holding.shard) if after is None else after)
    holding.set_apart([child])
    return pin


def put_back(holding: Holding, pin: Holding) -> None:
    """The pin never came to be: its child is one of the shard again. The caller resumes it, and lets it catch up."""
    assert pin.pinned is not None
    for hosted in list(pin.children.values()):
        pin.detach(hosted.child_id)
        holding.attach(hosted)
    holding.effects.absorb(pin.effects)
    holding.behind.update(pin.behind)
    holding.take_back(pin.pinned)
    holding.add_waiters(pin.take_waiters())
