"""The lines that a worker logs about itself when it has joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hubq.core.wording import counted, names
from hubq.strategies.partition_tolerance import Divergence
from hubq.strategies.redundancy import Singularity
from hubq.strategies.synchronization import PubSub

if TYPE_CHECKING:
    from hubq.client.hub import Hub


def summary(hub: Hub, tags: Mapping[str, str], jobs: int, drain_timeout: float) -> list[str]:
    """A few short lines with the settings that explain how the worker behaves. The migration and distribution strategies
    are always named; each other strategy only if it is not the default.

    >>> from hubq import Hub
    >>> for line in summary(Hub("chat"), {"region": "eu"}, 2, 30.0):
    ...     print(line)
    lease 5 s, drain within 30 s, tags region=eu
    jobs: 2 processes, queue hubq-chat
    HotSwap, ConsistentHashing
    children of the app: none
    """
    tagged = ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))
    strategies: list[object] = [hub.migration, hub.distribution]
    others: dict[type, object] = {
        Singularity: hub.redundancy, Divergence: hub.partition_tolerance, PubSub: hub.synchronization
    }  # fmt: skip
    strategies += [strategy for usual, strategy in others.items() if type(strategy) is not usual]
    return [
        f"lease {hub.config.lease:g} s, drain within {drain_timeout:g} s, {f'tags {tagged}' if tagged else 'no tags'}",
        f"jobs: {counted(jobs, 'process', 'processes')}, queue {hub.queue_name}" if jobs else "jobs: none (--jobs)",
        ", ".join(type(strategy).__name__ for strategy in strategies),
        f"children of the app: {names(sorted(hub.classes.registered)) or 'none'}",
    ]
