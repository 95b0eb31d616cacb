"""What the diagnosis finds in the groups of a hub."""

from __future__ import annotations

from collections.abc import Iterable

from hubq.core.facts import Facts, Finding
from hubq.core.wording import counted, left_out, names

#: So many messages of one shard that wait for another group are a finding: they go on within milliseconds, if they can.
MANY = 100


def of_groups(facts: Facts) -> Iterable[Finding]:
    """The findings, the most pressing first; none if all is where it belongs."""
    if facts.away:
        yield Finding(
            "groups do not answer",
            left_out(facts.away),
            "see to their primaries. Their children wait until these are back, and nothing is lost. What else is found here is of the "
            "other groups",
        )
    waiting = {place: count for place, count in facts.far.items() if count >= MANY}
    if waiting:
        shard, group = max(waiting, key=lambda place: waiting[place])
        more = f" and {len(waiting) - 1} more outboxes" if len(waiting) > 1 else ""
        yield Finding(
            "messages to another group wait",
            f"{waiting[shard, group]:,} messages of children of shard {shard} wait for group {group}{more}: its primary is away, or "
            "mailboxes there are full",
            "see whether that group is served (hubq nodes, hubq ps) and whose mailboxes are full (hubq mailbox HUB). Nothing is lost",
        )
    if facts.misplaced:
        yield Finding(
            "keys of another group",
            f"{counted(len(facts.misplaced), 'key is', 'keys are')} of a shard of another group, or of a group that the hub does not have: "
            f"{names(facts.misplaced)}",
            "nobody serves them. They come of a process with another number of groups, or of keys that were copied by hand: end it, "
            "look at them in redis-cli, and delete them (DEL)",
        )
    if facts.moved == "opened":
        yield Finding(
            "former keys are kept",
            "the hub was moved to this number of groups, and what it was before is kept (aside:)",
            "when it is not needed any more: hubq regroup HUB --delete-source",
        )
