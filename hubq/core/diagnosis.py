"""What is wrong with a hub, in plain words: a pure function from what was seen to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

#: A message that has waited longer than this for its turn is worth a word, seconds.
WAITED_LONG = 30.0
#: A node whose wall clock is off by more than this, seconds. (Leases go by the clock of Redis: it only confuses logs.)
CLOCK_OFF = 1.0
#: A timer that had to wait longer than this share of the lease.
LAG_SHARE = 0.25
#: Redis memory in use above this share of ``maxmemory``.
MEMORY_SHARE = 0.8
#: Names shown before "and n more".
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: what it is (``topic``), what was seen, and what to do about it."""

    topic: str
    seen: str
    do: str


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What was seen of a node. ``lease_left`` seconds; the rest is its own account (None: it has written none)."""

    status: str
    lease_left: float
    version: str
    python: str | None = None
    clock: float | None = None
    lag: float = 0.0
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of a hub in one look.

    ``owners``: shard -> node (None: nobody alive); ``waited``: shard -> seconds its first message has waited;
    ``backlog``: children with the most messages waiting; ``stragglers``: child -> why it could not move with its shard;
    ``parked``: child -> reason; ``dead``: dead letters; ``strays``: keys of the hub that belong to nothing; ``redis``:
    settings and figures of Redis by name ("" for one that may not be read); ``host``: where Redis is, as in the URL;
    ``partitioned``: since when there is no quorum, and why.
    """

    shards: int
    lease: float
    nodes: Mapping[str, NodeFacts] = field(default_factory=dict)
    owners: Mapping[int, str | None] = field(default_factory=dict)
    children: int = 0
    waited: Mapping[int, float] = field(default_factory=dict)
    backlog: Mapping[str, int] = field(default_factory=dict)
    max_backlog: int = 10_000
    stragglers: Mapping[str, str] = field(default_factory=dict)
    parked: Mapping[str, str] = field(default_factory=dict)
    dead: int = 0
    strays: Sequence[str] = ()
    redis: Mapping[str, str] = field(default_factory=dict)
    host: str = "localhost"
    partitioned: str = ""


def names(them: Iterable[object]) -> str:
    """The first few, and how many more.

    >>> names("abcde")
    'a, b, c and 2 more'
    """
    every = [str(each) for each in them]
    more = len(every) - SHOWN
    return ", ".join(every[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def diagnose(facts: Facts) -> list[Finding]:
    """Everything that is wrong, the most pressing first.

    >>> [finding.topic for finding in diagnose(Facts(shards=2, lease=5.0, children=3))]
    ['no worker']
    """
    return [finding for check in CHECKS for finding in check(facts)]


def _workers(facts: Facts) -> Iterable[Finding]:
    if not _live(facts):
        if facts.children or facts.waited or facts.nodes:
            yield Finding(
                "no worker",
                f"no worker runs, and there are {facts.children} children",
                "start one: hubq worker module:hub. Nothing is lost meanwhile: states and messages wait in Redis",
            )
        return
    if all(node.status == "draining" for node in _live(facts).values()):
        yield Finding(
            "all draining",
            f"every worker is draining: {names(_live(facts))}",
            "start a new one, to which they can move",
        )


def _live(facts: Facts) -> Mapping[str, NodeFacts]:
    return {name: node for name, node in facts.nodes.items() if node.lease_left > 0}


def _quorum(facts: Facts) -> Iterable[Finding]:
    if facts.partitioned:
        yield Finding(
            "no quorum",
            f"intake is closed, starts and stops are refused {facts.partitioned}",
            "start workers: everything goes on when there are enough. If the cluster was made smaller for good: "
            "hub.reset_cluster_size() (MajorityQuorum), or another quorum in the hub's code",
        )


def _leases(facts: Facts) -> Iterable[Finding]:
    for name, node in facts.nodes.items():
        if node.lease_left <= 0:
            yield Finding(
                "lease over",
                f"the lease of {name} ran out {-node.lease_left:.1f} s ago, and nobody has evicted it",
                "another live worker would take over: start one, and look at the process and its log",
            )
        elif node.lease_left < facts.lease * 0.4:
            yield Finding(
                "lease about to end",
                f"{name} has {node.lease_left:.1f} s left of its lease of {facts.lease:g} s",
                "look whether its process is stopped, overloaded (a handler that blocks the loop), or cut off from Redis",
            )
        elif node.lag > facts.lease * LAG_SHARE:
            yield Finding(
                "blocked loop",
                f"the event loop of {name} stood still for {node.lag:.1f} s; at {facts.lease:g} s it loses its lease",
                "find the async handler that blocks (make it a plain def: it runs in a thread), or give a longer lease",
            )


def _shards(facts: Facts) -> Iterable[Finding]:
    if not _live(facts):
        return  # there is a finding for that
    without = [shard for shard in range(facts.shards) if facts.owners.get(shard) is None]
    if without:
        yield Finding(
            "shards without an owner",
            f"{len(without)} of {facts.shards} shards have no live owner: {names(without)}",
            "they are claimed within a second while a worker is up; if it stays so, see the workers' logs and `hubq nodes`",
        )


def _stuck(facts: Facts) -> Iterable[Finding]:
    late = {shard: waited for shard, waited in facts.waited.items() if waited > WAITED_LONG and facts.owners.get(shard)}
    if late:
        worst = max(late, key=lambda shard: late[shard])
        yield Finding(
            "messages wait long",
            f"in {len(late)} mailboxes the first message has waited over {WAITED_LONG:g} s, the longest {late[worst]:.0f} s "
            f"in shard {worst} ({facts.owners[worst]})",
            "see for whom and what: hubq mailbox; a child that is busy, slow or parked holds up only its own messages",
        )
    full = {child: count for child, count in facts.backlog.items() if count >= facts.max_backlog * 0.5}
    for child, count in full.items():
        yield Finding(
            "mailbox filling",
            f"{count} messages wait for {child}; at {facts.max_backlog} its senders get MailboxFull",
            "send it less, make its handlers faster, or spread its work over several children",
        )


def _children(facts: Facts) -> Iterable[Finding]:
    for child, reason in list(facts.parked.items())[:SHOWN]:
        yield Finding(
            "parked child",
            f"{child} cannot run: {reason}",
            "mend the cause and deploy: a worker that joins tries again. Its state and messages are kept",
        )
    if len(facts.parked) > SHOWN:
        yield Finding("parked child", f"and {len(facts.parked) - SHOWN} more are parked", "hubq ps --status parked")
    for child, reason in list(facts.stragglers.items())[:SHOWN]:
        yield Finding(
            "straggler",
            f"{child} could not move with its shard: {reason}",
            "it follows when its message is done; one that cannot start elsewhere is tried again when nodes come: hubq ps",
        )
    if len(facts.stragglers) > SHOWN:
        yield Finding("straggler", f"and {len(facts.stragglers) - SHOWN} more could not move", "hubq ps")
    if facts.dead:
        yield Finding(
            "dead letters",
            f"{facts.dead} messages were given up because they took their worker down again and again",
            "hubq dead list, show, and then replay or drop them",
        )


def _alike(facts: Facts) -> Iterable[Finding]:
    def differing(what: str, of: Callable[[NodeFacts], object], do: str) -> Iterable[Finding]:
        by_value: dict[object, list[str]] = {}
        for name, node in facts.nodes.items():
            value = of(node)
            if value is not None:
                by_value.setdefault(value, []).append(name)
        if len(by_value) > 1:
            said = "; ".join(f"{value} on {names(them)}" for value, them in by_value.items())
            yield Finding(f"different {what}", said, do)

    yield from differing("hubq versions", lambda node: node.version, "finish the deploy: restart the older workers")
    yield from differing(
        "Python versions", lambda node: node.python, "pickled states move between them: use one version everywhere"
    )
    known = sorted({name for node in facts.nodes.values() for name in node.settings})
    for name in known:
        yield from differing(
            f"settings: {name}",
            lambda node, name=name: node.settings.get(name),  # type: ignore[misc]
            "the workers were started with different code or settings of the hub: deploy the same everywhere",
        )
    for name, node in facts.nodes.items():
        if node.clock is not None and abs(node.clock) > CLOCK_OFF:
            yield Finding(
                "clock",
                f"the clock of {name}'s machine is {abs(node.clock):.1f} s {'ahead of' if node.clock > 0 else 'behind'} Redis",
                "hubq goes by the clock of Redis, so nothing breaks, but its logs mislead: run NTP there",
            )


def _redis(facts: Facts) -> Iterable[Finding]:
    said = facts.redis
    policy = said.get("maxmemory-policy", "")
    if policy and policy != "noeviction":
        yield Finding(
            "Redis may evict",
            f"maxmemory-policy is {policy}: when its memory is full Redis throws away mailboxes and states",
            "CONFIG SET maxmemory-policy noeviction, and in redis.conf",
        )
    if said.get("appendonly") == "no":
        saves = "only by snapshots (save)" if said.get("save") else "not at all"
        yield Finding(
            "Redis may forget",
            f"appendonly is off: Redis keeps its data {saves}; a restart loses what came since",
            "CONFIG SET appendonly yes, and in redis.conf",
        )
    used, most = int(said.get("used_memory") or 0), int(said.get("maxmemory") or 0)
    if most and used > most * MEMORY_SHARE:
        yield Finding(
            "Redis is nearly full",
            f"it uses {used / most:.0%} of maxmemory ({used // 2**20} of {most // 2**20} MiB)",
            "raise maxmemory, or find what grows: hubq mailbox, hubq ps",
        )
    if said.get("password") == "no" and not _is_private(facts.host):
        yield Finding(
            "Redis without a password",
            f"Redis at {facts.host} lets anybody in, and hubq unpickles what it reads from there",
            "set a password or ACL users (hubq acl), and close its port to the outside",
        )


def _is_private(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_private
    except ValueError:
        return "." not in host or host.endswith((".internal", ".local", ".svc", ".lan"))


def _strays(facts: Facts) -> Iterable[Finding]:
    if facts.strays:
        yield Finding(
            "stray keys",
            f"{len(facts.strays)} keys of the hub belong to nothing alive and never expire: {names(facts.strays)}",
            "look at them in redis-cli; nothing of hubq reads them, so they can be deleted (DEL)",
        )


#: In the order in which their findings are shown.
CHECKS: tuple[Callable[[Facts], Iterable[Finding]], ...] = (
    _workers,
    _quorum,
    _leases,
    _shards,
    _stuck,
    _children,
    _redis,
    _alike,
    _strays,
)
