"""Taking single children out of their shard on this node, and putting them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubq.node.holding import Cell, Holding
from hubq.store.owners import Owner

if TYPE_CHECKING:
    from hubq.node.parts import Parts


def set_aside(parts: Parts, holding: Holding, cell: Cell) -> Holding:
    """A pin-to-be with this child alone: closed and frozen. Its messages are left to whoever reads them next."""
    owner = Owner(holding.owner.node, holding.owner.incarnation, holding.owner.token + 1)
    pin = Holding(holding.shard, owner, cell.child_id)
    pin.recorder = holding.recorder
    pin.watch = holding.watch
    if cell.child_id in holding.replays:
        pin.replays[cell.child_id] = holding.replays[cell.child_id]
    if cell.child_id in holding.condemned:
        pin.condemned.add(cell.child_id)  # whoever keeps it parked looks whether it is to be tried again
    pin.frozen = True
    pin.cells[cell.child_id] = holding.cells.pop(cell.child_id)
    cell.holding = pin
    # What is read for the shard from now on passes the child by; the pin reads it again.
    after = holding.behind.pop(cell.child_id, None)
    pin.behind[cell.child_id] = parts.reader.position(holding.shard) if after is None else after
    holding.excluded.add(cell.child_id)
    return pin


def put_back(holding: Holding, pin: Holding) -> None:
    """The pin never came to be: its child is one of the shard again. The caller resumes it."""
    assert pin.pinned is not None
    for child, cell in pin.cells.items():
        holding.cells[child] = cell
        cell.holding = holding
    holding.effects.absorb(pin.effects)
    holding.behind.update(pin.behind)
    holding.excluded.discard(pin.pinned)
    holding.waiters += pin.waiters
