"""Whoever asks which children there are hears of their copies, too."""

from __future__ import annotations

from typing import Any

from hubq import Child, ChildSpec, Pid, Replication
from hubq.testing import Cluster, LedgerChild

from .test_replication import followed, play


class Room(Child):
    """Says nothing."""


def test_every_list_names_the_copies(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4, redundancy=Replication(2, "active_passive"))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c")
            await cluster.settled()
            names = [f"room-{n}" for n in range(12)]
            specs = [ChildSpec(name, Room, metadata={"tag": "vip"}) for name in names]
            await hub.aio.start_children([*specs, ChildSpec("other", LedgerChild)])
            await followed(cluster, [*names, "other"], 1)

            pids: dict[str, list[Pid]] = await hub.aio.pids_of([*names, "other"])
            assert all(len({pid.node for pid in some}) == 2 for some in pids.values())
            assert await hub.aio.process_list() == await hub.aio.process_list("local") == pids
            assert await hub.aio.tag_query("vip") == {name: pids[name] for name in names}
            for child in await hub.aio.children():
                assert child.pids == pids[child.child_id]
                assert child == await hub.aio.child_lookup(child.child_id)
                assert child.replicas == (await hub.aio.where(child.child_id)).replicas == (child.pids[1].node,)
            lists = await hub.aio.which_children()
            assert {node: sorted(child.child_id for child in them) for node, them in lists.items()} == {
                node: sorted(name for name, some in pids.items() if node in {pid.node for pid in some})
                for node in "abc"
            }
            assert len(await hub.aio.children(node="a")) == len([p for p in pids.values() if p[0].node == "a"])

            hub.local_nodes -= {"b", "c"}  # as another process would see it
            assert await hub.aio.process_list("local") == {
                name: [pid for pid in some if pid.node == "a"]
                for name, some in pids.items()
                if "a" in {pid.node for pid in some}
            }
            (there,) = {"a", "b", "c"} - {pid.node for pid in pids["other"]}
            await hub.aio.move("other", there)
            moved = await hub.aio.child_lookup("other")
            assert (moved.pinned, moved.replicas, [pid.node for pid in moved.pids]) == (True, (), [there])

    play(scenario)
