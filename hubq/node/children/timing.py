"""Times handlers, in a node that was told to measure."""

from __future__ import annotations

from time import perf_counter

from hubq.node.children.handler import Handle
from hubq.node.held.holding import HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.runtime.counters import Seconds


def timed(handle: Handle, seconds: Seconds) -> Handle:
    """``handle``, with its time counted in ``seconds`` and in the child's holding. A message that is undone is not counted."""

    async def measured(hosted: HostedChild, in_hand: InHand) -> None:
        began = perf_counter()
        await handle(hosted, in_hand)
        spent = perf_counter() - began
        seconds.add(spent)
        hosted.holding.spent_on_message(spent)

    return measured
