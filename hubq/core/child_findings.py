"""What the diagnosis finds in children and their messages: what waits, what is paused, parked, failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hubq.core.facts import Facts, Finding
from hubq.core.wording import SHOWN, counted, names

#: A message that waits longer than this is a finding, seconds.
WAITED_LONG = 30.0
#: Messages per second whose handler raises: more of them on one worker are a finding.
FAILING = 1.0
#: A pause that is older than this is a finding, seconds: somebody may have forgotten it.
PAUSED_LONG = 3600.0


def messages_that_wait(facts: Facts) -> Iterable[Finding]:
    if facts.used_up:
        which = f"mailbox of shard {facts.used_up[0]}" if len(facts.used_up) == 1 else "mailboxes of shards"
        which += "" if len(facts.used_up) == 1 else f" {names(facts.used_up)}"
        yield Finding(
            "ids used up",
            f"the {which} {'takes' if len(facts.used_up) == 1 else 'take'} no message: somebody has added an entry with the last id that "
            "a stream can have. Senders get RedisRefused",
            "the worker that serves the shard mends it within a second. If it does not: start a worker, and let its user of Redis run "
            "XSETID (hubq acl). Find who writes into mailboxes",
        )
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


def pauses_that_are_old(facts: Facts) -> Iterable[Finding]:
    for said, seconds in facts.pauses:
        if seconds > PAUSED_LONG:
            yield Finding(
                "paused for long",
                f"{said}, for {seconds / 3600:.0f} h by now",
                "if it was forgotten: hubq resume HUB, with --class or --child as `hubq pauses` shows it",
            )


def children_that_cannot(facts: Facts) -> Iterable[Finding]:
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
