"""Waiting for several groups at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any

from hubq.client.asking.steps import Outcome


def side_by_side(tasks: Mapping[int, Callable[[], Any]]) -> dict[int, Outcome]:
    """Run each task in a thread, one of them in this one, and wait for all.

    >>> {group: outcome.value for group, outcome in side_by_side({0: lambda: "a", 1: lambda: "b"}).items()}
    {0: 'a', 1: 'b'}
    """
    outcomes: dict[int, Outcome] = {}

    def run(group: int) -> None:
        try:
            outcomes[group] = Outcome(tasks[group]())
        except Exception as error:
            outcomes[group] = Outcome(error=error)

    *others, here = tasks or [None]
    threads = [  # (what a thread of a caller knows - a trace, the hub of a handler - is known in them)
        threading.Thread(target=copy_context().run, args=(run, group), name="hubq-group", daemon=True)
        for group in others
    ]
    for thread in threads:
        thread.start()
    if here is not None:
        run(here)
    for thread in threads:
        thread.join()
    return {group: outcomes[group] for group in tasks}
