"""Deleting a hub with all that it has in Redis."""

from __future__ import annotations

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import added, of_all
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.members import nodes
from hubq.errors import HubqError
from hubq.store.removal import delete_keys, read_keys

#: Keys that are deleted at once; Redis serves nobody else meanwhile.
AT_ONCE = 500


@of_all(added)
def delete_hub(hub: HubContext) -> Operation[int]:
    """Delete all keys of a hub; how many there were. What makes it a hub goes last, so that a deletion that was cut off can be
    run again.

    Raises :class:`~hubq.errors.HubqError` while a worker serves it. A worker that joins meanwhile ends the deletion.
    """
    last = [hub.keys.epoch, hub.keys.nodes, hub.keys.config, hub.keys.leases]
    found = yield from _found(hub)
    others = sorted(found - set(last))
    for first in range(0, len(others), AT_ONCE):
        yield from _delete(hub, others[first : first + AT_ONCE])
    yield from _delete(hub, last)
    return len(found)


def _found(hub: HubContext) -> Operation[set[str]]:
    found: set[str] = set()
    cursor = "0"
    while True:
        ((cursor, page),) = yield Fetch([read_keys(hub.keys, cursor)])
        found.update(page)
        if cursor == "0":
            return found


def _delete(hub: HubContext, victims: list[str]) -> Operation[None]:
    (word,) = yield Fetch([delete_keys(hub.keys, victims)])
    if word == "served":
        names = [node.name for node in (yield from nodes(hub)) if node.lease > 0]
        raise HubqError(
            f"hub {hub.keys.hub_id!r} is served by {', '.join(names[:5])} by now: hubq drain them, and delete again"
        )
