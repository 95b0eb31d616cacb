"""The answers of the JSON API that are not records of the hub itself. Times are seconds since 1970 by the clock of Redis."""

from __future__ import annotations

from typing import Any

import msgspec

from hubq.client.operations.happened import Event
from hubq.client.operations.inspection import Mailbox
from hubq.client.operations.waiting_times import Outbox
from hubq.client.results import ChildStatus
from hubq.core.facts import Finding
from hubq.core.reminders import Reminder
from hubq.jobs.overview import JobLine


class Doing(msgspec.Struct, frozen=True):
    """A message that a child has had in hand for some seconds at least."""

    child: str
    method: str
    seconds: float
    node: str


class NodeView(msgspec.Struct, frozen=True):
    """A worker. ``status``: up, draining, blocked, not ready, silent (it has written no account), gone (its lease is over).

    ``lease_left`` of ``lease`` seconds; ``memory`` in bytes; ``cpu`` as a share of one core. ``messages``, ``failed`` (per second) and
    ``cpu`` are None until it was looked at twice. ``trouble``: what is wrong with it, in a line.
    """

    name: str
    status: str
    lease_left: float
    lease: float
    uptime: float
    host: str
    pid: int
    version: str
    app_version: str
    tags: dict[str, str]
    shards: int
    pins: int
    children: int
    parked: int
    backlog: int
    memory: int
    lag: float
    messages: float | None
    failed: float | None
    cpu: float | None
    trouble: str


class Move(msgspec.Struct, frozen=True):
    """A shard, or a single child, that has moved: ``pause`` is how long it handled nothing, seconds."""

    id: str
    at: float
    what: str
    source: str
    target: str
    pause: float | None


class HubView(msgspec.Struct, frozen=True):
    """A hub. ``children`` are active, others ``dormant``. ``owners``: for each shard the live node that serves it, or None; ``moving``:
    shards on their way; ``waiting``: messages in mailboxes, as the nodes count them; ``messages`` and ``failed`` per second.
    ``partitioned``: why it stands still, empty if it does not.
    """

    hub: str
    redis: str
    at: float
    began: float | None
    shards: int
    groups: int
    children: int
    dormant: int
    served: int
    moving: list[int]
    pins: int
    leader: str
    waiting: int
    dead: int
    messages: float | None
    failed: float | None
    partitioned: str
    nodes: list[NodeView]
    owners: list[str | None]
    busy: list[Doing]
    moves: list[Move]


class ChildrenView(msgspec.Struct, frozen=True):
    """Some children. ``next``: ``after`` of the next page; empty: there is none. ``shards_left``: shards not read to their end.
    ``looked`` at about so many children up to here, of ``total`` (both 0: at all).
    ``oldest``: child -> how long ago the oldest message that waits for it was sent, seconds, if it is near the front of its shard.
    """

    children: list[ChildStatus]
    oldest: dict[str, float]
    next: str
    shards_left: int
    looked: int = 0
    total: int = 0


class Attribute(msgspec.Struct, frozen=True):
    """An attribute of a state: its value as Python would write it."""

    name: str
    value: str


class StateView(msgspec.Struct, frozen=True):
    """What the last commit has saved of a child, shown without running any of it. ``message_age``: how long ago the last message in it
    was sent, seconds. ``state``: the same as JSON. ``trouble``: why it cannot be shown.
    """

    size: int
    version: int
    form: str
    message_age: float | None
    attributes: list[Attribute]
    state: Any
    trouble: str


class ChildView(msgspec.Struct, frozen=True):
    """A child, all that is known of it. ``busy``: what it has in hand for long; ``state`` None: it has saved none. ``outbox``: what it has
    said and what waits; ``held_back``: messages for it in the outboxes of others, since its mailbox is full.
    """

    child: ChildStatus
    busy: Doing | None
    state: StateView | None
    mailbox: Mailbox
    held_back: int
    outbox: Outbox
    reminders: list[Reminder]
    methods: list[str]


class LetterView(msgspec.Struct, frozen=True):
    """A dead letter. ``arguments`` are shown without running any of them; ``size`` of them in bytes."""

    letter: str
    shard: int
    child: str
    class_name: str
    kind: str
    method: str
    why: str
    error: str
    arguments: str
    size: int
    sent: float
    died: float
    tries: int
    crashes: list[str]
    sender: str


class LettersView(msgspec.Struct, frozen=True):
    """Some dead letters, the newest first; ``total``: all of the hub, whatever was asked for."""

    letters: list[LetterView]
    next: str
    total: int


class EventsView(msgspec.Struct, frozen=True):
    """Some events, the newest first."""

    events: list[Event]
    next: str


class JobsView(msgspec.Struct, frozen=True):
    """RQ's jobs of a hub. (Keys and resumable jobs are children: ``kind`` of a job says which.) ``clock``: the node that runs the clock.
    ``more_keys``: jobs wait for other keys, too; ``next``, ``looked``, ``total``: of resumable jobs, as in :class:`ChildrenView`.
    """

    queue: str
    counts: dict[str, int]
    workers: list[str]
    clock: str | None
    jobs: list[JobLine]
    more_keys: bool = False
    next: str = ""
    looked: int = 0
    total: int = 0


class ResumableView(msgspec.Struct, frozen=True):
    """Some resumable jobs; the rest is as in :class:`ChildrenView`."""

    jobs: list[JobLine]
    next: str = ""
    looked: int = 0
    total: int = 0


class DoctorView(msgspec.Struct, frozen=True):
    """What is wrong with the hub; ``age``: how old the answer is, seconds."""

    findings: list[Finding]
    age: float


class Series(msgspec.Struct, frozen=True):
    """A worker over the last hour: at each moment ``at`` messages and failed messages per second, CPU (a share of one core), bytes of
    memory, children, messages waiting, and the loop lag in seconds.
    """

    node: str
    at: list[float]
    messages: list[float]
    failed: list[float]
    cpu: list[float]
    memory: list[float]
    children: list[float]
    waiting: list[float]
    lag: list[float]


class MetricsView(msgspec.Struct, frozen=True):
    """The last hour of the workers that are there."""

    since: float
    until: float
    series: list[Series]


class Done(msgspec.Struct, frozen=True):
    """An action is done. ``said``: what came of it, in a line; ``result`` of a call."""

    said: str
    result: Any = None


class Several(msgspec.Struct, frozen=True):
    """Letters were sent again or dropped. ``stay``: letter -> why it stays; ``more``: there are others that the filter takes."""

    done: list[str]
    stay: dict[str, str]
    more: bool


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not served."""

    error: str
    detail: str
