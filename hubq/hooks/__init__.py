"""Hooks: functions of yours that a node calls when something happens (docs/hooks.md has the table).

The payloads and the book of handlers are pure; nodes call the handlers (``hubq.node.hook_runner``). A payload is imported when its
name is first used: a process that only calls has no hooks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hubq.hooks.book import DATA, Hook, HookBook

if TYPE_CHECKING:
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
else:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("hubq.hooks.payloads"), name)


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
