"""hubq: a job system on Redis whose jobs live for months and move between workers with nothing lost."""

from hubq.client.hub import Hub, StartFuture
from hubq.client.ref import AsyncChildRef, ChildRef
from hubq.client.results import ChildStatus, NodeStatus, Place, StartResult, StopResult
from hubq.config import Config
from hubq.core.child import Child, State
from hubq.core.pid import Pid
from hubq.core.spec import ChildSpec
from hubq.errors import (
    AlreadyStarted,
    CallFailed,
    CallTimeout,
    ConfigError,
    HubqError,
    InvalidChildId,
    MailboxFull,
    MappingError,
    NameTaken,
    NoChildren,
    NotAlive,
    NotSendable,
    Partitioned,
    RedisRefused,
    RedisUnavailable,
    StartFailed,
    StateNotSavable,
    StateTooLarge,
    UnknownChild,
    UnknownMethod,
)
from hubq.strategies.distribution import ConsistentHashing
from hubq.strategies.migration import ColdSwap, HotSwap
from hubq.strategies.redundancy import Replication, Singularity
from hubq.strategies.synchronization import Polling, PubSub

__version__ = "0.1.0"

__all__ = [
    "AlreadyStarted",
    "AsyncChildRef",
    "CallFailed",
    "CallTimeout",
    "Child",
    "ChildRef",
    "ChildSpec",
    "ChildStatus",
    "ColdSwap",
    "Config",
    "ConfigError",
    "ConsistentHashing",
    "HotSwap",
    "Hub",
    "HubqError",
    "InvalidChildId",
    "MailboxFull",
    "MappingError",
    "NameTaken",
    "NoChildren",
    "NodeStatus",
    "NotAlive",
    "NotSendable",
    "Partitioned",
    "Pid",
    "Place",
    "Polling",
    "PubSub",
    "RedisRefused",
    "RedisUnavailable",
    "Replication",
    "Singularity",
    "StartFailed",
    "StartFuture",
    "StartResult",
    "State",
    "StateNotSavable",
    "StateTooLarge",
    "StopResult",
    "UnknownChild",
    "UnknownMethod",
    "__version__",
]
