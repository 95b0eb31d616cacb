"""The diagnosis of a hub, in plain words: a pure function from the facts that were seen to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

#: A message that waits longer than this is a finding, seconds.
WAITED_LONG = 30.0
#: A wall clock that is off by more than this is a finding, seconds. (Leases go by the clock of Redis: only logs mislead.)
CLOCK_OFF = 1.0
#: A timer of the event loop that is late by more than this is a finding, seconds.
LAG_LONG = 1.0
#: Redis memory in use above this share of ``maxmemory`` is a finding.
MEMORY_SHARE = 0.8
#: Messages per second whose handler raises: more of them on one worker are a finding.
FAILING = 1.0
#: A pause that is older than this is a finding, seconds: somebody may have forgotten it.
PAUSED_LONG = 3600.0
#: Names shown before "and n more".
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: its name (``topic``), the facts that show it (``seen``), and the remedy (``do``)."""

    topic: str
    seen: str
    do: str


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node. ``lease_left`` is in seconds. ``python``, ``clock``, ``lag`` and ``settings`` come from the node itself; a
    node that has not written them yet has None or nothing there. ``unready``: why it cannot run what comes to it; ``blocked``:
    what its event loop stands still in, in words; ``failing``: messages per second whose handler raised; ``jobs_waiting``: jobs of
    children that are not in RQ yet, and ``jobs_refused`` why they cannot be put there."""

    status: str
    lease_left: float
    version: str
    python: str | None = None
    clock: float | None = None
    lag: float = 0.0
    settings: Mapping[str, float] = field(default_factory=dict)
    unready: str = ""
    blocked: str = ""
    failing: float = 0.0
    jobs_waiting: int = 0
    jobs_refused: str = ""
    trust: str | None = None
    """Its codec and seal, in words."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a hub, seen at one moment.

    ``owners``: shard -> node (None: nobody alive); ``waited``: shard -> seconds its first message has waited; ``heads``:
    shard -> child and method of that message; ``busy``: child -> what it has been handling for long, in words;
    ``backlog``: children with the most messages waiting; ``stragglers``: child -> why it could not move with its shard;
    ``parked``: child -> reason; ``dead``: dead letters; ``letters``: (why, class) -> dead letters, of each shard the last ones;
    ``strays``: keys of the hub that belong to nothing; ``redis``:
    settings and figures of Redis by name ("" for one that may not be read); ``host``: where Redis is, as in the URL;
    ``partitioned``: since when there is no quorum, and why; ``dormant``: how many dormant children there are;
    ``pauses``: what is paused, in words, and for how many seconds.
    """

    shards: int
    lease: float
    nodes: Mapping[str, NodeFacts] = field(default_factory=dict)
    owners: Mapping[int, str | None] = field(default_factory=dict)
    children: int = 0
    waited: Mapping[int, float] = field(default_factory=dict)
    heads: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    busy: Mapping[str, str] = field(default_factory=dict)
    backlog: Mapping[str, int] = field(default_factory=dict)
    max_backlog: int = 10_000
    stragglers: Mapping[str, str] = field(default_factory=dict)
    parked: Mapping[str, str] = field(default_factory=dict)
    dead: int = 0
    letters: Mapping[tuple[str, str], int] = field(default_factory=dict)
    strays: Sequence[str] = ()
    redis: Mapping[str, str] = field(default_factory=dict)
    host: str = "localhost"
    partitioned: str = ""
    dormant: int = 0
    pauses: Sequence[tuple[str, float]] = ()


def names(them: Iterable[object]) -> str:
    """The first few, and how many more.

    >>> names("abcde")
    'a, b, c and 2 more'
    """
    every = [str(each) for each in them]
    more = len(every) - SHOWN
    return ", ".join(every[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun.

    >>> counted(1, "child", "children"), counted(2, "child", "children")
    ('1 child', '2 children')
    """
    return f"{number} {one if number == 1 else many}"


def diagnose(facts: Facts) -> list[Finding]:
    """All findings, the most pressing first.

    >>> [finding.topic for finding in diagnose(Facts(shards=2, lease=5.0, children=3))]
    ['no worker']
    """
    return [finding for check in CHECKS for finding in check(facts)]


def _workers(facts: Facts) -> Iterable[Finding]:
    if not _live(facts):
        if facts.children or facts.dormant or facts.waited or facts.nodes:
            over = [f"{name} ({-node.lease_left:.1f} s ago)" for name, node in facts.nodes.items()]
            has = f"the hub has {counted(facts.children, 'child', 'children')}"
            has += f" and {facts.dormant:,} dormant ones" if facts.dormant else ""
            yield Finding(
                "no worker",
                f"no worker serves: {'the lease' if len(over) == 1 else 'each lease'} is over: {names(over)}; {has}"
                if over
                else f"no worker runs, and {has}",
                ("look at their processes and logs. If they have ended, start a worker" if over else "start a worker")
                + ": hubq worker module:hub. States and messages wait in Redis meanwhile; nothing is lost",
            )
        return
    if all(node.status == "draining" for node in _live(facts).values()):
        yield Finding(
            "all draining",
            f"every worker is draining: {names(_live(facts))}",
            "start a new worker: their children move to it",
        )


def _live(facts: Facts) -> Mapping[str, NodeFacts]:
    return {name: node for name, node in facts.nodes.items() if node.lease_left > 0}


def _quorum(facts: Facts) -> Iterable[Finding]:
    if facts.partitioned:
        yield Finding(
            "no quorum",
            f"intake is closed, and starts and stops are refused {facts.partitioned}",
            "start workers: the hub goes on when there are enough. If the cluster is smaller for good: "
            "hub.reset_cluster_size() (MajorityQuorum), or set another quorum in the hub's code",
        )


def _leases(facts: Facts) -> Iterable[Finding]:
    for name, node in facts.nodes.items():
        if node.lease_left <= 0:
            if not _live(facts):
                continue  # _workers has said it
            yield Finding(
                "lease over",
                f"the lease of {name} ran out {-node.lease_left:.1f} s ago, and {name} is not evicted yet",
                f"look at the process and the log of {name}. A live worker evicts it and takes its children over: start one",
            )
        elif node.lease_left < facts.lease * 0.4:
            yield Finding(
                "lease about to end",
                f"{name} has {node.lease_left:.1f} s left of its lease of {facts.lease:g} s",
                "look at its process: it is stopped, its machine is overloaded, or it is cut off from Redis",
            )
        elif node.blocked:
            yield Finding(
                "blocked loop",
                f"{name}: {node.blocked}",
                "make this handler a plain def, which runs in a thread, or let it await: no other child of the worker is "
                "served meanwhile. See the worker's log for its stack",
            )
        elif node.lag > LAG_LONG:
            yield Finding(
                "blocked loop",
                f"the event loop of {name} stood still for {node.lag:.1f} s: no other child of it was served meanwhile",
                "the log names the async handler that blocks. Make it a plain def, which runs in a thread",
            )


def _shards(facts: Facts) -> Iterable[Finding]:
    if not _live(facts):
        return  # _workers has said it
    without = [shard for shard in range(facts.shards) if facts.owners.get(shard) is None]
    if without:
        yield Finding(
            "shards without an owner",
            f"{len(without)} of {facts.shards} shards have no live owner: {names(without)}",
            "wait a second: a live worker claims them. If they stay without an owner, see the workers' logs and `hubq nodes`",
        )


def _stuck(facts: Facts) -> Iterable[Finding]:
    late = {shard: waited for shard, waited in facts.waited.items() if waited > WAITED_LONG and facts.owners.get(shard)}
    if late:
        worst = max(late, key=lambda shard: late[shard])
        child, method = facts.heads.get(worst, ("", ""))
        message = f", {child}.{method}," if method else f", for {child}," if child else ""
        why = (
            f": {child} is {facts.busy[child]}"
            if child in facts.busy
            else ": it is parked"
            if child in facts.parked
            else ""
        )
        if facts.pauses and not why:
            why = f" ({names(said for said, _ in facts.pauses)})"
        more = f"{len(late) - 1} more of the {facts.shards} shards"
        others = f"; {more} have messages that waited over {WAITED_LONG:g} s" if len(late) > 1 else ""
        yield Finding(
            "messages wait long",
            f"the first message of shard {worst} (on {facts.owners[worst]}){message} has waited {late[worst]:.0f} s{why}{others}",
            "see what waits behind it: hubq mailbox HUB CHILD. A busy, slow or parked child holds up only its own messages",
        )
    full = {child: count for child, count in facts.backlog.items() if count >= facts.max_backlog * 0.5}
    for child, count in full.items():
        yield Finding(
            "mailbox filling",
            f"{count} messages wait for {child}; at {facts.max_backlog} its senders get MailboxFull",
            "send fewer messages to it, make its handlers faster, or spread its work over several children",
        )


def _pauses(facts: Facts) -> Iterable[Finding]:
    for said, seconds in facts.pauses:
        if seconds > PAUSED_LONG:
            yield Finding(
                "paused for long",
                f"{said}, for {seconds / 3600:.0f} h by now",
                "if it was forgotten: hubq resume HUB, with --class or --child as `hubq pauses` shows it",
            )


def _children(facts: Facts) -> Iterable[Finding]:
    yield from _by_cause(
        "parked child",
        facts.parked,
        "cannot run",
        "mend the cause and deploy: a worker that joins starts it again. Its state and messages are kept",
    )
    yield from _by_cause(
        "straggler",
        facts.stragglers,
        "could not move with its shard",
        "a busy child moves when its message is done. A child that cannot start on the other node is offered again every "
        "15 s, and when nodes come or go. See hubq ps",
    )
    for name, node in facts.nodes.items():
        if node.lease_left > 0 and node.unready:
            yield Finding(
                "worker not ready",
                f"{name}: {node.unready}",
                "deploy a version that can run these children, or go back to the one before. A worker that can run them serves "
                "them meanwhile; without one they are parked",
            )
        if node.failing >= FAILING:
            yield Finding(
                "handlers raise",
                f"on {name}, {node.failing:g} messages per second end with an exception",
                f"see the log of {name}: it has the tracebacks",
            )
        if node.jobs_refused:
            yield Finding(
                "jobs wait",
                f"{counted(node.jobs_waiting, 'job', 'jobs')} that children have enqueued cannot be put into RQ by {name}: "
                f"{node.jobs_refused}",
                "mend the cause; nothing is lost. A user of Redis with an ACL needs the rules of hubq acl HUB --jobs",
            )
    yield from _letters(facts)


#: Why messages are dead letters (hubq.store.dead_letters.Why) -> what happened, and what to do before they are sent again.
LETTERS = {
    "took-down": ("took several workers down", "mend what ended the workers"),
    "unknown-method": ("are for a method that the class does not have", "deploy a version that has the method"),
    "bad-arguments": ("have arguments that do not fit", "deploy a version that takes them, or mend the sender"),
    "raised": ("ended with an error of the handler", "mend the handler: the tracebacks are in hubq dead show"),
    "ended": ("came when their child had ended", "start the child again, or drop them"),
    "malformed": ("were no messages of hubq", "find who writes into the mailboxes, and drop them"),
    "too-large": ("are larger than hubq takes", "send less at once, or raise max_payload_bytes"),
    "overdue": ("took longer than their handler may", "mend the handler, or raise its handler_timeout"),
    "dropped": ("were taken out of a mailbox by hand", "nothing, or send them again"),
}


def _letters(facts: Facts) -> Iterable[Finding]:
    # (Facts of a hub whose letters were not looked at know only how many there are.)
    letters = facts.letters or ({("took-down", ""): facts.dead} if facts.dead else {})
    for (why, kind), count in sorted(letters.items(), key=lambda item: (-item[1], item[0])):
        happened, do = LETTERS.get(why, (f"failed ({why})", "look at them"))
        of = f" of {kind}" if kind else ""
        options = f" --class {kind}" if kind else ""
        yield Finding(
            "dead letters",
            f"{counted(count, 'message', 'messages')}{of} {happened}",
            f"{do}. Then: hubq dead replay (or drop) HUB --why {why}{options}. See them: hubq dead list HUB --why {why}",
        )
    if letters and facts.dead > sum(letters.values()):
        yield Finding(
            "dead letters",
            f"there are {facts.dead} in all; counted by class are the last ones of each shard",
            "see all: hubq dead list",
        )


def _by_cause(topic: str, reasons: Mapping[str, str], what: str, do: str) -> Iterable[Finding]:
    """A finding for each cause, those of most children first."""
    by_cause: dict[str, list[str]] = {}
    for child, reason in reasons.items():
        by_cause.setdefault(reason, []).append(child)
    ranked = sorted(by_cause.items(), key=lambda each: -len(each[1]))
    for reason, children in ranked[:SHOWN]:
        whom = children[0] if len(children) == 1 else f"{len(children)} children ({names(children)})"
        yield Finding(topic, f"{whom} {what}: {reason}", do)
    if len(ranked) > SHOWN:
        more = sum(len(children) for _, children in ranked[SHOWN:])
        yield Finding(topic, f"{counted(more, 'child', 'children')} more for other causes", "list them: hubq ps")


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
        "Python versions",
        lambda node: node.python,
        "states are pickled and move between them: use one version everywhere",
    )
    yield from differing(
        "codecs or seals",
        lambda node: node.trust,
        "finish the deploy that changes them; each worker needs the same settings and keys (docs/trust.md)",
    )
    known = sorted({name for node in facts.nodes.values() for name in node.settings})
    for name in known:
        yield from differing(
            f"settings: {name}",
            lambda node, name=name: node.settings.get(name),  # type: ignore[misc]
            "the workers run different code or settings of the hub: deploy the same to all of them",
        )
    for name, node in facts.nodes.items():
        if node.clock is not None and abs(node.clock) > CLOCK_OFF:
            yield Finding(
                "clock",
                f"the clock of {name}'s machine is {abs(node.clock):.1f} s {'ahead of' if node.clock > 0 else 'behind'} Redis",
                "run NTP there. hubq goes by the clock of Redis, so only the times in its log are wrong",
            )


def _redis(facts: Facts) -> Iterable[Finding]:
    said = facts.redis
    policy = said.get("maxmemory-policy", "")
    if policy and policy != "noeviction":
        yield Finding(
            "Redis may evict",
            f"maxmemory-policy is {policy}: when its memory is full, Redis deletes mailboxes and states",
            "CONFIG SET maxmemory-policy noeviction, and set it in redis.conf",
        )
    if said.get("appendonly") == "no":
        yield Finding(
            "Redis may forget",
            "appendonly is off: a restart of Redis loses all since its last snapshot, or all if it takes none",
            "CONFIG SET appendonly yes, and set it in redis.conf",
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
            f"Redis at {facts.host} accepts connections without a password, and hubq unpickles the data that it reads there",
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
            f"{counted(len(facts.strays), 'key', 'keys')} of the hub belong to nothing alive and never expire: {names(facts.strays)}",
            "look at them in redis-cli, then delete them (DEL): hubq does not read them",
        )


#: In the order in which their findings are shown.
CHECKS: tuple[Callable[[Facts], Iterable[Finding]], ...] = (
    _workers,
    _quorum,
    _leases,
    _shards,
    _stuck,
    _pauses,
    _children,
    _redis,
    _alike,
    _strays,
)
