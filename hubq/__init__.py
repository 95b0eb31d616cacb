"""hubq: a job system on Redis whose jobs live for months and move between workers with nothing lost."""

from hubq.client.current import current_hub
from hubq.client.discovery import HubInfo, hubs
from hubq.client.faces.call_future import AsyncCallFuture, CallFuture
from hubq.client.faces.jobs import Jobs
from hubq.client.faces.ref import AsyncChildRef, ChildRef
from hubq.client.faces.resumable_jobs import AsyncResumableJob, ResumableJob
from hubq.client.faces.start_future import StartFuture
from hubq.client.faces.typed_ref import AsyncTypedRef, TypedRef
from hubq.client.hub import Hub, provide_jobs
from hubq.client.results import ChildStatus, NodeStatus, Place, StartResult, StopResult
from hubq.config import Config
from hubq.core.child import Child, State, read, time_limit
from hubq.core.feed import Event, Gap
from hubq.core.middleware import Work
from hubq.core.pid import Pid
from hubq.core.retry import Retry
from hubq.core.spec import ChildSpec
from hubq.errors import (
    AlreadyStarted,
    BadArguments,
    CallCycle,
    CallFailed,
    CallTimeout,
    Cancelled,
    ConfigError,
    DuplicateJob,
    HandlerKilled,
    HandlerOverdue,
    HubqError,
    InvalidChildId,
    InvalidJob,
    InvalidKey,
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


def _jobs_of(hub: Hub) -> Jobs:
    from hubq.jobs.of_hub import JobsOfHub  # at the first use: what never enqueues a job never pays for rq

    return JobsOfHub(hub)


provide_jobs(_jobs_of)

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
    "NoSuchJob",
    "NodeStatus",
    "NotAlive",
    "NotCancelled",
    "NotImportable",
    "NotReplicated",
    "NotSendable",
    "OutsideHandler",
    "Partitioned",
    "PayloadTooLarge",
    "Pid",
    "Place",
    "Poisoned",
    "Polling",
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
    "hubs",
    "read",
    "time_limit",
]
