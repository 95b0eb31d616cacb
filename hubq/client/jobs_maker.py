"""How the jobs of a hub are made. RQ is imported by what makes them: a process that enqueues nothing never pays for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: From a Hub to its Jobs. (Both are defined above this module.)
Maker = Callable[[Any], Any]

_make: Maker


def provide_jobs(make: Maker) -> None:
    """Say how the jobs of a hub are made (once, by ``hubq/__init__.py``, which is above all layers)."""
    global _make
    _make = make


def make_jobs(hub: object) -> Any:
    """The jobs of a hub, at their first use."""
    return _make(hub)
