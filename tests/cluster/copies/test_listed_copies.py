"""Whoever asks which children there are hears of their copies, too."""

from __future__ import annotations

from typing import Any

from hubq import Child, ChildSpec, Pid, Replication
from hubq.testing import Cluster, LedgerChild, eventually

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

            async def agree() -> bool:
                """Whether all lists name the same two nodes for each child. (While nodes come, a third may be among them.)"""
                pids = await hub.aio.pids_of([*names, "other"])
                children = await hub.aio.children()
                lists = {
                    node: {child.child_id for child in them} for node, them in (await hub.aio.which_children()).items()
                }
                on_a = [child.child_id for child in await hub.aio.children(node="a")]
                return (
                    all(len({pid.node for pid in some}) == len(some) == 2 for some in pids.values())
                    and await hub.aio.process_list() == await hub.aio.process_list("local") == pids
                    and await hub.aio.tag_query("vip") == {name: pids[name] for name in names}
                    and {child.child_id: child.pids for child in children} == pids
                    and children == [await hub.aio.child_lookup(child.child_id) for child in children]
                    and [child.replicas for child in children]
                    == [(await hub.aio.where(child.child_id)).replicas for child in children]
                    == [(child.pids[1].node,) for child in children]
                    and lists
                    == {node: {name for name in pids if node in {p.node for p in pids[name]}} for node in "abc"}
                    and sorted(on_a) == sorted(name for name, some in pids.items() if some[0].node == "a")
                    and await hub.aio.pids_of([*names, "other"]) == pids
                )

            await eventually(agree, 20.0, "every list names the copies")
            pids: dict[str, list[Pid]] = await hub.aio.pids_of([*names, "other"])
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
