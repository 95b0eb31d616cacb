"""The diagnosis of a hub, in plain words: a pure function from the facts that were seen to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from hubq.core.child_findings import children_that_cannot, messages_that_wait, pauses_that_are_old
from hubq.core.cluster_findings import of_the_cluster
from hubq.core.facts import Facts, Finding, NodeFacts
from hubq.core.group_findings import of_groups
from hubq.core.redis_findings import settings_of_redis
from hubq.core.wording import counted, names

#: A wall clock that is off by more than this is a finding, seconds. (Leases go by the clock of Redis: only logs mislead.)
CLOCK_OFF = 1.0
#: A timer of the event loop that is late by more than this is a finding, seconds.
LAG_LONG = 1.0


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
    seen = set(range(facts.shards)).difference(facts.unseen)
    without = [shard for shard in sorted(seen) if facts.owners.get(shard) is None]
    if without:
        yield Finding(
            "shards without an owner",
            f"{len(without)} of {facts.shards} shards have no live owner: {names(without)}",
            "wait a second: a live worker claims them. If they stay without an owner, see the workers' logs and `hubq nodes`",
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
    of_the_cluster,
    of_groups,
    messages_that_wait,
    pauses_that_are_old,
    children_that_cannot,
    settings_of_redis,
    _alike,
    _strays,
)
