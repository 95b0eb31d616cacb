"""Where groups lie: fixed for good, since hubs are found by it, and even over the slots of a cluster."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from hubq.core.layout import SLOTS, group_of, hub_of_tag, shards_of, slot, tag_of

COUNTS = (2, 3, 4, 8, 16, 64)


@pytest.mark.parametrize("tag", ["chat", "chat:3.65", "x" * 64])
def test_slots_are_those_of_redis(tag: str) -> None:
    assert slot(tag) == key_slot(f"hubq:{{{tag}}}:config".encode())


def test_the_tags_of_a_hub_stay_what_they_are() -> None:
    """Another tag is another key: the hubs that there are would not be found."""
    eight = ["chat", "chat:1.7", "chat:2.42", "chat:3.16", "chat:4.63", "chat:5.207", "chat:6.158", "chat:7.76"]
    assert [tag_of("chat", group, 8) for group in range(8)] == eight
    assert tag_of("orders.eu", 1, 2) == "orders.eu:1.67"


@pytest.mark.parametrize("groups", COUNTS)
@pytest.mark.parametrize("hub_id", ["chat", "orders.eu", "a"])
def test_groups_lie_evenly_over_any_number_of_primaries(hub_id: str, groups: int) -> None:
    slots = [slot(tag_of(hub_id, group, groups)) for group in range(groups)]
    assert len(set(slots)) == groups
    for primaries in (2, 3, 4, 5, 8):
        held = [sum(1 for each in slots if each * primaries // SLOTS == primary) for primary in range(primaries)]
        assert max(held) <= -(-groups // primaries) + 1


@pytest.mark.parametrize("groups", COUNTS)
def test_every_shard_is_in_one_group(groups: int) -> None:
    shards = 960
    assert sorted(shard for group in range(groups) for shard in shards_of(group, groups, shards)) == list(range(shards))
    assert all(
        group_of(shard, groups) == group for group in range(groups) for shard in shards_of(group, groups, shards)
    )


def test_a_tag_leads_back_to_its_hub() -> None:
    assert {hub_of_tag(tag_of("chat", group, 8)) for group in range(8)} == {"chat"}
