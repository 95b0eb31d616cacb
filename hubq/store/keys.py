"""Every key of a hub is built here.

==================================  ======  ==================================================================
key                                 type    what it holds
==================================  ======  ==================================================================
``hubq:{chat}:config``              hash    ``shards``, ``wire`` (and which group of how many), ``began``; written once
``hubq:{chat}:regroup``             hash    the last move to another number of groups (hubq.store.moves; ``aside:``, ``coming:``)
``hubq:{chat}:nodes``               hash    node -> JSON: incarnation, host, pid, version, started_at, status
``hubq:{chat}:leases``              zset    node -> end of its lease, ms of Redis TIME
``hubq:{chat}:epoch``               string  membership epoch
``hubq:{chat}:owners``              hash    shard, or ``shard/child`` for a pin -> ``node incarnation token``
``hubq:{chat}:pins``                hash    child -> node it was moved to by hand, and ``moved``
``hubq:{chat}:pins_epoch``          string  goes up with every change of ``pins``
``hubq:{chat}:pauses``              hash    what is paused -> since when, and why; ``#``: number of the last change
``hubq:{chat}:stragglers``          hash    child -> why it is not where it belongs
``hubq:{chat}:quorum``              string  with a quorum: the nodes there were, JSON (hubq.core.quorum.Roll)
``hubq:{chat}:rollout``             hash    only while a version of the app has a share of its own: version, share (0 to 1)
``hubq:{chat}:partitioned``         string  only without its quorum: since when, and how many nodes are needed
``hubq:{chat}:assignment``          hash    load balancing: epoch, leader, shards -> nodes (JSON); TTL
``hubq:{chat}:events``              stream  what happened, capped
``hubq:{chat}:node:<node>:mailbox`` stream  control messages for the node; TTL
``hubq:{chat}:node:<node>:asks``    stream  what clients ask of the node: withdraw, cancel; TTL
``hubq:{chat}:node:<node>:vitals``  string  the node's account of itself, JSON; TTL
``hubq:{chat}:node:<node>:history`` stream  figures of the node, every 10 s, of the last hour; TTL
``hubq:{chat}:node:<node>:left``    string  which life of the node has left last: it joins no more; TTL
``hubq:{chat}:node:<node>:heeded``  string  its incarnation, and up to which change it heeds the pauses; TTL
``hubq:{chat}:node:<node>:said``    hash    shard or pin -> its incarnation, the number of its last commit that said something
``hubq:{chat}:node:<node>:load``    string  load balancing: what the node has measured of its shards, JSON; TTL
``hubq:{chat}:shard:<n>:mailbox``   stream  messages for the children of the shard
``hubq:{chat}:shard:<n>:children``  hash    active child -> spec
``hubq:{chat}:shard:<n>:dormant``   hash    dormant child -> spec and state (docs/dormant.md)
``hubq:{chat}:shard:<n>:expiring``  zset    dormant child -> when it expires, ms of Redis TIME
``hubq:{chat}:shard:<n>:msk``       hash    active child -> saved state (the migration state store)
``hubq:{chat}:shard:<n>:backlog``   hash    child -> messages waiting (no entry: none)
``hubq:{chat}:shard:<n>:parked``    hash    child -> why it cannot run
``hubq:{chat}:shard:<n>:progress``  hash    child -> token, and what it has told of its progress (JSON); TTL
``hubq:{chat}:shard:<n>:log``       stream  what commits did, for followers (replication only); TTL
``hubq:{chat}:shard:<n>:replicas``  hash    follower -> how far it is; ``#``: the log's last number; TTL
``hubq:{chat}:shard:<n>:tries``     hash    only after crashes: what was in hand at how many (docs/poison.md)
``hubq:{chat}:shard:<n>:dead``      stream  dead letters, capped
``hubq:{chat}:shard:<n>:dead:<c>``  list    the letters of class ``c`` in it that no crash has made; TTL
``hubq:{chat}:shard:<n>:outbox``    stream  messages of its children to others whose mailboxes are full
``hubq:{chat}:shard:<n>:outbox:waiting``  hash  child -> messages in that outbox for it (no entry: none)
``hubq:{chat}:shard:<n>:outbox:<g>``  stream  messages of its children to children of group ``g``, until they are there
``hubq:{chat}:shard:<n>:outbox:<g>:number``  string  the number of the last of them
``hubq:{chat}:shard:<n>:jobs``      stream  jobs that its children have enqueued, until they are in RQ
``hubq:{chat}:shard:<n>:reminders``  zset   child, new line, name -> when it is looked at next, ms of Redis TIME
``hubq:{chat}:shard:<n>:reminders:what``  hash  the same -> ``due every late method``, new line, arguments
``hubq:{chat}:shard:<n>:reminders:names``  zset  the same, all with 0: those of one child stand together
``hubq:{chat}:shard:<n>:kept:<l>:<k>:<child>``  string  the outcome of the message with key ``k`` (``l`` characters long); TTL
``hubq:{chat}:shard:<n>:feed:<child>``  stream  the events that the child has published, capped; TTL once it has ended
``hubq:{chat}:shard:<n>:drafts``    hash    child, new line, entry -> ``handling count``: drafts that no commit has closed
``hubq:{chat}:shard:<n>:batches``   hash    start id -> batch: children of undecided all-or-nothing starts
``hubq:{chat}:batch:<id>``          string  an all-or-nothing start: ``open`` (TTL), ``sealed <marks left>``
``hubq:{chat}:static``              hash    static child -> when it was started first
``hubq:{chat}:sender:<id>``         hash    a sender's window of sequence numbers; TTL
``hubq:{chat}:reply:<client>``      list    replies for a client; TTL
``hubq:{chat}:result:<job>``        stream  the result of a resumable job; TTL
==================================  ======  ==================================================================

The hub id stands in braces, so that in Redis Cluster all keys of a hub are in one slot. A hub with several groups has all of this for
each: group 0 as above, the others with a suffix behind the id (``hubq:{chat:3.65}:owners``; :mod:`hubq.core.layout`).
"""

from __future__ import annotations

import re

from hubq.core.layout import tag_of


class Keys:
    """The keys of one hub, or of one of its groups.

    >>> Keys("chat").mailbox(3), Keys("chat", group=3, groups=4).mailbox(3)
    ('hubq:{chat}:shard:3:mailbox', 'hubq:{chat:3.65}:shard:3:mailbox')
    """

    def __init__(self, hub_id: str, group: int = 0, groups: int = 1) -> None:
        self.hub_id = hub_id
        self.tag = tag_of(hub_id, group, groups)
        self.prefix = f"hubq:{{{self.tag}}}:"
        self.config = self.prefix + "config"
        self.nodes = self.prefix + "nodes"
        self.leases = self.prefix + "leases"
        self.epoch = self.prefix + "epoch"
        self.owners = self.prefix + "owners"
        self.events = self.prefix + "events"
        self._send_keys: dict[int, tuple[str, str, str, str]] = {}
        self._commit_keys: dict[int, tuple[str, str, str, str, str]] = {}
        self.pins = self.prefix + "pins"
        self.pins_epoch = self.prefix + "pins_epoch"
        self.pauses = self.prefix + "pauses"
        self.stragglers = self.prefix + "stragglers"
        self.static = self.prefix + "static"
        self.quorum = self.prefix + "quorum"
        self.partitioned = self.prefix + "partitioned"
        self.rollout = self.prefix + "rollout"
        self.assignment = self.prefix + "assignment"
        self.ended_keys = self.pins, self.pins_epoch, self.stragglers, self.pauses

    @property
    def fixed(self) -> frozenset[str]:
        """The keys of which a hub has one each, without the prefix."""
        own = (value for value in vars(self).values() if isinstance(value, str) and value.startswith(self.prefix))
        return frozenset(key.removeprefix(self.prefix) for key in own if key != self.prefix)

    def control(self, node: str) -> str:
        """The control mailbox of a node."""
        return f"{self.prefix}node:{node}:mailbox"

    def asks(self, node: str) -> str:
        """What clients ask of a node: to withdraw a call, or to cancel one."""
        return f"{self.prefix}node:{node}:asks"

    def left(self, node: str) -> str:
        """Which life of a node has left last."""
        return f"{self.prefix}node:{node}:left"

    def vitals(self, node: str) -> str:
        """A node's account of itself."""
        return f"{self.prefix}node:{node}:vitals"

    def history(self, node: str) -> str:
        """A node's figures of the last hour."""
        return f"{self.prefix}node:{node}:history"

    def said(self, node: str) -> str:
        """The numbers of a node's last commits in which children said something, by shard or pin."""
        return f"{self.prefix}node:{node}:said"

    def heeded(self, node: str) -> str:
        """Up to which change a node heeds the pauses."""
        return f"{self.prefix}node:{node}:heeded"

    def load(self, node: str) -> str:
        """What a node has measured of its shards, for the balancer."""
        return f"{self.prefix}node:{node}:load"

    def _shard(self, shard: int, what: str) -> str:
        return f"{self.prefix}shard:{shard}:{what}"

    def mailbox(self, shard: int) -> str:
        """Messages to the children of a shard."""
        return self._shard(shard, "mailbox")

    def children(self, shard: int) -> str:
        """Specs of the children of a shard."""
        return self._shard(shard, "children")

    def dormant(self, shard: int) -> str:
        """Specs and states of the dormant children of a shard."""
        return self._shard(shard, "dormant")

    def expiring(self, shard: int) -> str:
        """When dormant children of a shard expire."""
        return self._shard(shard, "expiring")

    def rest_keys(self, shard: int) -> tuple[str, str, str, str, str]:
        """What a child that goes to rest, wakes or expires changes of a shard."""
        return self.children(shard), self.msk(shard), self.dormant(shard), self.expiring(shard), self.backlog(shard)

    def msk(self, shard: int) -> str:
        """Saved states of the children of a shard."""
        return self._shard(shard, "msk")

    def backlog(self, shard: int) -> str:
        """How many messages wait for each child of a shard."""
        return self._shard(shard, "backlog")

    def parked(self, shard: int) -> str:
        """Children of a shard that cannot run, and why."""
        return self._shard(shard, "parked")

    def send_keys(self, shard: int) -> tuple[str, str, str, str]:
        """Mailbox, specs, backlog and dormant children of a shard: what a send needs, made once."""
        known = self._send_keys.get(shard)
        if known is None:
            active = self.mailbox(shard), self.children(shard), self.backlog(shard)
            known = self._send_keys[shard] = (*active, self.dormant(shard))
        return known

    def commit_keys(self, shard: int) -> tuple[str, str, str, str, str]:
        """Mailbox, specs, states, backlog and parked children of a shard: what every commit needs, made once."""
        known = self._commit_keys.get(shard)
        if known is None:
            mailbox, children, backlog, _ = self.send_keys(shard)
            known = self._commit_keys[shard] = mailbox, children, self.msk(shard), backlog, self.parked(shard)
        return known

    def outbox(self, shard: int) -> str:
        """Messages of the children of a shard to others, as long as the mailboxes of these are full."""
        return self._shard(shard, "outbox")

    def outbox_keys(self, shard: int) -> tuple[str, str]:
        """The outbox of a shard, and how many messages wait there for each child."""
        return self.outbox(shard), self._shard(shard, "outbox:waiting")

    def far_keys(self, shard: int, group: int) -> tuple[str, str]:
        """Messages of the children of a shard to those of another group, and the number of the last one."""
        stream = self._shard(shard, f"outbox:{group}")
        return stream, f"{stream}:number"

    def jobs(self, shard: int) -> str:
        """Jobs that the children of a shard have enqueued, until they are in RQ."""
        return self._shard(shard, "jobs")

    def target_keys(self, shard: int) -> tuple[str, str, str, str, str]:
        """What a message from another child may change of a shard (of its dormant children: nothing, they are looked up)."""
        return (*self.send_keys(shard), self.dead(shard))

    def reminder_keys(self, shard: int) -> tuple[str, str, str]:
        """When reminders of the children of a shard are due, what they are, and their names."""
        due = self._shard(shard, "reminders")
        return due, f"{due}:what", f"{due}:names"

    def crash_keys(self, shard: int) -> tuple[str, ...]:
        """What a crash or a dead letter may change of a shard, in the order of ``lua/_shard.lua``."""
        mailbox, children, backlog, dormant = self.send_keys(shard)
        return mailbox, children, backlog, self.parked(shard), self.tries(shard), self.dead(shard), dormant

    def kept(self, shard: int, child: str, key: str) -> str:
        """The outcome of a message with a key. (The length comes first, since child and key may have colons.)"""
        return self._shard(shard, f"kept:{len(key)}:{key}:{child}")

    def progress(self, shard: int) -> str:
        """What the children of a shard have told of their progress."""
        return self._shard(shard, "progress")

    def log(self, shard: int) -> str:
        """What commits of a shard did, for its followers."""
        return self._shard(shard, "log")

    def replicas(self, shard: int) -> str:
        """Who follows a shard, and how far each is."""
        return self._shard(shard, "replicas")

    def tries(self, shard: int) -> str:
        """What was in hand of a shard when its nodes crashed."""
        return self._shard(shard, "tries")

    def dead(self, shard: int) -> str:
        """Dead letters of a shard."""
        return self._shard(shard, "dead")

    def dead_of(self, shard: int, class_name: str) -> str:
        """Which dead letters of a shard are of a class, the oldest first."""
        return self._shard(shard, f"dead:{class_name}")

    def feed(self, shard: int, child: str) -> str:
        """The events that a child has published."""
        return self._shard(shard, f"feed:{child}")

    def drafts(self, shard: int) -> str:
        """Handlings of messages that have published drafts and are not committed."""
        return self._shard(shard, "drafts")

    def batches(self, shard: int) -> str:
        """Marks of all-or-nothing starts that are not settled in a shard."""
        return self._shard(shard, "batches")

    def batch(self, batch: str) -> str:
        """The record of an all-or-nothing start."""
        return f"{self.prefix}batch:{batch}"

    def sender(self, sender: str) -> str:
        """A sender's window."""
        return f"{self.prefix}sender:{sender}"

    def result(self, job_id: str) -> str:
        """The result of a resumable job."""
        return f"{self.prefix}result:{job_id}"

    def reply(self, client: str) -> str:
        """A client's replies."""
        return f"{self.prefix}reply:{client}"


def tag_of_config(key: str) -> str | None:
    """The tag of a hub, or of a group of one, whose ``config`` this key is.

    >>> tag_of_config("hubq:{chat}:config"), tag_of_config("hubq:{chat:3.65}:config"), tag_of_config("other")
    ('chat', 'chat:3.65', None)
    """
    found = re.fullmatch(r"hubq:\{([^:]+(?::\d+\.\d+)?)\}:config", key)
    return found[1] if found else None


def owner_field(shard: int, pinned: str | None = None) -> str:
    """The field of ``owners`` for a shard, or for a child of it that is pinned.

    >>> owner_field(3), owner_field(3, "room-1")
    ('3', '3/room-1')
    """
    return str(shard) if pinned is None else f"{shard}/{pinned}"


def split_owner_field(field: str) -> tuple[int, str | None]:
    """The reverse of :func:`owner_field`. Raises ``ValueError``: the field is none.

    >>> split_owner_field("3/a/b")
    (3, 'a/b')
    """
    shard, slash, child = field.partition("/")
    if not shard.isdecimal() or len(shard) > 6:
        raise ValueError("it begins with no shard")
    return int(shard), (child if slash else None)
