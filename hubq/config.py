"""One frozen, validated Config. Every field states its unit, its default and how to choose it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import gcd

from hubq.core.layout import MOST_GROUPS
from hubq.errors import ConfigError

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")

#: A comma in front of another URL. (Those of Sentinel and of a cluster have commas between their hosts.)
_NEXT_URL = re.compile(r",(?=[a-z]+(?:\+[a-z]+)?://)")

_CLIENT = re.compile(r"[A-Za-z0-9_-]{1,32}")

#: How long a call waits for its answer unless told otherwise, seconds. After a crash its child is served again when the lease
#: (5 s) has ended and the shard is taken in; in a drain, when the child's message is done or its ``retention`` (5 s) is over, and
#: its state is taken (``handover_data_wait``, 3 s). A call outlasts either, with some seconds to spare for the handler.
CALL_TIMEOUT = 10.0
#: The same for a start, a stop and a move. A move, or a start with a place, may wait for the other node to build the child
#: (``child_migration_timeout``, 10 s): its outcome must be known before the caller gives up.
CHANGE_TIMEOUT = 15.0

DEFAULT_REDIS_URL = "redis://localhost:6379/0"


def checked_name(kind: str, name: str) -> str:
    """A hub id or node name, or :class:`ConfigError`.

    >>> checked_name("hub id", "chat")
    'chat'
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{kind} {name!r} is not a name: use 1 to 64 letters, digits, dots, dashes or underscores, "
            "beginning with a letter or digit"
        )
    return name


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a hub. All times are seconds, all sizes bytes, unless the field says otherwise.

    >>> Config().shards
    64
    >>> Config(shards=0)
    Traceback (most recent call last):
    hubq.errors.ConfigError: shards=0: give a number from 1 to 4096
    """

    shards: int = 64
    """Mailboxes of the hub, fixed when it is first used. 16 to 64 per node read best; 64 serve 1 to 20 nodes."""

    groups: int = 1
    """Groups of shards, fixed when the hub is first used: each may be on another primary. A divisor of ``shards``. 1: the whole hub is
    on one Redis. docs/guide-cluster.md says how many."""

    lease: float = 5.0
    """How long a node may be silent before the others take over. Shorter: quicker take-over after a crash; longer:
    more patience with a blocked event loop or a slow Redis."""

    lease_margin: float = 1.0
    """The last part of the lease in which a node that could not renew starts nothing more."""

    heartbeat: float = 0.25
    """How often a node renews its lease and looks for nodes whose lease is over. In a hub with several groups it has a lease in each, and
    renews each less often: every ``heartbeat * groups`` seconds, but at least every ``(lease - lease_margin) / 4``."""

    stall_limit: float = 60.0
    """How long the event loop of a worker may stand still (a handler that blocks it) before the worker ends itself, so
    that others take over. The message counts as one that took its node down. Longer than the longest block that you can
    live with; 0: never (say, under a debugger)."""

    max_backlog: int = 10_000
    """Messages that may wait for one child; the sender of one more gets ``MailboxFull``. At a few hundred bytes each
    this is some MB of Redis memory per flooded child, and several seconds of work for it."""

    max_mailbox_bytes: int = 0
    """Bytes of Redis memory that the messages of one shard may take, all its children together (an estimate of Redis, from the oldest
    messages and the newest). The sender of one more from outside gets ``MailboxFull``. 0: no bound. Give it what Redis has to spare,
    divided by the number of shards that may run full at a time."""

    queue_limit: int = 1_000
    """Messages of one child held in a node's memory; the rest is read again later from its mailbox."""

    queue_bytes: int = 16 * 1024 * 1024
    """The same in bytes of arguments: ``queue_limit`` messages of up to 16 KB are not affected, of 1 MB there are 16 in
    memory, not a gigabyte. (One message is always taken; a read in flight may hold ``read_count`` more per shard.)"""

    read_count: int = 100
    """Messages taken from one mailbox per read. More: fewer round trips; fewer: quicker control messages."""

    max_state_bytes: int = 16 * 1024 * 1024
    """The largest state of a child, pickled. A message that makes it larger is undone and its caller told."""

    max_payload_bytes: int = 16 * 1024 * 1024
    """The largest arguments of a message or a start, and the largest result, encoded. What is larger is not sent; a handler
    that returns more is undone and its caller told. Give the same in clients and workers. Redis itself takes 512 MiB
    (``proto-max-bulk-len``), and what is passed by a reference (a file, a key) costs it less."""

    max_active: int = 0
    """Children that one node keeps in memory (about); those that had no message for longest go to rest. 0: as many as there are.
    Give what fits into the memory of a worker, at about 1 KB each and what their states need. docs/guide-on-demand.md."""

    threads: int = 16
    """Threads for plain ``def`` methods, per node."""

    key_processes: int = 4
    """Jobs with a key (``hub.enqueue(..., key=...)``) that one node runs at the same time, each in a process."""

    moves_at_once: int = 8
    """Shards that one node hands over at the same time."""

    stop_timeout: float = 60.0
    """How long ``on_stop`` of a child may take, and its ``run()`` or handler to end once it was cancelled."""

    reply_ttl: float = 60.0
    """How long replies wait for a client that does not fetch them."""

    sender_ttl: float = 3600.0
    """How long a silent sender's window is kept. Must be far longer than any caller retries a send."""

    dead_kept: int = 5_000
    """Dead letters kept per shard, of all classes; the oldest go first. They hold payloads and tracebacks: at 3 KB each this
    is 15 MB per shard at most. (``Child.dead_kept`` says how many of one class.)"""

    wait_replicas: int = 0
    """How many replicas of Redis must have a send, a start, a call's reply or an explicit ``commit()`` before it returns;
    with fewer it raises ``NotReplicated``. 0: none. Give at most as many as there are."""

    wait_timeout: float = 1.0
    """How long to wait for these replicas. Must be shorter than what a node may be silent: ``lease - lease_margin``."""

    batch_lease: float = 15.0
    """How long an all-or-nothing start may stay undecided after its caller was last heard of; then it is undone. The
    caller is heard of while it starts the children and while it waits for the result."""

    events_kept: int = 10_000
    """Entries kept in the events stream (about)."""

    codec: str = field(default_factory=lambda: os.environ.get("HUBQ_CODEC") or "pickle")
    """What values are written as: ``"pickle"``, or ``"data"`` (MessagePack, read as annotations say). ``"data"``: what somebody
    writes into Redis runs no code (docs/trust.md). Give the same in clients and workers. Default: ``HUBQ_CODEC``, else pickle."""

    seal: str = field(default_factory=lambda: os.environ.get("HUBQ_SEAL") or "off")
    """Who has written what stands in Redis: ``"off"``, ``"write"`` (what is written is sealed, and both is read) or ``"require"``
    (nothing else is read). The keys: ``HUBQ_KEYS`` or ``HUBQ_KEYS_FILE``. Default: ``HUBQ_SEAL``, else off."""

    seal_form: str = field(default_factory=lambda: os.environ.get("HUBQ_SEAL_FORM") or "auto")
    """How values are sealed: ``"encrypt"`` (AES-GCM: nobody without a key reads or forges them), ``"sign"`` (keyed BLAKE2b: nobody
    without a key forges them, all who read Redis can read them, and it costs less) or ``"auto"`` (encrypted if ``cryptography`` is
    installed, else signed). Both forms are always read. Default: ``HUBQ_SEAL_FORM``, else auto."""

    client: str = field(default_factory=lambda: os.environ.get("HUBQ_CLIENT") or "")
    """The name of the app that uses the hub: it stands in front of its sender ids, so that users of Redis can be told apart. With keys
    of a client app it is that app's. Default: ``HUBQ_CLIENT``."""

    reads_pickles: bool = False
    """With ``codec="data"``: what was pickled before is read, too. True while a hub is being switched to data, and only then."""

    def __post_init__(self) -> None:
        def whole(name: str, low: int, high: int) -> None:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ConfigError(f"{name}={value!r}: give a number from {low} to {high}")

        def seconds(name: str, low: float, high: float) -> None:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise ConfigError(f"{name}={value!r}: give seconds from {low:g} to {high:g}")

        whole("shards", 1, 4096)
        whole("groups", 1, MOST_GROUPS)
        if self.shards % self.groups:
            raise ConfigError(
                f"groups={self.groups} does not divide shards={self.shards}: give a divisor of it, such as "
                f"groups={gcd(self.shards, 1 << self.groups.bit_length() - 1)}"
            )
        whole("max_backlog", 1, 100_000_000)
        whole("max_mailbox_bytes", 0, 1 << 40)
        whole("queue_limit", 1, 1_000_000)
        whole("queue_bytes", 1, 1 << 40)
        whole("read_count", 1, 10_000)
        whole("max_state_bytes", 1, 512 * 1024 * 1024)
        whole("max_payload_bytes", 1024, 512 * 1024 * 1024)
        whole("max_active", 0, 100_000_000)
        whole("threads", 1, 1_000)
        whole("key_processes", 1, 1_000)
        whole("moves_at_once", 1, 4096)
        whole("dead_kept", 1, 1_000_000)
        whole("events_kept", 1, 10_000_000)
        whole("wait_replicas", 0, 100)
        if self.codec not in ("pickle", "data"):
            raise ConfigError(f"codec={self.codec!r}: give 'pickle' or 'data'")
        if self.seal not in ("off", "write", "require"):
            raise ConfigError(f"seal={self.seal!r}: give 'off', 'write' or 'require'")
        if self.seal_form not in ("auto", "encrypt", "sign"):
            raise ConfigError(f"seal_form={self.seal_form!r}: give 'auto', 'encrypt' or 'sign'")
        if not isinstance(self.client, str) or (self.client and not _CLIENT.fullmatch(self.client)):
            raise ConfigError(f"client={self.client!r} is no name: give 1 to 32 letters, digits, dashes or underscores")
        if not isinstance(self.reads_pickles, bool):
            raise ConfigError(f"reads_pickles={self.reads_pickles!r}: give True or False")
        seconds("wait_timeout", 0.001, 4)
        seconds("lease", 0.2, 3600)
        seconds("lease_margin", 0, 3600)
        seconds("heartbeat", 0.01, 3600)
        seconds("stall_limit", 0, 86400)
        seconds("stop_timeout", 0, 86400)
        seconds("reply_ttl", 1, 86400)
        seconds("batch_lease", 0.5, 86400)
        seconds("sender_ttl", 60, 30 * 86400)
        if self.wait_replicas and self.wait_timeout + self.lease_margin >= self.lease:
            raise ConfigError(
                f"wait_timeout={self.wait_timeout:g} is too long for lease={self.lease:g}: a node waits that long for "
                f"replicas and must still renew its lease {self.lease_margin:g} s (lease_margin) before its end"
            )
        if self.lease_margin + 2 * self.heartbeat >= self.lease:
            raise ConfigError(
                f"lease={self.lease:g} is too short for lease_margin={self.lease_margin:g} and "
                f"heartbeat={self.heartbeat:g}: it must be longer than the margin and two heartbeats"
            )
        if 0 < self.stall_limit < 2:
            raise ConfigError(
                f"stall_limit={self.stall_limit:g}: give 0 (a worker never ends itself) or 2 seconds or more: an event "
                "loop counts as blocked after 1 s"
            )

    @classmethod
    def of(cls, **settings: object) -> Config:
        """A Config from keyword settings; an unknown one is a clear error.

        >>> Config.of(sharks=3)
        Traceback (most recent call last):
        hubq.errors.ConfigError: unknown setting 'sharks': did you mean 'shards'?
        """
        from difflib import get_close_matches

        known = [field.name for field in fields(cls)]
        for name in settings:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else "see hubq.config.Config for the settings there are"
                raise ConfigError(f"unknown setting {name!r}: {hint}")
        return cls(**settings)  # type: ignore[arg-type]


def redis_urls(given: str | Sequence[str] | None = None) -> tuple[str, ...]:
    """The primaries to use: one, or several of which each has some groups of the hub. Several in one text are divided by commas.

    >>> redis_urls("redis://a:1,redis://b:2"), redis_urls("redis+cluster://a:1,b:2"), redis_urls(["redis://a:1"])
    (('redis://a:1', 'redis://b:2'), ('redis+cluster://a:1,b:2',), ('redis://a:1',))
    """
    if given is None or isinstance(given, str):
        return tuple(_NEXT_URL.split(redis_url(given)))
    if not given:
        raise ConfigError("redis=[]: give the URL of one primary at least")
    return tuple(given)


def redis_url(given: str | None = None) -> str:
    """The Redis to use: the one given, else ``HUBQ_REDIS_URL``, else ``redis://localhost:6379/0``."""
    return given or os.environ.get("HUBQ_REDIS_URL") or DEFAULT_REDIS_URL
