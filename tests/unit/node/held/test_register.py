"""The register: what a node holds, and is read for."""

from __future__ import annotations

from hubq.node.held.cursors import Cursors
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.register import Register
from tests.unit.node.fakes import a_child, a_holding


def test_shards_and_pins_are_found_in_the_order_in_which_they_came() -> None:
    cursors = Cursors()
    register = Register(cursors, Outboxes())
    pin, shard, other = a_holding(4, pinned="room-1"), a_holding(4), a_holding(2)
    for holding in (pin, shard, other):
        register.hold(holding)
    assert register.all() == [pin, shard, other] and len(register) == 3
    assert register.get(4) is shard and register.get(4, "room-1") is pin and register.get(4, "room-2") is None
    assert register.of_shard(4) == [pin, shard] and register.shards() == [4, 2]
    assert cursors.holdings == {4: [pin, shard], 2: [other]}


def test_a_child_is_served_by_its_pin_else_by_its_shard() -> None:
    register = Register(Cursors(), Outboxes())
    pin, shard = a_holding(4, pinned="room-1"), a_holding(4)
    register.hold(pin)
    assert register.of_child(4, "room-1") is pin and register.of_child(4, "room-2") is None
    register.hold(shard)
    assert register.of_child(4, "room-1") is pin and register.of_child(4, "room-2") is shard
    pinned, free = a_child(pin, "room-1"), a_child(shard, "room-2")
    assert list(register.children()) == [pinned, free]


def test_what_is_dropped_is_gone_and_read_for_no_more() -> None:
    cursors = Cursors()
    register = Register(cursors, Outboxes())
    shard = a_holding(4)
    register.hold(shard)
    register.drop(shard)
    assert shard.gone and register.all() == [] and cursors.holdings == {} and cursors.by_shard == {}
    register.drop(shard)


def test_dropping_an_old_holding_leaves_its_successor() -> None:
    register = Register(Cursors(), Outboxes())
    old, new = a_holding(4, token=3), a_holding(4, token=5)
    register.hold(old)
    register.hold(new)
    register.drop(old)
    assert register.get(4) is new and not new.gone
