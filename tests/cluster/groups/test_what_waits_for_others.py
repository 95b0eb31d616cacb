"""What waits in the outboxes to other groups is shown, and told of by the diagnosis; so are keys in the wrong group."""

from __future__ import annotations

import asyncio

import pytest

from hubq import Hub
from hubq.client.operations.waiting_times import child_outbox, held_back
from hubq.client.regroup.regroup import Regroup, found_source
from hubq.client.regroup.sides import Side
from hubq.store.command import plain
from hubq.store.connection import SyncRedis
from hubq.testing import FakeServer
from tests.contract.client.test_regroup import RECEIVERS, SENDERS, at, filled, regrouped

pytestmark = pytest.mark.timeout(60)


def topics(hub: Hub) -> set[str]:
    return {finding.topic for finding in hub.inspect.diagnosis()}


def test_what_children_have_said_to_other_groups_is_shown_for_both() -> None:
    server, hub_id = FakeServer(), "waits"
    asyncio.run(filled(at(server, hub_id, 4)))
    hub = at(server, hub_id, 4)
    drive, context = hub.driver.drive, hub.driver.context
    said = {child: drive(child_outbox(context, child, 100)).heads for child in SENDERS}
    waiting = {child: drive(held_back(context, child)) for child in RECEIVERS}
    assert {each.child for heads in said.values() for each in heads} == {
        child for child, held in waiting.items() if held
    }
    assert (
        sum(map(len, said.values())) == sum(waiting.values()) == len(SENDERS) * len(RECEIVERS) * 3 - 6 * len(RECEIVERS)
    )
    far = [each for child, heads in said.items() for each in heads if each.age is None]
    assert far and all(each.entry.endswith("-0") for each in far)
    hub.close()


def test_keys_in_the_wrong_group_are_told_and_those_of_a_move_until_they_are_deleted() -> None:
    server, hub_id = FakeServer(), "misplaced"
    asyncio.run(filled(at(server, hub_id, 4)))
    hub = at(server, hub_id, 4)
    assert not {"keys of another group", "stray keys", "former keys are kept"} & topics(hub)
    redis = SyncRedis(server)
    for key in ("hubq:{misplaced}:shard:1:msk", "hubq:{misplaced:1.0}:owners"):
        redis.run(plain("HSET", key, "lost", "x", read=int))
    (finding,) = [each for each in hub.inspect.diagnosis() if each.topic == "keys of another group"]
    assert finding.seen.startswith("2 keys are ") and "{misplaced}:shard:1:msk" in finding.seen
    redis.run(plain("DEL", "hubq:{misplaced}:shard:1:msk", "hubq:{misplaced:1.0}:owners", read=int))
    redis.close()
    regrouped(server, hub_id, 2)
    moved = at(server, hub_id, 2)
    assert "former keys are kept" in topics(moved)
    assert not {"keys of another group", "stray keys"} & topics(moved)
    source, record = found_source(hub_id, [server])
    with Side(source) as before, Side(moved) as after:
        Regroup(before, after, record, lambda line: None).delete_source()
    assert not {"keys of another group", "stray keys", "former keys are kept"} & topics(moved)
