"""hubq: a job system on Redis whose jobs live for months and move between workers with nothing lost.

``import hubq`` alone is quick: a name is imported from its module when it is first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hubq.client.jobs_maker import provide_jobs

if TYPE_CHECKING:
    from hubq.client.current import current_hub, current_job
    from hubq.client.discovery import HubInfo, hubs
    from hubq.client.faces.call_future import AsyncCallFuture, CallFuture
    from hubq.client.faces.ref import AsyncChildRef, ChildRef
    from hubq.client.faces.resumable_jobs import AsyncResumableJob, ResumableJob
    from hubq.client.faces.start_future import StartFuture
    from hubq.client.faces.typed_ref import AsyncTypedRef, TypedRef
    from hubq.client.hub import Hub
    from hubq.client.results import ChildStatus, NodeStatus, Place, StartResult, StopResult
    from hubq.config import Config
    from hubq.core.child import Child, State
    from hubq.core.feed import Event, Gap
    from hubq.core.method_marks import read, time_limit
    from hubq.core.middleware import Work
    from hubq.core.pauses import Pause
    from hubq.core.pid import Pid
    from hubq.core.progress import Progress
    from hubq.core.retry import Retry
    from hubq.core.spec import ChildSpec
    from hubq.errors import (
        AlreadyStarted,
        BadArguments,
        CallCycle,
        CallFailed,
        CallTimeout,
        Cancelled,
        ChildPaused,
        ConfigError,
        DuplicateJob,
        HandlerKilled,
        HandlerOverdue,
        HubqError,
        InvalidChildId,
        InvalidJob,
        InvalidKey,
        InvalidProgress,
        InvalidReminder,
        InvalidTopic,
        JobFailed,
        KeyReused,
        MailboxFull,
        MappingError,
        MessageDropped,
        NameTaken,
        NoChildren,
        NoClock,
        NoCurrentHub,
        NoCurrentJob,
        NoSuchJob,
        NotAlive,
        NotCancelled,
        NotImportable,
        NotReplicated,
        NotSendable,
        OutsideHandler,
        Partitioned,
        PayloadTooLarge,
        Poisoned,
        ReadChanged,
        RedisRefused,
        RedisUnavailable,
        StartFailed,
        StateNotSavable,
        StateTooLarge,
        StateTooNew,
        UnknownChild,
        UnknownMethod,
        Unreadable,
        WaitsInEventLoop,
    )
    from hubq.store.dead_letters import DeadLetter
    from hubq.strategies.distribution import CentralizedLoadBalancer, ConsistentHashing, Guided
    from hubq.strategies.migration import ColdSwap, HotSwap
    from hubq.strategies.partition_tolerance import Divergence, DynamicQuorum, MajorityQuorum, StaticQuorum
    from hubq.strategies.redundancy import Replication, Singularity
    from hubq.strategies.synchronization import Polling, PubSub

__version__ = "0.1.0"


def _jobs_of(hub: Hub) -> object:
    from hubq.jobs.of_hub import JobsOfHub  # at the first use: what never enqueues a job never pays for rq

    return JobsOfHub(hub)


provide_jobs(_jobs_of)

#: Where each public name is; all others are in hubq.errors. (Type checkers read the imports above.)
_HOMES = {
    "hubq.client.current": "current_hub current_job",
    "hubq.client.discovery": "HubInfo hubs",
    "hubq.client.faces.call_future": "AsyncCallFuture CallFuture",
    "hubq.client.faces.ref": "AsyncChildRef ChildRef",
    "hubq.client.faces.resumable_jobs": "AsyncResumableJob ResumableJob",
    "hubq.client.faces.start_future": "StartFuture",
    "hubq.client.faces.typed_ref": "AsyncTypedRef TypedRef",
    "hubq.client.hub": "Hub",
    "hubq.client.results": "ChildStatus NodeStatus Place StartResult StopResult",
    "hubq.config": "Config",
    "hubq.core.child": "Child State",
    "hubq.core.method_marks": "read time_limit",
    "hubq.core.feed": "Event Gap",
    "hubq.core.middleware": "Work",
    "hubq.core.pauses": "Pause",
    "hubq.core.pid": "Pid",
    "hubq.core.progress": "Progress",
    "hubq.core.retry": "Retry",
    "hubq.core.spec": "ChildSpec",
    "hubq.store.dead_letters": "DeadLetter",
    "hubq.strategies.distribution": "CentralizedLoadBalancer ConsistentHashing Guided",
    "hubq.strategies.migration": "ColdSwap HotSwap",
    "hubq.strategies.partition_tolerance": "Divergence DynamicQuorum MajorityQuorum StaticQuorum",
    "hubq.strategies.redundancy": "Replication Singularity",
    "hubq.strategies.synchronization": "Polling PubSub",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # else every name would exist for a type checker

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(_HOME.get(name, "hubq.errors")), name)
        globals()[name] = found
        return found


__all__ = [
    "AlreadyStarted",
    "AsyncCallFuture",
    "AsyncChildRef",
    "AsyncResumableJob",
    "AsyncTypedRef",
    "BadArguments",
    "CallCycle",
    "CallFailed",
    "CallFuture",
    "CallTimeout",
    "Cancelled",
    "CentralizedLoadBalancer",
    "Child",
    "ChildPaused",
    "ChildRef",
    "ChildSpec",
    "ChildStatus",
    "ColdSwap",
    "Config",
    "ConfigError",
    "ConsistentHashing",
    "DeadLetter",
    "Divergence",
    "DuplicateJob",
    "DynamicQuorum",
    "Event",
    "Gap",
    "Guided",
    "HandlerKilled",
    "HandlerOverdue",
    "HotSwap",
    "Hub",
    "HubInfo",
    "HubqError",
    "InvalidChildId",
    "InvalidJob",
    "InvalidKey",
    "InvalidProgress",
    "InvalidReminder",
    "InvalidTopic",
    "JobFailed",
    "KeyReused",
    "MailboxFull",
    "MajorityQuorum",
    "MappingError",
    "MessageDropped",
    "NameTaken",
    "NoChildren",
    "NoClock",
    "NoCurrentHub",
    "NoCurrentJob",
    "NoSuchJob",
    "NodeStatus",
    "NotAlive",
    "NotCancelled",
    "NotImportable",
    "NotReplicated",
    "NotSendable",
    "OutsideHandler",
    "Partitioned",
    "Pause",
    "PayloadTooLarge",
    "Pid",
    "Place",
    "Poisoned",
    "Polling",
    "Progress",
    "PubSub",
    "ReadChanged",
    "RedisRefused",
    "RedisUnavailable",
    "Replication",
    "ResumableJob",
    "Retry",
    "Singularity",
    "StartFailed",
    "StartFuture",
    "StartResult",
    "State",
    "StateNotSavable",
    "StateTooLarge",
    "StateTooNew",
    "StaticQuorum",
    "StopResult",
    "TypedRef",
    "UnknownChild",
    "UnknownMethod",
    "Unreadable",
    "WaitsInEventLoop",
    "Work",
    "__version__",
    "current_hub",
    "current_job",
    "hubs",
    "read",
    "time_limit",
]
