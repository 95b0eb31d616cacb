"""A client's cache of owners: right whenever it answers, for one round trip, or two after a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubq.client.asking.steps import Fetch, Operation
from hubq.store.command import Command
from hubq.store.events import last_event_id, read_events
from hubq.store.keys import Keys
from hubq.store.owners import Owners, read_owners
from hubq.strategies.synchronization import Synchronization

#: Events that leave the owners as they are. All others make the cache look again.
HARMLESS = frozenset(
    {"malformed", "child_stopped", "child_parked", "child_restarted", "child_start_failed", "child_migrated", "child_pinned",
     "shard_migrated", "shard_adopted", "handover_overdue", "fenced", "node_joined", "node_draining"}
)  # fmt: skip

#: Events read at once; if there are more, the cache looks again without reading them.
EVENTS = 100


class OwnersView:
    """The owners as of the event ``seen``.

    Every script that changes an owner writes an event in the same act. So each question also reads the events since. If
    none of them matters, the owners are as they were; if one does, they are read again.
    """

    def __init__(self, keys: Keys, synchronization: Synchronization) -> None:
        self.reloads = 0
        self._keys = keys
        self._synchronization = synchronization
        self._known: tuple[str, Owners] | None = None  # it is replaced as a whole, since threads may share it

    def look(self, also: Sequence[Command[Any]] = ()) -> Operation[tuple[Owners, list[Any]]]:
        """The owners as they are now, and the answers to the commands asked along."""
        known = self._known
        if known is None or not self._synchronization.follows_events():
            owners, answers = yield from self._reload(also)
            return owners, answers
        seen, owners = known
        events, *answers = yield Fetch([read_events(self._keys, seen, EVENTS), *also])
        if len(events) == EVENTS or any(event.get("type", "") not in HARMLESS for _, event in events):
            # The commands are run again, too: a node that has joined since may own a shard by now.
            owners, answers = yield from self._reload(also)
        elif events:
            self._known = (events[-1][0], owners)
        return owners, answers

    def _reload(self, also: Sequence[Command[Any]]) -> Operation[tuple[Owners, list[Any]]]:
        # The event's id first: what happens between the two reads is seen once more, never missed.
        seen, owners, *answers = yield Fetch([last_event_id(self._keys), read_owners(self._keys), *also])
        self._known = (seen, owners)
        self.reloads += 1
        return owners, answers
