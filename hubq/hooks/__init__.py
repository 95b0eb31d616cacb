"""Hooks: functions of yours that a node calls when something happens (docs/hooks.md has the table).

The payloads and the book of handlers are pure; nodes call the handlers (``hubq.node.hook_runner``).
"""

from hubq.hooks.book import DATA, Hook, HookBook
from hubq.hooks.payloads import (
    PAYLOADS,
    ChildData,
    ChildrenMigrated,
    ChildrenRedistribution,
    ChildrenStart,
    ClusterJoin,
    ClusterLeave,
    CoordinatorShutdown,
    ForwardedMigration,
    NodesRedistribution,
    PidsInserted,
    PidsRemoved,
    PidsUpdated,
    PriorityStateUpdated,
    ProcessStartups,
)

__all__ = [
    "DATA",
    "PAYLOADS",
    "ChildData",
    "ChildrenMigrated",
    "ChildrenRedistribution",
    "ChildrenStart",
    "ClusterJoin",
    "ClusterLeave",
    "CoordinatorShutdown",
    "ForwardedMigration",
    "Hook",
    "HookBook",
    "NodesRedistribution",
    "PidsInserted",
    "PidsRemoved",
    "PidsUpdated",
    "PriorityStateUpdated",
    "ProcessStartups",
]
