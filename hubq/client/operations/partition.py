"""Whether a hub has its quorum, and forgetting that it was ever larger."""

from __future__ import annotations

from dataclasses import replace

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import first_said, largest, of_all
from hubq.client.asking.steps import Fetch, Operation
from hubq.errors import HubqError
from hubq.store.membership import read_nodes
from hubq.store.quorum import read_epoch, read_partitioned, read_roll, roll_of, settle_quorum


@of_all(first_said)
def partitioned(hub: HubContext) -> Operation[str]:
    """Since when there is no quorum, and why; empty while there is one."""
    (why,) = yield Fetch([read_partitioned(hub.keys)])
    return str(why)


@of_all(largest)
def reset_cluster_size(hub: HubContext) -> Operation[int]:
    """Forget that the hub ever had more nodes than now. The nodes look at once whether there is a quorum."""
    keys = hub.keys
    while True:
        epoch, nodes, before, why = yield Fetch(
            [read_epoch(keys), read_nodes(keys), read_roll(keys), read_partitioned(keys)]
        )
        if not before:
            raise HubqError(
                f"hub {keys.hub_id!r} keeps no quorum: give its workers Hub(..., partition_tolerance=MajorityQuorum())"
            )
        roll = roll_of(before)
        count = sum(1 for info in nodes.values() if info.up)
        after = replace(roll, changes=roll.changes + 1, ever=count)
        event = {"type": "cluster_size_reset", "nodes": count, "was": roll.ever}
        (settled,) = yield Fetch([settle_quorum(keys, epoch, before, after, why, event, hub.config.events_kept)])
        if settled:
            return count
