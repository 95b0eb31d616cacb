"""The scripts of members."""

from __future__ import annotations

from hubq.core.balance import Decision
from hubq.core.messages import HandoverConfirmed
from hubq.core.quorum import Roll
from hubq.store.assignment import publish_assignment
from hubq.store.control import send_control
from hubq.store.membership import check_config, drain_node, evict_node, leave_node, renew_lease
from hubq.store.quorum import settle_quorum
from hubq.store.removal import delete_keys

from .drives import drive
from .world import World


@drive
def drive_check_config(world: World) -> None:
    world.run(check_config(world.keys, 4))


@drive
def drive_join_node(world: World) -> None:
    world.raw("DEL", world.keys.epoch)  # as for the hub's first node
    world.join("b")
    world.raw("SET", world.keys.epoch, "soon")
    assert world.join("c") > 1_000_000_000_000


@drive
def drive_renew_lease(world: World) -> None:
    assert world.run(renew_lease(world.keys, "a", world.a, 1000)).ok


@drive
def drive_drain_node(world: World) -> None:
    assert world.run(drain_node(world.keys, "a", None, 1000)) == "draining"


@drive
def drive_leave_node(world: World) -> None:
    world.pin(2, "c", "a", world.a)
    assert world.run(leave_node(world.keys, "a", world.a, 1000, force=True)) == "left"


@drive
def drive_evict_node(world: World) -> None:
    world.raw("ZADD", world.keys.leases, 1, "a")
    assert world.run(evict_node(world.keys, "a", "b", 1000)) == "evicted"


@drive
def drive_delete_keys(world: World) -> None:
    world.raw("ZADD", world.keys.leases, 1, "a")
    assert world.run(delete_keys(world.keys, [world.keys.children(0), world.keys.leases])) == "deleted"


@drive
def drive_settle_quorum(world: World) -> None:
    event = {"type": "quorum_lost"}
    epoch = int(world.raw("GET", world.keys.epoch))
    assert world.run(settle_quorum(world.keys, epoch, b"", Roll(changes=1), "no quorum", event, 1000))


@drive
def drive_publish_assignment(world: World) -> None:
    decision = Decision({0: "a"}, {0: 1.0}, 1)
    assert world.run(publish_assignment(world.keys, "a", world.a, 5, decision, {"a": world.a}, 1000)) == "ok"


@drive
def drive_send_control(world: World) -> None:
    world.run(send_control(world.keys, "a", HandoverConfirmed("b", 0, "h")))
