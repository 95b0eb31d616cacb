"""For simulations: nodes without threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from hubq.node.membership.lease_task import LeaseTask
from hubq.node.membership.lease_thread import Drive


def lease_kept_in(spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> Drive:
    """``Node(drive=...)``: a task that ``spawn`` begins does what the lease thread does elsewhere. It may be a task that goes
    on while the node's own tasks are held back, as a thread does while a handler blocks.
    """
    return partial(LeaseTask, spawn=spawn)
