"""The types of the events that a hub writes down, each with what has happened. docs/guide-operating.md has the same table."""

from __future__ import annotations

from difflib import get_close_matches

EVENT_TYPES: dict[str, str] = {
    "node_joined": "a worker has become a member",
    "node_draining": "a worker hands over what it has",
    "node_left": "a worker has left, with nothing left to hand over",
    "node_evicted": "the lease of a worker was over; its shards may be claimed",
    "shards_claimed": "a worker has taken shards that nobody served",
    "shard_adopted": "a worker has taken a shard in without a handover",
    "shard_migrated": "a shard has come by a handover",
    "shard_parked": "the last worker has left; the shard waits in Redis",
    "tokens_renewed": "Redis did not answer a worker in time: it goes on under new tokens, and what it sent under the old ones is void",
    "token_passed": "a shard has a new owner",
    "handover_overdue": "the target of a handover did not confirm it in time",
    "rollout": "a version of the app has got another share of the shards",
    "shards_assigned": "the load balancer has placed shards",
    "loop_blocked": "the event loop of a worker stands still, in this method of this child",
    "loop_unblocked": "it turns again",
    "loop_stalled": "it has stood still for longer than stall_limit; the worker ends itself",
    "fenced": "a worker found that a shard or pin is another's by now",
    "child_parked": "a child cannot run on its worker",
    "child_start_failed": "a child could not be built for a move",
    "child_killed": "the message in hand of a child was ended by hand; the child began anew",
    "child_restarted": "the run() of a child has ended, and began again",
    "child_revived": "a child whose start took workers down is tried again",
    "child_stopped": "a child has ended for good",
    "child_expired": "a dormant child has ended: it had no message for expire_after",
    "child_wanted": "a child is wanted on a certain worker",
    "paused": "children begin no further message: all, those of a class, or one",
    "resumed": "they go on",
    "child_pinned": "a child did not go with its shard",
    "child_migrated": "a single child has moved",
    "children_passed": "children have been given to another worker, apart from their shard",
    "pin_released": "a child returns to its shard",
    "pins_dissolved": "children whose worker is gone return to their shard",
    "poisoned": "a message or a start has taken workers down, and is a dead letter now",
    "message_failed": "casts have failed, and are dead letters now",
    "unsealed": "a seal was refused: a message, a spec or a state was not written by a holder of a key, or for another place",
    "malformed": "something in Redis could not be read, and was passed over",
    "operator_acted": "somebody has acted through the web view",
    "redis_changed": "another Redis answers than before",
    "redis_went_back": "Redis has lost writes that it had confirmed",
}


def unknown_type(kind: str) -> str:
    """The error for a type that no event has, with all types; empty if some event has it.

    >>> unknown_type("node_join")[:78]
    "no event is of type 'node_join': did you mean 'node_joined'? The types: child_"
    >>> unknown_type("")[:46]
    'which type of events? The types: child_expired'
    """
    if kind in EVENT_TYPES:
        return ""
    near = get_close_matches(kind, EVENT_TYPES, 1)
    hint = f": did you mean {near[0]!r}?" if near else "."
    said = f"no event is of type {kind!r}{hint}" if kind else "which type of events?"
    return f"{said} The types: {', '.join(sorted(EVENT_TYPES))}"
