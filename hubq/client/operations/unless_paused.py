"""Messages that are to be refused while their child is paused: it is looked before they are sent (docs/guide-pause.md)."""

from __future__ import annotations

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.call_options import CallOptions
from hubq.core.hashing import checked_child_id
from hubq.core.pauses import Pauses
from hubq.errors import ChildPaused
from hubq.store.pauses import read_pauses
from hubq.store.registry import read_some_specs


def not_paused(hub: HubContext, child_id: str, options: CallOptions) -> Operation[None]:
    """Raise :class:`~hubq.errors.ChildPaused` if the child is paused.

    (The class of a dormant child that is named by its id alone is not known: what waits for it shows once it is awake.)
    """
    shard = hub.shard_of(checked_child_id(child_id))
    found, specs = yield Fetch([read_pauses(hub.keys), read_some_specs(hub.keys, shard, [child_id])])
    if not found:
        return
    spec = specs.get(child_id, options.activation)
    pause = Pauses(found.values()).of(child_id, "" if spec is None else spec.name)
    if pause is not None:
        raise ChildPaused(f"child {child_id!r} was not sent the message: {pause}; see `hubq pauses {hub.keys.hub_id}`")
