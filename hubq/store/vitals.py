"""What each node says of itself, every few seconds, for those who look: ``hubq top``, ``hubq doctor``."""

from __future__ import annotations

import msgspec

from hubq.store.command import Command, one_of, plain
from hubq.store.keys import Keys

#: How often a node writes them, and how long they are kept, seconds.
EVERY, KEPT = 2.0, 15.0


class Blocked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The event loop of a node stands still: since when (ms of Redis TIME), in which ``method`` of which ``child``.

    Code that belongs to no child has no ``child``, and a description for a ``method``: ``hook post_cluster_join``.
    """

    since: int
    child: str = ""
    method: str = ""


class Busy(msgspec.Struct, frozen=True):
    """A child has been handling one message for long: the ``method``, and for how many seconds at least."""

    method: str
    seconds: float


class Vitals(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node's own account. Counters count since the node started; times are seconds, memory is bytes.

    ``clock`` is how far its wall clock is ahead of Redis TIME; ``lag`` the longest its event loop kept a timer waiting
    since the last account; ``unready`` why it is not ready (empty: it is); ``mailboxes`` shard -> messages waiting; ``dead``
    dead letters of its shards, ``dormant`` their dormant children;
    ``busiest`` child -> messages per second (sampled); ``busy`` the children that have been handling one message for longest;
    ``failing`` messages per second whose handler raised, since the last account;
    ``trust`` its codec and seal, in words;
    ``jobs_waiting`` jobs that children have enqueued and that are not in RQ yet, ``jobs_refused`` why (empty: they are on their way).
    ``blocked``: the event loop stands still (the lease thread writes the account then, all else in it is as of before);
    None: it turns.
    """

    incarnation: int
    at: float
    ready: bool
    children: int = 0
    parked: int = 0
    shards: int = 0
    pins: int = 0
    moving: list[int] = []
    queued: int = 0
    handled: int = 0
    failed: int = 0
    commits: int = 0
    moved_in: int = 0
    moved_out: int = 0
    taken_over: int = 0
    dead: int = 0
    memory: int = 0
    cpu: float = 0.0
    lag: float = 0.0
    lease_left: float = 0.0
    clock: float = 0.0
    python: str = ""
    mailboxes: dict[str, int] = {}
    busiest: dict[str, float] = {}
    settings: dict[str, float] = {}
    unready: str = ""
    busy: dict[str, Busy] = {}
    failing: float = 0.0
    jobs_waiting: int = 0
    jobs_refused: str = ""
    trust: str = ""
    blocked: Blocked | None = None
    dormant: int = 0


def write_vitals(keys: Keys, node: str, vitals: Vitals) -> Command[None]:
    """Replace a node's account of itself."""
    return plain(
        "SET", keys.vitals(node), msgspec.json.encode(vitals), "PX", int(KEPT * 1000), read=lambda answer: None
    )


def read_vitals(keys: Keys, node: str) -> Command[Vitals | None]:
    """A node's account of itself; None: it has written none that can be read for ``KEPT`` seconds."""
    return plain("GET", keys.vitals(node), read=one_of(lambda data: msgspec.json.decode(data, type=Vitals), None))
